package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/lint"
	"astern.dev/astern/rules/expr"
)

// checkReference is docs/checks.md: every code with what it means and how it is mended.
func checkReference() string {
	var w strings.Builder
	w.WriteString("# Checks\n\n" + generated + "\nWhat `astern check` tells, by code. An error must be mended: files with one are not used. A warning is valid but unwise; a comment\n" +
		"in its line, or above it, ignores it with a reason: `# astern:ignore CODE reason`. An info is worth knowing. `--strict` ends with exit\n" +
		"code 1 for warnings, too. Codes are stable.\n")
	family := ""
	for _, c := range lint.Codes() {
		if f, _, _ := strings.Cut(c.Name, "/"); f != family {
			family = f
			fmt.Fprintf(&w, "\n## %s\n\n| code | severity | meaning | for example | how to mend it |\n|---|---|---|---|---|\n", family)
		}
		fmt.Fprintf(&w, "| `%s` | %s | %s | %s | %s |\n", c.Name, c.Severity, cell(c.Meaning+against(c)), codeCell(c.Example), cell(c.Mend))
	}
	return w.String()
}

func against(c lint.Code) string {
	switch c.Needs {
	case lint.NeedsPrometheus:
		return " Asked when Prometheus' rule files are given."
	case lint.NeedsAlertmanager:
		return " Asked when alertmanager.yml is given."
	case lint.NeedsConfig:
		return " Asked when there is an astern.yaml."
	}
	return ""
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func codeCell(s string) string {
	switch {
	case s == "":
		return ""
	case strings.Contains(s, "`"):
		return cell(s)
	}
	return "`" + cell(s) + "`"
}

var oneOfEach = expr.Diagnostics{
	{File: "rules/a,b.yaml", Line: 5, Column: 15, Width: 4, Path: "rule R", Code: "cel/undeclared", Message: "undeclared reference to \"alrt\"", Hint: `did you mean "alert"?`, Source: "        when: alrt.x == 1"},
	{File: "Ärger %.yaml", Line: 1, Column: 1, Code: "confirm/floor", Message: "100 %\nof it: all", Warning: true},
	{File: "/etc/astern.yaml", Code: "mode/ceiling", Message: "as a whole", Warning: true, Info: true},
}

func TestGitHubCommandsAreEscaped(t *testing.T) {
	require.Equal(t, "::error file=rules/a%2Cb.yaml,line=5,col=15,endColumn=19,title=cel/undeclared::rule R: undeclared reference to \"alrt\" (did you mean \"alert\"?)\n"+
		"::warning file=Ärger %25.yaml,line=1,col=1,endColumn=2,title=confirm/floor::100 %25%0Aof it: all\n"+
		"::notice file=/etc/astern.yaml,title=mode/ceiling::as a whole\n", githubCommands(oneOfEach))
}

// The log is held against the published schema of SARIF 2.1.0.
func TestTheSARIFLogIsValid(t *testing.T) {
	schema := compiled(t, filepath.Join("testdata", "sarif-2.1.0.json"))
	for _, all := range []expr.Diagnostics{nil, oneOfEach} {
		log, err := sarif(all)
		require.NoError(t, err)
		require.NoError(t, schema.Validate(decoded(t, log)))
	}
	log, err := sarif(oneOfEach)
	require.NoError(t, err)
	var got sarifLog
	require.NoError(t, json.Unmarshal(log, &got))
	run := got.Runs[0]
	require.Equal(t, "unicodeCodePoints", run.ColumnKind)
	require.Len(t, run.Tool.Driver.Rules, len(lint.Codes()))
	for i, want := range []struct{ level, uri string }{{"error", "rules/a,b.yaml"}, {"warning", "%C3%84rger%20%25.yaml"}, {"note", "file:///etc/astern.yaml"}} {
		r := run.Results[i]
		require.Equal(t, want.level, r.Level)
		require.Equal(t, want.uri, r.Locations[0].Physical.Artifact.URI)
		require.Equal(t, r.RuleID, run.Tool.Driver.Rules[*r.RuleIndex].ID)
	}
	require.Equal(t, &sarifRegion{5, 15, 19, &sarifMessage{"        when: alrt.x == 1"}}, run.Results[0].Locations[0].Physical.Region)
	require.Nil(t, run.Results[2].Locations[0].Physical.Region)
}

func TestTheSARIFSchemaRefuses(t *testing.T) {
	schema := compiled(t, filepath.Join("testdata", "sarif-2.1.0.json"))
	require.Error(t, schema.Validate(decoded(t, []byte(`{"version":"2.1.0","runs":[{"tool":{}}]}`))))
}

func compiled(t *testing.T, path string) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return compiledText(t, text)
}

func compiledText(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("schema.json", decoded(t, text)))
	schema, err := c.Compile("schema.json")
	require.NoError(t, err)
	return schema
}

func decoded(t *testing.T, text []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	require.NoError(t, err)
	return value
}
