package plan

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

// Each case in testdata is files as a user writes them and what comes of them:
// diagnostics (loading and `check`), the rendered plan, what is owed. UPDATE=1 writes what comes now.
func TestBooks(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			c := newCase(t, archive)
			for i, f := range archive.Files {
				got, isAnswer := c.answer(t, f.Name)
				if !isAnswer {
					continue
				}
				if os.Getenv("UPDATE") != "" {
					archive.Files[i].Data = []byte(got)
					continue
				}
				require.Equal(t, string(f.Data), got, f.Name)
			}
			if os.Getenv("UPDATE") != "" {
				require.NoError(t, os.WriteFile(file, txtar.Format(archive), 0o600))
			}
		})
	}
}

// situation is an incident, as a case writes it.
type situation struct {
	Target, Procedure, Severity string
	Labels                      map[string]string
	From, To                    incident.Release
	Outputs                     map[string]map[string]any
}

type bookCase struct {
	book     *Book
	problems expr.Diagnostics
	now      situation
	connects map[string][]string
}

func newCase(t testing.TB, archive *txtar.Archive) bookCase {
	t.Helper()
	files := Files{Targets: map[string][]byte{}, Procedures: map[string][]byte{}, Communications: map[string][]byte{}}
	c := bookCase{}
	var rules []RuleRef
	for _, f := range archive.Files {
		switch {
		case strings.HasPrefix(f.Name, "targets"):
			files.Targets[f.Name] = f.Data
		case strings.HasPrefix(f.Name, "procedures"):
			files.Procedures[f.Name] = f.Data
		case strings.HasPrefix(f.Name, "communications"):
			files.Communications[f.Name] = f.Data
		case f.Name == "rules":
			rules = readRules(string(f.Data))
		case f.Name == "connections.json":
			require.NoError(t, json.Unmarshal(f.Data, &c.connects))
		case f.Name == "incident.json":
			require.NoError(t, json.Unmarshal(f.Data, &c.now))
		}
	}
	c.book, c.problems = load(t, files)
	if c.problems.Err() == nil {
		c.problems = append(c.problems, c.book.Check(rules)...)
		if c.connects != nil {
			c.problems = append(c.problems, c.book.CheckConnections(c.connects)...)
		}
	}
	return c
}

func load(t testing.TB, files Files) (*Book, expr.Diagnostics) {
	t.Helper()
	env, err := expr.NewEnv()
	require.NoError(t, err)
	return Load(env, testRegistry(t), files)
}

// readRules reads lines such as `CVEExploited rollback "api"`: name, do, and `target:` if there is one.
func readRules(text string) []RuleRef {
	var all []RuleRef
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		fields := strings.SplitN(line, " ", 3)
		at := expr.Diagnostic{File: "rules", Line: i + 1, Column: len(fields[0]) + 2, Width: len(fields[1]), Path: "rule " + fields[0], Source: line}
		r := RuleRef{Name: fields[0], Do: fields[1], DoAt: at, TargetAt: at}
		if len(fields) == 3 {
			r.Target = fields[2]
			r.TargetAt.Column, r.TargetAt.Width = len(fields[0])+len(fields[1])+3, len(fields[2])
		}
		all = append(all, r)
	}
	return all
}

func (c bookCase) answer(t testing.TB, name string) (string, bool) {
	switch name {
	case "diagnostics":
		return c.problems.String() + "\n", true
	case "plan", "run", "owed":
		require.NoError(t, c.problems.Err(), "%s", c.problems)
		return map[string]func(testing.TB) string{"plan": c.plan, "run": c.run, "owed": c.owed}[name](t), true
	}
	return "", false
}

func (c bookCase) vars() expr.Vars {
	return expr.Vars{Alert: expr.Alert{Status: "firing", Labels: c.now.Labels}, Incident: expr.Incident{ID: "INC-1", Severity: c.now.Severity, Phase: "pending"}, Now: testNow}
}

func (c bookCase) render(t testing.TB) (incident.Plan, error) {
	target, ok := c.book.Target(c.now.Target)
	require.True(t, ok)
	return c.book.Render(Input{Target: target, Procedure: c.now.Procedure, Vars: c.vars(), From: c.now.From, To: c.now.To, Config: "digest", Now: testNow})
}

// plan shows the steps' parameters, or why there is no plan.
func (c bookCase) plan(t testing.TB) string {
	p, err := c.render(t)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s from %s to %s\n", p.Procedure, p.Target.UID, p.From.Version, p.To.Version)
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "%s: %s %s", s.Name, s.Uses, s.With)
		fmt.Fprintf(&b, " timeout=%s attempts=%d backoff=%s on_failure=%s", s.Timeout, s.Attempts, s.Backoff, s.OnFailure)
		if s.Connection != "" {
			fmt.Fprintf(&b, " connection=%s", s.Connection)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// run shows the parameters that each step runs with, once the outputs are there.
func (c bookCase) run(t testing.TB) string {
	p, err := c.render(t)
	require.NoError(t, err)
	var b strings.Builder
	for _, s := range p.Steps {
		_, with, err := c.book.Action(s, c.now.Outputs)
		if err != nil {
			fmt.Fprintf(&b, "%s: error: %v\n", s.Name, err)
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", s.Name, with)
	}
	return b.String()
}

func (c bookCase) owed(t testing.TB) string {
	target, ok := c.book.Target(c.now.Target)
	require.True(t, ok)
	v := c.vars()
	v.Target = target.ExprTarget()
	owed, err := c.book.Owed(v)
	var b strings.Builder
	for _, o := range owed {
		_, err := c.book.Channel(o.Via, o.With)
		require.NoError(t, err)
		fmt.Fprintf(&b, "%s via %s %s within %s updates=%t\n", o.To, o.Via, o.With, o.Within, o.Updates)
	}
	if err != nil {
		fmt.Fprintf(&b, "error: %v\n", err)
	}
	return b.String()
}
