package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// writeTeams writes a thousand rules in a hundred files, and the target and procedure they need.
func writeTeams(t *testing.T) string {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	for n := range 100 {
		var b strings.Builder
		fmt.Fprintf(&b, "groups:\n  - name: team\n    variables:\n      - {name: ours, value: 'alert.labels.team == \"t%d\"'}\n    rules:\n", n)
		for i := range 10 {
			fmt.Fprintf(&b, "      - {rule: Team%02dRule%d, when: 'ours && alert.labels.alertname == \"A%d\"', do: rollback}\n", n, i, i)
		}
		write(fmt.Sprintf("rules/team-%02d.yaml", n), b.String())
	}
	write("targets.yaml", "targets:\n  - {name: api, procedure: pause, healthy: {waived: a test}, select: {service: api}, environment: production}\n")
	write("procedures.yaml", "procedures:\n  - name: pause\n    steps:\n      - {name: pause, uses: wait, with: {for: 1s}}\n")
	return dir
}

func checkOf(t *testing.T, dir string) (string, error) {
	var out, complaints bytes.Buffer
	root := rootCommand(&app{in: strings.NewReader(""), out: &out, err: &complaints, plain: true})
	root.SetArgs([]string{"check", dir})
	err := root.ExecuteContext(t.Context())
	require.Empty(t, complaints.String())
	return strings.ReplaceAll(out.String(), dir+"/", ""), err
}

func TestAThousandRulesInAHundredFilesHaveOneSummary(t *testing.T) {
	dir := writeTeams(t)
	got, err := checkOf(t, dir)
	require.NoError(t, err)
	require.Equal(t, "102 files, 1000 rules, 1 target, 1 procedure: no mistakes\n", got)

	path := filepath.Join(dir, "rules", "team-42.yaml")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, bytes.Replace(text, []byte("rule: Team42Rule7"), []byte("rule: Team41Rule7"), 1), 0o644))
	got, err = checkOf(t, dir)
	require.True(t, errors.Is(err, answeredNo), "%v", err)
	require.Equal(t, `error: the rule "Team41Rule7" is there already (rule/twice)
  ---> rules/team-42.yaml:13:16 -> rule Team41Rule7
  13 |       - {rule: Team41Rule7, when: 'ours && alert.labels.alertname == "A7"', do: rollback}
     |                ^^^^^^^^^^^ first at rules/team-41.yaml:13

102 files, 1 target, 1 procedure: 1 error
`, got)
}
