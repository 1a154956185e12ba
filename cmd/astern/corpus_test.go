package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/all"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/config"
	"astern.dev/astern/engine/simulate/ruletest"
	"astern.dev/astern/rules/expr"
)

// The corpus: valid files with one mistake each, made by rule at every place where it can stand. A mistake must be told
// once, with its code and hint, at exactly its line and column, and nothing else with it.

// opens and closes mark in a text where the caret must stand. They are taken out before the text is read, so what is
// expected is counted in the text alone.
const (
	opens  = "⟪"
	closes = "⟫"
)

// mutant is a set of files with one mistake in it.
type mutant struct {
	name  string
	files map[string]string // one of them holds the marks
	code  string
	hint  string // "" asks for none, "*" for any
	also  []string
}

// corpus holds the mutants against what is told of them.
func corpus(t *testing.T, all []mutant, diagnose func(*testing.T, map[string]string) expr.Diagnostics) {
	t.Helper()
	seen := map[string]bool{}
	for _, m := range all {
		require.False(t, seen[m.name], "two cases are called %s", m.name)
		seen[m.name] = true
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			files, want := m.expected(t)
			var got []string
			for _, d := range diagnose(t, files) {
				if !slices.Contains(m.also, d.Code) {
					got = append(got, m.told(d))
				}
			}
			require.Equal(t, []string{want}, got, "%s", m.shown(files))
		})
	}
}

// expected takes the marks out and says where they stood.
func (m mutant) expected(t *testing.T) (map[string]string, string) {
	files, want := maps.Clone(m.files), ""
	for name, text := range files {
		before, rest, marked := strings.Cut(text, opens)
		if !marked {
			continue
		}
		require.Empty(t, want, "two places are marked")
		inside, after, closed := strings.Cut(rest, closes)
		line := before[strings.LastIndex(before, "\n")+1:]
		want = fmt.Sprintf("%s:%d:%d", name, strings.Count(before, "\n")+1, len([]rune(strings.TrimPrefix(line, "\uFEFF")))+1)
		files[name] = before + rest
		if closed {
			files[name], want = before+inside+after, fmt.Sprintf("%s+%d", want, len([]rune(inside)))
		}
	}
	require.NotEmpty(t, want, "no place is marked")
	return files, want + " " + m.code + " " + m.hint
}

// told is a diagnostic as expected says it.
func (m mutant) told(d expr.Diagnostic) string {
	at, hint := fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Column), d.Hint
	for _, text := range m.files {
		if strings.Contains(text, closes) {
			at = fmt.Sprintf("%s+%d", at, d.Width)
		}
	}
	if m.hint == "*" && hint != "" {
		hint = "*"
	}
	return at + " " + d.Code + " " + hint
}

// shown is the file with the mistake, for the one who reads the failure.
func (m mutant) shown(files map[string]string) string {
	for name, text := range m.files {
		if strings.Contains(text, opens) && len(text) < 2000 {
			return "\n" + files[name]
		}
	}
	return ""
}

var registryOfAll = sync.OnceValues(func() (*actions.Registry, error) { return all.Registry() })

// diagnosed is what `astern check` says of the files, without a disk.
func diagnosed(t *testing.T, files map[string]string) expr.Diagnostics {
	registry, err := registryOfAll()
	require.NoError(t, err)
	l, f := &loaded{Registry: registry}, &found{prometheus: map[string][]byte{}, alertmanager: map[string][]byte{}}
	kinds := map[string]*map[string][]byte{"rules": &l.files.Rules, "targets": &l.files.Targets, "procedures": &l.files.Procedures,
		"communications": &l.files.Communications, "prometheus-rules": &f.prometheus, "alertmanager": &f.alertmanager}
	var mistakes expr.Diagnostics
	for name, text := range files {
		kind, _, _ := strings.Cut(name, ".")
		if kind == "astern" {
			l.Config, mistakes = config.Load(name, []byte(text), registry)
			continue
		}
		require.Contains(t, kinds, kind)
		*kinds[kind] = map[string][]byte{name: []byte(text)}
	}
	more, err := l.read()
	require.NoError(t, err)
	return f.linted(l, append(mistakes, more...).Sorted())
}

// honeylink are HoneyLink's files, without its tests.
func honeylink(t *testing.T) map[string]string {
	files := map[string]string{}
	for _, name := range []string{"astern.yaml", "rules.yaml", "targets.yaml", "procedures.yaml", "communications.yaml", "prometheus-rules.yaml", "alertmanager.yml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "examples", "honeylink", name))
		require.NoError(t, err)
		files[name] = string(text)
	}
	return files
}

// with is the files with another text for one of them.
func with(files map[string]string, name, text string) map[string]string {
	other := maps.Clone(files)
	other[name] = text
	return other
}

// ruletestsOf gives what is said of a rule-test file that stands beside HoneyLink's.
func ruletestsOf(t *testing.T) func(*testing.T, map[string]string) expr.Diagnostics {
	registry, err := registryOfAll()
	require.NoError(t, err)
	dir := filepath.Join("..", "..", "examples", "honeylink")
	always, mistakes, err := testConfiguration(ruletest.Sources{Config: filepath.Join(dir, "astern.yaml")}, registry)
	require.NoError(t, err)
	require.Empty(t, mistakes)
	return func(t *testing.T, files map[string]string) expr.Diagnostics {
		_, told, err := ruletest.Load(filepath.Join(dir, "tests.yaml"), []byte(files["tests.yaml"]), func(ruletest.Sources) (*engine.Configuration, expr.Diagnostics, error) {
			return always, nil, nil
		})
		require.NoError(t, err)
		for i := range told {
			told[i].File = filepath.Base(told[i].File)
		}
		return told
	}
}
