package backtest

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What alerts carry is a stranger's: it breaks no table, and is neither a link nor a mention nor any formatting.
func TestHostileLabelsInMarkdown(t *testing.T) {
	hostile := []string{
		"a | b |\n| x | y", "`code`", "<script>alert(1)</script>", "</code><img src=x>", "[click](http://x.test)", "![x](y)", "@everyone", "#1", "**bold**", "_it_",
		"~~no~~", "https://x.test", "www.x.test", "a\x1b[31mb", "\u202eabc", "$math$", "\\|", "&lt;", ":smile:", "\r\n\r\n# head", "http&#58;//x",
	}
	for _, text := range hostile {
		d := &Diff{Since: begin, Until: begin.Add(time.Hour), Rules: []RuleDiff{{Rule: text}}, Changes: []Change{{
			Rule: text, Labels: map[string]string{"alertname": text, text: text}, From: begin, Count: 2,
			Before: Fate{Outcome: "confirm", Reason: text}, After: Fate{Outcome: WouldAct, Target: text, Leaves: text, Reaches: text, At: begin, Reason: "right"},
		}}}
		var b strings.Builder
		d.Markdown(&b)
		lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
		require.Equal(t, 4, strings.Count(lines[len(lines)-1], "|")-1, "%q: %s", text, b.String())
		require.Len(t, lines, 11, "%q: %s", text, b.String())
		plain(t, code(text))
	}
	rapid.Check(t, func(t *rapid.T) { plain(t, code(rapid.String().Draw(t, "text"))) })
}

var entity = regexp.MustCompile(`&#[0-9]+;`)

// plain says that what stands between the tags is letters, harmless marks and references to characters.
func plain(t require.TestingT, shown string) {
	inner := strings.TrimSuffix(strings.TrimPrefix(shown, "<code>"), "</code>")
	rest := entity.ReplaceAllString(inner, "")
	require.NotContains(t, rest, "\n")
	require.False(t, strings.ContainsAny(rest, "`|<>&[]*~\\@#!:$\r\t\x1b"), shown)
	require.NotContains(t, strings.ToLower(rest), "www.")
}

// The wording of a reason, the incident's name and where it was held are no other outcome; the time of a rollback is.
func TestTheSameFate(t *testing.T) {
	held := Fate{Outcome: "confirm", Reason: "0.01", Target: "api", incident: "api-1"}
	require.True(t, held.same(Fate{Outcome: "confirm", Reason: "0.02", Target: "api-eu", incident: "api-2"}))
	require.False(t, held.same(Fate{Outcome: "recent_change", Reason: "0.01", Target: "api"}))
	acts := Fate{Outcome: WouldAct, Reason: "right", Target: "api", At: begin, Leaves: "v2", Reaches: "v1"}
	for n, other := range []Fate{acts, acts, acts, acts} {
		require.True(t, acts.same(other))
		switch n {
		case 0:
			other.Target = "cart"
		case 1:
			other.At = begin.Add(time.Second)
		case 2:
			other.Leaves = "v3"
		case 3:
			other.Reaches = "v0"
		}
		require.False(t, acts.same(other), n)
	}
}

func TestTheHeadline(t *testing.T) {
	require.Equal(t, "No past alert changes its outcome (3 looked at)", (&Diff{Episodes: 3}).headline())
	require.Equal(t, "1 of 3 past alerts changes its outcome", (&Diff{Episodes: 3, Changed: 1}).headline())
	require.Equal(t, "2 of 3 past alerts change their outcome", (&Diff{Episodes: 3, Changed: 2}).headline())
}
