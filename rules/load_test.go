package rules

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"astern.dev/astern/rules/expr"
)

var update = flag.Bool("update", false, "write what is found as what is wanted")

// Each archive begins with what it shows, holds rule files, and in "want" every message in full.
func TestLoadTellsEveryMistakeAtOnce(t *testing.T) {
	paths, err := filepath.Glob("testdata/load/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			require.NoError(t, err)
			files, want := map[string][]byte{}, -1
			for i, f := range archive.Files {
				if f.Name == "want" {
					want = i
					continue
				}
				files[f.Name] = f.Data
			}
			require.GreaterOrEqual(t, want, 0, "no want in the archive")
			set, found := Load(newEnv(t), files)
			require.Equal(t, found.Err() == nil, set != nil)
			got := found.String() + "\n"
			if *update {
				archive.Files[want].Data = []byte(got)
				require.NoError(t, os.WriteFile(path, txtar.Format(archive), 0o644))
			}
			require.Equal(t, string(archive.Files[want].Data), got)
		})
	}
}

func newEnv(t testing.TB) *expr.Env {
	t.Helper()
	env, err := expr.NewEnv()
	require.NoError(t, err)
	return env
}

// load reads one file that must be right.
func load(t testing.TB, text string) *Set {
	t.Helper()
	set, found := Load(newEnv(t), map[string][]byte{"rules.yaml": []byte(text)})
	require.NoError(t, found.Err())
	return set
}
