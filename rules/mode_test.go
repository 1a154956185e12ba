package rules

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/rules/expr"
)

func TestWithModeChangesTheModeAlone(t *testing.T) {
	for name, c := range map[string]struct{ rule, mode, want, err string }{
		"written":            {"{rule: R, when: WHEN, mode: observe, do: rollback}", "suggest", "{rule: R, when: WHEN, mode: suggest, do: rollback}", ""},
		"quoted":             {`{rule: "R", when: WHEN, mode: "observe", do: rollback}`, "suggest", `{rule: "R", when: WHEN, mode: "suggest", do: rollback}`, ""},
		"not written":        {`{rule: "R", when: WHEN, do: rollback}`, "suggest", `{rule: "R", mode: suggest, when: WHEN, do: rollback}`, ""},
		"on its own line":    {"rule: R\n        when: WHEN\n        do: rollback", "suggest", "rule: R\n        mode: suggest\n        when: WHEN\n        do: rollback", ""},
		"as a block":         {"rule: R\n        when: WHEN\n        do: rollback\n        mode: |-\n          observe", "suggest", "", ErrByHand.Error()},
		"name with escapes":  {`{rule: "\x52", when: WHEN, do: rollback}`, "suggest", "", ErrByHand.Error()},
		"a mode wants proof": {"{rule: R, when: WHEN, mode: suggest, do: rollback}", "approve", "", "mode approve needs `confirm`"},
	} {
		t.Run(name, func(t *testing.T) {
			text := func(rule string) []byte {
				return []byte(strings.ReplaceAll("groups:\n  - name: g\n    rules:\n      - "+rule+"\n      - {rule: Other, when: WHEN, do: rollback}\n", "WHEN", `'alert.status == "firing"'`))
			}
			env, err := expr.NewEnv()
			require.NoError(t, err)
			files := map[string][]byte{"r.yaml": text(c.rule)}
			set, found := Load(env, files)
			require.NoError(t, found.Err())
			r, ok := set.Rule("R")
			require.True(t, ok)
			after, err := set.WithMode(files, r, c.mode)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, strings.TrimSpace(string(text(c.want))), strings.TrimSpace(string(after)))
			require.Equal(t, text(c.rule), files["r.yaml"], "what was given stays")
		})
	}
}
