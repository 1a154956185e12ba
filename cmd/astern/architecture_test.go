package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "astern.dev/astern"

// rooms says who may import what of ours. A name that ends in /* stands for every folder below. The longest name that
// fits a package counts; a package that none fits has no room and fails the test. Test files are free.
var rooms = map[string][]string{
	"engine/incident": {},
	"actions":         {},
	"rules/expr":      {},

	"rules":              {"rules/expr"},
	"actions/client":     {"actions"},
	"actions/message":    {"actions", "actions/client"},
	"actions/message/*":  {"actions", "actions/message", "actions/message/*"},
	"actions/*":          {"actions", "actions/client", "actions/message", "actions/message/*", "actions/cluster", "actions/repository", "actions/process"},
	"actions/cluster":    {"actions"},
	"actions/repository": {"actions", "actions/client", "actions/process"},
	"actions/process":    {},
	"actions/all":        {"actions", "actions/*"},
	"actions/actiontest": {"actions", "actions/*", "tools/neighbours"},
	"engine/plan":        {"rules/expr", "actions", "engine/incident"},
	"engine/config":      {"rules/expr", "actions", "actions/client", "engine/incident"},
	"engine/store":       {"engine/incident"},
	"engine/store/*":     {"engine/incident", "engine/store"},
	"engine/dispatch":    {"engine/incident"},
	"engine/dispatch/*":  {"engine/incident", "engine/dispatch"},
	"engine":             {"engine/incident", "engine/plan", "rules", "rules/expr", "actions", "actions/client"},
	"engine/promql":      {},
	"engine/lint":        {"engine", "engine/config", "engine/incident", "engine/plan", "engine/promql", "rules", "rules/expr", "actions", "actions/client"},
	"engine/discover":    {"engine", "engine/incident", "engine/plan", "actions", "actions/cluster"},
	"engine/scaffold":    {"engine/promql", "actions", "actions/client"},
	"engine/simulate":    {"engine", "engine/config", "engine/incident", "engine/plan", "engine/store", "rules", "rules/expr", "actions", "actions/client"},
	"engine/simulate/*":  {"engine", "engine/config", "engine/incident", "engine/plan", "engine/simulate", "engine/simulate/*", "rules", "rules/expr", "actions", "actions/client"},
	"web":                {"engine", "engine/config", "engine/incident", "engine/plan", "rules", "rules/expr"},
	"cmd/astern":         {"engine", "engine/*", "rules", "rules/*", "actions", "actions/*", "web"},

	"tools/neighbours": {},
	"tools/bench":      {"engine", "engine/*", "rules", "rules/*", "actions", "actions/*", "web"},
	"tools/*":          {"tools/*", "actions", "actions/all", "rules/expr", "engine/incident"},
	"examples/*":       {"examples/*", "tools/neighbours", "actions/slack/slacktest"},
}

// room finds the entry for a package.
func room(pkg string) (allowed []string, ok bool) {
	if allowed, ok = rooms[pkg]; ok {
		return allowed, true
	}
	for dir := path.Dir(pkg); dir != "."; dir = path.Dir(dir) {
		if allowed, ok = rooms[dir+"/*"]; ok {
			return allowed, true
		}
	}
	return nil, false
}

func fits(allowed []string, pkg string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		below, all := strings.CutSuffix(a, "*")
		return a == pkg || all && strings.HasPrefix(pkg, below)
	})
}

func TestEveryPackageKeepsToItsRoom(t *testing.T) {
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		allowed, ok := room(f.pkg)
		require.True(t, ok, "%s: package %s has no room: see docs/concepts.md", f.path, f.pkg)
		for _, spec := range f.file.Imports {
			imported, ours := strings.CutPrefix(importPath(t, spec), module+"/")
			if ours && !fits(allowed, imported) {
				t.Errorf("%s: %s must not import %s; it may import %v", f.path, f.pkg, imported, allowed)
			}
		}
	}
}

func TestTheTableTellsRightFromWrong(t *testing.T) {
	for _, c := range []struct {
		from, to string
		may      bool
	}{
		{"engine", "engine/incident", true}, {"engine", "engine/store", false}, {"engine", "web", false},
		{"engine/incident", "actions", false}, {"engine/store", "engine", false}, {"engine/store/storetest", "engine/incident", true},
		{"actions/http", "actions/client", true}, {"actions/http", "actions/slack", false}, {"actions/slack/slacktest", "actions/message/fault", true},
		{"rules", "engine/plan", false}, {"web", "actions/all", false}, {"cmd/astern", "actions/all", true}, {"cmd/astern", "tools/neighbours", false},
	} {
		allowed, ok := room(c.from)
		require.True(t, ok, c.from)
		require.Equal(t, c.may, fits(allowed, c.to), "%s imports %s", c.from, c.to)
	}
	_, ok := room("helpers")
	require.False(t, ok)
}

// The judgement imports the standard library alone and never asks for the time: the same history gives the same answer.
func TestTheJudgementIsPure(t *testing.T) {
	for _, f := range sources(t) {
		if f.pkg != "engine/incident" || f.test {
			continue
		}
		for _, spec := range f.file.Imports {
			imported := importPath(t, spec)
			first, _, _ := strings.Cut(imported, "/")
			require.NotContains(t, first, ".", "%s imports %s", f.path, imported)
			require.NotContains(t, []string{"os", "net", "math/rand", "math/rand/v2", "crypto/rand"}, imported, "%s imports %s", f.path, imported)
		}
		require.NotContains(t, calls(f.file, "time"), "Now", f.path)
	}
}

// Nothing sleeps and nothing runs before main. `import "C"` would need a C compiler.
func TestNoInitNoSleepNoC(t *testing.T) {
	for _, f := range sources(t) {
		require.NotContains(t, calls(f.file, "time"), "Sleep", "%s: wait for an event", f.path)
		for _, decl := range f.file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
				require.NotEqual(t, "init", fn.Name.Name, f.path)
			}
		}
		for _, spec := range f.file.Imports {
			require.NotEqual(t, "C", importPath(t, spec), f.path)
		}
		require.NotContains(t, []string{"util", "utils", "common", "types", "models", "helpers", "pkg"}, f.file.Name.Name, f.path)
	}
}

// heavy are packages of client-go that link every type of Kubernetes into the binary: 19 MB. What astern needs of them is
// written in actions/cluster.
var heavy = []string{
	"k8s.io/client-go/discovery", "k8s.io/client-go/restmapper", "k8s.io/client-go/kubernetes", "k8s.io/client-go/scale", "k8s.io/client-go/informers",
	"k8s.io/client-go/dynamic/dynamicinformer", "k8s.io/client-go/tools/events", "k8s.io/client-go/tools/leaderelection", "k8s.io/kubectl", "k8s.io/kubernetes",
	"helm.sh/helm", "sigs.k8s.io/controller-runtime", "sigs.k8s.io/cli-utils", "github.com/fluxcd/cli-utils/pkg/kstatus/polling",
}

func TestNothingLinksEveryTypeOfKubernetes(t *testing.T) {
	for _, f := range sources(t) {
		for _, spec := range f.file.Imports {
			imported := importPath(t, spec)
			for _, banned := range heavy {
				require.False(t, imported == banned || strings.HasPrefix(imported, banned+"/"), "%s imports %s: use actions/cluster", f.path, imported)
			}
		}
	}
}

func TestNoFileIsTooLong(t *testing.T) {
	for _, f := range sources(t) {
		require.LessOrEqual(t, f.lines, 500, "%s: split it by responsibility", f.path)
	}
}

// source is one Go file of this module.
type source struct {
	path, pkg string // both relative to the root, with slashes
	test      bool
	lines     int
	file      *ast.File
}

// sources opens and parses every Go file. Files are opened, not asked of the go command: a test's result is kept until a
// file that it opened changes.
func sources(t *testing.T) []source {
	top, found, files := root(t), []source{}, token.NewFileSet()
	require.NoError(t, filepath.WalkDir(top, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return skip(top, name)
		case !strings.HasSuffix(name, ".go"):
			return nil
		}
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(top, name)
		slashed := filepath.ToSlash(relative)
		found = append(found, source{slashed, path.Dir(slashed), strings.HasSuffix(name, "_test.go"), files.File(file.FileStart).LineCount(), file})
		return err
	}))
	require.NotEmpty(t, found)
	return found
}

// skip leaves out what is not of this module: hidden folders, test data, tools with a go.mod of their own.
func skip(top, dir string) error {
	if dir == top {
		return nil
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	if base := filepath.Base(dir); err == nil || strings.HasPrefix(base, ".") || base == "testdata" || base == "bin" {
		return filepath.SkipDir
	}
	return nil
}

func root(t *testing.T) string {
	top, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	return top
}

func importPath(t *testing.T, spec *ast.ImportSpec) string {
	name, err := strconv.Unquote(spec.Path.Value)
	require.NoError(t, err)
	return name
}

// calls lists what a file uses of a package, such as Now of time.
func calls(file *ast.File, of string) []string {
	used := []string{}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == of {
				used = append(used, s.Sel.Name)
			}
		}
		return true
	})
	return used
}
