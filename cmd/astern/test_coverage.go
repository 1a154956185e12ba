package main

import (
	"fmt"
	"io"
	"strings"

	"astern.dev/astern/engine/simulate/ruletest"
)

// coveragePage shows what no test reached: a rule a line, then the parts of conditions and the guards.
func (a *app) coveragePage(w io.Writer, c *ruletest.Coverage) {
	a.head(w, "COVERAGE", "")
	g := a.grid("RULE", "WHERE", "MATCHED", "JUDGED", "ACTED", "PARTS")
	for _, r := range c.Rules {
		reached, all := parts(r)
		g.row(visible(r.Name), visible(fmt.Sprintf("%s:%d", r.File, r.Line)), a.yes(r.Matched), a.yes(r.Judged), a.yes(r.Acted), fmt.Sprintf("%d of %d", reached, all))
	}
	g.print(w, "")
	for _, r := range c.Rules {
		for _, b := range r.Branches {
			if missing := b.Missing(); missing != "" {
				fmt.Fprintf(w, "  %s: %s was never %s\n", visible(r.Name), visible(b.Source), missing)
			}
		}
	}
	var silent, refused []string
	for _, guard := range c.Guards {
		if guard.Refused {
			refused = append(refused, guard.Name)
		} else {
			silent = append(silent, guard.Name)
		}
	}
	fmt.Fprintf(w, "\nguards that held something: %s\nguards that never did: %s\n", dash(strings.Join(refused, ", ")), dash(strings.Join(silent, ", ")))
}

// parts counts how often a part of the condition was to be true and false, and how often it was.
func parts(r ruletest.RuleCoverage) (reached, all int) {
	for _, b := range r.Branches {
		for _, was := range []bool{b.True, b.False} {
			all++
			if was {
				reached++
			}
		}
	}
	return reached, all
}

func (a *app) yes(b bool) string {
	if b {
		return a.paint(good, "yes")
	}
	return a.paint(care, "no")
}
