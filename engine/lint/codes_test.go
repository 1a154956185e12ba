package lint_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/lint"
)

// tellers are the folders whose code tells mistakes in files.
var tellers = []string{"rules", "rules/expr", "engine/plan", "engine/config", "engine/lint", "cmd/astern"}

// Every code that the sources tell is in the table, and every code of the table is told somewhere.
func TestTheTableOfCodesIsWhole(t *testing.T) {
	told := map[string]string{}
	for _, dir := range tellers {
		paths, err := filepath.Glob(filepath.Join("..", "..", dir, "*.go"))
		require.NoError(t, err)
		for _, path := range paths {
			if !strings.HasSuffix(path, "_test.go") && !strings.HasPrefix(filepath.Base(path), "codes") {
				maps.Copy(told, codesIn(t, path))
			}
		}
	}
	for name, at := range told {
		_, known := lint.Find(name)
		require.True(t, known, "%s tells %q: write it into engine/lint's table of codes", at, name)
	}
	for _, c := range lint.Codes() {
		require.Contains(t, told, c.Name, "nothing tells %s any more: take it out of the table", c.Name)
	}
}

var codeForm = regexp.MustCompile(`^[a-z]+/[a-z]+(-[a-z]+)*$`)

// tells are the functions whose arguments hold a code.
var tells = []string{"Report", "Warn", "Diagnostic", "Within", "within", "at", "At", "report", "tell", "refused", "within", "misplaced"}

func codesIn(t *testing.T, path string) map[string]string {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	require.NoError(t, err)
	families := map[string]bool{}
	for _, c := range lint.Codes() {
		family, _, _ := strings.Cut(c.Name, "/")
		families[family] = true
	}
	found := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && slices.Contains(tells, s.Sel.Name) {
				for _, arg := range n.Args {
					literal(arg, path, found, nil)
				}
			}
		case *ast.BasicLit:
			literal(n, path, found, families)
		}
		return true
	})
	return found
}

func literal(x ast.Expr, path string, found map[string]string, families map[string]bool) {
	l, ok := x.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return
	}
	text, _ := strconv.Unquote(l.Value)
	family, _, _ := strings.Cut(text, "/")
	if codeForm.MatchString(text) && (families == nil || families[family]) && !slices.Contains(others, text) {
		found[text] = path
	}
}

// others look like codes and are actions.
var others = []string{"prometheus/wait"}

func TestTheTableIsInOrder(t *testing.T) {
	names := lint.Names()
	require.True(t, slices.IsSorted(names))
	require.Equal(t, slices.Compact(slices.Clone(names)), names)
	for _, c := range lint.Codes() {
		require.Regexp(t, codeForm, c.Name)
		require.NotEmpty(t, c.Meaning, c.Name)
		require.NotEmpty(t, c.Mend, c.Name)
		require.Contains(t, []lint.Severity{lint.Error, lint.Warning, lint.Info}, c.Severity, c.Name)
	}
	_, found := lint.Find("rule/nonsense")
	require.False(t, found)
}
