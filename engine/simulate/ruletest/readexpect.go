package ruletest

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"astern.dev/astern/rules/expr"
)

func (l *loader) expectations(n *expr.Node, names *named, t *Test) {
	expect := n.Get("expect")
	if expect.IsList() && len(expect.List()) == 0 {
		expect.Report("test/expect", "the test expects nothing", "it could never fail")
	}
	for _, item := range expect.List() {
		t.Expect = append(t.Expect, expectation(item, names))
	}
	if len(t.Expect) > 0 && !slices.ContainsFunc(expect.List(), unclear) {
		checkReached(n, t.end())
	}
	if end := t.end(); end > longestTest {
		expect.Report("test/long", fmt.Sprintf("the test is longer than a year: %s", OffsetText(end)), "")
	}
}

// unclear says that nobody can tell when an expectation is meant: its mistake is told.
func unclear(item *expr.Node) bool {
	_, at := parseOffset(item.Get("at").Scalar())
	_, until := parseOffset(item.Get("until").Scalar())
	return item.Misspelt("at", "until") || !at && !until
}

// longestTest bounds a test: a year of virtual time.
const longestTest = 366 * 24 * time.Hour

// end is the last moment that anything is expected of.
func (t *Test) end() time.Duration {
	var last time.Duration
	for _, e := range t.Expect {
		last = max(last, e.Until)
	}
	return last
}

// checkReached: what lies after the last moment that is expected of never happens.
func checkReached(n *expr.Node, end time.Duration) {
	for _, list := range n.Entries() {
		if name := list.Key.Name(); name == "expect" || name == "releases" || !list.Value.IsList() {
			continue
		}
		for _, item := range list.Value.List() {
			at := item
			if item.IsMap() {
				if at = item.Get("at"); !at.Exists() {
					at = item.Get("from")
				}
			}
			if d, ok := parseOffset(at.Scalar()); at.Exists() && ok && d > end {
				at.Report("test/late", "this lies after the last expectation: it never happens", "expect something later, or leave it out")
			}
		}
	}
}

func isKind(decision string) bool { return slices.Contains(kinds, decision) }

// about are the keys of an expectation that say when and of what; all others say what must be so.
var about = []string{"at", "from", "until", "target", "incident", "alert"}

func expectation(n *expr.Node, names *named) Expectation {
	e := Expectation{
		Line: n.Line(), Incident: n.Get("incident").Str(), Alert: n.Get("alert").Str(), Phase: readWords(n.Get("phase")),
		Decision: n.Get("decision").Str(), Would: n.Get("would").Str(), Reason: n.Get("reason").Str(), ReasonMatches: n.Get("reason_matches").Str(),
		Rule: names.check(n.Get("rule"), "rule", func(all *named) []string { return all.rules }),
		Lead: names.check(n.Get("lead"), "rule", func(all *named) []string { return all.rules }),
		Plan: names.check(n.Get("plan"), "procedure", func(all *named) []string { return all.procedures }),
		To:   n.Get("to").Str(), Leaves: n.Get("leaves").Str(), Mode: n.Get("mode").Str(), Guard: n.Get("guard").Str(),
		NoNewPlan: n.Get("no_new_plan").Bool(), NoIncident: n.Get("no_incident").Bool(), Notices: notices(n.Get("notices")),
	}
	when(n, &e)
	if steps := n.Get("steps"); steps.Exists() {
		e.hasSteps = true
		for _, item := range steps.List() {
			e.Steps = append(e.Steps, names.check(item, "step", func(all *named) []string { return all.steps }))
		}
	}
	if incidents := n.Get("incidents"); incidents.Exists() {
		many := incidents.Int()
		e.Incidents = &many
	}
	known(n.Get("guard"), "guard", Guards)
	if _, err := regexp.Compile(e.ReasonMatches); err != nil {
		n.Get("reason_matches").Report("test/regexp", err.Error(), "")
	}
	checkSense(n, e)
	e.Target = targetOf(n, names, e)
	return e
}

// when reads the moment or the span.
func when(n *expr.Node, e *Expectation) {
	at, from, until := n.Get("at"), n.Get("from"), n.Get("until")
	switch {
	case at.Exists() && (from.Exists() || until.Exists()):
		at.Report("test/when", "an expectation has a moment or a span, not both", "write at, or from and until")
	case at.Exists():
		e.From = after(at)
		e.Until = e.From
	case until.Exists():
		e.IsSpan, e.From, e.Until = true, after(from), after(until)
		if e.Until < e.From {
			until.Report("test/span", "this ends before it begins", "")
		}
	case n.IsMap():
		n.Report("test/when", "an expectation needs a moment or a span", "write at, or from and until")
	}
}

func checkSense(n *expr.Node, e Expectation) {
	says := false
	for _, entry := range n.Entries() {
		says = says || !slices.Contains(about, entry.Key.Name())
	}
	switch {
	case n.IsMap() && !says:
		n.Report("test/expect", "this expects nothing", "write phase, decision, plan, steps, no_new_plan or another key")
	case n.Get("no_new_plan").Exists() && !e.NoNewPlan:
		n.Get("no_new_plan").Report("test/expect", "write true, or leave it out", "")
	case n.Get("no_incident").Exists() && !e.NoIncident:
		n.Get("no_incident").Report("test/expect", "write true, or leave it out", "")
	case e.Alert != "" && !isKind(e.Decision):
		n.Get("alert").Report("test/expect", "an alert is named for what the ledger says of it", "write a decision such as unmatched or opened")
	}
}

// targetOf: what concerns all targets needs no name.
func targetOf(n *expr.Node, names *named, e Expectation) string {
	every := e.NoIncident || e.NoNewPlan || e.Incidents != nil || isKind(e.Decision)
	if n.Get("target").Exists() || e.Incident == "" && (!every || e.ofIncident()) {
		return names.target(n)
	}
	return ""
}

// ofIncident says whether it asks for the state of an incident.
func (e Expectation) ofIncident() bool {
	return len(e.Phase) > 0 || e.Decision != "" && !isKind(e.Decision) || e.Would != "" || e.Lead != "" || e.Plan != "" || e.To != "" ||
		e.Leaves != "" || e.Mode != "" || e.Guard != "" || e.hasSteps || len(e.Notices) > 0 ||
		!isKind(e.Decision) && (e.Rule != "" || e.Reason != "" || e.ReasonMatches != "")
}

func notices(n *expr.Node) []NoticeSays {
	var all []NoticeSays
	for _, item := range n.List() {
		s := NoticeSays{
			Line: item.Line(), To: item.Get("to").Str(), Via: item.Get("via").Str(), Told: flag(item.Get("told")), Overdue: flag(item.Get("overdue")),
			By: optional(item.Get("by")), Within: optional(item.Get("within")), Due: optional(item.Get("due")),
		}
		if times := item.Get("times"); times.Exists() {
			many := times.Int()
			s.Times = &many
		}
		all = append(all, s)
	}
	return all
}

func flag(n *expr.Node) *bool {
	if !n.Exists() {
		return nil
	}
	b := n.Bool()
	return &b
}
