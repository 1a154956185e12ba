package backtest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/engine/incident"
)

// Diff is what another configuration would have made of the same past.
type Diff struct {
	Since    time.Time   `json:"since"`
	Until    time.Time   `json:"until"`
	Episodes int         `json:"episodes"`
	Changed  int         `json:"changed"` // episodes
	Silences []Silence   `json:"silences,omitempty"`
	Rules    []RuleDiff  `json:"rules"`
	Changes  []Change    `json:"changes"`
	Missed   BeforeAfter `json:"missed"`
}

// BeforeAfter are two counts.
type BeforeAfter struct {
	Before int `json:"before"`
	After  int `json:"after"`
}

// RuleDiff is one rule in both configurations; nil where it is not.
type RuleDiff struct {
	Rule    string      `json:"rule"`
	Before  *RuleReport `json:"before,omitempty"`
	After   *RuleReport `json:"after,omitempty"`
	Changed int         `json:"changed"` // episodes
}

// Change is one rule's other answer to alerts that the same incident holds, before and after.
type Change struct {
	Rule   string            `json:"rule"`
	Labels map[string]string `json:"labels"` // of the first alert
	From   time.Time         `json:"from"`
	Count  int               `json:"count"` // episodes
	Before Fate              `json:"before"`
	After  Fate              `json:"after"`
}

// Fate is what one rule would have made of an alert.
type Fate struct {
	Outcome string    `json:"outcome"`
	Reason  string    `json:"reason,omitempty"`
	Target  string    `json:"target,omitempty"`
	At      time.Time `json:"at,omitzero"` // of a rollback
	Leaves  string    `json:"leaves,omitempty"`
	Reaches string    `json:"reaches,omitempty"`

	incident string
}

// same says whether two fates are one for those who live with the rule: reasons may be worded otherwise.
func (f Fate) same(o Fate) bool {
	f.Reason, f.incident, o.Reason, o.incident = "", "", "", ""
	if f.Outcome != WouldAct { // where it was held does not matter
		f.Target, o.Target = "", ""
	}
	return f == o
}

// Compare lets the history happen with two configurations.
func Compare(ctx context.Context, h *History, before, after *Configuration, only string) (*Diff, error) {
	was, err := h.replay(ctx, before)
	if err != nil {
		return nil, err
	}
	is, err := h.replay(ctx, after)
	if err != nil {
		return nil, err
	}
	a, b := was.report(only), is.report(only)
	d := &Diff{
		Since: h.Since, Until: h.Until, Episodes: len(h.Episodes), Silences: a.Silences, Rules: []RuleDiff{}, Changes: []Change{},
		Missed: BeforeAfter{len(a.Missed), len(b.Missed)},
	}
	d.compare(h, was, is, only)
	d.rules(a, b)
	return d, nil
}

func (d *Diff) rules(a, b *Report) {
	index := map[string]*RuleDiff{}
	of := func(name string) *RuleDiff {
		if index[name] == nil {
			index[name] = &RuleDiff{Rule: name}
		}
		return index[name]
	}
	for n := range a.Rules {
		of(a.Rules[n].Rule).Before = &a.Rules[n]
	}
	for n := range b.Rules {
		of(b.Rules[n].Rule).After = &b.Rules[n]
	}
	for _, c := range d.Changes {
		of(c.Rule).Changed += c.Count
	}
	for _, name := range slices.Sorted(maps.Keys(index)) {
		d.Rules = append(d.Rules, *index[name])
	}
}

func (d *Diff) compare(h *History, was, is *outcome, only string) {
	before, after := was.fates(), is.fates()
	type group struct {
		rule          string
		before, after Fate
	}
	groups := map[group]int{} // the place in Changes
	for _, e := range h.Episodes {
		key := keyOf(was.source, e)
		a, b := before[key], after[keyOf(is.source, e)]
		changed := false
		for _, rule := range bothKeys(a, b) {
			x, y := fateOf(a, rule), fateOf(b, rule)
			if x.same(y) || only != "" && rule != only {
				continue
			}
			changed = true
			g := group{rule, x, y}
			if at, known := groups[g]; known {
				d.Changes[at].Count++
				continue
			}
			groups[g] = len(d.Changes)
			d.Changes = append(d.Changes, Change{Rule: rule, Labels: e.Labels, From: e.From, Count: 1, Before: x, After: y})
		}
		if changed {
			d.Changed++
		}
	}
	slices.SortStableFunc(d.Changes, func(a, b Change) int {
		return cmp.Or(a.From.Compare(b.From), strings.Compare(a.Rule, b.Rule), strings.Compare(labelText(a.Labels), labelText(b.Labels)))
	})
}

func bothKeys(a, b map[string]Fate) []string {
	all := slices.Concat(slices.Collect(maps.Keys(a)), slices.Collect(maps.Keys(b)))
	slices.Sort(all)
	return slices.Compact(all)
}

func fateOf(fates map[string]Fate, rule string) Fate {
	if f, there := fates[rule]; there {
		return f
	}
	return Fate{Outcome: NoMatch}
}

// fates are what each rule made of each episode.
func (o *outcome) fates() map[episodeKey]map[string]Fate {
	all := map[episodeKey]map[string]Fate{}
	put := func(key episodeKey, rule string, f Fate) {
		if all[key] == nil {
			all[key] = map[string]Fate{}
		}
		all[key][rule] = f
	}
	for key, decisions := range o.became {
		for _, d := range decisions {
			if d.Kind == NoTarget {
				put(key, d.Rule, Fate{Outcome: NoTarget, Reason: d.Reason})
			}
		}
	}
	for _, c := range o.cases {
		f := Fate{Outcome: c.Outcome, Reason: c.Reason, Target: c.Target, incident: c.Incident}
		if c.Act != nil {
			f.At, f.Leaves, f.Reaches = c.Act.At, c.Act.From, c.Act.To
			f.Reason = labelWord(c.Act.Label)
		}
		for _, key := range c.alerts {
			put(key, c.Rule, f)
		}
	}
	return all
}

func labelWord(l incident.Label) string { return cmp.Or(string(l), "unlabelled") }
