package ruletest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

// decided is what the ledger says of one alert, and when.
type decided struct {
	incident.Decision
	at time.Duration
}

// decisions are those of an expectation's time that it may be about. Watchdogs are passed over unless they are meant.
func (s Story) decisions(e Expectation, from, until time.Duration) []decided {
	var all []decided
	for _, line := range s.Ledger {
		at := s.lineOffset(line)
		if at < from || line.ID > s.looks[until].ledger {
			continue
		}
		for _, d := range line.Decisions {
			if e.meant(d) {
				all = append(all, decided{d, at})
			}
		}
	}
	return all
}

func (e Expectation) meant(d incident.Decision) bool {
	switch {
	case (d.Kind == "watchdog" || d.Labels["alertname"] == watchdog) && e.Decision != "watchdog" && e.Alert != watchdog:
		return false
	case e.Alert != "" && d.Labels["alertname"] != e.Alert:
		return false
	case e.Target != "" && d.Target != "" && d.Target != e.Target, e.Rule != "" && d.Rule != "" && d.Rule != e.Rule:
		return false
	}
	return true
}

// checkLedger: of a moment the last delivery up to it counts, of a span each.
func (s Story) checkLedger(e Expectation) []Failure {
	from := e.From
	if !e.IsSpan {
		from = -longest
	}
	all := s.decisions(e, from, e.Until)
	if len(all) == 0 {
		f := e.failed(e.Until, Field{"decision", e.Decision, "none: nothing was delivered"})
		return []Failure{f}
	}
	if !e.IsSpan {
		last := all[len(all)-1].at
		all = slices.DeleteFunc(all, func(d decided) bool { return d.at != last })
		if slices.ContainsFunc(all, func(d decided) bool { return len(s.wrongDecision(e, d)) == 0 }) {
			return nil
		}
		all = all[len(all)-1:]
	}
	for _, d := range all {
		if wrong := s.wrongDecision(e, d); len(wrong) > 0 {
			f := e.failed(d.at, wrong...)
			f.Why = []string{decisionText(d)}
			return []Failure{f}
		}
	}
	return nil
}

func (s Story) wrongDecision(e Expectation, d decided) []Field {
	c := &comparison{}
	c.is("decision", e.Decision, d.Kind)
	c.is("rule", e.Rule, orNone(d.Rule))
	c.is("target", e.Target, orNone(d.Target))
	s.reasons(c, e, d.Reason)
	return c.wrong
}

func decisionText(d decided) string {
	text := fmt.Sprintf("%s %s at %s: %s", labelText(d.Labels), d.Status, OffsetText(d.at), d.Kind)
	if d.Reason != "" {
		text += ": " + d.Reason
	}
	return text
}

// labelText is an alert as Prometheus writes it: its name, then its other labels.
func labelText(labels map[string]string) string {
	var pairs []string
	for name, value := range labels {
		if name != "alertname" {
			pairs = append(pairs, fmt.Sprintf("%s=%q", name, clipped(value)))
		}
	}
	slices.Sort(pairs)
	return clipped(labels["alertname"]) + "{" + strings.Join(pairs, ", ") + "}"
}

// clipped is a label as it is worth reading; a test may give it any length.
func clipped(value string) string {
	const enough = 200
	if runes := []rune(value); len(runes) > enough {
		return string(runes[:enough]) + "…"
	}
	return value
}

// whyNone says what became of the last deliveries, when no incident came of them.
func (s Story) whyNone(e Expectation, at time.Duration) []string {
	e.Rule, e.Alert = "", ""
	all := s.decisions(e, -longest, at)
	if len(all) == 0 {
		return []string{"nothing was delivered until then"}
	}
	var why []string
	for _, d := range all[max(0, len(all)-3):] {
		why = append(why, decisionText(d))
		if d.Kind == "unmatched" {
			why = append(why, s.nearest(d)...)
		}
	}
	return why
}

// nearest says which rule came nearest to an alert that none matched, and what it lacked.
func (s Story) nearest(d decided) []string {
	missed := rules.Nearest(s.rules.Explain(expr.Vars{Now: s.Start.Add(d.at), Alert: expr.Alert{Status: "firing", Labels: d.Labels, StartsAt: s.Start.Add(d.at)}}))
	if len(missed) == 0 {
		return nil
	}
	var parts []string
	for _, m := range missed[0].Misses {
		parts = append(parts, m.String())
	}
	return []string{fmt.Sprintf("rule %s came nearest; it wants %s", missed[0].Rule.Name, strings.Join(parts, ", and "))}
}

// whyState says what the incident came to, and which guards did not pass.
func whyState(e Expectation, now state) []string {
	i := now.incident()
	why := []string{fmt.Sprintf("%s is %s: %s", i.ID, i.Phase, i.Reason)}
	joined, j, _ := judgement(i, e.Rule)
	if j == nil {
		if due := joined.DueAt(); !due.IsZero() && joined.For > 0 {
			why = append(why, fmt.Sprintf("rule %s waits: its alert must fire for %s", joined.Rule, OffsetText(joined.For)))
		}
		return why
	}
	if j.Reason != i.Reason {
		why = append(why, strings.TrimSpace(fmt.Sprintf("rule %s: %s: %s", joined.Rule, j.Verdict, j.Reason)))
	}
	for _, f := range slices.Concat(j.Findings, i.Findings) {
		line := fmt.Sprintf("guard %s (%s) says %s: %s", guardName(f.Guard), f.Rule, f.Verdict, f.Reason)
		if f.Verdict != incident.Go && !slices.Contains(why, line) {
			why = append(why, line)
		}
	}
	return why
}
