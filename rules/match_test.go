package rules

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/rules/expr"
)

const matchRules = `
groups:
  - name: g
    variables:
      - {name: production, value: 'alert.labels.environment == "production"'}
      - {name: known, value: 'alert.labels.alertname in ["A", "B"]'}
    rules:
      - {rule: Plain, do: rollback, when: 'alert.labels.alertname == "A"'}
      - {rule: Variable, do: rollback, when: known && production}
      - {rule: NeedsTier, do: rollback, when: 'alert.labels.tier == "edge"'}
      - {rule: AsksForTier, do: rollback, when: 'has(alert.labels.tier) && alert.labels.tier == "edge"'}
      - {rule: Not, do: rollback, when: '!(alert.labels.tier == "edge")'}
      - {rule: Either, do: rollback, when: 'alert.labels.tier == "edge" || alert.labels.alertname == "A"'}
      - {rule: Dashed, do: rollback, when: 'alert.labels["my-label"] == "x"'}
      - {rule: Value, do: rollback, when: alert.value > 1}
      - {rule: Group, do: rollback, when: 'group.labels.team == "core"'}
      - {rule: Note, do: rollback, when: 'alert.annotations.runbook.startsWith("https://")'}
      - {rule: Number, do: rollback, when: int(alert.labels.count) > 3}
      - {rule: Pattern, do: rollback, when: 'alert.labels.alertname.matches("^[AB]$")'}
      - {rule: Old, do: rollback, when: now - alert.startsAt > duration("5m")}
      - {rule: Own, do: rollback, when: alert.labels.alertname.startsWith("Astern")}
      - {rule: From, do: rollback, when: 'alert.source == "alertmanager-eu" && alert.status == "firing"'}
`

func TestMatchAndExplainAgree(t *testing.T) {
	at := time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)
	one := 1.5
	set := load(t, matchRules)
	for name, test := range map[string]struct {
		vars    expr.Vars
		matches string
		why     map[string]string
	}{
		"bare": {expr.Vars{Alert: expr.Alert{Labels: map[string]string{"alertname": "A"}, StartsAt: at}, Now: at},
			"Plain Either Pattern", map[string]string{
				"Plain": "matched", "Variable": "label environment is missing", "NeedsTier": "label tier is missing", "AsksForTier": "false",
				"Not": "label tier is missing", "Either": "matched", "Dashed": "label my-label is missing", "Value": "alert.value is missing",
				"Group": "group label team is missing", "Note": "annotation runbook is missing", "Number": "label count is missing", "Old": "false", "From": "false"}},
		"rich": {expr.Vars{Now: at.Add(time.Hour), Group: expr.Group{Labels: map[string]string{"team": "core"}}, Alert: expr.Alert{Status: "firing", Source: "alertmanager-eu",
			StartsAt: at, Value: &one, Annotations: map[string]string{"runbook": "https://x"},
			Labels: map[string]string{"alertname": "B", "environment": "production", "tier": "edge", "my-label": "x", "count": "4"}}},
			"Variable NeedsTier AsksForTier Either Dashed Value Group Note Number Pattern Old From", map[string]string{"Plain": "false", "Not": "false"}},
		"odd":      {expr.Vars{Alert: expr.Alert{Labels: map[string]string{"alertname": "C", "count": "many", "tier": ""}, StartsAt: at}, Now: at}, "Not", map[string]string{"NeedsTier": "false"}},
		"our own":  {expr.Vars{Alert: expr.Alert{Labels: map[string]string{"alertname": "AsternStopped", "tier": "edge"}}}, "", map[string]string{"Own": "one of astern's own alerts: no rule acts on them", "NeedsTier": "one of astern's own alerts: no rule acts on them"}},
		"no label": {expr.Vars{Alert: expr.Alert{StartsAt: at}, Now: at}, "", map[string]string{"Plain": "label alertname is missing", "Own": "label alertname is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			var names, explained []string
			for _, m := range set.Match(test.vars) {
				names = append(names, m.Rule.Name)
			}
			why := map[string]string{}
			for _, r := range set.Explain(test.vars) {
				why[r.Rule.Name] = r.Why
				if r.Matched {
					explained = append(explained, r.Rule.Name)
				}
			}
			require.Equal(t, test.matches, strings.Join(names, " "))
			require.Equal(t, names, explained)
			for rule, want := range test.why {
				require.Equal(t, want, why[rule], rule)
			}
		})
	}
}

func TestWhatCannotBeEvaluatedIsToldAndNotAMatch(t *testing.T) {
	set := load(t, matchRules)
	v := expr.Vars{Alert: expr.Alert{Labels: map[string]string{"alertname": "C", "count": "many"}}}
	matches, failed := set.AppendMatches(nil, &v)
	require.Empty(t, matches)
	require.Len(t, failed, 1, "a missing label is no failure")
	require.Equal(t, "Number", failed[0].Rule.Name)
	require.Contains(t, failed[0].Why, "evaluate int(alert.labels.count) > 3")
}

func TestARuleThatGrowsDearOnAHugeAlertFailsInsteadOfRunningOn(t *testing.T) {
	set := load(t, `groups: [{name: g, rules: [{rule: R, do: rollback, when: 'alert.labels.all(k, !alert.annotations.text.matches("z.*q"))'}]}]`)
	labels := map[string]string{}
	for i := range 2000 {
		labels[fmt.Sprintf("l%d", i)] = "x"
	}
	v := expr.Vars{Alert: expr.Alert{Labels: labels, Annotations: map[string]string{"text": strings.Repeat("z", 1<<20)}}}
	matches, failed := set.AppendMatches(nil, &v)
	require.Empty(t, matches)
	require.Len(t, failed, 1)
	require.Contains(t, failed[0].Why, "cost limit")
}

func TestTheOrderIsThatOfTheFilesThenAsWritten(t *testing.T) {
	one := `groups: [{name: g, rules: [{rule: %s, do: rollback, when: 'alert.labels.a == "b"'}, {rule: %s, do: rollback, when: 'alert.labels.a == "b"'}]}]`
	set, found := Load(newEnv(t), map[string][]byte{"b.yaml": fmt.Appendf(nil, one, "B2", "B1"), "a.yaml": fmt.Appendf(nil, one, "A2", "A1")})
	require.NoError(t, found.Err())
	var names []string
	for _, m := range set.Match(expr.Vars{Alert: expr.Alert{Labels: map[string]string{"a": "b"}}}) {
		names = append(names, m.Rule.Name)
	}
	require.Equal(t, []string{"A2", "A1", "B2", "B1"}, names)
	r, ok := set.Rule("B1")
	require.True(t, ok)
	require.Equal(t, "observe", r.Mode, "without a word a rule only observes")
}

func TestMatchIsSafeForManyAtOnce(t *testing.T) {
	set := load(t, matchRules)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			v := expr.Vars{Alert: expr.Alert{Labels: map[string]string{"alertname": string(rune('A' + i%2)), "environment": "production"}}}
			for range 50 {
				require.NotEmpty(t, set.Match(v))
			}
		})
	}
	group.Wait()
}

const actingRules = `
groups:
  - name: g
    variables:
      - {name: service, value: alert.labels.service}
      - {name: unused, value: alert.labels.x}
    rules:
      - rule: R
        when: service == "api"
        mode: auto
        for: 90s
        target: service + "-eu"
        confirm:
          - {query: 'up{service="${service}", t="${target.name}"}', holds: value > 0.01}
        do: rollback
        labels: {severity: "${alert.labels.level}", team: core}
        annotations: {summary: "errors of ${target.name}: ${alert.labels.note}", other: "${alert.labels.gone}"}
      - {rule: S, do: rollback, when: service == "api", guards: {flapping: {episodes: 3, within: 30m}, recent_change: off, max_per_day: 2}}
`

func TestARuleRendersWhatItSays(t *testing.T) {
	set := load(t, actingRules)
	r, _ := set.Rule("R")
	v := expr.Vars{Alert: expr.Alert{Labels: map[string]string{"service": `a"pi`, "level": "critical", "note": "x\u202e\ny", "severity": "low"}}, Target: expr.Target{Name: "api"}}
	name, err := r.TargetName(v)
	require.NoError(t, err)
	require.Equal(t, `a"pi-eu`, name)
	require.Equal(t, "critical", r.Severity(v))
	require.Equal(t, `errors of api: x\u202e\ny`, r.Summary(v))
	require.Equal(t, map[string]string{"severity": "critical", "team": "core"}, r.RenderedLabels(v))
	require.Equal(t, "${alert.labels.gone}", r.RenderedAnnotations(v)["other"], "what cannot be rendered stays as written")
	query, err := r.Confirm.Queries[0].Render(v)
	require.NoError(t, err)
	require.Equal(t, `up{service="a\x22pi", t="api"}`, query)
	require.Equal(t, 90*time.Second, r.For)

	s, _ := set.Rule("S")
	require.Equal(t, "low", s.Severity(v), "else the alert's own")
	require.Empty(t, s.Summary(v))
	require.Equal(t, map[string]any{"flapping": map[string]any{"episodes": int64(3), "within": "30m"}, "recent_change": "off", "max_per_day": int64(2)}, s.Guards)
	none, err := s.TargetName(v)
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestAMissingLabelNamesNoTargetAndNoQuery(t *testing.T) {
	set := load(t, actingRules)
	r, _ := set.Rule("R")
	var missing *expr.Missing
	_, err := r.TargetName(expr.Vars{})
	require.ErrorAs(t, err, &missing)
	require.Equal(t, "alert.labels.service", missing.Path)
	_, err = r.Confirm.Queries[0].Render(expr.Vars{Alert: expr.Alert{Labels: map[string]string{"service": "api"}}})
	require.ErrorAs(t, err, &missing)
	require.Equal(t, "target.name", missing.Path, "an empty name is none")
}

func TestASampleHoldsOrNotAndNaNIsNeither(t *testing.T) {
	set := load(t, `groups: [{name: g, rules: [{rule: R, do: rollback, when: 'alert.labels.a == "b"', confirm: [{query: up, holds: value > 1}, {query: up, holds: '!(value > 1)'}]}]}]`)
	r, _ := set.Rule("R")
	for _, test := range []struct {
		value float64
		want  bool
	}{{2, true}, {1, false}, {math.Inf(1), true}, {math.Inf(-1), false}} {
		holds, err := r.Confirm.Queries[0].Holds(test.value, expr.Vars{})
		require.NoError(t, err)
		require.Equal(t, test.want, holds)
	}
	for _, q := range r.Confirm.Queries {
		holds, err := q.Holds(math.NaN(), expr.Vars{})
		require.ErrorIs(t, err, ErrNaN, q.Condition)
		require.False(t, holds)
	}
}

func TestTheDigestFollowsTheContentAndTheVariablesUsed(t *testing.T) {
	of := func(text, name string) string { r, _ := load(t, text).Rule(name); return r.Digest }
	base := of(actingRules, "R")
	same := strings.NewReplacer("mode: auto", "mode: 'auto'  # words", "{name: unused, value: alert.labels.x}", "{name: unused, value: alert.labels.other}").Replace(actingRules)
	require.Equal(t, base, of(same, "R"), "quotes, comments and variables it does not use are no change")
	require.NotEqual(t, base, of(strings.Replace(actingRules, "value: alert.labels.service}", "value: alert.labels.svc}", 1), "R"))
	require.NotEqual(t, base, of(strings.Replace(actingRules, "value > 0.01", "value > 0.02", 1), "R"))
	require.NotEqual(t, base, of(actingRules, "S"))
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			set := load(b, manyRules(n))
			v := expr.Vars{Alert: expr.Alert{Status: "firing", Labels: map[string]string{"alertname": "Alert7", "service": "api", "environment": "production", "severity": "critical"}}}
			b.ReportAllocs()
			for b.Loop() {
				if len(set.Match(v)) != 1 {
					b.Fatal("want one match")
				}
			}
		})
	}
}

func manyRules(n int) string {
	var b strings.Builder
	b.WriteString("groups:\n  - name: g\n    variables:\n      - {name: production, value: 'alert.labels.environment == \"production\"'}\n    rules:\n")
	for i := range n {
		fmt.Fprintf(&b, "      - {rule: R%d, do: rollback, when: 'alert.labels.alertname == \"Alert%d\" && production'}\n", i, i)
	}
	return b.String()
}

func BenchmarkLoad(b *testing.B) {
	env, data := newEnv(b), map[string][]byte{"rules.yaml": []byte(manyRules(1000))}
	for b.Loop() {
		if _, found := Load(env, data); found.Err() != nil {
			b.Fatal(found)
		}
	}
}
