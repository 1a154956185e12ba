package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"astern.dev/astern/actions/all"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// secretSettings is an astern.yaml with a secret in each place where one can be written and is taken.
const secretSettings = `
# canary-comment
storage: {url: "sqlite:astern.db"}
rule_files: [rules.yaml]
target_files: [targets.yaml]
procedure_files: [procedures.yaml]
senders:
  - {name: am, type: alertmanager, bearer_token_file: am.token, connection: eu}
  - {name: us, type: alertmanager, username: canary-user, password_file: viewer.token}
connections:
  alertmanager: {eu: {url: "http://127.0.0.1:1/canary-path"}}
  prometheus:
    eu: {url: "http://127.0.0.1:1", http_config: {http_headers: {X-Key: {values: [canary-header]}}}}
modes: {default: approve, production: auto}
guards: {cooldown: 5m, recent_change: "off", flapping: 4 in 20m}
people: [{name: sre-1, role: admin, token_file: admin.token}]
teams: [{name: core, people: [sre-1], channels: {slack: canary-channel}, guards: {max_per_day: 2}}]
`

func serveWorld(t *testing.T, settings string) (dir string, s *server) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, writeWorld(dir))
	path := filepath.Join(dir, "astern.yaml")
	require.NoError(t, os.WriteFile(path, []byte(settings), 0o600))
	s, err := wire(t.Context(), serveFlags{configFile: path}, zap.NewNop())
	require.NoError(t, err)
	return dir, s
}

func TestNoSecretIsKeptWithAConfiguration(t *testing.T) {
	dir, s := serveWorld(t, secretSettings)
	s.close()
	files, err := filepath.Glob(filepath.Join(dir, "astern.db*"))
	require.NoError(t, err)
	kept := false
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NotContains(t, string(data), "canary", "in %s", name)
		kept = kept || bytes.Contains(data, []byte("ErrorRateSpike"))
	}
	require.True(t, kept, "the rules are there")

	written := []byte("connections: {prometheus: {eu: {url: 'http://p', http_config: {authorization: {credentials: canary-inline}}}}}\n")
	path := filepath.Join(t.TempDir(), "astern.yaml")
	require.NoError(t, os.WriteFile(path, written, 0o600))
	_, found, err := load(path)
	require.NoError(t, err)
	require.ErrorContains(t, found.Err(), "the secret credentials is written in the file", "it does not even come in force")
}

// What is reopened judges as what was in force did: the same rules, plans, modes and guards, with nothing opened.
func TestAConfigurationIsReopenedAsItWas(t *testing.T) {
	dir, s := serveWorld(t, secretSettings)
	defer s.close()
	then, err := s.engine.ConfigurationAt(t.Context(), s.digest(t))
	require.NoError(t, err)
	require.NotNil(t, then.Settings.Connections["prometheus"]["eu"], "the running one")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte(`groups: [{name: g, rules: [{rule: Other, when: 'alert.labels.alertname == "Other"', confirm: {waived: none}, do: rollback}]}]`), 0o600))
	require.NoError(t, s.reload(t.Context()))
	_, there := s.inForce(t).Rules.Rule("Other")
	require.True(t, there)
	past, err := s.engine.ConfigurationAt(t.Context(), then.Digest)
	require.NoError(t, err)
	require.NotSame(t, then, past)
	require.Equal(t, then.Digest, past.Digest)
	rule, there := past.Rules.Rule("ErrorRateSpike")
	require.True(t, there)
	was, _ := then.Rules.Rule("ErrorRateSpike")
	require.Equal(t, was.Digest, rule.Digest)
	require.Equal(t, was.File, rule.File)
	require.Len(t, past.Book.Targets(), len(then.Book.Targets()))
	require.Equal(t, then.Settings.DefaultMode, past.Settings.DefaultMode)
	require.Equal(t, then.Settings.Modes, past.Settings.Modes)
	require.Equal(t, then.Settings.Guards, past.Settings.Guards)
	require.Equal(t, map[string]incident.Guards{"core": then.Settings.TeamGuards["core"]}, past.Settings.TeamGuards)
	require.NotZero(t, past.Settings.TeamGuards["core"])
	require.Equal(t, map[string]string{"am": "eu", "us": "eu"}, past.Settings.SenderConnections)
	require.Equal(t, map[string]map[string]any{"alertmanager": {"eu": nil}, "prometheus": {"eu": nil}}, past.Settings.Connections)

	again, err := s.engine.ConfigurationAt(t.Context(), then.Digest)
	require.NoError(t, err)
	require.Same(t, past, again, "read once")
	_, err = s.engine.ConfigurationAt(t.Context(), "never in force")
	require.ErrorIs(t, err, engine.ErrNotFound)
}

func (s *server) digest(t *testing.T) string {
	t.Helper()
	status, err := s.engine.Status(t.Context())
	require.NoError(t, err)
	return status.Config
}

func (s *server) inForce(t *testing.T) *engine.Configuration {
	t.Helper()
	c, err := s.engine.ConfigurationAt(t.Context(), s.digest(t))
	require.NoError(t, err)
	return c
}

func TestASnapshotThatCannotBeReadSaysWhy(t *testing.T) {
	registry, err := all.Registry()
	require.NoError(t, err)
	for text, want := range map[string]string{
		`{`:              "read a configuration's snapshot",
		`{"version": 2}`: "it has form 2, this version of astern reads form 1",
		`{"version": 1, "astern_yaml": {"guards": {"luck": "3"}}}`:                               "does not take the guards of then: guard luck",
		`{"version": 1, "astern_yaml": {"team_guards": {"core": {"cooldown": "soon"}}}}`:         "team core: this version of astern does not take",
		`{"version": 1, "rules": {"r.yaml": "groups: [{name: g, rules: [{rule: R, wen: 1}]}]"}}`: "does not take the files of then",
	} {
		_, err := reopenConfiguration(registry, []byte(text))
		require.ErrorContains(t, err, want)
	}
}
