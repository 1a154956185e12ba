package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/config"
	"astern.dev/astern/engine/dispatch"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/engine/store"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
	"astern.dev/astern/web"
)

const token = "a-token-of-the-benchmark"

// stack is door, engine, dispatcher and store in this process, as serve puts them together.
type stack struct {
	engine   *engine.Engine
	store    *timedStore
	dispatch *dispatch.Local
	door     *httptest.Server
	began    chan time.Time // of every first step
}

// newStack opens a new database in dir; batch is how many writes share a commit, 0 the product's own.
func newStack(ctx context.Context, dir string, batch, targets int) (*stack, error) {
	s := &stack{began: make(chan time.Time, 1)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	registry, err := actions.NewRegistry(actions.Family{Actions: []actions.Entry{{New: func() actions.Action { return &mark{began: s.began} }}}},
		client.PrometheusFamily, client.AlertmanagerFamily)
	if err != nil {
		return nil, err
	}
	opened, err := store.OpenSQLite(ctx, filepath.Join(dir, "bench.db"), store.Options{Batch: batch})
	if err != nil {
		return nil, err
	}
	s.store = &timedStore{SQLite: opened}
	c, err := loadConfig(dir, registry)
	if err != nil {
		return nil, err
	}
	configuration, err := configure(registry, targets)
	if err != nil {
		return nil, err
	}
	s.engine, err = engine.New(engine.Options{Store: s.store, Log: zap.NewNop(), Now: time.Now, Registry: registry, Config: configuration})
	if err != nil {
		return nil, err
	}
	door, err := web.New(web.Options{Engine: s.engine, Config: c, Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Now: time.Now})
	if err != nil {
		return nil, err
	}
	s.door = httptest.NewServer(door.Handler())
	s.dispatch = dispatch.NewLocal(s.engine.Perform, dispatch.Options{})
	return s, s.engine.Start(ctx, s.dispatch)
}

func (s *stack) close() error {
	s.door.Close()
	return errors.Join(s.dispatch.Close(), s.store.Close())
}

// timedStore notes when the last append that opened an incident was committed.
type timedStore struct {
	*store.SQLite
	apart  bool      // ledger lines get a transaction of their own, after what they tell of
	opened time.Time // read by whoever made it open one alone
}

func (s *timedStore) Append(ctx context.Context, a incident.Append) (incident.Appended, error) {
	lines := a.Lines
	if s.apart {
		a.Lines = nil
	}
	done, err := s.SQLite.Append(ctx, a)
	for n := 0; s.apart && err == nil && n < len(lines); n++ {
		err = s.Deliver(ctx, lines[n])
	}
	if err == nil && a.After == 0 && a.Head != nil {
		s.opened = time.Now()
	}
	return done, err
}

func loadConfig(dir string, registry *actions.Registry) (*config.Config, error) {
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(token), 0o600); err != nil {
		return nil, err
	}
	text := "storage: {url: \"sqlite:x.db\"}\nsenders: [{name: am, type: alertmanager, bearer_token_file: token}]\npeople: [{name: on-call, role: admin, token_file: token2}]\n"
	if err := os.WriteFile(filepath.Join(dir, "token2"), []byte(token+"-of-a-person"), 0o600); err != nil {
		return nil, err
	}
	c, found := config.Load(filepath.Join(dir, "astern.yaml"), []byte(text), registry)
	return c, found.Err()
}

// configure makes targets that each have an environment of their own, so that none waits for another's slot.
func configure(registry *actions.Registry, targets int) (*engine.Configuration, error) {
	env, err := expr.NewEnv()
	if err != nil {
		return nil, err
	}
	set, found := rules.Load(env, map[string][]byte{"rules.yaml": []byte(benchRules)})
	if err := found.Err(); err != nil {
		return nil, err
	}
	book, found := plan.Load(env, registry, plan.Files{
		Targets: map[string][]byte{"targets.yaml": []byte(benchTargets(targets))}, Procedures: map[string][]byte{"procedures.yaml": []byte(benchProcedures)},
	})
	if err := found.Err(); err != nil {
		return nil, err
	}
	guards, problems := incident.GuardsFrom(map[string]any{"mass_event": "off", "settle": "off", "watchdog": "off", "recent_change": "off", "flapping": "off"})
	if len(problems) > 0 {
		return nil, problems[0]
	}
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "[]") }))
	connection := &client.AlertmanagerConnection{}
	connection.URL = silent.URL
	alertmanager, err := connection.Open(client.NewDialer([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}))
	return &engine.Configuration{Rules: set, Book: book, Digest: "bench", Settings: engine.Settings{
		DefaultMode: incident.Auto, Guards: guards, SenderConnections: map[string]string{"am": "only"},
		Connections: map[string]map[string]any{"alertmanager": {"only": alertmanager}},
	}}, err
}

const benchRules = `
groups:
  - name: all
    rules:
      - {rule: Waits, when: 'alert.labels.alertname == "Waits"', mode: auto, for: 1h, confirm: {waived: it is never judged}, do: rollback}
      - {rule: AtOnce, when: 'alert.labels.alertname == "AtOnce"', mode: auto, confirm: {waived: it is measured}, do: rollback}
`

const benchProcedures = `
procedures:
  - name: mark
    steps:
      - {name: mark, uses: bench/mark, with: {to: "${release.previous.version}"}}
`

func benchTargets(count int) string {
	var b strings.Builder
	b.WriteString("targets:\n")
	for n := range count {
		fmt.Fprintf(&b, "  - {name: t%d, procedure: mark, healthy: {waived: it is measured}, select: {service: t%d}, environment: place-%d}\n", n, n, n)
	}
	return b.String()
}

// mark is a step that tells when it began.
type mark struct {
	To string `yaml:"to" json:"to"`

	began chan time.Time
}

func (*mark) Name() string    { return "bench/mark" }
func (*mark) Outputs() any    { return nil }
func (*mark) Validate() error { return nil }

func (*mark) Plan(context.Context, actions.Env) (actions.Change, error) {
	return actions.Change{Changes: true, Summary: "mark"}, nil
}

func (m *mark) Run(context.Context, actions.Env) (actions.Result, error) {
	m.began <- time.Now()
	return actions.Result{Summary: "marked"}, nil
}
