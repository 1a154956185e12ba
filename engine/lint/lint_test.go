package lint_test

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"astern.dev/astern/actions/all"
	"astern.dev/astern/engine/config"
	"astern.dev/astern/engine/lint"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

var update = flag.Bool("update", false, "write what is found as what is wanted")

// Each archive is about one check. It begins with what it shows, holds what must be told and what must not, and in
// "want" every message in full.
func TestLints(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			require.NoError(t, err)
			want := len(archive.Files) - 1
			require.Equal(t, "want", archive.Files[want].Name)
			got := checked(t, archive.Files[:want]).String() + "\n"
			if *update {
				archive.Files[want].Data = []byte(got)
				require.NoError(t, os.WriteFile(path, txtar.Format(archive), 0o644))
			}
			require.Equal(t, string(archive.Files[want].Data), got)
		})
	}
}

// Each kind of advice has an archive that shows it.
func TestEveryAdviceIsShown(t *testing.T) {
	shown := ""
	paths, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		shown += string(text)
	}
	for _, c := range lint.Codes() {
		if c.Severity != lint.Error && c.Name != "ref/no-target" || strings.HasPrefix(c.Name, "route/") || strings.HasPrefix(c.Name, "confirm/") || c.Name == "promql/invalid" || c.Name == "prometheus/rules" {
			require.True(t, strings.Contains(shown, "("+c.Name+")\n"), "no archive shows %s", c.Name)
		}
	}
}

// files sorts an archive's files by their names.
type files struct {
	config.Files
	prometheus, alertmanager, texts map[string][]byte
	config                          []byte
}

func sorted(all []txtar.File) files {
	f := files{Files: config.Files{Rules: map[string][]byte{}, Targets: map[string][]byte{}, Procedures: map[string][]byte{}, Communications: map[string][]byte{}},
		prometheus: map[string][]byte{}, alertmanager: map[string][]byte{}, texts: map[string][]byte{}}
	for _, one := range all {
		f.texts[one.Name] = one.Data
		for prefix, into := range map[string]map[string][]byte{"rules": f.Rules, "targets": f.Targets, "procedures": f.Procedures,
			"prometheus": f.prometheus, "alertmanager": f.alertmanager} {
			if strings.HasPrefix(one.Name, prefix) {
				into[one.Name] = one.Data
			}
		}
		if one.Name == "astern.yaml" {
			f.config = one.Data
		}
	}
	return f
}

func checked(t *testing.T, all []txtar.File) expr.Diagnostics {
	t.Helper()
	f := sorted(all)
	env, err := expr.NewEnv()
	require.NoError(t, err)
	registry, err := newRegistry()
	require.NoError(t, err)
	set, found := rules.Draft(env, f.Rules)
	book, more := plan.Load(env, registry, plan.Files{Targets: f.Targets, Procedures: f.Procedures})
	found = append(found, more...)
	in := lint.Input{Rules: set, Book: book, PrometheusRules: f.prometheus, Alertmanager: f.alertmanager}
	if f.config != nil {
		in.Config, more = config.Load("astern.yaml", f.config, registry)
		found = append(found, more...)
	}
	require.NoError(t, found.Err(), "the files themselves must be right")
	return lint.Silence(lint.Check(in), f.texts, func(c lint.Code) bool {
		return c.Needs == "" || c.Needs == lint.NeedsConfig && f.config != nil || c.Needs == lint.NeedsPrometheus && len(f.prometheus) > 0 || c.Needs == lint.NeedsAlertmanager && len(f.alertmanager) > 0
	})
}

var newRegistry = all.Registry

// Beside an error some checks see nothing: what ignores them is not called unused.
func TestNothingIsUnusedBesideAnError(t *testing.T) {
	text := map[string][]byte{"f.yaml": []byte("x: 1 # astern:ignore rule/unreachable why\n")}
	all := func(lint.Code) bool { return true }
	mistake := expr.Diagnostics{{File: "f.yaml", Line: 1, Code: "cel/type", Message: "m"}}
	require.Equal(t, mistake, lint.Silence(mistake, text, all))
	require.Len(t, lint.Silence(nil, text, all), 1)
	require.Empty(t, lint.Silence(nil, text, func(lint.Code) bool { return false }))
}

// Whatever stands in a comment, or in what looks like one: no error is ever left out, and nothing is told twice.
func FuzzSilence(f *testing.F) {
	for _, text := range []string{"# astern:ignore rule/unreachable why\nx: 1", "x: 1 # astern:ignore", "x: '# astern:ignore a/b c'", "## astern:ignore\tcel/type\tx\n#\n\nx: 1"} {
		f.Add(text, 1, true)
		f.Add(text, 2, false)
	}
	f.Fuzz(func(t *testing.T, text string, line int, warning bool) {
		d := expr.Diagnostic{File: "f.yaml", Line: line, Column: 1, Code: "rule/unreachable", Message: "m", Warning: warning}
		kept := lint.Silence(expr.Diagnostics{d}, map[string][]byte{"f.yaml": []byte(text)}, func(lint.Code) bool { return true })
		if !warning {
			require.Contains(t, kept, d)
		}
		for _, k := range kept {
			if k != d {
				require.True(t, k.Warning)
				require.True(t, strings.HasPrefix(k.Code, "ignore/"))
				require.LessOrEqual(t, k.Line, strings.Count(text, "\n")+1)
			}
		}
	})
}

// Whatever the files hold: nothing panics, and each mistake stands in a line that there is.
func FuzzCheck(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.txtar")
	require.NoError(f, err)
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		require.NoError(f, err)
		texts := map[string][]byte{}
		for _, one := range archive.Files {
			texts[one.Name] = one.Data
		}
		f.Add(texts["rules.yaml"], texts["prometheus.yaml"], texts["alertmanager.yml"])
	}
	env, err := expr.NewEnv()
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, ruleText, promText, amText []byte) {
		set, _ := rules.Draft(env, map[string][]byte{"rules.yaml": ruleText})
		files := map[string][]byte{"rules.yaml": ruleText, "prometheus.yaml": promText, "alertmanager.yml": amText}
		found := lint.Check(lint.Input{Rules: set, PrometheusRules: map[string][]byte{"prometheus.yaml": promText}, Alertmanager: map[string][]byte{"alertmanager.yml": amText}})
		for _, d := range found {
			_, known := lint.Find(d.Code)
			require.True(t, known, d.Code)
			require.NotEmpty(t, d.Message)
			require.LessOrEqual(t, d.Line, strings.Count(string(files[d.File]), "\n")+1)
		}
	})
}

// A large house is looked at in a moment: rules are held against one another by their names first.
func BenchmarkCheck(b *testing.B) {
	var text strings.Builder
	text.WriteString("groups:\n  - name: g\n    rules:\n")
	for i := range 1000 {
		n := strconv.Itoa(i)
		text.WriteString("      - {rule: R" + n + ", mode: auto, for: 5m, when: 'alert.labels.alertname == \"A" + n + "\" && alert.labels.service == \"s\"', do: rollback, " +
			"confirm: [{query: 'sum(errors{service=\"${target.name}\"}) / sum(requests)', holds: value > 0.1}, {query: 'sum(requests)', holds: value > 1.0}]}\n")
	}
	env, err := expr.NewEnv()
	require.NoError(b, err)
	set, found := rules.Load(env, map[string][]byte{"rules.yaml": []byte(text.String())})
	require.NoError(b, found.Err())
	for b.Loop() {
		require.Empty(b, lint.Check(lint.Input{Rules: set}))
	}
}
