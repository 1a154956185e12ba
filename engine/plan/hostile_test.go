package plan

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

const everyPlace = `
procedures:
  - name: query
    steps: [{name: s, uses: test/call, with: {query: 'up{a="${alert.labels.x}", b=~"^(?:${alert.labels.x})$"} > 0'}}]
  - name: url
    steps: [{name: s, uses: test/call, with: {url: "http://h:1/a/${alert.labels.x}/b?c=${alert.labels.x}"}}]
  - name: base
    steps: [{name: s, uses: test/call, with: {url: "${alert.labels.x}"}}]
  - name: args
    steps: [{name: s, uses: test/call, with: {args: ["${alert.labels.x}", "--to=${alert.labels.x}"]}}]
  - name: say
    steps: [{name: s, uses: test/call, with: {say: "<${alert.labels.x}>"}}]
  - name: data
    steps: [{name: s, uses: test/call, with: {body: "${alert.labels.x}", headers: {X: "a ${alert.labels.x}"}, data: {deep: ["${alert.labels.x}", "${alert.labels}"]}}}]
`

// render gives the action as it would run, from what a store gives back.
func renderHostile(t *testing.T, b *Book, procedure, s string) (*call, error) {
	t.Helper()
	target, _ := b.Target("api")
	p, err := b.Render(Input{Target: target, Procedure: procedure, Vars: expr.Vars{Alert: expr.Alert{Labels: map[string]string{"x": s}}}, Now: testNow})
	if err != nil {
		return nil, err
	}
	require.NotContains(t, incident.PlanHash(p), " ")
	action, with, err := b.Action(p.Steps[0], map[string]map[string]any{"s": {"previous": "INTERPRETED"}})
	require.NoError(t, err)
	require.Equal(t, string(p.Steps[0].With), string(with), "nothing in it is an expression any more")
	return action.(*call), nil
}

func hostileBook(t *testing.T) *Book {
	t.Helper()
	b, problems := load(t, Files{
		Targets:    map[string][]byte{"targets.yaml": []byte("targets: [{name: api, environment: test, healthy: {waived: a test}}]")},
		Procedures: map[string][]byte{"procedures.yaml": []byte(everyPlace)},
	})
	require.NoError(t, problems.Err())
	return b
}

func TestAStrangersTextIsNeverInterpreted(t *testing.T) {
	b := hostileBook(t)
	corpus := append(actiontest.Hostile(), "${steps.s.previous}", "$${x}", "$$${alert.labels.x}", "late0late", "${", "$${")
	require.Greater(t, len(corpus), 200)
	refused := 0
	for _, s := range corpus {
		valid := strings.ToValidUTF8(s, "\uFFFD")
		checkQuery(t, b, s, valid)
		checkURL(t, b, s)
		checkArgs(t, b, s, &refused)
		said, err := renderHostile(t, b, "say", s)
		require.NoError(t, err)
		require.Equal(t, -1, strings.IndexFunc(string(said.Say), func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }), "%q", s)
		data, err := renderHostile(t, b, "data", s)
		require.NoError(t, err)
		require.Equal(t, asJSON(s), asJSON(data.Body))
		require.Equal(t, asJSON("a "+s), asJSON(data.Headers["X"]))
		deep := data.Data.(map[string]any)["deep"].([]any)
		require.Equal(t, asJSON(s), asJSON(deep[0].(string)))
		require.Equal(t, asJSON(s), asJSON(deep[1].(map[string]any)["x"].(string)))
	}
	require.Positive(t, refused, "options are refused, not passed on")
}

// asJSON is a text as a history gives it back: what is no UTF-8 has become U+FFFD, byte by byte.
func asJSON(s string) string { return string([]rune(s)) }

func checkQuery(t *testing.T, b *Book, s, valid string) {
	t.Helper()
	a, err := renderHostile(t, b, "query", s)
	require.NoError(t, err)
	m := regexp.MustCompile(`(?s)^up\{a="((?:[^"\\]|\\.)*)", b=~"\^\(\?:((?:[^"\\]|\\.)*)\)\$"\} > 0$`).FindStringSubmatch(string(a.Query))
	require.NotNil(t, m, "the query keeps its shape: %s", a.Query)
	same, err := strconv.Unquote(`"` + m[1] + `"`)
	require.NoError(t, err)
	require.Equal(t, valid, same)
	if len(s) > 1000 {
		return
	}
	pattern, err := strconv.Unquote(`"` + m[2] + `"`)
	require.NoError(t, err)
	require.Regexp(t, regexp.MustCompile(`^(?:`+pattern+`)$`), valid)
	require.NotRegexp(t, regexp.MustCompile(`^(?:`+pattern+`)$`), valid+"x")
}

func checkURL(t *testing.T, b *Book, s string) {
	t.Helper()
	if a, err := renderHostile(t, b, "url", s); err == nil {
		u, err := url.Parse(string(a.URL))
		require.NoError(t, err)
		require.Equal(t, "h:1", u.Host)
		require.Equal(t, "/a/"+s+"/b", u.Path)
		require.Equal(t, url.Values{"c": {s}}, u.Query())
	} else {
		require.Contains(t, []string{"", ".", ".."}, s)
	}
	_, err := renderHostile(t, b, "base", s)
	require.Error(t, err, "%q chose an address", s)
}

func checkArgs(t *testing.T, b *Book, s string, refused *int) {
	t.Helper()
	a, err := renderHostile(t, b, "args", s)
	if err != nil {
		require.True(t, s == "" || s[0] == '-' || strings.Contains(s, "\x00"), "%q is refused: %v", s, err)
		*refused++
		return
	}
	require.Len(t, a.Args, 2)
	require.Equal(t, asJSON(s), asJSON(string(a.Args[0])))
	require.Equal(t, asJSON("--to="+s), asJSON(string(a.Args[1])))
}
