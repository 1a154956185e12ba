package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"astern.dev/astern/rules/expr"
)

// sample is a handful of rules and alerts. The rules' conditions are kept with the variables put in as text, too, so that
// cel-go alone can say what they mean.
type sample struct {
	variables  [2]string
	conditions []string
	alerts     []expr.Vars
}

func (s sample) file() string {
	var b strings.Builder
	b.WriteString("groups:\n  - name: g\n    variables:\n")
	for n, v := range s.variables {
		fmt.Fprintf(&b, "      - {name: v%d, value: '%s'}\n", n, v)
	}
	b.WriteString("    rules:\n")
	for n, c := range s.conditions {
		fmt.Fprintf(&b, "      - {rule: R%d, do: rollback, when: '%s'}\n", n, c)
	}
	return b.String()
}

func (s sample) plain(condition string) string {
	return strings.NewReplacer("v0", "("+s.variables[0]+")", "v1", "("+s.variables[1]+")").Replace(condition)
}

var (
	aRead = rapid.SampledFrom([]string{"alert.labels.alertname", "alert.labels.a", `alert.labels["a"]`, "alert.labels.b", `alert.labels["my-c"]`,
		"alert.annotations.a", "group.labels.a", "alert.status", "alert.source"})
	aWord = rapid.SampledFrom([]string{"x", "y", "z", "xy", "", "firing", "1"})
)

// aTest is a condition without && and ||.
func aTest(t *rapid.T, variables bool) string {
	read, word, other := aRead.Draw(t, "read"), aWord.Draw(t, "word"), aWord.Draw(t, "other")
	forms := []string{
		fmt.Sprintf("%s == %q", read, word), fmt.Sprintf("%q == %s", word, read), fmt.Sprintf("%s in [%q, %q]", read, word, other),
		fmt.Sprintf("%s != %q", read, word), fmt.Sprintf("%s.startsWith(%q)", read, word), fmt.Sprintf("%s.endsWith(%q)", read, word),
		fmt.Sprintf("%s.contains(%q)", read, word), fmt.Sprintf(`%s.matches("^[x%s]$")`, read, word), "has(alert.labels.a)", `"b" in alert.labels`,
		fmt.Sprintf("%s == %s", read, aRead.Draw(t, "read")), fmt.Sprintf("int(%s) > 0", read), fmt.Sprintf("[%q, %q].exists(k, k == %s)", word, other, read),
		fmt.Sprintf("alert.labels.exists(k, %s == %q)", read, word), "v0", "v1",
	}
	if !variables {
		forms = forms[:len(forms)-2]
	}
	return rapid.SampledFrom(forms).Draw(t, "form")
}

func aCondition(t *rapid.T, depth int, variables bool) string {
	if depth == 0 {
		return aTest(t, variables)
	}
	a, b := aCondition(t, depth-1, variables), aCondition(t, depth-1, variables)
	return rapid.SampledFrom([]string{
		a, fmt.Sprintf("%s && %s", a, b), fmt.Sprintf("%s || %s", a, b), fmt.Sprintf("(%s) && (%s)", a, b), fmt.Sprintf("(%s) || (%s)", a, b),
		fmt.Sprintf("!(%s)", a), fmt.Sprintf("(%s) ? (%s) : (%s)", a, b, aTest(t, variables)), fmt.Sprintf("(%s) == (%s)", a, b),
	}).Draw(t, "shape")
}

var someWords = rapid.MapOfN(rapid.SampledFrom([]string{"alertname", "a", "b", "my-c", "d", "e"}), aWord, 0, 5)

var samples = rapid.Custom(func(t *rapid.T) sample {
	s := sample{variables: [2]string{aCondition(t, 1, false), aCondition(t, 1, false)}}
	for range rapid.IntRange(1, 6).Draw(t, "rules") {
		s.conditions = append(s.conditions, aCondition(t, rapid.IntRange(0, 3).Draw(t, "depth"), true))
	}
	for range 8 {
		s.alerts = append(s.alerts, expr.Vars{
			Alert: expr.Alert{
				Status: rapid.SampledFrom([]string{"firing", "resolved"}).Draw(t, "status"), Source: aWord.Draw(t, "source"),
				Labels: someWords.Draw(t, "labels"), Annotations: someWords.Draw(t, "annotations"),
			},
			Group: expr.Group{Labels: someWords.Draw(t, "group")},
		})
	}
	return s
})

// oracle is cel-go alone, over plain maps: no index, no types, no step of our own.
type oracle struct{ env *cel.Env }

func newOracle(t *testing.T) oracle {
	env, err := cel.NewEnv(cel.Variable("alert", cel.DynType), cel.Variable("group", cel.DynType))
	require.NoError(t, err)
	return oracle{env}
}

func (o oracle) holds(t require.TestingT, condition string, v expr.Vars) (bool, error) {
	parsed, issues := o.env.Parse(condition)
	require.NoError(t, issues.Err())
	p, err := o.env.Program(parsed)
	require.NoError(t, err)
	out, _, err := p.Eval(map[string]any{
		"alert": map[string]any{"status": v.Alert.Status, "source": v.Alert.Source, "labels": v.Alert.Labels, "annotations": v.Alert.Annotations},
		"group": map[string]any{"labels": v.Group.Labels},
	})
	if err != nil {
		return false, err
	}
	return out.Value() == true, nil
}

// difference says where an index finds other rules than cel-go alone; empty when nowhere.
func difference(t require.TestingT, o oracle, env *expr.Env, s sample, build func([]*Rule) *index) string {
	set, found := Load(env, map[string][]byte{"r.yaml": []byte(s.file())})
	require.NoError(t, found.Err(), s.file())
	set.index = build(set.rules)
	for _, v := range s.alerts {
		var want, broken, got []string
		for n, c := range s.conditions {
			if holds, err := o.holds(t, s.plain(c), v); holds {
				want = append(want, fmt.Sprintf("R%d", n))
			} else if err != nil {
				broken = append(broken, fmt.Sprintf("R%d", n))
			}
		}
		for _, m := range set.Match(v) {
			got = append(got, m.Rule.Name)
		}
		judged, failed := set.AppendMatches(nil, &v)
		require.Equal(t, set.Match(v), judged)
		for _, f := range failed {
			require.Contains(t, broken, f.Rule.Name, "what fails here fails without an index, too")
		}
		if !slices.Equal(want, got) {
			return fmt.Sprintf("want %v, got %v for %+v of\n%s", want, got, v.Alert, s.file())
		}
	}
	return ""
}

func TestTheIndexFindsWhatPlainEvaluationFinds(t *testing.T) {
	o, env := newOracle(t), newEnv(t)
	rapid.Check(t, func(t *rapid.T) {
		s := samples.Draw(t, "sample")
		require.Empty(t, difference(t, o, env, s, newIndex))
	})
}

// Each of these indexes is wrong in one way. The property above must notice.
func TestAWrongIndexIsNoticed(t *testing.T) {
	o, env := newOracle(t), newEnv(t)
	for name, wrong := range map[string]func(counts, ast.Expr) ([]atom, bool){
		"one side of || is taken for both": func(c counts, x ast.Expr) ([]atom, bool) {
			if a, b, function, ok := sides(x); ok && function == operators.LogicalOr {
				if atoms, ok := c.necessary(a); ok {
					return atoms, true
				}
				return c.necessary(b)
			}
			return c.necessary(x)
		},
		"what stands under ! is taken for needed":    under(operators.LogicalNot),
		"the question of ?: is taken for needed":     under(operators.Conditional),
		"what stands beside == is taken for needed":  under(operators.Equals),
		"a rule without a condition is never looked": func(c counts, x ast.Expr) ([]atom, bool) { atoms, _ := c.necessary(x); return atoms, true },
		"only the first word of a list is looked up": func(c counts, x ast.Expr) ([]atom, bool) {
			atoms, ok := c.necessary(x)
			return atoms[:min(len(atoms), 1)], ok
		},
	} {
		t.Run(name, func(t *testing.T) {
			build := func(rules []*Rule) *index {
				c := countAtoms(rules)
				return fileRules(rules, func(x ast.Expr) ([]atom, bool) { return wrong(c, x) })
			}
			noticed := false
			for seed := 0; seed < 2000 && !noticed; seed++ {
				noticed = difference(t, o, env, samples.Example(seed), build) != ""
			}
			require.True(t, noticed, "2,000 samples and nothing was noticed")
		})
	}
}

// under makes the mistake of looking for conditions under another function.
func under(function string) func(counts, ast.Expr) ([]atom, bool) {
	return func(c counts, x ast.Expr) ([]atom, bool) {
		if atoms, ok := c.necessary(x); ok || x.Kind() != ast.CallKind || x.AsCall().FunctionName() != function {
			return atoms, ok
		}
		return c.necessary(x.AsCall().Args()[0])
	}
}

func TestWhereARuleIsLookedFor(t *testing.T) {
	const always = "always"
	for condition, want := range map[string]string{
		`alert.labels.a == "x"`:                                                  "a=x",
		`"x" == alert.labels["a"] && alert.value > 1`:                            "a=x",
		`alert.value > 1 || alert.labels.a == "x"`:                               always,
		`alert.labels.a == "x" || alert.labels.b in ["y", "z", "y"]`:             "a=x b=y b=z",
		`alert.status == "firing" && alert.labels.common == "c"`:                 "common=c",
		`alert.labels.common == "c" && alert.annotations.a == "x"`:               "a=x",
		`alert.labels.common == "c" && (alert.source == "x" || named)`:           "=x n=x",
		`alert.labels.common == "c" && (alert.source == "x" || alert.value > 1)`: "common=c",
		`group.labels.a == "x"`:                                                  "a=x",
		`has(alert.labels.a) && !(alert.labels.a != "x")`:                        always,
		`alert.labels.a in []`:                                                   always,
		`alert.labels.a in [alert.labels.b]`:                                     always,
		`alert.labels.a == alert.labels.b`:                                       always,
		`alert.labels.a == "x" ? true : false`:                                   always,
		`["x"].exists(k, alert.labels.a == "x")`:                                 always,
		`{"a": "x"}.a == "x" && alert.labels != {}`:                              always,
		`alert.fingerprint == "x"`:                                               always,
	} {
		common := `{rule: C1, do: rollback, when: 'alert.labels.common == "c"'}, {rule: C2, do: rollback, when: 'alert.labels.common == "c"'}`
		set := load(t, fmt.Sprintf(`groups: [{name: g, variables: [{name: named, value: 'alert.labels.n == "x"'}], rules: [%s, {rule: R, do: rollback, when: '%s'}]}]`, common, condition))
		got := always
		if !slices.Contains(set.index.always, 2) {
			var atoms []string
			for _, c := range set.index.fields {
				for value, rules := range c.values {
					if n := slices.Index(rules, 2); n >= 0 {
						require.Equal(t, n, len(rules)-1, "once")
						atoms = append(atoms, c.field.Key+"="+value)
					}
				}
			}
			slices.Sort(atoms)
			got = strings.Join(atoms, " ")
		}
		require.Equal(t, want, got, condition)
	}
}

func TestARuleThatIsNotLookedForCannotFail(t *testing.T) {
	set := load(t, `groups: [{name: g, rules: [{rule: R, do: rollback, when: 'alert.labels.a == "x" && int(alert.labels.n) > 1'}]}]`)
	_, failed := set.AppendMatches(nil, &expr.Vars{Alert: expr.Alert{Labels: map[string]string{"a": "y", "n": "many"}}})
	require.Empty(t, failed)
	_, failed = set.AppendMatches(nil, &expr.Vars{Alert: expr.Alert{Labels: map[string]string{"a": "x", "n": "many"}}})
	require.Len(t, failed, 1)
	require.Equal(t, "R", set.Explain(expr.Vars{Alert: expr.Alert{Labels: map[string]string{"a": "y", "n": "many"}}})[0].Rule.Name, "explain asks every rule")
}

func TestAnAlertWithOneCandidateAllocatesNothing(t *testing.T) {
	set := load(t, manyRules(1000))
	for name, labels := range map[string]map[string]string{
		"matches":       {"alertname": "Alert7", "service": "api", "environment": "production"},
		"half matches":  {"alertname": "Alert7", "environment": "test"},
		"lacks a label": {"alertname": "Alert7"},
		"none":          {"alertname": "Other", "environment": "production"},
	} {
		v := expr.Vars{Alert: expr.Alert{Status: "firing", Labels: labels}}
		matches := make([]Match, 0, 4)
		require.Zero(t, testing.AllocsPerRun(1000, func() { matches, _ = set.AppendMatches(matches[:0], &v) }), name)
	}
}
