package web

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/dispatch"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/engine/store"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

// A team's files in small: one target, one rule that asks, one that only observes.
const (
	ruleFile = `
groups:
  - name: all
    rules:
      - rule: Asks
        when: alert.labels.alertname == "Asks"
        mode: approve
        confirm: {waived: no metric can show it}
        guards: {recent_change: "off"}
        do: rollback
      - rule: Observes
        when: alert.labels.alertname == "Observes"
        do: rollback
`
	targetFile = `
classes:
  - {name: service, procedure: move, healthy: {waived: nothing measures it}}
targets:
  - {name: api, class: service, environment: production, select: {service: api}, owner: {team: core}}
`
	procedureFile = `
procedures:
  - name: move
    steps:
      - {name: move, uses: test/move, with: {to: "${release.previous.version}"}, timeout: 10s}
`
)

// newEngine is a real engine over a real store, with a dispatcher that works.
func newEngine(t testing.TB, now func() time.Time) *engine.Engine {
	registry, err := actions.NewRegistry(actions.Family{Actions: []actions.Entry{{New: func() actions.Action { return &move{} }}}})
	require.NoError(t, err)
	env, err := expr.NewEnv()
	require.NoError(t, err)
	set, mistakes := rules.Load(env, map[string][]byte{"rules.yaml": []byte(ruleFile)})
	require.NoError(t, mistakes.Err())
	book, mistakes := plan.Load(env, registry, plan.Files{
		Targets: map[string][]byte{"targets.yaml": []byte(targetFile)}, Procedures: map[string][]byte{"procedures.yaml": []byte(procedureFile)},
	})
	require.NoError(t, mistakes.Err())
	kept, err := store.OpenSQLite(context.Background(), filepath.Join(t.TempDir(), "astern.db"), store.Options{Now: now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, kept.Close()) })
	e, err := engine.New(engine.Options{Store: kept, Log: zap.NewNop(), Now: now, Registry: registry, Config: &engine.Configuration{
		Rules: set, Book: book, Digest: "config", Settings: engine.Settings{
			DefaultMode: incident.Auto, Guards: incident.Guards{Settle: incident.Bound[time.Duration]{Written: true, Off: true}}, // time stands still here
			Connections:       map[string]map[string]any{"alertmanager": {"eu": silentAlertmanager(t)}},
			SenderConnections: map[string]string{"am-bearer": "eu"},
		},
	}})
	require.NoError(t, err)
	d := dispatch.NewLocal(e.Perform, dispatch.Options{Now: now})
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	require.NoError(t, e.Start(context.Background(), d))
	return e
}

// silentAlertmanager answers that it has no alert and so no silence.
func silentAlertmanager(t testing.TB) any {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v2/alerts" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("[]"))
	}))
	t.Cleanup(server.Close)
	c := client.AlertmanagerFamily.NewConnection().(*client.AlertmanagerConnection)
	c.URL = server.URL
	opened, err := c.Open(client.NewDialer([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}))
	require.NoError(t, err)
	return opened
}

// move is an action that moves nothing.
type move struct {
	To string `yaml:"to"`
}

func (m *move) Name() string { return "test/move" }
func (m *move) Outputs() any { return nil }

func (m *move) Validate() error {
	if m.To == "" {
		return errors.New("to: where to move is required")
	}
	return nil
}

func (m *move) Plan(context.Context, actions.Env) (actions.Change, error) {
	return actions.Change{Changes: true, Summary: "move to " + m.To, Diff: []string{"~ version: " + m.To}, Found: "here"}, nil
}

func (m *move) Run(context.Context, actions.Env) (actions.Result, error) {
	return actions.Result{Summary: "moved to " + m.To}, nil
}
