package scaffold_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"astern.dev/astern/engine/scaffold"
	"astern.dev/astern/rules/expr"
)

// strangers are what names and labels may be: any text that is UTF-8.
var strangers = []string{
	`plain`, `"`, `'`, `\`, "`", `''`, `\"`, `a"b'c\d`, `# no comment`, `a # b`, `a: b`, `a:`, `- a`, `? a`, `{a: b}`, `[a]`, `*a`, `&a`, `!a`, `|`, `>`, `%a`, `@a`,
	`true`, `No`, `null`, `~`, `1`, `1.0`, `0x1F`, `.inf`, `2024-01-01`, ` a`, `a `, `   `, "a\nb", "a\r\nb", "a\tb", "\x00", "\x1b[31m", "\x7f", "\u0085", "\u2028", "\ufeff", "\u202e", "é", "日本", "😀", "\ufffd",
	`${target.name}`, `$${x}`, `${`, `$`, `}`, `{{ $labels.x }}`, `" || true || "`, `") or vector(1) or ("`, `-->`, `---`, `...`, "a\n---\nb", "# \n- rule: Evil", strings.Repeat("x", 3000),
	"Watchdog", "Kube", "default", "unnamed", "a-2", "A", "a.b/c", "../../etc/passwd", "<script>", "</script>", "=1+1", "%s%d%!", "\\u0041", "\\x41",
}

// house is a Prometheus and an Alertmanager with an alert for each of these names and values.
func house(t *testing.T, names, values []string, receiver string) scaffold.Sources {
	type rule struct {
		Type        string            `json:"type"`
		Name        string            `json:"name"`
		Query       string            `json:"query"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	}
	var made []rule
	var seen []map[string]string
	var held []map[string]any
	for i, name := range names {
		value := values[i%len(values)]
		made = append(made, rule{"alerting", name, fmt.Sprintf("errors{path=%q} > 0.5", value), map[string]string{"severity": value, "a": "{{ $value }}"}, map[string]string{"summary": value}})
		labels := map[string]string{"alertname": name, "service": value, "severity": value, "environment": values[(i+1)%len(values)]}
		seen = append(seen, labels)
		held = append(held, map[string]any{"labels": labels, "status": map[string]any{"state": "active"}})
	}
	groups := []any{}
	for i, r := range made {
		groups = append(groups, map[string]any{"name": values[i%len(values)], "file": values[i%len(values)], "rules": []rule{r}})
	}
	answers := map[string]any{
		"/api/v1/rules": map[string]any{"groups": groups}, "/api/v1/series": seen, "/api/v1/alerts": map[string]any{},
		"/api/v1/status/config":         map[string]any{"yaml": "global: {external_labels: {region: " + fmt.Sprintf("%q", "a b") + "}}"},
		"/api/v1/label/__name__/values": []string{values[0] + "requests_total", "a b:requests:rate5m"},
		"/api/v1/query_range":           map[string]any{"resultType": "matrix", "result": []any{}},
	}
	config := fmt.Sprintf("route: {receiver: %s, routes: [{receiver: %[1]s, matchers: ['team=%[1]s']}]}\nreceivers: [{name: %[1]s}]\n", "R")
	if receiver != "" {
		quoted, err := json.Marshal(receiver)
		require.NoError(t, err)
		config = fmt.Sprintf("{\"route\": {\"receiver\": %s}, \"receivers\": [{\"name\": %s}, {\"name\": \"astern\"}]}", quoted, quoted)
	}
	return sourcesOf(t, serve(t, answers, "success"), serve(t, map[string]any{
		"/api/v2/alerts": held, "/api/v2/status": map[string]any{"config": map[string]any{"original": config}, "versionInfo": map[string]any{"version": receiver}},
	}, ""))
}

func serve(t *testing.T, answers map[string]any, status string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		if status != "" {
			answer = map[string]any{"status": status, "data": answer}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Whatever strangers wrote, what is made of it is read without a mistake and means what it meant.
func TestHostileText(t *testing.T) {
	s := house(t, strangers, strangers, "")
	files, d := filesOf(t, s, "service", "environment")
	require.NotEmpty(t, d.Targets)
	require.NotEmpty(t, d.LeftOut, "what no selector can hold is left out, and said")
	set := checked(t, files)
	for _, name := range strangers {
		fits := set.Match(expr.Vars{Alert: expr.Alert{Status: "firing", Labels: map[string]string{"alertname": name}}})
		if name == "Watchdog" || name == "Kube" {
			require.Empty(t, fits, "%q", name)
			continue
		}
		require.Len(t, fits, 1, "%q", name)
	}
	for _, one := range strangers {
		files, _ := filesOf(t, house(t, []string{one}, []string{one}, one), "service", "environment")
		checked(t, files)
	}
}

// A comment ends with its line, whatever stands in it.
func TestCommentsStayComments(t *testing.T) {
	for _, one := range strangers {
		files, _ := filesOf(t, house(t, []string{one, "A"}, []string{one}, one), "service", "environment")
		for _, f := range files {
			if strings.HasPrefix(f.Name, "secrets/") {
				continue
			}
			for line := range strings.Lines(string(f.Text)) {
				require.NotContains(t, strings.TrimSuffix(line, "\n"), "\r", f.Name)
				require.NotContains(t, line, "\u2028", f.Name)
				require.NotContains(t, line, "\u0085", f.Name)
				require.NotContains(t, line, "\x1b", f.Name)
				require.NotEqual(t, "- rule: Evil", strings.TrimSpace(line), f.Name)
			}
		}
	}
}

func TestAnyText(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := rapid.SliceOfN(rapid.String(), 1, 4).Draw(rt, "names")
		values := rapid.SliceOfN(rapid.String(), 1, 4).Draw(rt, "values")
		files, _ := filesOf(t, house(t, names, values, ""), "service", "environment")
		checked(t, files)
	})
}

// More targets than anyone reads: the first of them, and a line that says so.
func TestTooManyTargets(t *testing.T) {
	var names, values []string
	for i := range 250 {
		names, values = append(names, "A"), append(values, fmt.Sprintf("service-%03d", i))
	}
	_, d := filesOf(t, house(t, names, values, ""), "service", scaffold.None)
	require.Len(t, d.Targets, scaffold.MaxTargets)
	require.Equal(t, []string{"50 of 250 targets: 200 are enough to begin with"}, d.LeftOut)
	require.Equal(t, "service-000", d.Targets[0].Name)
}

// What the queries answer decides whether they stay: nothing, or several series, although there is something to measure,
// takes them back; a server that does not answer leaves them, untried.
func TestQueriesThatAnswerNothingAreTakenBack(t *testing.T) {
	series := func(n int) map[string]any {
		all := []any{}
		for i := range n {
			all = append(all, map[string]any{"metric": map[string]string{"n": fmt.Sprint(i)}, "value": []any{1, "1"}})
		}
		return map[string]any{"resultType": "vector", "result": all}
	}
	for _, c := range []struct {
		answer  any
		confirm int
		whyNot  string
		asked   string
	}{
		{series(1), 1, "", "a"},
		{series(0), 0, "restricted to a, its expression answers with nothing: not all it measures carries the same labels", ""},
		{series(2), 0, "restricted to a, its expression has no single answer", ""},
		{nil, 1, "", ""},
	} {
		answers := map[string]any{
			"/api/v1/rules":       map[string]any{"groups": []any{map[string]any{"name": "g", "rules": []any{map[string]any{"type": "alerting", "name": "A", "query": "errors > 1"}}}}},
			"/api/v1/query_range": map[string]any{"resultType": "matrix", "result": []any{map[string]any{"metric": map[string]string{"service": "a"}, "values": []any{[]any{1, "1"}}}}},
		}
		if c.answer != nil {
			answers["/api/v1/query"] = c.answer
		}
		_, d := filesOf(t, sourcesOf(t, serve(t, answers, "success"), ""), "", "")
		require.Len(t, d.Rules, 1)
		require.Len(t, d.Rules[0].Confirm, c.confirm)
		require.Equal(t, c.whyNot, d.Rules[0].WhyNot)
		require.Equal(t, c.asked, d.Rules[0].Asked)
		require.Len(t, d.Missing, 4, "what could not be read is said: %q", d.Missing)
	}
}
