package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mutation makes one mistake wherever a file has what it looks for: the first group is replaced by `by`, in which $1 is
// what stood there.
type mutation struct {
	name, file, find, by string
	code, hint           string
	also                 []string
}

// places are the mutants of a mutation, one for each place outside of comments.
func (m mutation) places(t *testing.T, files map[string]string) []mutant {
	text, find := files[m.file], regexp.MustCompile(m.find)
	var all []mutant
	for _, at := range find.FindAllStringSubmatchIndex(text, -1) {
		from, to := at[2], at[3]
		line := text[strings.LastIndex(text[:from], "\n")+1 : from]
		if strings.HasPrefix(strings.TrimSpace(line), "#") || strings.Contains(line, " # ") {
			continue
		}
		old := text[from:to]
		put := func(s string) string { return strings.ReplaceAll(s, "$1", old) }
		where := fmt.Sprintf("%s:%d:%d/%s", m.file, strings.Count(text[:from], "\n")+1, len([]rune(line))+1, m.name)
		all = append(all, mutant{name: where, files: with(files, m.file, text[:from]+put(m.by)+text[to:]), code: m.code, hint: put(m.hint), also: m.also})
	}
	require.NotEmpty(t, all, "%s: %s finds nothing in %s", m.name, m.find, m.file)
	return all
}

// keysOf are the mutations that misspell each key of a file; free names the keys that a user may choose, and special the
// codes of those that are read in another way.
func keysOf(t *testing.T, files map[string]string, file string, free []string, special map[string]mutation) []mutation {
	var all []mutation
	seen := map[string]bool{}
	for _, name := range free {
		seen[name] = true
	}
	for _, found := range regexp.MustCompile(`(?m)(?:^ *(?:- )?|[{,] ?)([a-z_0-9]+):`).FindAllStringSubmatch(files[file], -1) {
		key := found[1]
		if seen[key] {
			continue
		}
		seen[key] = true
		m := special[key]
		m.name, m.file, m.find, m.by = "key "+key, file, `(?m)(?:^ *(?:- )?|[{,] ?)(`+key+`):`, "⟪"+key[:1]+key+"⟫"
		if m.code == "" {
			m.code = "yaml/unknown-key"
		}
		if m.hint == "" {
			m.hint = `did you mean "` + key + `"?`
		}
		all = append(all, m)
	}
	return all
}

// missing are the mutants that lack a key which must be there: the caret stands where its mapping begins.
func missing(t *testing.T, files map[string]string) []mutant {
	var all []mutant
	for _, m := range []struct{ file, key, find, by string }{
		{"rules.yaml", "when", `- (rule: \w+)([^\n]*)(\n        #[^\n]*)?\n        when: [^\n]*`, "- ⟪$1⟫$2"},
		{"rules.yaml", "do", `- (rule: \w+)((?s:[^\n]*\n(?:          ?[^\n]*\n)*?)        )do: rollback\n        `, "- ⟪$1⟫$2"},
		{"rules.yaml", "holds", `- (query: )([^\n]*)\n            holds: [^\n]*`, "- ⟪$1⟫$2"},
		{"targets.yaml", "environment", `- (name: honeylink-api)((?s:.*))\n    environment: production`, "- ⟪$1⟫$2"},
		{"targets.yaml", "query", `(\{)query: '[^']*', (holds: value)()`, "⟪{⟫$2"},
		{"targets.yaml", "holds", `(\{)(query: '[^']*'), holds: [^}]*`, "⟪{⟫$2"},
		{"procedures.yaml", "uses", `- (name: \w+)([^\n]*)\n        uses: [^\n]*`, "- ⟪$1⟫$2"},
		{"communications.yaml", "to", `(\{)to: \w+, (via)`, "⟪{⟫$2"},
		{"communications.yaml", "via", `(\{)(to: \w+, )via: \w+, `, "⟪{⟫$2"},
		{"communications.yaml", "within", `(\{)(to: [^}]*), within: \w+`, "⟪{⟫$2"},
	} {
		text := files[m.file]
		find := regexp.MustCompile(m.find)
		for _, at := range find.FindAllStringSubmatchIndex(text, -1) {
			by := string(find.ExpandString(nil, strings.NewReplacer("$1", "${1}", "$2", "${2}").Replace(m.by), text, at))
			by = regexp.MustCompile(`⟪(\w+): ?.*?⟫`).ReplaceAllStringFunc(by, func(s string) string { return strings.Replace(strings.Replace(s, "⟫", "", 1), ":", "⟫:", 1) })
			all = append(all, mutant{name: fmt.Sprintf("%s:%d/no %s", m.file, strings.Count(text[:at[0]], "\n")+1, m.key),
				files: with(files, m.file, text[:at[0]]+by+text[at[1]:]), code: "yaml/missing-key"})
		}
	}
	require.GreaterOrEqual(t, len(all), 20)
	return all
}

// inConfig are the keys of astern.yaml that are read in another way; what a connection's key means is asked for elsewhere, too.
func inConfig() map[string]mutation {
	special := map[string]mutation{"connections": {also: []string{"ref/connection"}}}
	for _, kind := range []string{"alertmanager", "prometheus", "haproxy", "slack", "pagerduty", "webhook"} {
		special[kind] = mutation{code: "config/connection-kind", also: []string{"ref/connection"}}
	}
	for _, guard := range []string{"cooldown", "changing_at_once", "max_per_hour", "max_per_day", "recent_change", "mass_event", "approval_offered"} {
		special[guard] = mutation{code: "guard/unknown"}
	}
	return special
}

func TestCorpusFiles(t *testing.T) {
	files := honeylink(t)
	require.Empty(t, diagnosed(t, files).String(), "HoneyLink's files are valid")
	mutations := append(slipsInFiles(),
		keysOf(t, files, "rules.yaml", []string{"severity", "summary"}, map[string]mutation{
			"confirm": {also: []string{"rule/confirm"}}, "recent_change": {code: "guard/unknown"}, "variables": {also: []string{"cel/undeclared"}},
			"name": {also: []string{"cel/undeclared"}},
		})...)
	mutations = append(mutations, keysOf(t, files, "targets.yaml", []string{"smoke", "path", "status", "blue", "green", "tracks", "service", "environment"}, map[string]mutation{
		"haproxy": {code: "ref/connection-kind", also: []string{"ref/connection"}}, "prometheus": {code: "ref/connection-kind", also: []string{"ref/connection"}},
		"classes": {also: []string{"ref/class"}}, "healthy": {also: []string{"target/healthy"}}, "name": {also: []string{"ref/class"}},
	})...)
	mutations = append(mutations, keysOf(t, files, "procedures.yaml", nil, map[string]mutation{
		"procedures": {also: []string{"ref/procedure"}}, "name": {also: []string{"ref/procedure"}},
		"checks": {code: "param/unknown"}, "base": {code: "param/unknown"}, "backend": {code: "param/unknown"}, "weights": {code: "param/unknown"},
		"server": {code: "param/unknown"}, "weight": {code: "param/unknown"}, "within": {code: "param/unknown"},
	})...)
	mutations = append(mutations, keysOf(t, files, "communications.yaml", nil, nil)...)
	mutations = append(mutations, keysOf(t, files, "astern.yaml", []string{"eu", "edge", "honeylink", "records", "production", "default", "targets", "within"}, inConfig())...)
	var all []mutant
	for _, m := range mutations {
		all = append(all, m.places(t, files)...)
	}
	all = append(all, missing(t, files)...)
	require.GreaterOrEqual(t, len(all), 300)
	corpus(t, all, diagnosed)
}

func TestCorpusRuleTests(t *testing.T) {
	diagnose := ruletestsOf(t)
	var all []mutant
	for _, name := range []string{"rules_test.yaml", "triggers_test.yaml", "trouble_test.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "examples", "honeylink", name))
		require.NoError(t, err)
		files := map[string]string{"tests.yaml": string(text)}
		require.Empty(t, diagnose(t, files).String())
		free := []string{"service", "environment", "alertname", "severity", "pod", "track", "switch_traffic", "drain", "goal_ready", "too"}
		special := map[string]mutation{"decision": {also: []string{"test/expect"}}}
		for _, m := range append(keysOf(t, files, "tests.yaml", free, special), slipsInTests(string(text))...) {
			places := m.places(t, files)
			for _, one := range places[:min(len(places), 5)] { // the tests of a file repeat themselves
				one.name = name + strings.TrimPrefix(one.name, "tests.yaml")
				all = append(all, one)
			}
		}
	}
	require.GreaterOrEqual(t, len(all), 300)
	corpus(t, all, diagnose)
}
