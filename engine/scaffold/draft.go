package scaffold

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine/promql"
)

// Draft is the configuration to be written.
type Draft struct {
	*Found
	Choice
	Targets []Target
	// LeftOut are targets that are not written, and why.
	LeftOut []string
	Rules   []*Rule
	// Floor is a query that counts requests, as a hint; empty when none was recognised.
	Floor string

	stands map[string]string // what stands for the value of each label
}

// Rule is one rule to be written.
type Rule struct {
	*Alert
	// Name is its own; When its condition.
	Name, When, Severity string
	Confirm              []Query
	// WhyNot says why there is no Confirm.
	WhyNot string
	// Asked is the target for which each query was asked and gave one series; empty when none was asked.
	Asked string
	// Lacks are labels that choose a target and that its alerts have never carried.
	Lacks []string
	// made are the alerts that it is for.
	made []*Alert
	// known says that its alerts, or what they measure, have been seen.
	known bool
}

// Query is one query of a rule's `confirm`. Text holds ${…}.
type Query struct{ Text, Holds string }

// Draft decides what to write. target and environment name the labels that choose targets.
func (f *Found) Draft(target, environment string) *Draft {
	d := &Draft{Found: f, Choice: f.choose(target, environment)}
	d.Targets, d.LeftOut = f.targets(d.Choice)
	d.stands = d.placeholders(d.Targets)
	taken := map[string]bool{}
	for _, group := range d.sameName() {
		for _, r := range d.rulesOf(group) {
			r.Name = unique(r.Name, taken)
			d.Rules = append(d.Rules, r)
		}
	}
	return d
}

// sameName puts the alerts of one name together, where the first of them stands.
func (d *Draft) sameName() [][]*Alert {
	at := map[string]int{}
	var all [][]*Alert
	for _, a := range d.Alerts {
		i, seen := at[a.Name]
		if !seen {
			i, at[a.Name] = len(all), len(all)
			all = append(all, nil)
		}
		all[i] = append(all[i], a)
	}
	return all
}

// rulesOf makes a rule for each alert of one name when their severities tell them apart, else one rule for all.
func (d *Draft) rulesOf(alerts []*Alert) []*Rule {
	severities := map[string]bool{}
	for _, a := range alerts {
		if severity := a.constants()["severity"]; severity != "" {
			severities[severity] = true
		}
	}
	if len(alerts) == 1 || len(severities) < len(alerts) {
		return []*Rule{d.oneRule(alerts)}
	}
	var all []*Rule
	for _, a := range alerts {
		r := d.oneRule([]*Alert{a})
		r.Name = asRuleName(r.Name + "_" + r.Severity)
		r.When += " && alert.labels.severity == " + celString(r.Severity)
		all = append(all, r)
	}
	return all
}

func (d *Draft) oneRule(alerts []*Alert) *Rule {
	first := alerts[0]
	r := &Rule{Alert: first, Name: asRuleName(first.Name), When: "alert.labels.alertname == " + celString(first.Name),
		Severity: d.severity(first), made: alerts}
	for _, a := range alerts[1:] {
		if d.severity(a) != r.Severity {
			r.Severity = ""
		}
	}
	d.lacks(r, alerts)
	switch {
	case len(alerts) > 1:
		r.WhyNot = fmt.Sprintf("%d rules of Prometheus make it", len(alerts))
	case len(first.conditions) == 0:
		r.WhyNot = first.why
	case d.Choice.Target == "", slices.Contains(r.Lacks, d.Choice.Target):
		r.WhyNot = "no label says which target it measures"
	default:
		d.confirm(r)
	}
	return r
}

// lacks notes the labels that no sighting of the alerts has.
func (d *Draft) lacks(r *Rule, alerts []*Alert) {
	var seen []map[string]string
	for _, a := range alerts {
		seen = append(seen, d.sightings(a)...)
	}
	if r.known = len(seen) > 0; !r.known {
		return
	}
	for _, label := range d.Labels() {
		if !slices.ContainsFunc(seen, func(labels map[string]string) bool { return labels[label] != "" }) {
			r.Lacks = append(r.Lacks, label)
		}
	}
}

// confirm makes the queries: what the alert's expression measures, of the target alone.
func (d *Draft) confirm(r *Rule) {
	pinned := d.pinned(r.Alert)
	for _, c := range r.conditions {
		q, err := d.query(c, pinned, r.Alert)
		if err != nil {
			r.Confirm, r.WhyNot = nil, err.Error()
			return
		}
		r.Confirm = append(r.Confirm, q)
	}
}

// pinned are the labels that choose a target and that the measured series themselves carry: not those that the rule or
// Prometheus adds to the alert.
func (d *Draft) pinned(a *Alert) []string {
	constants := a.constants()
	return slices.DeleteFunc(d.Labels(), func(label string) bool {
		_, written := constants[label]
		_, external := d.External[label]
		if len(a.measured) == 0 {
			return written || external
		}
		return !slices.ContainsFunc(a.measured, func(m measured) bool { return m.labels[label] != "" })
	})
}

func (d *Draft) query(c condition, pinned []string, a *Alert) (Query, error) {
	to := map[string]string{}
	for i, label := range pinned {
		to[label] = standIn(i)
	}
	if strings.Contains(c.measured.String(), standIn(0)[:8]) {
		return Query{}, errors.New("its expression cannot be restricted to one target")
	}
	x, err := restricted(c.measured, to)
	if err != nil {
		return Query{}, errors.New("its expression cannot be restricted to one target")
	}
	text := promql.Bare(x).String()
	if !a.single(c, pinned) {
		if c.worst() == "" {
			return Query{}, errors.New("its expression has several series for a target, and compares for equality")
		}
		text = c.worst() + by(pinned) + "(" + text + ")"
	}
	text = inTemplate(text)
	for i, label := range pinned {
		text = strings.ReplaceAll(text, standIn(i), "${"+d.stands[label]+"}")
	}
	return Query{text, c.holds()}, nil
}

// standIn holds the place of a label's value while the query is text of PromQL.
func standIn(i int) string { return "astern_stands_here_" + strconv.Itoa(i) + "_" }

func by(labels []string) string {
	if len(labels) == 0 {
		return ""
	}
	return " by (" + strings.Join(quotedLabels(labels), ", ") + ") "
}

// single: by its form, or because a plain metric has one series for each target now.
func (a *Alert) single(c condition, pinned []string) bool {
	if single(c.measured, pinned) {
		return true
	}
	return len(a.conditions) == 1 && plain(c.measured) && len(a.measured) > 0 &&
		!slices.ContainsFunc(a.measured, func(m measured) bool { return m.series > 1 })
}

// Ask asks each rule's queries for one target. What answers with nothing although there is something to measure, or with
// more than one series, is taken back.
func (d *Draft) Ask(ctx context.Context, from *client.Prometheus, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, r := range d.Rules {
		if t, ok := d.measuredTarget(r.Alert); ok && len(r.Confirm) > 0 {
			d.ask(ctx, from, now, r, t)
		}
	}
	d.findFloor(ctx, from, now)
}

// example is the first target that a rule's alert can choose.
func (d *Draft) example(r *Rule) (Target, bool) {
	constants := r.constants()
	for _, t := range d.Targets {
		for _, labels := range d.sightings(r.Alert) {
			if slices.Equal(d.values(labels), t.Values) {
				return t, true
			}
		}
		if !r.known && len(d.Labels()) == 1 && constants[d.Choice.Target] == "" {
			return t, true
		}
	}
	return Target{}, false
}

// measuredTarget is the first target of which the alert's expression has something to measure now.
func (d *Draft) measuredTarget(a *Alert) (Target, bool) {
	for _, t := range d.Targets {
		for _, m := range a.measured {
			if slices.Equal(d.values(d.complete(m.labels, a.constants())), t.Values) {
				return t, true
			}
		}
	}
	return Target{}, false
}

func (d *Draft) ask(ctx context.Context, from *client.Prometheus, now time.Time, r *Rule, t Target) {
	for _, q := range r.Confirm {
		_, err := from.Query(ctx, d.rendered(q.Text, t), now)
		var refused *client.RefusedError
		switch {
		case err == nil:
		case errors.Is(err, client.ErrEmpty):
			r.Confirm, r.WhyNot = nil, fmt.Sprintf("restricted to %s, its expression answers with nothing: not all it measures carries the same labels", t.Name)
			return
		case errors.Is(err, client.ErrSeveral), errors.As(err, &refused) && (refused.Status == 400 || refused.Status == 422):
			r.Confirm, r.WhyNot = nil, fmt.Sprintf("restricted to %s, its expression has no single answer", t.Name)
			return
		default:
			return
		}
	}
	r.Asked = t.Name
}

// rendered puts a target's values in for ${…}.
func (d *Draft) rendered(text string, t Target) string {
	for i, label := range d.Labels() {
		value := strconv.Quote(t.Values[i])
		text = strings.ReplaceAll(text, "${"+d.stands[label]+"}", value[1:len(value)-1])
	}
	return strings.ReplaceAll(text, "$${", "${")
}

// labelsOf are the labels of an alert of this rule that chooses a target.
func (d *Draft) labelsOf(r *Rule, t Target) map[string]string {
	all := maps.Clone(r.constants())
	all["alertname"] = r.Alert.Name
	for i, label := range d.Labels() {
		all[label] = t.Values[i]
	}
	return all
}
