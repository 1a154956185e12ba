package ruletest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/simulate/ruletest"
)

// The guards that a test may name are those that the engine gives findings of.
func TestGuardsAreTheEngines(t *testing.T) {
	constants, calls := map[string]string{}, []ast.Expr{}
	for _, pattern := range []string{"../../*.go", "../../incident/*.go"} {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.ValueSpec:
					for i, value := range n.Values {
						if lit, ok := value.(*ast.BasicLit); ok && lit.Kind == token.STRING {
							constants[n.Names[i].Name], _ = strconv.Unquote(lit.Value)
						}
					}
				case *ast.CallExpr:
					if called, ok := n.Fun.(*ast.Ident); ok && (called.Name == "finding" || called.Name == "pass") {
						calls = append(calls, n.Args[0])
					}
				}
				return true
			})
		}
	}
	require.NotEmpty(t, calls)
	given := map[string]bool{}
	for _, arg := range calls {
		switch arg := arg.(type) {
		case *ast.BasicLit:
			name, err := strconv.Unquote(arg.Value)
			require.NoError(t, err)
			given[name] = true
		case *ast.Ident:
			if constants[arg.Name] != "" {
				given[constants[arg.Name]] = true
			}
		case *ast.SelectorExpr:
			given[constants[arg.Sel.Name]] = true
		}
	}
	for _, word := range []string{"health", "came_back"} { // no guards: they hold nothing, they say whether a rollback helped
		delete(given, word)
	}
	for name := range given {
		require.Contains(t, ruletest.Guards, name)
	}
	for _, name := range ruletest.Guards {
		require.True(t, given[name], "there is no guard %s", name)
	}
	sorted := slices.Clone(ruletest.Guards)
	slices.Sort(sorted)
	require.Len(t, slices.Compact(sorted), len(ruletest.Guards))
}
