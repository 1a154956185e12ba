package lint

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

// Not to look at a rule must hide nothing: whatever covers a rule is among those that are looked at.
func TestWhatCoversARuleIsLookedAt(t *testing.T) {
	env, err := expr.NewEnv()
	require.NoError(t, err)
	covers := 0
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString("groups:\n  - name: g\n    rules:\n")
		for n := range 8 {
			fmt.Fprintf(&b, "      - {rule: R%d, do: rollback, when: '%s'}\n", n, condition(t, 2))
		}
		set, found := rules.Load(env, map[string][]byte{"r.yaml": []byte(b.String())})
		require.NoError(t, found.Err())
		w := &world{in: Input{Rules: set}}
		for _, r := range set.Rules() {
			w.subjects = append(w.subjects, &subject{Rule: r, branches: branchesOf(r.Condition().Expr())})
		}
		for _, s := range w.subjects {
			looked := w.mayCover(s)
			for _, by := range w.subjects {
				if s != by && s.covered(by) {
					covers++
					require.True(t, slices.Contains(looked, by.Rule), "%s covers %s of\n%s", by.Name, s.Name, b.String())
				}
			}
		}
	})
	require.Positive(t, covers, "nothing covers anything")
}

func condition(t *rapid.T, depth int) string {
	if depth > 0 {
		a, b := condition(t, depth-1), condition(t, depth-1)
		return rapid.SampledFrom([]string{a, fmt.Sprintf("(%s) && (%s)", a, b), fmt.Sprintf("(%s) || (%s)", a, b), fmt.Sprintf("!(%s)", a)}).Draw(t, "shape")
	}
	read := rapid.SampledFrom([]string{"alert.labels.a", `alert.labels["b"]`, "alert.annotations.a", "group.labels.a", "alert.source", "alert.status", "alert.fingerprint"}).Draw(t, "read")
	word := rapid.SampledFrom([]string{"x", "y", "firing"})
	return rapid.SampledFrom([]string{
		fmt.Sprintf("%s == %q", read, word.Draw(t, "word")), fmt.Sprintf("%s in [%q, %q]", read, word.Draw(t, "word"), word.Draw(t, "other")),
		fmt.Sprintf("%s != %q", read, word.Draw(t, "word")), fmt.Sprintf("%s.startsWith(%q)", read, word.Draw(t, "word")), "has(alert.labels.a)",
	}).Draw(t, "form")
}
