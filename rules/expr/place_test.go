package expr

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	yaml "go.yaml.in/yaml/v4"
	"pgregory.net/rapid"
)

// However a string is written, each of its characters is found where the file has it.
func TestEachCharacterOfAValueIsFoundInTheFile(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		words := rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune("abé.=&'\"\\")), 1, 6, -1), 1, 6).Draw(rt, "words")
		style := rapid.SampledFrom([]string{"plain", "single", "double", "block", "folded"}).Draw(rt, "style")
		text := write(words, style)
		f, found := ParseFile("f.yaml", []byte(text))
		if found.Err() != nil {
			rt.Skip("no YAML: " + text)
		}
		n := f.Root().Get("k").Get("v")
		for i, r := range []rune(strings.TrimSuffix(n.Str(), "\n")) {
			line, column := n.place(i)
			at := []rune(f.line(line))
			if r == ' ' || r == '\n' || style == "double" && (r == '"' || r == '\\') {
				continue
			}
			require.LessOrEqual(rt, column, len(at), text)
			require.Equal(rt, string(r), string(at[column-1]), "character %d of\n%s", i, text)
		}
	})
}

func write(words []string, style string) string {
	switch style {
	case "single":
		return "k:\n  v: '" + strings.ReplaceAll(strings.Join(words, "\n\n    "), "'", "''") + "'\n"
	case "double":
		return "k: {v: \"" + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(strings.Join(words, " ")) + "\"}\n"
	case "block":
		return "k:\n  v: |\n\n      " + strings.Join(words, "\n        ") + "\n"
	case "folded":
		return "k:\n  v: >-\n    " + strings.Join(words, "\n    ") + "\n"
	}
	return "k:\n  v: x" + strings.Join(words, "\n    x") + "\n"
}

func FuzzExpr(f *testing.F) {
	for _, seed := range []string{`alert.labels.x == "y"`, `a ${alert.labels.x} ${"}"} $${`, "${", "value > 1 && target.name in ['a']", `alert.labels.all(k, k.matches("a+"))`, "now - alert.startsAt > duration('5m')", "''' ${", "\\", `r"\`, "// ${x}"} {
		f.Add(seed)
	}
	env := newEnv(f)
	v := Vars{Alert: Alert{Labels: map[string]string{"x": `"y`}}, Target: Target{Name: "t", Vars: map[string]any{"a": []any{"b"}}}}
	f.Fuzz(func(t *testing.T, text string) {
		file, found := ParseFile("f.yaml", fmt.Appendf(nil, "v: %q\n", text))
		if found.Err() != nil {
			return
		}
		n := file.Root().Get("v")
		if p, _ := env.Compile(RuleText, n, Any); p != nil {
			_, _ = p.Eval(v)
			_, _ = p.EvalPartial(Bind(v), "target")
		}
		if tm, _ := env.Template(RuleText, n); tm != nil {
			_, _ = tm.Render(v, nil)
			_, _, _ = tm.RenderPartial(v, nil)
			_, _ = tm.Text(v)
			if tm.CheckPromQL().Err() == nil {
				_, _ = tm.PromQL(v)
			}
		}
		require.NotPanics(t, func() { _ = file.Diagnostics().String() })
	})
}

// In any YAML: the place of each character is in the file, and unless it is lost (the beginning of the value then) the
// same character stands there.
func FuzzPlace(f *testing.F) {
	for _, words := range [][]string{{"a'b", "é.=", "x"}, {"\"", "\\"}} {
		for _, style := range []string{"plain", "single", "double", "block", "folded"} {
			f.Add(write(words, style))
		}
	}
	for _, text := range []string{"k: |2\n    a\n   b\n\n  c\n", "k: >-\n\n  a\n   b\n\n\n  c\n", "k: \"a \\\n   b\\x41\\u00e9\"\n", "\uFEFFk: |+ # c\r\n  a\r\n\r\n", "- >1\n  \n  a\n", "- |\n\ta", "k: >\n  \n", "- |1\n \ta\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, found := ParseFile("f.yaml", []byte(text))
		if found.Err() != nil || file.root.yaml == nil {
			return
		}
		walk(file.root.yaml, func(y *yaml.Node) {
			n := &Node{file: file, yaml: y}
			value := []rune(y.Value)
			if y.Kind != yaml.ScalarNode || len(value) == 0 || len(value) > 1000 {
				return
			}
			for i := range len(value) + 2 {
				line, column := n.place(i)
				require.True(t, line >= 1 && line <= len(file.lines) && column >= 1, "%d:%d", line, column)
				at := []rune(file.line(line))
				require.LessOrEqual(t, column, len(at)+2)
				if i >= len(value) || line == y.Line && column == y.Column || unicode.IsSpace(value[i]) || column <= len(at) && at[column-1] == '\\' {
					continue
				}
				require.LessOrEqual(t, column, len(at))
				require.Equal(t, string(value[i]), string(at[column-1]), "character %d of %q", i, y.Value)
			}
		})
	})
}
