package ruletest_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/all"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/config"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/engine/simulate/ruletest"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

var update = flag.Bool("update", false, "write what the tests print into testdata")

func registry(t testing.TB) *actions.Registry {
	r, err := all.Registry()
	require.NoError(t, err)
	return r
}

// configure loads files as the command does.
func configure(t testing.TB) ruletest.Configure {
	env, err := expr.NewEnv()
	require.NoError(t, err)
	r := registry(t)
	return func(s ruletest.Sources) (*engine.Configuration, expr.Diagnostics, error) {
		c := &engine.Configuration{Digest: "config", Settings: engine.Settings{DefaultMode: incident.Auto}}
		var found expr.Diagnostics
		if s.Config != "" {
			data, err := os.ReadFile(s.Config)
			if err != nil {
				return nil, nil, err
			}
			written, more := config.Load(s.Config, data, r)
			c.Settings.DefaultMode, c.Settings.Modes, c.Settings.Guards = written.Modes.Default, written.Modes.ByEnvironment, written.Guards
			found = append(found, more...)
		}
		set, more := rules.Load(env, s.Files.Rules)
		found = append(found, more...)
		book, more := plan.Load(env, r, plan.Files{Targets: s.Files.Targets, Procedures: s.Files.Procedures, Communications: s.Files.Communications})
		c.Rules, c.Book = set, book
		return c, append(found, more...), nil
	}
}

// unpack writes an archive's files into a folder and gives the text of tests.yaml.
func unpack(t *testing.T, archive *txtar.Archive) string {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/world")))
	for _, f := range archive.Files {
		if f.Name != "output" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600))
		}
	}
	t.Chdir(dir)
	text, err := os.ReadFile("tests.yaml")
	require.NoError(t, err)
	return string(text)
}

// golden holds what came out of an archive's tests against its file `output`.
func golden(t *testing.T, folder string, do func(t *testing.T, text string) string) {
	names, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			require.NoError(t, err)
			where, err := filepath.Abs(name)
			require.NoError(t, err)
			got := do(t, unpack(t, archive))
			last := len(archive.Files) - 1
			if *update {
				if archive.Files[last].Name == "output" {
					archive.Files = archive.Files[:last]
				}
				archive.Files = append(archive.Files, txtar.File{Name: "output", Data: []byte(got)})
				require.NoError(t, os.WriteFile(where, txtar.Format(archive), 0o600))
				return
			}
			require.Equal(t, "output", archive.Files[last].Name)
			require.Equal(t, string(archive.Files[last].Data), got)
		})
	}
}

// Each archive is a test file with what its tests come to: most pass; those that fail show each line of it.
func TestRun(t *testing.T) {
	golden(t, "run", func(t *testing.T, text string) string {
		f, found, err := ruletest.Load("tests.yaml", []byte(text), configure(t))
		require.NoError(t, err)
		require.Empty(t, found.String())
		r, err := ruletest.Run(t.Context(), f, ruletest.Options{Registry: registry(t)})
		require.NoError(t, err)
		return printed(r)
	})
}

func printed(r ruletest.Result) string {
	var b strings.Builder
	for _, one := range r.Tests {
		fmt.Fprintf(&b, "%s: %s\n", map[bool]string{true: "FAIL", false: "PASS"}[one.Failed()], one.Test.Name)
		for _, f := range one.Failures {
			fmt.Fprintf(&b, "  line %d, at %s\n", f.Line, f.When())
			for _, field := range f.Fields {
				fmt.Fprintf(&b, "    %s: expected %s, got %s\n", field.Name, field.Want, field.Got)
			}
			for _, why := range f.Why {
				fmt.Fprintf(&b, "    because %s\n", why)
			}
		}
	}
	return b.String()
}

// Each archive is a test file with mistakes and what is said of it.
func TestLoad(t *testing.T) {
	golden(t, "load", func(t *testing.T, text string) string {
		_, found, err := ruletest.Load("tests.yaml", []byte(text), configure(t))
		require.NoError(t, err)
		require.Error(t, found.Err())
		return found.String() + "\n"
	})
}

func worldFiles(f map[string][]byte) config.Files {
	one := func(name string) map[string][]byte { return map[string][]byte{name: f[name]} }
	return config.Files{Rules: one("rules.yaml"), Targets: one("targets.yaml"), Procedures: one("procedures.yaml"), Communications: one("communications.yaml")}
}

// Each archive is a test file with what reaches astern's door, and when.
func TestRoute(t *testing.T) {
	golden(t, "route", func(t *testing.T, text string) string {
		f, found, err := ruletest.Load("tests.yaml", []byte(text), configure(t))
		require.NoError(t, err)
		require.Empty(t, found.String())
		r, err := ruletest.Run(t.Context(), f, ruletest.Options{Registry: registry(t)})
		require.NoError(t, err)
		var b strings.Builder
		for _, one := range r.Tests {
			fmt.Fprintf(&b, "%s\n", one.Test.Name)
			for _, line := range one.Story.Ledger {
				fmt.Fprintf(&b, "  %s", ruletest.OffsetText(line.At.Sub(one.Story.Start)))
				for _, d := range line.Decisions {
					fmt.Fprintf(&b, " %s %s %s", d.Labels["alertname"], d.Labels["service"], d.Status)
				}
				fmt.Fprintln(&b)
			}
		}
		return strings.ReplaceAll(b.String(), "Watchdog  firing", "Watchdog")
	})
}
