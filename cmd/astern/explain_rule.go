package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"astern.dev/astern/engine"
	"astern.dev/astern/rules/expr"
)

var outcomes = map[expr.Outcome]look{
	expr.True: {"✓", "true", good}, expr.False: {"✗", "false", bad}, expr.Absent: {"?", "absent", care}, expr.Failed: {"!", "failed", bad}, expr.Other: {"·", "value", calm},
}

// joinWords begin a part that has parts.
var joinWords = map[expr.Join]string{expr.And: "all of", expr.Or: "any of", expr.Not: "not", expr.Choose: "if, then, else"}

// ruleInFull shows every part of a rule, with the values it compares.
func (a *app) ruleInFull(w io.Writer, x engine.Explanation, name string) {
	n := slices.IndexFunc(x.Rules, func(r engine.RuleWord) bool { return r.Rule == name })
	if n < 0 {
		return
	}
	r := x.Rules[n]
	l := ruleResults[r.Result]
	a.head(w, "RULE "+visible(r.Rule), fmt.Sprintf("  %s  %s:%d  %s", visible(string(r.Mode)), visible(r.File), r.Line, a.paint(l.tone, l.glyph+" "+l.word)))
	g := a.grid("VALUE", "PART", "IS")
	a.tracePart(g, r.Trace, 0)
	g.print(w, "")
	if len(r.Misses) > 0 {
		a.head(w, "IT WOULD MATCH IF", "")
		for _, m := range r.Misses {
			fmt.Fprintf(w, "- %s\n", visible(m.String()))
		}
	}
	for _, c := range x.Cases {
		if c.Rule == name {
			a.explainedCase(w, c, len(x.Cases) == 1)
		}
	}
	if r.Result == engine.RuleMatched {
		a.changes(w, x)
	}
}

func (a *app) tracePart(g *grid, t expr.Trace, depth int) {
	part := visible(t.Source)
	if word := joinWords[t.Join]; word != "" {
		part = word
	}
	l := outcomes[t.Outcome]
	g.row(a.paint(l.tone, l.glyph+" "+l.word), strings.Repeat("  ", depth)+part, a.partValues(t))
	for _, p := range t.Parts {
		a.tracePart(g, p, depth+1)
	}
}

// partValues is what a part without parts compares, or what is wrong with it.
func (a *app) partValues(t expr.Trace) string {
	switch {
	case len(t.Parts) > 0:
		return ""
	case t.Why != "":
		return a.paint(care, visible(t.Why))
	}
	return visible(t.Values())
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
