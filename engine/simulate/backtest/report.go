package backtest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/engine/incident"
)

// Report is what the rules of one configuration would have done.
type Report struct {
	Since time.Time     `json:"since"`
	Until time.Time     `json:"until"`
	Step  time.Duration `json:"step"`
	// Episodes counts the alerts that began in this time and that a rule could match; Early those that fired already when
	// it began, which are passed over.
	Episodes int `json:"episodes"`
	Early    int `json:"early,omitempty"`
	// Long counts those that fired for longer than they were followed.
	Long int `json:"long,omitempty"`
	// Releases counts the rollouts of this time; people's moves back are none.
	Releases int `json:"releases"`
	Targets  int `json:"targets"`
	// Untold are the targets of which no release is known.
	Untold []string `json:"untold,omitempty"`
	// Silences are when Prometheus recorded nothing, where that lasted: nobody knows what fired then.
	Silences []Silence `json:"silences,omitempty"`
	// Strays are alerts that matched a rule and chose no target.
	Strays []Stray      `json:"strays,omitempty"`
	Rules  []RuleReport `json:"rules"`
	Cases  []*Case      `json:"cases"`
	// Moves are the moves back by people, Missed those that no rule would have started.
	Moves  []incident.MoveBack `json:"moves"`
	Missed []incident.MoveBack `json:"missed"`
	// FalsePer100 is how many would-acts were wrong for each 100 releases, AtMostPer100 counts the unlabelled too.
	FalsePer100  *float64 `json:"false_per_100_releases,omitempty"`
	AtMostPer100 *float64 `json:"at_most_false_per_100_releases,omitempty"`
}

// Stray is why alerts that matched a rule reached no target.
type Stray struct {
	Rule   string `json:"rule"`
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

// RuleReport is one rule's part.
type RuleReport struct {
	Rule string `json:"rule"`
	Mode string `json:"mode"` // as written
	// Matched counts cases; Not are those in which it would not have acted, by what kept it.
	Matched int             `json:"matched"`
	Not     []Held          `json:"would_not,omitempty"`
	Score   incident.Score  `json:"score"`
	Heads   []time.Duration `json:"head_starts,omitempty"`
	// HeadStart is the median of how much later people moved back what the rule would have; negative when they were first.
	HeadStart *time.Duration `json:"median_head_start,omitempty"`
}

// Held counts the cases that one guard kept from being acted on.
type Held struct {
	Outcome string `json:"outcome"`
	Count   int    `json:"count"`
	// Example is the reason of the last of them.
	Example string `json:"example"`
}

// toldFrom is from which length on a silence is worth a word.
const toldFrom = 5 * time.Minute

// Run lets the history happen with a configuration. Only, when it is not empty, is the one rule that is reported.
func Run(ctx context.Context, h *History, c *Configuration, only string) (*Report, error) {
	o, err := h.replay(ctx, c)
	if err != nil {
		return nil, err
	}
	return o.report(only), nil
}

func (o *outcome) report(only string) *Report {
	h := o.history
	r := &Report{
		Since: h.Since, Until: h.Until, Step: h.Step, Episodes: len(h.Episodes), Early: h.early, Long: h.long, Targets: len(o.config.Book.Targets()),
		Cases: []*Case{}, Moves: []incident.MoveBack{}, Missed: []incident.MoveBack{},
	}
	for _, s := range h.Silences {
		if s.To.Sub(s.From) >= toldFrom {
			r.Silences = append(r.Silences, s)
		}
	}
	for _, c := range o.cases {
		if only == "" || c.Rule == only {
			r.Cases = append(r.Cases, c)
		}
	}
	r.Strays = o.strays(only)
	o.releasesInto(r)
	for _, rule := range o.config.Rules.Rules() {
		if only == "" || rule.Name == only {
			r.Rules = append(r.Rules, ruleReport(rule.Name, rule.Mode, r.Cases, h.moves))
		}
	}
	r.rates()
	return r
}

// releasesInto tells of releases and of the moves back by people, which any rule of all may have started.
func (o *outcome) releasesInto(r *Report) {
	h := o.history
	told := map[string]bool{}
	for _, release := range h.Releases {
		if _, known := o.config.Book.Target(release.Target); !known {
			continue
		}
		told[release.Target] = true
		if release.At.After(h.Since) && !release.Before {
			r.Releases++
		}
	}
	for _, t := range o.config.Book.Targets() {
		if !told[t.Name] {
			r.Untold = append(r.Untold, t.Name)
		}
	}
	var acts []incident.WouldAct
	for _, c := range o.cases {
		if c.Act != nil {
			acts = append(acts, c.Act.would)
		}
	}
	for _, m := range h.moves {
		if m.At.After(h.Since) {
			r.Moves = append(r.Moves, m)
			r.Releases--
		}
	}
	r.Missed = append(r.Missed, incident.Missed(acts, r.Moves)...)
}

func (o *outcome) strays(only string) []Stray {
	counts := map[Stray]int{}
	for _, decisions := range o.became {
		for _, d := range decisions {
			if d.Kind == NoTarget && (only == "" || d.Rule == only) {
				counts[Stray{Rule: d.Rule, Reason: d.Reason}]++
			}
		}
	}
	var all []Stray
	for s, n := range counts {
		s.Count = n
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Stray) int { return strings.Compare(a.Rule+"\x00"+a.Reason, b.Rule+"\x00"+b.Reason) })
	return all
}

func ruleReport(name, mode string, cases []*Case, moves []incident.MoveBack) RuleReport {
	r := RuleReport{Rule: name, Mode: mode}
	held := map[string]*Held{}
	var acts []incident.WouldAct
	for _, c := range cases {
		if c.Rule != name {
			continue
		}
		r.Matched++
		if c.Act == nil {
			if held[c.Outcome] == nil {
				held[c.Outcome] = &Held{Outcome: c.Outcome}
			}
			held[c.Outcome].Count++
			held[c.Outcome].Example = c.Reason
			continue
		}
		acts = append(acts, c.Act.would)
		if c.Act.Person != nil {
			r.Heads = append(r.Heads, c.Act.HeadStart)
		}
	}
	for _, outcome := range slices.Sorted(maps.Keys(held)) {
		r.Not = append(r.Not, *held[outcome])
	}
	slices.SortStableFunc(r.Not, func(a, b Held) int { return b.Count - a.Count })
	r.Score = incident.Rate(acts, moves)
	slices.Sort(r.Heads)
	if n := len(r.Heads); n > 0 {
		median := (r.Heads[(n-1)/2] + r.Heads[n/2]) / 2
		r.HeadStart = &median
	}
	return r
}

func (r *Report) rates() {
	if r.Releases <= 0 {
		return
	}
	wrong, unlabelled := 0, 0
	for _, rule := range r.Rules {
		wrong += rule.Score.Wrong
		unlabelled += rule.Score.WouldAct - rule.Score.Labelled()
	}
	per := func(n int) *float64 { v := 100 * float64(n) / float64(r.Releases); return &v }
	r.FalsePer100, r.AtMostPer100 = per(wrong), per(wrong+unlabelled)
}
