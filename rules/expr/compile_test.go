package expr

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newEnv(t testing.TB) *Env {
	t.Helper()
	env, err := NewEnv()
	require.NoError(t, err)
	return env
}

// scalar is the value of a file's only key `v`, written as a literal block.
func scalar(t testing.TB, text string) *Node {
	t.Helper()
	f, found := ParseFile("f.yaml", []byte("v: |-\n  "+strings.ReplaceAll(text, "\n", "\n  ")+"\n"))
	require.NoError(t, found.Err())
	require.Equal(t, text, f.Root().Get("v").Str())
	return f.Root().Get("v")
}

func compile(t testing.TB, env *Env, scope Scope, text string) *Program {
	t.Helper()
	p, found := env.Compile(scope, scalar(t, text), Any)
	require.NoError(t, found.Err())
	return p
}

var releases = ReleasePair{
	Current:  Release{Version: "v42", Vars: map[string]string{"track": "green"}, At: time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)},
	Previous: Release{Version: "v41", Verdict: "good", Vars: map[string]string{"track": "blue"}},
}

func TestEveryVariableIsThere(t *testing.T) {
	env := newEnv(t)
	half := 0.5
	v := Vars{
		Alert:    Alert{Status: "firing", Labels: map[string]string{"a": "1"}, Value: &half, Fingerprint: "f", Source: "am", StartsAt: releases.Current.At},
		Target:   Target{Name: "api", UID: "u", UserFacing: true, Owner: Owner{Team: "core", Slack: "#core"}, Vars: map[string]any{"n": int64(3), "urls": map[string]any{"blue": "http://b"}, "list": []any{"x", 1.5}}},
		Release:  releases,
		Incident: Incident{ID: "INC-1", Severity: "critical"},
		Steps:    map[string]map[string]any{"switch_traffic": {"previous": 100.0, "ok": true, "names": []any{"a"}}, "drain": nil},
		Now:      releases.Current.At.Add(90 * time.Second),
	}
	type outputs struct {
		Previous int      `json:"previous"`
		OK       bool     `json:"ok"`
		Names    []string `json:"names"`
		Gone     string   `json:"gone"`
	}
	scope := Procedure(map[string]any{"switch_traffic": outputs{}, "drain": nil})
	for text, want := range map[string]any{
		`alert.status + alert.labels.a + alert.source`:             "firing1am",
		`alert.value * 2.0`:                                        1.0,
		`alert.value > 0`:                                          true,
		`has(alert.value) && !has(alert.labels.b)`:                 true,
		`target.user_facing && target.owner.team == "core"`:        true,
		`target.vars.n + 1`:                                        int64(4),
		`target.vars.urls[release.previous.vars.track]`:            "http://b",
		`target.vars.list`:                                         []any{"x", 1.5},
		`release.current.version + release.previous.verdict`:       "v42good",
		`has(release.current.digest)`:                              false,
		`[release.current, release.previous].map(r, r.version)[1]`: "v41",
		`incident.severity == "critical"`:                          true,
		`now - alert.startsAt`:                                     90 * time.Second,
		`release.current.at`:                                       releases.Current.At,
		`steps.switch_traffic.previous + 1`:                        int64(101),
		`steps.switch_traffic.names[0]`:                            "a",
		`steps.switch_traffic.ok ? "yes" : "no"`:                   "yes",
		`{"a": [1, 2]}`:                                            map[string]any{"a": []any{int64(1), int64(2)}},
		`alert.labels`:                                             map[string]any{"a": "1"},
		`null`:                                                     nil,
	} {
		got, err := compile(t, env, scope, text).Eval(v)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestWhatIsAbsentIsNamed(t *testing.T) {
	env := newEnv(t)
	scope := Procedure(map[string]any{"one": struct {
		Out string `json:"out"`
	}{}})
	for text, want := range map[string]string{
		`alert.labels.zone == "a"`:                  "label zone is missing",
		`alert.labels["my-zone"] == "a"`:            "label my-zone is missing",
		`alert.labels[target.name] == "a"`:          "label api is missing",
		`alert.annotations.zone == "a"`:             "annotation zone is missing",
		`alert.value > 1`:                           "alert.value is missing",
		`release.previous.version`:                  "release.previous.version is missing",
		`release.previous.vars.track`:               "release.previous.vars.track is missing",
		`target.vars.a.b.c`:                         "target.vars.a.b.c is missing",
		`target.vars.a[release.current.vars.track]`: `target.vars.a["green"] is missing`,
		`steps.one.out`:                             "steps.one is missing",
		`[alert.labels.x].all(l, l == "y")`:         "label x is missing",
		`alert.labels.all(k, alert.labels[k] == "x" && k.size() > 1 && alert.annotations[k] == "y")`: "",
	} {
		v := Vars{Target: Target{Name: "api", Vars: map[string]any{"a": map[string]any{"b": map[string]any{}}}}, Release: ReleasePair{Current: releases.Current}}
		_, err := compile(t, env, scope, text).Eval(v)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		var missing *Missing
		require.ErrorAs(t, err, &missing, text)
		require.Equal(t, want, err.Error(), text)
	}
}

func TestAnOutputThatIsNotThereIsFoundAtLoad(t *testing.T) {
	env := newEnv(t)
	scope := Procedure(map[string]any{"switch_traffic": struct {
		Previous string `json:"previous"`
	}{}})
	for text, want := range map[string]string{
		`steps.switch_traffic.prevoius`: `f.yaml:2:24: there is no field "prevoius" (did you mean "previous"?)`,
		`steps.swich_traffic.previous`:  `f.yaml:2:9: there is no field "swich_traffic" (did you mean "switch_traffic"?)`,
		`steps.switch_traffic > 1`:      `f.yaml:2:24: > does not go between steps.switch_traffic and int`,
	} {
		_, found := env.Compile(scope, scalar(t, text), Any)
		require.EqualError(t, found, want)
	}
}

func TestNumbersOfTwoKindsAreOrderedButNotEqual(t *testing.T) {
	env := newEnv(t)
	holds, err := compile(t, env, Holds, "value > 1 && value <= 2").Holds(BindValue(Vars{}, 1.5))
	require.NoError(t, err)
	require.True(t, holds)
	_, found := env.Compile(Holds, scalar(t, "value == 1"), Bool)
	require.ErrorContains(t, found, "write 1.0 for 1")
}

func TestScopesAreKeptApart(t *testing.T) {
	env := newEnv(t)
	for text, scopes := range map[string][]Scope{
		`target.name == "a"`:           {RuleWhen, RuleTarget},
		`value > 1.0`:                  {RuleWhen, Query, Communication, Procedure(nil)},
		`alert.status == "x"`:          {Holds, Communication},
		`group.labels.a == "x"`:        {Query, Holds, Communication, Procedure(nil)},
		`steps.a.b == "x"`:             {RuleWhen, Query, Holds, Communication},
		`now > timestamp(0)`:           {Holds, Communication},
		`incident.severity == "x"`:     {RuleWhen, RuleTarget, Holds},
		`release.current.schema == ""`: {RuleWhen, RuleTarget, Holds},
	} {
		for _, scope := range scopes {
			_, found := env.Compile(scope, scalar(t, text), Bool)
			require.ErrorContains(t, found, "not known here", "%s in %s", text, scope.name)
		}
	}
}

func TestNothingCanBeReachedFromAnExpression(t *testing.T) {
	env := newEnv(t)
	known := map[string]bool{}
	for name := range func() map[string]bool {
		all := map[string]bool{}
		e, err := env.scope(RuleText)
		require.NoError(t, err)
		for name := range e.Functions() {
			all[name] = true
		}
		return all
	}() {
		known[name] = true
	}
	for name := range known {
		require.Contains(t, pureFunctions, name, "a function that nobody has looked at")
	}
}

var pureFunctions = strings.Fields(`!_ -_ @in _!=_ _%_ _&&_ _*_ _+_ _-_ _/_ _<=_ _<_ _==_ _>=_ _>_ _?_:_ _[_] _||_ @not_strictly_false __not_strictly_false__ _in_ in
	bool bytes contains double duration dyn endsWith getDate getDayOfMonth getDayOfWeek getDayOfYear getFullYear getHours getMilliseconds getMinutes
	getMonth getSeconds int matches size startsWith string timestamp type uint`)

func TestPartialEvaluationSaysWhatItCanAndNoMore(t *testing.T) {
	env := newEnv(t)
	v := Vars{Target: Target{Name: "api", Vars: map[string]any{"urls": map[string]any{"blue": "http://b"}}}}
	scope := Procedure(map[string]any{"one": struct {
		Out string `json:"out"`
	}{}})
	for text, want := range map[string]any{
		`target.name + "x"`: "apix", `1 + 2`: int64(3), `target.vars.urls.blue`: "http://b",
		`release.current.version`: ErrUnknown, `target.vars.urls[release.current.vars.track]`: ErrUnknown, `steps.one.out`: ErrUnknown,
		`alert.labels.x == "y" || target.name == "api"`: true, `alert.labels.x == "y" || target.name == "b"`: ErrUnknown, `now`: ErrUnknown,
		`target.vars.typo[release.current.vars.track]`: "target.vars.typo is missing", `target.vars.urls.red`: "target.vars.urls.red is missing",
	} {
		got, err := compile(t, env, scope, text).EvalPartial(Bind(v), "target")
		var missing *Missing
		switch {
		case errors.As(err, &missing):
			require.Equal(t, want, err.Error(), text)
		case err != nil:
			require.Equal(t, want, err, text)
		default:
			require.Equal(t, want, got, text)
		}
	}
}

func TestTheLimitHoldsAtRunTime(t *testing.T) {
	env := newEnv(t)
	p := compile(t, env, RuleWhen, `alert.labels.all(k, !alert.annotations.t.matches("a+b"))`)
	require.True(t, p.limited)
	big := map[string]string{}
	for i := range 1000 {
		big[strings.Repeat("k", i+1)] = ""
	}
	_, err := p.Eval(Vars{Alert: Alert{Labels: big, Annotations: map[string]string{"t": strings.Repeat("c", 1<<20)}}})
	require.ErrorContains(t, err, "cost limit")
	require.False(t, compile(t, env, RuleWhen, `alert.labels.alertname in ["a", "b"] && alert.labels.x != "y"`).limited, "what is cheap whatever comes is not counted")
}

func TestTheOriginOfAValueDecidesItsTrust(t *testing.T) {
	env := newEnv(t)
	for text, want := range map[string]bool{
		`target.name`: true, `"x"`: true, `target.vars.urls[alert.labels.zone]`: true, `alert.labels.a == "b" ? "x" : target.name`: true,
		`alert.labels.a`: false, `target.name + alert.labels.a`: false, `alert.labels[target.name]`: false, `true ? alert.labels.a : "x"`: false,
		`release.current.version`: false, `incident.id`: false, `[target.name, alert.labels.a][0]`: false, `target.vars.l.map(x, alert.labels.a)`: false,
		`{"a": alert.labels.x}.a`: false, `string(target.vars.n)`: true, `steps.s.o`: false,
	} {
		p := compile(t, env, Procedure(map[string]any{"s": struct {
			O string `json:"o"`
		}{}}), text)
		require.Equal(t, want, p.Trusted(), text)
	}
}

func TestVariablesArePutInWhateverTheirOrder(t *testing.T) {
	env := newEnv(t)
	f, _ := ParseFile("f.yaml", []byte("vs:\n  - {name: both, value: a && b}\n  - {name: a, value: 'alert.labels.a == \"1\"'}\n  - {name: b, value: '!a || group.labels.g == \"2\"'}\nw: both || alert.labels.exists(k, k == \"zz\" && a)\n"))
	var vs []Variable
	for _, n := range f.Root().Get("vs").List() {
		vs = append(vs, Variable{n.Get("name"), n.Get("value")})
	}
	scope := env.Define(RuleWhen, vs)
	p, _ := env.Compile(scope, f.Root().Get("w"), Bool)
	require.NoError(t, f.Diagnostics().Err())
	require.Equal(t, []string{"a", "b", "both"}, p.Uses())
	require.Equal(t, []string{"alert", "group"}, sorted(p.Roots()))
	holds, err := p.EvalBool(Vars{Alert: Alert{Labels: map[string]string{"a": "1"}}, Group: Group{map[string]string{"g": "2"}}})
	require.NoError(t, err)
	require.True(t, holds)
	_, err = p.EvalBool(Vars{Alert: Alert{Labels: map[string]string{"a": "1"}}})
	require.EqualError(t, err, "group label g is missing")
}
