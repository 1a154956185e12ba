package ruletest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/simulate/ruletest"
	"astern.dev/astern/rules/expr"
)

// Whatever a test file says, reading it ends, and every mistake has a place in it.
func FuzzLoad(f *testing.F) {
	names, err := filepath.Glob("testdata/*/*.txtar")
	require.NoError(f, err)
	require.NotEmpty(f, names)
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		require.NoError(f, err)
		for _, file := range archive.Files {
			if file.Name == "tests.yaml" {
				f.Add(string(file.Data))
			}
		}
	}
	names, err = filepath.Glob("../../../examples/honeylink/*_test.yaml")
	require.NoError(f, err)
	require.NotEmpty(f, names)
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(string(text))
	}
	world := map[string][]byte{}
	for _, name := range []string{"rules.yaml", "targets.yaml", "procedures.yaml", "communications.yaml"} {
		world[name], err = os.ReadFile(filepath.Join("testdata/world", name))
		require.NoError(f, err)
	}
	always, found, err := configure(f)(ruletest.Sources{Files: worldFiles(world)})
	require.NoError(f, err)
	require.Empty(f, found)
	f.Fuzz(func(t *testing.T, text string) {
		file, found, err := ruletest.Load(filepath.Join("testdata", "world", "tests.yaml"), []byte(text), func(ruletest.Sources) (*engine.Configuration, expr.Diagnostics, error) {
			return always, nil, nil
		})
		require.NoError(t, err)
		require.NotNil(t, file)
		for _, d := range found {
			require.LessOrEqual(t, d.Line, strings.Count(text, "\n")+2)
			require.NotEmpty(t, d.String())
		}
		if found.Err() == nil {
			require.NotEmpty(t, file.Tests)
			for _, one := range file.Tests {
				require.NotEmpty(t, one.Expect, "a test that expects nothing passes whatever happens")
			}
		}
	})
}
