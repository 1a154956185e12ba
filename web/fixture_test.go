package web

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/config"
)

// The secrets of the tests. Each holds the word canary, so that one search finds any that leaks.
const (
	senderToken    = "canary-sender-token"
	senderPassword = "canary-sender-password"
)

func tokenOf(role Role) string { return "canary-token-of-" + string(role) }

// fixture is a server on a port of its own, over a real engine.
type fixture struct {
	*Server
	t        testing.TB
	url      string
	client   *http.Client
	dir      string
	logs     *syncBuffer
	registry *prometheus.Registry

	mu       sync.Mutex
	clock    time.Time
	received []engine.Notification
	// receive, when set, stands between the door and the engine.
	receive func(context.Context, engine.Notification) (engine.Receipt, error)
}

func newFixture(t testing.TB, change ...func(*Options)) *fixture {
	f := &fixture{t: t, dir: t.TempDir(), logs: &syncBuffer{}, registry: prometheus.NewRegistry(), clock: receipt, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{},
	}}
	t.Cleanup(f.client.CloseIdleConnections)
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), f.logs, zapcore.DebugLevel))
	o := Options{Config: f.config(), Registry: f.registry, Log: log, Now: f.time, Reload: func(context.Context) error { return nil }}
	o.Engine = newEngine(t, f.time)
	for _, c := range change {
		c(&o)
	}
	server, err := New(o)
	require.NoError(t, err)
	f.Server = server
	server.door.receive = f.taken(server.door.receive)
	test := httptest.NewServer(server.Handler())
	t.Cleanup(test.Close)
	t.Cleanup(server.Drain)
	f.url = test.URL
	return f
}

// taken notes what the door handed on.
func (f *fixture) taken(next func(context.Context, engine.Notification) (engine.Receipt, error)) func(context.Context, engine.Notification) (engine.Receipt, error) {
	return func(ctx context.Context, n engine.Notification) (engine.Receipt, error) {
		f.mu.Lock()
		f.received = append(f.received, n)
		other := f.receive
		f.mu.Unlock()
		if other != nil {
			return other(ctx, n)
		}
		return next(ctx, n)
	}
}

func (f *fixture) handed() []engine.Notification {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.received
}

func (f *fixture) time() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clock
}

func (f *fixture) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock = f.clock.Add(d)
}

func (f *fixture) config() *config.Config {
	c := &config.Config{Senders: []config.Sender{
		{Name: "am-bearer", Type: "alertmanager", BearerTokenFile: f.secret("sender-token", senderToken+"\n")},
		{Name: "am-basic", Type: "alertmanager", Username: "alertmanager", PasswordFile: f.secret("sender-password", senderPassword)},
	}}
	for _, role := range ladder {
		c.People = append(c.People, config.Person{Name: "sre-" + string(role), Role: config.Role(role), TokenFile: f.secret(string(role), tokenOf(role))})
	}
	c.People = append(c.People, config.Person{Name: "manager", Role: "viewer"})
	return c
}

func (f *fixture) secret(name, content string) string {
	path := filepath.Join(f.dir, name)
	require.NoError(f.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// answered is an answer, read whole.
type answered struct {
	*http.Response
	body []byte
}

func (a answered) problem(t testing.TB) Problem {
	var e ErrorAnswer
	require.NoError(t, json.Unmarshal(a.body, &e), string(a.body))
	require.NotEmpty(t, e.Error.Code)
	require.NotEmpty(t, e.Error.Message)
	return e.Error
}

func (f *fixture) send(r *http.Request) answered {
	response, err := f.client.Do(r)
	require.NoError(f.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(f.t, err)
	return answered{response, body}
}

func (f *fixture) request(method, path, body string, change ...func(*http.Request)) *http.Request {
	r, err := http.NewRequestWithContext(context.Background(), method, f.url+path, bytes.NewBufferString(body))
	require.NoError(f.t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, c := range change {
		c(r)
	}
	return r
}

// deliver knocks at the door as an authenticated sender.
func (f *fixture) deliver(body string, change ...func(*http.Request)) answered {
	return f.send(f.request("POST", "/api/v1/alertmanager", body, append([]func(*http.Request){bearer(senderToken), header_("Content-Type", "application/json")}, change...)...))
}

// as asks the API as a person with this role.
func (f *fixture) as(role Role, method, path, body string, change ...func(*http.Request)) answered {
	return f.send(f.request(method, path, body, append([]func(*http.Request){bearer(tokenOf(role))}, change...)...))
}

func bearer(token string) func(*http.Request) { return header_("Authorization", "Bearer "+token) }

func header_(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		if value == "" {
			r.Header.Del(name)
		} else {
			r.Header.Set(name, value)
		}
	}
}

// metric is the sum of a metric's samples whose labels hold all the given pairs.
func (f *fixture) metric(name string, labels ...string) float64 {
	families, err := f.registry.Gather()
	require.NoError(f.t, err)
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			have := map[string]string{}
			for _, pair := range m.GetLabel() {
				have[pair.GetName()] = pair.GetValue()
			}
			fits := true
			for i := 0; i < len(labels); i += 2 {
				fits = fits && have[labels[i]] == labels[i+1]
			}
			if fits {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) Sync() error { return nil }

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
