package rules

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/rules/expr"
)

// manyFiles are 100 files of 10 rules each. Their groups have a variable of the same name that says something else in
// each, and the same words in every rule.
func manyFiles() map[string][]byte {
	files := map[string][]byte{}
	for n := range 100 {
		var b strings.Builder
		fmt.Fprintf(&b, "groups:\n  - name: g\n    variables:\n      - {name: ours, value: 'alert.labels.team == \"t%d\"'}\n    rules:\n", n)
		for i := range 10 {
			fmt.Fprintf(&b, "      - rule: F%dR%d\n        when: ours && alert.labels.alertname == \"A%d\"\n        mode: auto\n        confirm:\n          - {query: 'up{service=\"${target.name}\"}', holds: value > 0.5}\n        do: rollback\n", n, i, i)
		}
		files[fmt.Sprintf("team-%02d.yaml", n)] = []byte(b.String())
	}
	return files
}

func TestAThousandRulesInAHundredFilesLoadAsOneSet(t *testing.T) {
	set, found := Load(newEnv(t), manyFiles())
	require.NoError(t, found.Err())
	require.Len(t, set.Rules(), 1000)
	for n, r := range set.Rules() {
		require.Equal(t, fmt.Sprintf("F%dR%d", n/10, n%10), r.Name)
	}
	for _, n := range []int{0, 57, 99} {
		matches := set.Match(expr.Vars{Alert: expr.Alert{Labels: map[string]string{"team": fmt.Sprintf("t%d", n), "alertname": "A3"}}})
		require.Len(t, matches, 1, "the same words mean each group's own variable")
		require.Equal(t, fmt.Sprintf("F%dR3", n), matches[0].Rule.Name)
		query, err := matches[0].Rule.Confirm.Queries[0].Render(expr.Vars{Target: expr.Target{Name: "api"}})
		require.NoError(t, err)
		require.Equal(t, `up{service="api"}`, query)
	}
}

func TestMistakesOfManyFilesAreToldInTheOrderOfTheFiles(t *testing.T) {
	files := manyFiles()
	for name, data := range files {
		files[name] = fmt.Appendf(data, "      - {rule: Twice, do: rollback, when: alert.labels.a == 1}\n")
	}
	for range 5 {
		set, found := Load(newEnv(t), files)
		require.Nil(t, set)
		require.Len(t, found, 100+99)
		require.Equal(t, "team-00.yaml", found[0].File)
		for n, d := range found[1:] {
			require.Equal(t, fmt.Sprintf("team-%02d.yaml", 1+n/2), d.File)
			if n%2 == 0 {
				require.Equal(t, "rule/twice", d.Code)
				require.Equal(t, "first at team-00.yaml:66", d.Hint)
			}
		}
	}
}
