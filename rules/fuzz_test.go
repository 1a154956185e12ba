package rules

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"astern.dev/astern/rules/expr"
)

// Whatever a rule file holds: it loads or it is refused with places inside the file, and what loads can be asked.
func FuzzRules(f *testing.F) {
	paths, err := filepath.Glob("testdata/load/*.txtar")
	require.NoError(f, err)
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		require.NoError(f, err)
		for _, file := range archive.Files[:len(archive.Files)-1] {
			f.Add(file.Data)
		}
	}
	policy, err := os.ReadFile("../examples/honeylink/rules.yaml")
	require.NoError(f, err)
	f.Add(policy)
	f.Add([]byte(matchRules))
	f.Add([]byte(actingRules))
	env := newEnv(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		set, found := Load(env, map[string][]byte{"rules.yaml": data})
		require.Equal(t, found.Err() == nil, set != nil)
		for _, d := range found {
			require.NotEmpty(t, d.Message)
			require.GreaterOrEqual(t, d.Line, 0)
			require.LessOrEqual(t, d.Line, len(data)+2)
			require.NotEmpty(t, d.String())
		}
		if set == nil {
			return
		}
		v := expr.Vars{Alert: expr.Alert{Labels: map[string]string{"alertname": "A"}}, Target: expr.Target{Name: "t"}}
		require.Len(t, set.Explain(v), len(set.Rules()))
		set.Match(v)
		for _, r := range set.Rules() {
			_, _ = r.TargetName(v)
			r.Summary(v)
			for _, q := range r.Confirm.Queries {
				_, _ = q.Render(v)
				_, _ = q.Holds(1, v)
			}
		}
	})
}
