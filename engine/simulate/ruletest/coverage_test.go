package ruletest_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"astern.dev/astern/engine/simulate/ruletest"
)

func load(t *testing.T, name string) *ruletest.File {
	archive, err := txtar.ParseFile(name)
	require.NoError(t, err)
	f, found, err := ruletest.Load("tests.yaml", []byte(unpack(t, archive)), configure(t))
	require.NoError(t, err)
	require.Empty(t, found.String())
	return f
}

func TestCoverageSaysWhatWasReached(t *testing.T) {
	f := load(t, "testdata/run/people.txtar")
	all, err := ruletest.Run(t.Context(), f, ruletest.Options{Registry: registry(t)})
	require.NoError(t, err)
	f.Tests = f.Tests[:1]
	one, err := ruletest.Run(t.Context(), f, ruletest.Options{Registry: registry(t)})
	require.NoError(t, err)

	rule := func(c *ruletest.Coverage, name string) ruletest.RuleCoverage {
		for _, r := range c.Rules {
			if r.Name == name {
				return r
			}
		}
		t.Fatalf("no rule %s", name)
		return ruletest.RuleCoverage{}
	}
	require.Equal(t, ruletest.RuleCoverage{Name: "Look", File: "rules.yaml", Line: 15, Matched: true, Judged: true, Acted: true, Branches: []ruletest.Branch{
		{Source: `alert.labels.alertname == "Look"`, True: true}, {Source: `alert.labels.environment == "production"`, True: true},
	}}, rule(one.Coverage, "Look"))
	require.False(t, rule(one.Coverage, "Errors").Matched)
	require.Equal(t, "true", rule(one.Coverage, "Errors").Branches[0].Missing())

	errors := rule(all.Coverage, "Errors")
	require.True(t, errors.Acted)
	require.Equal(t, "", errors.Branches[0].Missing())
	require.Equal(t, "false", errors.Branches[1].Missing())
	require.False(t, rule(all.Coverage, "Quiet").Matched)
	for _, g := range all.Coverage.Guards {
		require.Equal(t, map[string]bool{"stop": true, "hold": true, "mass_event": true, "armed": true, "denied": true}[g.Name], g.Refused, g.Name)
	}
}

// What is interrupted says so, and leaves nothing behind.
func TestAnInterruptedRunEnds(t *testing.T) {
	f := load(t, "testdata/run/month.txtar")
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := ruletest.Run(ctx, f, ruletest.Options{Registry: registry(t)})
	require.ErrorIs(t, err, context.Canceled)
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// The same file gives the same results however many tests run at the same time.
func TestTestsRunSideBySide(t *testing.T) {
	f := load(t, "testdata/run/people.txtar")
	one, err := ruletest.Run(t.Context(), f, ruletest.Options{Registry: registry(t)})
	require.NoError(t, err)
	many, err := ruletest.Run(t.Context(), f, ruletest.Options{Registry: registry(t), Slots: make(chan struct{}, 8)})
	require.NoError(t, err)
	require.Equal(t, printed(one), printed(many))
	require.Equal(t, one.Coverage, many.Coverage)
}

// A lost answer is looked at before anything is repeated: only what did not happen runs again.
func TestOnlyWhatDidNotHappenIsRunAgain(t *testing.T) {
	f := load(t, "testdata/run/answers.txtar")
	r, err := ruletest.Run(t.Context(), f, ruletest.Options{Registry: registry(t)})
	require.NoError(t, err)
	attempts := map[string]int{}
	for _, one := range r.Tests {
		for _, s := range one.Story.Steps {
			if s.Step == "weights" {
				attempts[one.Test.Name]++
			}
		}
	}
	require.Equal(t, 1, attempts["a lost answer is found done"])
	require.Equal(t, 2, attempts["a lost answer that did not happen is repeated"])
	require.Equal(t, 3, attempts["two failures, then it works"])
	require.Equal(t, 1, attempts["what is given up at once"])
}
