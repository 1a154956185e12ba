package expr

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestComments(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []Comment
	}{
		"alone and behind":       {"# a\nx: 1 # b\n  # c", []Comment{{1, 1, "# a", true}, {2, 6, "# b", false}, {3, 3, "# c", true}}},
		"no comment in a text":   {"x: \"a # b\"\ny: 'c '' # d'\nz: e#f", nil},
		"behind a text":          {"x: \"a # \\\" b\" # c\ny: 'd' # e", []Comment{{1, 15, "# c", false}, {2, 8, "# e", false}}},
		"in a block":             {"x: | # a\n  # b\n\n  c\n# d\ny: >-\n    e # f\n  # g", []Comment{{1, 6, "# a", false}, {5, 1, "# d", true}, {8, 3, "# g", true}}},
		"a block indented more":  {"x:\n  - |2\n      # a\n    # b\n  # c", []Comment{{5, 3, "# c", true}}},
		"an empty block":         {"x: |\n# a\ny: 1", []Comment{{2, 1, "# a", true}}},
		"over several lines":     {"x: \"a\n  # b\" # c\ny: 'd\n  # e\n  f' # g", []Comment{{2, 8, "# c", false}, {5, 6, "# g", false}}},
		"in a plain text's way":  {"x: a\n # b", []Comment{{2, 2, "# b", true}}},
		"characters, not bytes":  {"x: \"ä€😀\" # c", []Comment{{1, 10, "# c", false}}},
		"a key is a text":        {"\"a # b\": 1 # c", []Comment{{1, 12, "# c", false}}},
		"not read":               {"x: [", nil},
		"nothing but a comment":  {"# a", nil},
		"a text of the flow map": {"{a: \"# b\", c: '# d'} # e", []Comment{{1, 22, "# e", false}}},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := ParseFile("f.yaml", []byte(c.text))
			require.Equal(t, c.want, f.Comments())
		})
	}
}

// Whatever a file holds: what is taken for a comment can be left out, and the file says the same.
func FuzzComments(f *testing.F) {
	for _, text := range []string{"# a\nx: 1 # b", "x: \"a # b\" # c", "x: | # a\n  # b\n# c", "a: 'x '' # y' # z", "- >\n # a\n- # b", "x: \"\\\n # a\" # b", "? \"# a\"\n: b", "x: |1\n  # a\n b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, found := ParseFile("f.yaml", []byte(text))
		comments := file.Comments()
		if found.Err() != nil {
			return
		}
		lines := splitLines([]byte(text))
		for _, c := range comments {
			line := []rune(lines[c.Line-1])
			require.Equal(t, c.Text, string(line[c.Column-1:]))
			lines[c.Line-1] = string(line[:c.Column-1])
		}
		again, found := ParseFile("f.yaml", []byte(strings.Join(lines, "\n")))
		require.NoError(t, found.Err())
		require.Equal(t, string(file.Root().Canonical()), string(again.Root().Canonical()))
	})
}
