package engine_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/engine/store"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

// rig is an engine on virtual time with a real store, and a world around it that a test can bend. Work is done in the
// order it falls due; nothing runs between the test's own calls.
type rig struct {
	t      *testing.T
	engine *engine.Engine
	store  *store.SQLite
	path   string
	world  *world

	mu    sync.Mutex
	at    time.Time
	wakes map[wakeKey]time.Time
	files files
	hook  func(string)
	barks bool      // the Watchdog barks every minute
	bark  time.Time // the next one
	opts  func(*engine.Options)
}

type wakeKey struct {
	stream string
	lane   incident.Lane
}

type files struct{ rules, targets, procedures, communications string }

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func newRig(t *testing.T, bend ...func(*rig)) *rig {
	t.Helper()
	r := &rig{t: t, at: start, wakes: map[wakeKey]time.Time{}, files: defaultFiles, path: filepath.Join(t.TempDir(), "astern.db")}
	r.world = &world{now: r.now, values: map[string]func(time.Time) string{}, series: map[string]int{}, alerts: map[string]client.GettableAlert{}, fail: map[string][]error{}, state: "green"}
	r.world.bad()
	for _, b := range bend {
		b(r)
	}
	r.open()
	t.Cleanup(func() { require.NoError(t, r.store.Close()) })
	return r
}

// open starts an engine on the rig's file, as a process does after a start.
func (r *rig) open() {
	var err error
	r.store, err = store.OpenSQLite(r.t.Context(), r.path, store.Options{Now: r.now})
	require.NoError(r.t, err)
	o := engine.Options{Store: r.store, Log: zap.NewNop(), Now: r.now, Registry: r.registry(), Config: r.configuration(r.files), Hook: r.hook}
	if r.opts != nil {
		r.opts(&o)
	}
	r.engine, err = engine.New(o)
	require.NoError(r.t, err)
	require.NoError(r.t, r.engine.Start(r.t.Context(), r))
}

// restart ends the process and starts another on the same file.
func (r *rig) restart() {
	require.NoError(r.t, r.store.Close())
	r.mu.Lock()
	r.wakes = map[wakeKey]time.Time{}
	r.mu.Unlock()
	r.open()
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

// Wake meets engine.Dispatcher.
func (r *rig) Wake(stream string, lane incident.Lane, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := wakeKey{stream, lane}
	if have, ok := r.wakes[key]; !ok || at.Before(have) {
		r.wakes[key] = at
	}
}

func (r *rig) next(until time.Time) (wakeKey, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var first wakeKey
	found := false
	for key, at := range r.wakes {
		better := !found || at.Before(r.wakes[first]) || at.Equal(r.wakes[first]) && (key.stream < first.stream || key.stream == first.stream && key.lane > first.lane)
		if !at.After(until) && better {
			first, found = key, true
		}
	}
	if found {
		if at := r.wakes[first]; at.After(r.at) {
			r.at = at
		}
		delete(r.wakes, first)
	}
	return first, found
}

// advance lets time pass and does what falls due on the way.
func (r *rig) advance(d time.Duration) {
	r.t.Helper()
	until := r.now().Add(d)
	for n := 0; ; n++ {
		require.Less(r.t, n, 100_000, "the engine never comes to rest")
		if r.barkDue(until) {
			continue
		}
		key, due := r.next(until)
		if !due {
			break
		}
		if next := r.engine.Perform(r.t.Context(), key.stream, key.lane); !next.IsZero() {
			r.Wake(key.stream, key.lane, next)
		}
	}
	r.mu.Lock()
	r.at = until
	r.mu.Unlock()
}

// barkDue lets the Watchdog bark when that is what comes next.
func (r *rig) barkDue(until time.Time) bool {
	r.mu.Lock()
	due := r.barks && !r.bark.After(until)
	for _, at := range r.wakes {
		due = due && !at.Before(r.bark)
	}
	if due {
		if r.bark.After(r.at) {
			r.at = r.bark
		}
		r.bark = r.bark.Add(time.Minute)
	}
	r.mu.Unlock()
	if due {
		r.watchdog()
	}
	return due
}

// settle does what is due now.
func (r *rig) settle() { r.t.Helper(); r.advance(0) }

var sre = engine.Person{Name: "sre", Role: "admin", Via: "test"}

// ready arms the installation, tells two releases and lets the Watchdog bark.
func (r *rig) ready() *rig {
	r.t.Helper()
	r.releases("api")
	return r.armed()
}

// armed arms the installation and lets the Watchdog bark.
func (r *rig) armed() *rig {
	r.t.Helper()
	require.NoError(r.t, r.engine.Arm(r.t.Context(), sre, "test"))
	r.barks, r.bark = true, r.now()
	r.settle()
	return r
}

func (r *rig) releases(targets ...string) {
	for _, target := range targets {
		for _, rel := range []incident.Release{
			{Version: "v41", At: r.now().Add(-48 * time.Hour), Verdict: incident.Good, Vars: map[string]string{"track": "blue"}},
			{Version: "v42", At: r.now().Add(-20 * time.Minute), Vars: map[string]string{"track": "green"}},
		} {
			require.NoError(r.t, r.engine.RecordRelease(r.t.Context(), engine.Person{Name: "ci"}, target, rel))
		}
	}
}

func (r *rig) watchdog() {
	r.deliver(notification("firing", map[string]string{"alertname": "Watchdog"}, r.now().Add(-time.Hour)))
}

func labels(alertname, service string) map[string]string {
	return map[string]string{"alertname": alertname, "service": service, "environment": "production"}
}

func notification(status string, l map[string]string, starts time.Time) engine.Notification {
	return engine.Notification{
		Source: "am", Receiver: "astern", Status: status, GroupKey: "{}",
		Alerts: []engine.Delivered{{Alert: incident.Alert{Status: status, Labels: l, StartsAt: starts, Fingerprint: fmt.Sprint(l)}}},
	}
}

func (r *rig) deliver(n engine.Notification) []incident.Decision {
	r.t.Helper()
	for i := range n.Alerts {
		if n.Alerts[i].Alert.Status == "resolved" && n.Alerts[i].Alert.EndsAt.IsZero() {
			n.Alerts[i].Alert.EndsAt = r.now()
		}
	}
	receipt, err := r.engine.Receive(r.t.Context(), n)
	require.NoError(r.t, err)
	return receipt.Decisions
}

// fire delivers one firing alert and shows it in Alertmanager's list.
func (r *rig) fire(alertname, service string) {
	r.t.Helper()
	l := labels(alertname, service)
	r.world.list(l, r.now())
	r.deliver(notification("firing", l, r.now()))
}

func (r *rig) resolve(alertname, service string, started time.Time) {
	r.t.Helper()
	l := labels(alertname, service)
	r.world.unlist(l)
	r.deliver(notification("resolved", l, started))
}

// incident is the target's newest incident.
func (r *rig) incident(target string) incident.Incident {
	r.t.Helper()
	heads, err := r.engine.Incidents(r.t.Context(), incident.HeadFilter{Target: target})
	require.NoError(r.t, err)
	require.NotEmpty(r.t, heads, "no incident of %s", target)
	i, _, err := r.engine.Incident(r.t.Context(), heads[0].ID)
	require.NoError(r.t, err)
	return i
}

func (r *rig) count(target string) int {
	heads, err := r.engine.Incidents(r.t.Context(), incident.HeadFilter{Target: target})
	require.NoError(r.t, err)
	return len(heads)
}

// phase asserts where the target's newest incident stands.
func (r *rig) phase(target string, want incident.Phase) incident.Incident {
	r.t.Helper()
	i := r.incident(target)
	require.Equal(r.t, want, i.Phase, "%s: %s\n%s", i.ID, i.Reason, findings(i))
	return i
}

func findings(i incident.Incident) string {
	raw, _ := json.MarshalIndent(i.Rules, "", " ")
	return string(raw)
}

func (r *rig) registry() *actions.Registry {
	registry, err := actions.NewRegistry(actions.Family{Actions: []actions.Entry{
		{New: func() actions.Action { return &move{world: r.world} }},
		{New: func() actions.Action { return &blind{world: r.world} }},
		{New: func() actions.Action { return &shout{world: r.world} }, Channel: true, Updates: true},
	}}, client.PrometheusFamily, client.AlertmanagerFamily)
	require.NoError(r.t, err)
	return registry
}

// configuration loads the rig's files as the product does and opens its two connections.
func (r *rig) configuration(f files) *engine.Configuration {
	env, err := expr.NewEnv()
	require.NoError(r.t, err)
	set, found := rules.Load(env, map[string][]byte{"rules.yaml": []byte(f.rules)})
	require.NoError(r.t, found.Err())
	book, found := plan.Load(env, r.registry(), plan.Files{
		Targets: map[string][]byte{"targets.yaml": []byte(f.targets)}, Procedures: map[string][]byte{"procedures.yaml": []byte(f.procedures)},
		Communications: map[string][]byte{"communications.yaml": []byte(f.communications)},
	})
	require.NoError(r.t, found.Err())
	return &engine.Configuration{Rules: set, Book: book, Digest: "config", Settings: engine.Settings{
		DefaultMode: incident.Observe, Modes: map[string]incident.Mode{"production": incident.Auto},
		Connections: map[string]map[string]any{
			"prometheus":   {"eu": r.connect(client.PrometheusFamily, r.world.prometheus)},
			"alertmanager": {"eu": r.connect(client.AlertmanagerFamily, r.world.alertmanager)},
		},
		SenderConnections: map[string]string{"am": "eu"},
	}}
}

func (r *rig) connect(f actions.Family, handler http.HandlerFunc) any {
	server := httptest.NewServer(handler)
	r.t.Cleanup(server.Close)
	c := f.NewConnection()
	switch c := c.(type) {
	case *client.PrometheusConnection:
		c.URL = server.URL
	case *client.AlertmanagerConnection:
		c.URL = server.URL
	}
	opened, err := c.Open(client.NewDialer(loopback))
	require.NoError(r.t, err)
	return opened
}
