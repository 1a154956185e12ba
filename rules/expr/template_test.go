package expr

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

func template(t testing.TB, env *Env, text string) *Template {
	t.Helper()
	tm, found := env.Template(Procedure(nil), scalar(t, text))
	require.NoError(t, found.Err(), text)
	return tm
}

func TestATemplateKeepsWhatItIs(t *testing.T) {
	env := newEnv(t)
	v := Vars{Release: releases, Alert: Alert{Labels: map[string]string{"a": "x"}}, Target: Target{Name: "api", Vars: map[string]any{"list": []any{int64(1), "b"}, "n": int64(7), "f": 0.01}}}
	for text, want := range map[string]any{
		"plain":                                 "plain",
		"${target.vars.n}":                      int64(7),
		"${target.vars.list}":                   []any{int64(1), "b"},
		"n=${target.vars.n} f=${target.vars.f}": "n=7 f=0.01",
		"$${target.name} $$ $x ${target.name}$": "${target.name} $$ $x api$",
		"${ {\"a\": \"}\"}.a }":                 "}",
		"${'}' + \"}\\\"\" + r'\\'}!":           "}}\"\\!",
		"${target.name // a } in a comment\n}":  "api",
		"${'''a}'b''' }":                        "a}'b",
		"a${1}b${true}c${2.5}":                  "a1btruec2.5",
		"é${alert.labels.a}é":                   "éxé",
	} {
		got, err := template(t, env, text).Render(v, nil)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	require.True(t, template(t, env, "a$${b").Constant())
	require.True(t, template(t, env, "${1}").Whole())
	require.Equal(t, Int, template(t, env, "${1}").Kind())
	require.Equal(t, String, template(t, env, "x${1}").Kind())
}

func TestEscapeIsAskedForEachTextPutIn(t *testing.T) {
	env := newEnv(t)
	v := Vars{Alert: Alert{Labels: map[string]string{"a": "<x>"}}, Target: Target{Name: "api"}}
	mark := func(value string, trusted bool) (string, error) {
		if trusted {
			return "T(" + value + ")", nil
		}
		return "H(" + value + ")", nil
	}
	got, err := template(t, env, "a ${alert.labels.a} ${target.name} ${1}").Render(v, mark)
	require.NoError(t, err)
	require.Equal(t, "a H(<x>) T(api) T(1)", got)
	got, err = template(t, env, "${alert.labels.a}").Render(v, mark)
	require.NoError(t, err)
	require.Equal(t, "H(<x>)", got)
	_, err = template(t, env, "a ${alert.labels.a}").Render(v, func(string, bool) (string, error) { return "", errors.New("no") })
	require.EqualError(t, err, "put in ${alert.labels.a}: no")
	_, err = template(t, env, "a ${target.vars.x}").Render(Vars{Target: Target{Vars: map[string]any{"x": []any{}}}}, nil)
	require.EqualError(t, err, "put in ${target.vars.x}: want a string or a number, it gave a list")
}

func TestPartialRenderingFindsMistakesBeforeTheIncident(t *testing.T) {
	env := newEnv(t)
	v := Vars{Target: Target{Name: "api", Vars: map[string]any{"urls": map[string]any{"blue": "http://b"}}}}
	value, unknown, err := template(t, env, "${target.name}-x").RenderPartial(v, nil)
	require.NoError(t, err)
	require.False(t, unknown)
	require.Equal(t, "api-x", value)
	_, unknown, err = template(t, env, "${target.name}-${alert.labels.a}").RenderPartial(v, nil)
	require.NoError(t, err)
	require.True(t, unknown)
	_, _, err = template(t, env, "${alert.labels.a} ${target.vars.ulrs[release.previous.vars.track]}").RenderPartial(v, nil)
	require.EqualError(t, err, "target.vars.ulrs is missing")
	value, unknown, err = template(t, env, "${incident.id}").RenderPartial(Vars{Incident: Incident{ID: "I"}}, nil, "incident")
	require.NoError(t, err)
	require.False(t, unknown)
	require.Equal(t, "I", value)
}

// hostile are label values that mean something somewhere.
var hostile = []string{`"`, `'`, "`", `\`, `\"`, `"} or up{x="`, `a"} or vector(1) #`, "a\nb", "\x00", "\x1b[31m", `.*`, `a|b`, `(?i)x`, `${target.name}`, `$${x}`,
	`\x22`, `\u0022`, "é\u202e\u2066x", strings.Repeat(`\`, 7), `\\"`, "\xff\xfe", "#", `"#`, "}", `{{ $value }}`, `"\n"`, "\\\n", "' or '1'='1"}

func TestPromQLKeepsAStrangersWordsInTheirQuotes(t *testing.T) {
	env := newEnv(t)
	for _, value := range hostile {
		for _, text := range []string{`up{a="${alert.labels.v}"}`, `up{a='${alert.labels.v}'} > 1`, `sum(x{b=~"a${alert.labels.v}.*"}) # "`, `up{a="${alert.labels.v}${alert.labels.v}",b="c"}`} {
			holdPromQL(t, template(t, env, text), value)
		}
	}
}

func TestNoValueLeavesItsPromQLString(t *testing.T) {
	env := newEnv(t)
	templates := []*Template{template(t, env, `up{a="${alert.labels.v}", b='x${alert.labels.v}\\${alert.labels.v}'}`), template(t, env, `x{b!~'${alert.labels.v}', c=~"\"${alert.labels.v}"}`)}
	rapid.Check(t, func(rt *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("\"'`\\\n{}=~#ax0"))), rapid.SampledFrom(hostile)).Draw(rt, "value")
		holdPromQL(rt, rapid.SampledFrom(templates).Draw(rt, "template"), value)
	})
}

type tester interface {
	require.TestingT
	Helper()
}

// holdPromQL reads the query with a lexer of its own: outside of strings it must be what the author wrote, and each
// string must hold the value, word for word.
func holdPromQL(t tester, tm *Template, value string) {
	t.Helper()
	require.Empty(t, tm.CheckPromQL())
	got, err := tm.PromQL(Vars{Alert: Alert{Labels: map[string]string{"v": value}}})
	require.NoError(t, err)
	plain, err := tm.PromQL(Vars{Alert: Alert{Labels: map[string]string{"v": "v"}}})
	require.NoError(t, err)
	outside, inside := readPromQL(t, got)
	wantOutside, wantInside := readPromQL(t, plain)
	require.Equal(t, wantOutside, outside, "query %s", got)
	require.Len(t, inside, len(wantInside))
	valid := strings.ToValidUTF8(value, "\uFFFD")
	for i, s := range inside {
		if strings.Contains(wantInside[i], "v") {
			require.True(t, strings.Contains(s, valid) || strings.Contains(s, quoteMeta(valid)), "string %q of %s", s, got)
		}
	}
}

func quoteMeta(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(`\.+*?()|[]{}^$`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// readPromQL splits a query as Prometheus' lexer and strutil.Unquote do.
func readPromQL(t tester, query string) (outside string, inside []string) {
	t.Helper()
	var out, in strings.Builder
	quote, comment := byte(0), false
	for i := 0; i < len(query); i++ {
		c := query[i]
		switch {
		case comment:
			comment = c != '\n'
			out.WriteByte(c)
		case quote == 0:
			if out.WriteByte(c); c == '"' || c == '\'' || c == '`' {
				quote = c
			}
			comment = c == '#'
		case c == quote:
			inside = append(inside, in.String())
			in.Reset()
			quote = 0
			out.WriteByte(c)
		case c == '\\' && quote != '`':
			i++
			require.Less(t, i, len(query), query)
			switch query[i] {
			case 'n':
				in.WriteByte('\n')
			case '\\':
				in.WriteByte('\\')
			case 'x':
				n := 0
				for _, h := range query[i+1 : i+3] {
					n = n*16 + strings.IndexRune("0123456789abcdef", h)
				}
				in.WriteByte(byte(n))
				i += 2
			case quote:
				in.WriteByte(quote)
			default:
				require.Failf(t, "an escape PromQL does not know", "%q in %s", query[i], query)
			}
		default:
			require.NotEqual(t, byte('\n'), c, "a line end in a string: %s", query)
			in.WriteByte(c)
		}
	}
	require.Zero(t, quote, "a string has no end: %s", query)
	return out.String(), inside
}

func TestPromQLRefusesWhatNoEscapingMakesSafe(t *testing.T) {
	env := newEnv(t)
	v := Vars{Alert: Alert{Labels: map[string]string{"v": "x"}}, Target: Target{Name: "up", Vars: map[string]any{"tick": "a`b", "re": "a|b"}}}
	for text, code := range map[string]string{
		"${alert.labels.v}":                   "promql/unquoted",
		"up{a=${alert.labels.v}}":             "promql/unquoted",
		"up # ${alert.labels.v}":              "promql/unquoted",
		"up{a=`${alert.labels.v}`}":           "promql/backquoted",
		`up{a="\${alert.labels.v}"}`:          "promql/escaped",
		`up{a="b"}${release.current.version}`: "promql/unquoted",
	} {
		tm := template(t, env, text)
		found := tm.CheckPromQL()
		require.Len(t, found, 1, text)
		require.Equal(t, code, found[0].Code, text)
		v.Release = releases
		_, err := tm.PromQL(v)
		require.Error(t, err, text)
	}
	got, err := template(t, env, "${target.name}{a=~\"${target.vars.re}\"}").PromQL(v)
	require.NoError(t, err, "the target's own words may stand outside, and be a pattern")
	require.Equal(t, `up{a=~"a|b"}`, got)
	got, err = template(t, env, `up{a=~"x${alert.labels.v}.*", b="${alert.labels.v}", c!~'${alert.labels.v}'}`).PromQL(Vars{Alert: Alert{Labels: map[string]string{"v": ".*|a"}}})
	require.NoError(t, err, "a stranger's pattern matches itself and nothing else")
	require.Equal(t, `up{a=~"x\\.\\*\\|a.*", b=".*|a", c!~'\\.\\*\\|a'}`, got)
	_, err = template(t, env, "up{a=`${target.vars.tick}`}").PromQL(v)
	require.Error(t, err)
}

func TestTextShowsWhatItHides(t *testing.T) {
	for _, value := range hostile {
		require.NotRegexp(t, "[\x00-\x1f\x7f\u202e\u2066]", EscapeText(value))
	}
	require.Equal(t, `a\n\x1b\u202eb`, EscapeText("a\n\x1b\u202eb"))
}
