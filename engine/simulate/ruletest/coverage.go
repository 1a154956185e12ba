package ruletest

import (
	"cmp"
	"slices"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

// Coverage is what tests reached of the rules, of their conditions, and of the guards.
type Coverage struct {
	Rules  []RuleCoverage
	Guards []GuardCoverage
}

// RuleCoverage is what tests reached of one rule.
type RuleCoverage struct {
	Name, File string
	Line       int
	// Matched: an alert matched it. Judged: it was asked whether it may act. Acted: it took up a plan.
	Matched, Judged, Acted bool
	// Branches are the parts of its `when`, in order.
	Branches []Branch
}

// Branch is one part of a condition.
type Branch struct {
	Source      string
	True, False bool
}

// Missing is what the part never was: true, false, or either; empty when it was both.
func (b Branch) Missing() string {
	switch {
	case b.True && b.False:
		return ""
	case b.True:
		return "false"
	case b.False:
		return "true"
	}
	return "asked"
}

// GuardCoverage is what tests reached of one guard.
type GuardCoverage struct {
	Name           string
	Asked, Refused bool
}

// NewCoverage is nothing reached of the guards, and no rules.
func NewCoverage() *Coverage {
	c := &Coverage{}
	for _, g := range Guards {
		c.Guards = append(c.Guards, GuardCoverage{Name: g})
	}
	return c
}

// Add joins what other tests reached, of the same rules or of others.
func (c *Coverage) Add(other *Coverage) {
	for _, r := range other.Rules {
		mine := c.rule(r.Name, r.File, r.Line)
		mine.Matched, mine.Judged, mine.Acted = mine.Matched || r.Matched, mine.Judged || r.Judged, mine.Acted || r.Acted
		for n, b := range r.Branches {
			mine.branch(n, b)
		}
	}
	for n, g := range other.Guards {
		c.Guards[n].Asked, c.Guards[n].Refused = c.Guards[n].Asked || g.Asked, c.Guards[n].Refused || g.Refused
	}
	slices.SortFunc(c.Rules, func(a, b RuleCoverage) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Name, b.Name))
	})
}

func (c *Coverage) rule(name, file string, line int) *RuleCoverage {
	n := slices.IndexFunc(c.Rules, func(r RuleCoverage) bool { return r.Name == name && r.File == file })
	if n < 0 {
		c.Rules = append(c.Rules, RuleCoverage{Name: name, File: file, Line: line})
		n = len(c.Rules) - 1
	}
	return &c.Rules[n]
}

func (r *RuleCoverage) branch(n int, b Branch) {
	if n >= len(r.Branches) {
		r.Branches = append(r.Branches, Branch{Source: b.Source})
		n = len(r.Branches) - 1
	}
	r.Branches[n].True, r.Branches[n].False = r.Branches[n].True || b.True, r.Branches[n].False || b.False
}

// reached is what one test reached of one configuration's rules.
func (p *play) reached(c *Coverage, set *rules.Set, s Story) {
	for _, v := range append(slices.Clone(p.seen), expr.Vars{Now: p.test.Start}) {
		for _, why := range set.Explain(v) {
			r := c.rule(why.Rule.Name, why.Rule.File, why.Rule.Line)
			r.Matched = r.Matched || why.Matched
			for n, leaf := range why.Trace.Leaves() {
				b := Branch{Source: leaf.Source}
				if len(v.Alert.Labels) > 0 { // else it is asked for its parts alone
					b.True, b.False = leaf.Outcome == expr.True, leaf.Outcome == expr.False || leaf.Outcome == expr.Absent
				}
				r.branch(n, b)
			}
		}
	}
	for _, h := range s.Histories {
		for n, e := range h.Events {
			c.event(set, e, h.States[n])
		}
	}
}

func (c *Coverage) event(set *rules.Set, e incident.Event, after incident.Incident) {
	switch f := e.Fact.(type) {
	case incident.Judged:
		c.guards(f.Judgement.Findings)
		if r, ok := set.Rule(f.Rule); ok {
			mine := c.rule(r.Name, r.File, r.Line)
			mine.Judged = true
			mine.Acted = mine.Acted || f.Judgement.Verdict == incident.Go
		}
	case incident.StepHeld:
		c.guards(f.Findings)
	case incident.StepBegan:
		for n, g := range c.Guards { // a step begins when all of these pass; their words are not kept
			if slices.Contains(stepGuards, g.Name) {
				c.Guards[n].Asked = true
			}
		}
	}
}

var stepGuards = []string{"stop", "hold", "armed", "slot", "same_release", "unchanged", "denied", "silenced"}

func (c *Coverage) guards(findings []incident.Finding) {
	for _, f := range findings {
		for n, g := range c.Guards {
			if g.Name == guardName(f.Guard) {
				c.Guards[n].Asked, c.Guards[n].Refused = true, g.Refused || f.Verdict != incident.Go
			}
		}
	}
}
