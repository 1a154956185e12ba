package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

// promoted runs the command on a rule file against a server that says a rule is ready, and gives what it prints.
func promoted(t *testing.T, text, rule string) (string, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	require.NoError(t, os.MkdirAll("rules", 0o755))
	require.NoError(t, os.WriteFile("rules/rules.yaml", []byte(text), 0o644))
	f, err := find([]string{"rules/rules.yaml"})
	require.NoError(t, err)
	l, mistakes, err := f.load()
	require.NoError(t, err)
	require.NoError(t, mistakes.Err())
	written, ok := l.Rules.Rule(rule)
	require.True(t, ok)
	score := incident.Score{WouldAct: 14, Right: 12, Wrong: 1}
	score.Low, score.High = incident.Wilson(12, 13)
	status := engine.RuleStatus{Name: rule, Mode: incident.Mode(written.Mode), Digest: written.Digest, Score: score, Demand: 0.6, Ready: true}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(web.RuleList{Header: web.Header{APIVersion: web.APIVersion, Kind: "RuleList"}, Items: []engine.RuleStatus{status}})
	}))
	defer server.Close()
	require.NoError(t, os.WriteFile("token", []byte("canary"), 0o600))
	a, out := testApp(func(a *app) { a.server, a.tokenFile = server.URL, "token" })
	err = a.promote(context.Background(), rule, []string{"rules/rules.yaml"}, false)
	return out.String(), err
}

const ruleText = `groups:
  - name: api
    rules:
      - rule: Plain                      # the first
        when: alert.labels.alertname == "Plain"
        mode: suggest                    # since spring
        confirm: {waived: seen}
        do: rollback
      - rule: "Quoted"
        when: alert.labels.alertname == "Quoted"
        mode: 'observe'
        do: rollback
      - rule: Silent                     # observes without a word
        when: alert.labels.alertname == "Silent" # é
        do: rollback
      - {rule: Flow, when: 'alert.labels.alertname == "Flow"', do: rollback}
      - {when: 'alert.labels.alertname == "ünïcode"', mode: approve, confirm: {waived: seen}, do: rollback, rule: Last}
      -
        do: rollback
        rule: Below
        when: alert.labels.alertname == "Below"
`

// The diff changes one line, and git and patch take it as it is printed.
func TestTheProposedDiffApplies(t *testing.T) {
	for rule, c := range map[string]struct{ old, now string }{
		"Plain":  {"mode: suggest                    # since spring", "mode: approve                    # since spring"},
		"Quoted": {"mode: 'observe'", "mode: 'suggest'"},
		"Silent": {"- rule: Silent                     # observes without a word\n", "- rule: Silent                     # observes without a word\n        mode: suggest\n"},
		"Flow":   {"{rule: Flow,", "{rule: Flow, mode: suggest,"},
		"Last":   {"mode: approve, confirm", "mode: auto, confirm"},
		"Below":  {"        rule: Below\n", "        rule: Below\n        mode: suggest\n"},
	} {
		for ending, text := range map[string]string{"\n": ruleText, "\r\n": strings.ReplaceAll(ruleText, "\n", "\r\n"), "none at the end": strings.TrimSuffix(ruleText, "\n")} {
			t.Run(rule+" "+ending, func(t *testing.T) {
				old, now := c.old, c.now
				if ending == "\r\n" {
					old, now = strings.ReplaceAll(old, "\n", "\r\n"), strings.ReplaceAll(now, "\n", "\r\n")
				}
				require.Contains(t, text, old)
				printed, err := promoted(t, text, rule)
				require.NoError(t, err)
				want := strings.Replace(text, old, now, 1)
				for _, tool := range [][]string{{"git", "apply", "-"}, {"patch", "-p1", "--binary"}} {
					path, err := exec.LookPath(tool[0])
					if err != nil {
						t.Logf("%s is not here", tool[0])
						continue
					}
					require.NoError(t, os.WriteFile("rules/rules.yaml", []byte(text), 0o644))
					cmd := exec.CommandContext(t.Context(), path, tool[1:]...)
					cmd.Stdin = strings.NewReader(printed)
					said, err := cmd.CombinedOutput()
					require.NoError(t, err, "%s: %s\n%s", tool[0], said, printed)
					got, err := os.ReadFile("rules/rules.yaml")
					require.NoError(t, err)
					require.Equal(t, want, string(got), tool[0])
				}
			})
		}
	}
}

func TestTheProposalSaysWhatSpeaksForIt(t *testing.T) {
	printed, err := promoted(t, ruleText, "Plain")
	require.NoError(t, err)
	require.Equal(t, `# Plain: suggest -> approve
# In 30 days it would have acted 14 times; 12 of 13 right, at least 66 %. Demanded: 60 % of at least 10.
# Once loaded it only suggests for a day, like every changed rule, unless: astern rules waive Plain --reason WHY
diff a/rules/rules.yaml b/rules/rules.yaml
--- a/rules/rules.yaml
+++ b/rules/rules.yaml
@@ -3,7 +3,7 @@
     rules:
       - rule: Plain                      # the first
         when: alert.labels.alertname == "Plain"
-        mode: suggest                    # since spring
+        mode: approve                    # since spring
         confirm: {waived: seen}
         do: rollback
       - rule: "Quoted"
`, printed)
}

func TestAModeThatNeedsMoreIsRefused(t *testing.T) {
	_, err := promoted(t, "groups:\n  - name: g\n    rules:\n      - {rule: R, when: 'alert.labels.alertname == \"R\"', mode: suggest, do: rollback}\n", "R")
	require.ErrorContains(t, err, "R cannot be in approve as it is written: mode approve needs `confirm`")
}

func TestAPathElsewhereIsShownFromItsOwnDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	shown, dir := shownPath("sub/rules.yaml")
	require.Equal(t, []string{"sub/rules.yaml", ""}, []string{shown, dir})
	elsewhere := filepath.Join(t.TempDir(), "rules.yaml")
	shown, dir = shownPath(elsewhere)
	require.Equal(t, []string{"rules.yaml", filepath.Dir(elsewhere)}, []string{shown, dir})
}
