package expr

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func read(t *testing.T, text string) *File {
	t.Helper()
	f, _ := ParseFile("f.yaml", []byte(text))
	return f
}

func TestTheReaderTellsEveryMistakeWithItsPlace(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		ask  func(*Node)
		want string
	}{
		"unknown key": {"a: 1\nwken: x\n", func(n *Node) { n.Map("a", "when") },
			"error: unknown key \"wken\" (yaml/unknown-key)\n  ---> f.yaml:2:1\n   2 | wken: x\n     | ^^^^ did you mean \"when\"?"},
		"duplicate key": {"a: 1\nb: 2\na: 3\n", func(*Node) {},
			"error: the key \"a\" stands twice (yaml/duplicate-key)\n  ---> f.yaml:3:1\n   3 | a: 3\n     | ^ first in line 1"},
		"tag": {"a: !x foo\n", func(*Node) {},
			"error: the tag !x is not read here (yaml/tag)\n  ---> f.yaml:1:4\n   1 | a: !x foo\n     |    ^^ write the plain value"},
		"anchor": {"a: &x foo\n", func(*Node) {},
			"error: anchors and aliases are not read here (yaml/anchor)\n  ---> f.yaml:1:4\n   1 | a: &x foo\n     |    ^^ write it out, or use `variables`, `vars` or a class"},
		"second document": {"a: 1\n---\nb: 2\n", func(*Node) {},
			"error: a second document begins here: one file holds one (yaml/documents)\n  ---> f.yaml:2:1\n   2 | ---\n     | ^^^"},
		"syntax": {"a: b: c\n", func(*Node) {},
			"error: mapping values are not allowed in this context (yaml/syntax)\n  ---> f.yaml:1:5\n   1 | a: b: c\n     |     ^"},
		"not a string": {"a:\n  b: 010\n", func(n *Node) { n.Get("a").Get("b").In("thing x").Str() },
			"error: want a string, found the number 010 (yaml/kind)\n  ---> f.yaml:2:6 -> thing x\n   2 |   b: 010\n     |      ^^^ write it in quotes: \"010\""},
		"missing key": {"a:\n  b: 1\n", func(n *Node) { n.Get("a").Need("c") },
			"error: \"c\" is missing (yaml/missing-key)\n  ---> f.yaml:2:3\n   2 |   b: 1\n     |   ^"},
		"empty key": {"a:\n", func(n *Node) { n.Need("a") },
			"error: \"a\" is missing (yaml/missing-key)\n  ---> f.yaml:1:1\n   1 | a:\n     | ^"},
		"duration": {"a: 5 minutes\n", func(n *Node) { n.Get("a").Duration() },
			"error: \"5 minutes\" is not a duration such as 30s, 5m or 2d (yaml/duration)\n  ---> f.yaml:1:4\n   1 | a: 5 minutes\n     |    ^^^^^^^^^"},
		"strict decode": {"a:\n  good: x\n  bda: y\n", func(n *Node) {
			var s struct {
				Good string `yaml:"good"`
			}
			n.Get("a").Decode(&s)
		}, "error: unknown key \"bda\" (yaml/unknown-key)\n  ---> f.yaml:3:3\n   3 |   bda: y\n     |   ^^^ known: good"},
		"too deep": {"a: " + strings.Repeat("[", 101) + strings.Repeat("]", 101) + "\n", func(*Node) {},
			"error: nested deeper than 100 levels (yaml/depth)\n  ---> f.yaml:1:104\n   1 | a: " + strings.Repeat("[", 101) + strings.Repeat("]", 101) + "\n     | " + strings.Repeat(" ", 103) + "^"},
		"tabs keep the caret in place": {"a: {\"x\":\t[!t 1]}\n", func(*Node) {},
			"error: the tag !t is not read here (yaml/tag)\n  ---> f.yaml:1:11\n   1 | a: {\"x\":\t[!t 1]}\n     |         \t ^^ write the plain value"},
	} {
		t.Run(name, func(t *testing.T) {
			f := read(t, test.text)
			test.ask(f.Root())
			require.Equal(t, test.want, f.Diagnostics().String())
		})
	}
}

func TestWhatIsNotWrittenIsNoMistake(t *testing.T) {
	for _, text := range []string{"", "# only words\n", "a:\n", "---\n"} {
		f := read(t, text)
		n := f.Root().Get("x").Get("y")
		require.Zero(t, n.Str())
		require.Zero(t, n.Int())
		require.Empty(t, n.List())
		require.Empty(t, n.Map("k").StringMap())
		require.Nil(t, n.Any())
		require.NoError(t, f.Diagnostics().Err())
	}
}

func TestFreeValuesKeepTheirKinds(t *testing.T) {
	f := read(t, "a: [1, 2.5, yes, true, 2026-01-01, 'x', {b: ~}]\n")
	require.Equal(t, []any{int64(1), 2.5, "yes", true, "2026-01-01", "x", map[string]any{"b": nil}}, f.Root().Get("a").Any())
	require.NoError(t, f.Diagnostics().Err())
}

func TestTheCanonicalFormIsTheContentAlone(t *testing.T) {
	same := []string{"a: {b: x, c: [1]}\n", "# words\na:\n  b: 'x'\n  c:\n    - 1 # one\n"}
	require.Equal(t, read(t, same[0]).Root().Canonical(), read(t, same[1]).Root().Canonical())
	require.NotEqual(t, read(t, "a: '1'\n").Root().Canonical(), read(t, "a: 1\n").Root().Canonical())
	require.NotEqual(t, read(t, "a: [[x], y]\n").Root().Canonical(), read(t, "a: [[x, y]]\n").Root().Canonical())
}

func TestNearNames(t *testing.T) {
	require.Equal(t, `did you mean "blue_green"?`, Near("blue_gren", []string{"rolling", "blue_green"}))
	require.Equal(t, `did you mean "alert"?`, Near("alrt", []string{"alert", "now"}))
	require.Equal(t, "known: a, b", Near("zzzzzz", []string{"b", "a"}))
	require.Empty(t, Near("x", nil))
}

func TestOnlyPlainLineBreaks(t *testing.T) {
	for _, odd := range []string{"a: 1\rb: 2", "a: \u0085b", "a: x\u2028y", "a: x\u2029y"} {
		_, found := ParseFile("f.yaml", []byte("k: v\n"+odd))
		require.Error(t, found.Err(), "%q", odd)
		require.Equal(t, 2, found[0].Line)
		require.Contains(t, found[0].Message, "neither LF nor CRLF")
	}
	_, found := ParseFile("f.yaml", []byte("a: 1\r\nb: 2\r\n"))
	require.NoError(t, found.Err())
}

func TestOneExpressionTellsItsFirstMistakesOnly(t *testing.T) {
	f, _ := ParseFile("f.yaml", []byte("when: '"+strings.Repeat("ö ", 3000)+"'"))
	_, found := newEnv(t).Compile(RuleWhen, f.Root().Get("when"), Bool)
	require.Error(t, found.Err())
	require.LessOrEqual(t, found.Errors(), maxIssues)
}
