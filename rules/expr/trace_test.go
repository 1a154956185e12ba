package expr

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// traced writes a trace as a tree: one part a line, its outcome first.
func traced(t Trace) string {
	var b strings.Builder
	var walk func(Trace, int)
	walk = func(t Trace, depth int) {
		fmt.Fprintf(&b, "%s%s %s", strings.Repeat("  ", depth), t.Outcome, t.Source)
		if t.Join != "" {
			fmt.Fprintf(&b, " [%s]", t.Join)
		}
		for _, o := range t.Operands {
			fmt.Fprintf(&b, " | %s = %s", o.Source, o.Value)
		}
		if t.Why != "" {
			fmt.Fprintf(&b, " ! %s", t.Why)
		}
		b.WriteByte('\n')
		for _, p := range t.Parts {
			walk(p, depth+1)
		}
	}
	walk(t, 0)
	return b.String()
}

var tracedAlert = Vars{
	Now: time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC),
	Alert: Alert{Status: "firing", Source: "am", StartsAt: time.Date(2026, 11, 22, 13, 50, 0, 0, time.UTC),
		Labels: map[string]string{"alertname": "Errors", "service": "api", "signal": "errors", "count": "many", "odd": "a\x1b[31m\u202eb\"\n"}},
}

func production(t *testing.T, env *Env) Scope {
	t.Helper()
	f, found := ParseFile("f.yaml", []byte(`
variables:
  - {name: both, value: 'production && core'}
  - {name: core, value: 'alert.labels.team == "core" || alert.labels.service == "api"'}
  - {name: production, value: 'alert.labels.environment == "production"'}
  - {name: service, value: alert.labels.service}
`))
	require.NoError(t, found.Err())
	var all []Variable
	for _, n := range f.Root().Get("variables").List() {
		all = append(all, Variable{n.Get("name"), n.Get("value")})
	}
	scope := env.Define(RuleWhen, all)
	require.NoError(t, f.Diagnostics().Err())
	return scope
}

func TestTrace(t *testing.T) {
	env := newEnv(t)
	scope := production(t, env)
	for name, c := range map[string]struct{ text, want, misses string }{
		"one comparison": {`alert.labels.signal == "latency"`, `
false alert.labels.signal == "latency" | alert.labels.signal = "errors"
`, `alert.labels.signal == "latency" (is "errors")`},
		"all parts are shown, whatever the first says": {`alert.labels.signal == "latency" && alert.labels.team == "core"   &&  alert.status == "firing"`, `
false alert.labels.signal == "latency" && alert.labels.team == "core" && alert.status == "firing" [and]
  false alert.labels.signal == "latency" | alert.labels.signal = "errors"
  absent alert.labels.team == "core" | alert.labels.team =  ! label team is missing
  true alert.status == "firing" | alert.status = "firing"
`, `alert.labels.signal == "latency" (is "errors")
alert.labels.team == "core" (label team is missing)`},
		"brackets of the same kind are opened, others stay": {"(alert.status == \"firing\" && (alert.labels.service == \"web\" // the site\n || alert.labels.service == \"shop\"))", `
false alert.status == "firing" && (alert.labels.service == "web" || alert.labels.service == "shop") [and]
  true alert.status == "firing" | alert.status = "firing"
  false alert.labels.service == "web" || alert.labels.service == "shop" [or]
    false alert.labels.service == "web" | alert.labels.service = "api"
    false alert.labels.service == "shop" | alert.labels.service = "api"
`, `alert.labels.service == "web" (is "api")`},
		"the shorter way counts": {`(alert.labels.service == "web" && alert.status == "resolved") || alert.labels.signal == "latency"`, `
false (alert.labels.service == "web" && alert.status == "resolved") || alert.labels.signal == "latency" [or]
  false alert.labels.service == "web" && alert.status == "resolved" [and]
    false alert.labels.service == "web" | alert.labels.service = "api"
    false alert.status == "resolved" | alert.status = "firing"
  false alert.labels.signal == "latency" | alert.labels.signal = "errors"
`, `alert.labels.signal == "latency" (is "errors")`},
		"not": {`!(alert.labels.service == "api" || alert.status == "firing")`, `
false !(alert.labels.service == "api" || alert.status == "firing") [not]
  true alert.labels.service == "api" || alert.status == "firing" [or]
    true alert.labels.service == "api" | alert.labels.service = "api"
    true alert.status == "firing" | alert.status = "firing"
`, `not (alert.labels.service == "api") (is "api")
not (alert.status == "firing") (is "firing")`},
		"not of what is missing": {`!(alert.labels.tier == "edge")`, `
absent !(alert.labels.tier == "edge") [not] ! label tier is missing
  absent alert.labels.tier == "edge" | alert.labels.tier =  ! label tier is missing
`, `not (alert.labels.tier == "edge") (label tier is missing)`},
		"variables by their names, with their own parts": {`both && service == "web"`, `
false both && service == "web" [and]
  absent both [variable] ! label environment is missing
    absent production && core [and] ! label environment is missing
      absent production [variable] ! label environment is missing
        absent alert.labels.environment == "production" | alert.labels.environment =  ! label environment is missing
      true core [variable]
        true alert.labels.team == "core" || alert.labels.service == "api" [or]
          absent alert.labels.team == "core" | alert.labels.team =  ! label team is missing
          true alert.labels.service == "api" | alert.labels.service = "api"
  false service == "web" | service = "api"
`, `alert.labels.environment == "production" (label environment is missing)
service == "web" (is "api")`},
		"a macro is one row": {`alert.labels.exists(k, k == "zone" && alert.labels[k] == "eu") && alert.labels.all(k, size(k) > 1)`, `
false alert.labels.exists(k, k == "zone" && alert.labels[k] == "eu") && alert.labels.all(k, size(k) > 1) [and]
  false alert.labels.exists(k, k == "zone" && alert.labels[k] == "eu") | alert.labels = {"alertname": "Errors", "count": "many", "odd": "a\x1b[31m\u202eb\"\n", "service": "api", "signal": "errors"}
  true alert.labels.all(k, size(k) > 1) | alert.labels = {"alertname": "Errors", "count": "many", "odd": "a\x1b[31m\u202eb\"\n", "service": "api", "signal": "errors"}
`, ""},
		"has, functions and strings with connectives in them": {`has(alert.labels.team) || alert.labels.service.matches('^(a&&b||c)$') || alert.labels["service"] in ["a ? b : c", r"\"]`, `
false has(alert.labels.team) || alert.labels.service.matches('^(a&&b||c)$') || alert.labels["service"] in ["a ? b : c", r"\"] [or]
  false has(alert.labels.team)
  false alert.labels.service.matches('^(a&&b||c)$') | alert.labels.service = "api"
  false alert.labels["service"] in ["a ? b : c", r"\"] | alert.labels["service"] = "api"
`, `has(alert.labels.team)`},
		"times": {`now - alert.startsAt > duration("15m") && now > alert.startsAt`, `
false now - alert.startsAt > duration("15m") && now > alert.startsAt [and]
  false now - alert.startsAt > duration("15m") | now - alert.startsAt = 10m0s
  true now > alert.startsAt | now = 2026-11-22T14:00:00Z | alert.startsAt = 2026-11-22T13:50:00Z
`, `now - alert.startsAt > duration("15m") (is 10m0s)`},
		"a choice": {`alert.status == "firing" ? alert.labels.service == "web" : alert.status == {"a": "x"}["a"]`, `
false alert.status == "firing" ? alert.labels.service == "web" : alert.status == {"a": "x"}["a"] [if]
  true alert.status == "firing" | alert.status = "firing"
  false alert.labels.service == "web" | alert.labels.service = "api"
  false alert.status == {"a": "x"}["a"] | alert.status = "firing"
`, `alert.labels.service == "web" (is "api")`},
		"what cannot be evaluated": {`int(alert.labels.count) > 3`, `
failed int(alert.labels.count) > 3 | int(alert.labels.count) =  ! type conversion error from 'string' to 'int'
`, `int(alert.labels.count) > 3 (type conversion error from 'string' to 'int')`},
		"a stranger's text is shown safely": {`alert.labels.odd == "x"`, `
false alert.labels.odd == "x" | alert.labels.odd = "a\x1b[31m\u202eb\"\n"
`, `alert.labels.odd == "x" (is "a\x1b[31m\u202eb\"\n")`},
		"true": {`alert.status == "firing"`, "\ntrue alert.status == \"firing\" | alert.status = \"firing\"\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := compile(t, env, scope, c.text)
			got := p.Trace(tracedAlert)
			require.Equal(t, strings.TrimPrefix(c.want, "\n"), traced(got))
			var misses []string
			for _, m := range got.Misses() {
				misses = append(misses, m.String())
			}
			if c.misses != "" || got.Outcome == True {
				require.Equal(t, c.misses, strings.Join(misses, "\n"))
			}
		})
	}
}

// Whatever a condition is made of, its trace says what the evaluation says, and its parts add up to it.
func TestTraceAgreesWithTheEvaluation(t *testing.T) {
	env := newEnv(t)
	scope := production(t, env)
	leaves := []string{`alert.labels.a == "1"`, `alert.labels.b == "1"`, `"1" == alert.labels["c"]`, `has(alert.labels.a)`, `production`, `both`, `core`, `"b" in alert.labels`,
		`alert.labels.exists(k, k == "a" || k == "b")`, `true`, `int(alert.labels.a) > 0`}
	rapid.Check(t, func(t *rapid.T) {
		var build func(int) string
		build = func(depth int) string {
			if depth == 0 {
				return rapid.SampledFrom(leaves).Draw(t, "leaf")
			}
			a, b := build(depth-1), build(depth-1)
			switch rapid.SampledFrom([]string{"and", "or", "not", "if", "flat and", "flat or"}).Draw(t, "join") {
			case "and":
				return "(" + a + ") && (" + b + ")"
			case "or":
				return "(" + a + ") || (" + b + ")"
			case "not":
				return "!(" + a + ")"
			case "if":
				return "(" + a + ") ? (" + b + ") : (" + a + ")"
			case "flat and":
				return a + " && " + b
			}
			return a + "||" + b
		}
		text := build(rapid.IntRange(0, 4).Draw(t, "depth"))
		f, _ := ParseFile("f.yaml", []byte("v: |-\n  "+text+"\n"))
		p, found := env.Compile(scope, f.Root().Get("v"), Bool)
		require.NoError(t, found.Err(), text)
		labels := rapid.MapOf(rapid.SampledFrom([]string{"a", "b", "c", "environment", "service"}), rapid.SampledFrom([]string{"1", "x", "production", "api"})).Draw(t, "labels")
		v := Vars{Alert: Alert{Labels: labels}}
		want := Failed
		if holds, err := p.EvalBool(v); err == nil {
			want = map[bool]Outcome{true: True, false: False}[holds]
		}
		got := p.Trace(v)
		if want == Failed {
			require.Contains(t, []Outcome{Absent, Failed}, got.Outcome, text)
		} else {
			require.Equal(t, want, got.Outcome, text)
		}
		require.Equal(t, want == True, len(got.Misses()) == 0, text)
		for _, leaf := range got.Leaves() {
			require.NotContains(t, leaf.Source, "&&", text)
		}
	})
}

func TestTraceIsBounded(t *testing.T) {
	env := newEnv(t)
	v := Vars{Alert: Alert{Labels: map[string]string{"long": strings.Repeat("x", 100_000)}}}
	for n := range 1000 {
		v.Alert.Labels[fmt.Sprint("l", n)] = "x"
	}
	got := compile(t, env, RuleWhen, `alert.labels.long == "x" || alert.labels.exists(a, alert.labels.exists(b, size(a) + size(b) == 0))`).Trace(v)
	require.Equal(t, Failed, got.Outcome)
	require.Contains(t, got.Why, "cost limit")
	for _, p := range got.Parts {
		for _, o := range p.Operands {
			require.LessOrEqual(t, len(o.Value), 1000)
		}
	}
}

func FuzzTrace(f *testing.F) {
	for _, text := range []string{`alert.status == "a" && !!true`, `'''a'b''' == alert.status || (true)`, `true ? false : (true ? r'\' == "" : true)`, "!true == false", "a\n//x\n&& b"} {
		f.Add(text)
	}
	env, err := NewEnv()
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text string) {
		file, _ := ParseFile("f.yaml", []byte("v: |-\n  "+strings.ReplaceAll(text, "\n", "\n  ")+"\n"))
		p, found := env.Compile(RuleWhen, file.Root().Get("v"), Bool)
		if found.Err() != nil || p == nil {
			return
		}
		holds, err := p.EvalBool(tracedAlert)
		got := p.Trace(tracedAlert)
		require.Equal(t, err == nil && holds, got.Outcome == True, text)
		_ = got.Misses()
	})
}

func BenchmarkTrace(b *testing.B) {
	env := newEnv(b)
	p := compile(b, env, RuleWhen, `alert.labels.alertname == "Errors" && alert.labels.environment == "production" && alert.labels.team == "core"`)
	for b.Loop() {
		p.Trace(tracedAlert)
	}
}
