package prometheus_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/config"
	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/prometheus"
)

func newWait() actions.Action { return &prometheus.Wait{} }

// server answers range queries as Prometheus does: one point a step, left out where value says nothing.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	value   func(at float64) string // "" is a gap
	series  int
	status  int
	stalled bool
	gone    chan struct{}
	asked   []string
}

func newServer(t *testing.T, value func(at float64) string) *server {
	s := &server{value: value, series: 1, gone: make(chan struct{})}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() { close(s.gone); s.Server.Close() })
	return s
}

func always(value string) func(float64) string { return func(float64) string { return value } }

func (s *server) set(change func()) { s.mu.Lock(); defer s.mu.Unlock(); change() }

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	query := r.URL.Query()
	s.asked = append(s.asked, query.Get("query"))
	switch {
	case s.stalled:
		s.mu.Unlock()
		select {
		case <-r.Context().Done():
		case <-s.gone:
		}
		s.mu.Lock()
		panic(http.ErrAbortHandler)
	case s.status != 0:
		w.WriteHeader(s.status)
		fmt.Fprintf(w, `{"status":"error","errorType":"internal","error":"headers were %s"}`, strings.ReplaceAll(r.Header.Get("Authorization"), `"`, ""))
	case query.Get("lookback_delta") == "x":
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"status":"error","errorType":"bad_data","error":"error parsing lookback delta duration: cannot parse \"x\" to a valid duration"}`)
	case query.Get("query") == "up{":
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"status":"error","errorType":"bad_data","error":"parse error"}`)
	default:
		s.answer(w, r)
	}
}

func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	number := func(name string) float64 { n, _ := strconv.ParseFloat(r.URL.Query().Get(name), 64); return n }
	start, end, step := number("start"), number("end"), number("step")
	if strings.HasSuffix(r.URL.Path, "/query") {
		start, end, step = number("time"), number("time"), 1
	}
	var points []string
	for at := start; at <= end+0.0005; at += step {
		if value := s.value(at); value != "" {
			points = append(points, fmt.Sprintf(`[%.3f,"%s"]`, at, value))
		}
	}
	var all []string
	for n := range s.series {
		if len(points) > 0 {
			all = append(all, fmt.Sprintf(`{"metric":{"n":"%d"},"values":[%s]}`, n, strings.Join(points, ",")))
		}
	}
	fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[%s]}}`, strings.Join(all, ","))
}

func (s *server) world(t *testing.T) *actiontest.World {
	c := &client.PrometheusConnection{}
	c.URL = s.URL
	c.HTTPConfig.Authorization = &config.Authorization{Type: "Bearer", Credentials: actiontest.Canary}
	opened, err := c.Open(client.NewDialer(actiontest.Loopback))
	require.NoError(t, err)
	return &actiontest.World{
		Connections: map[string]any{"prometheus": opened}, State: func() string { return "" }, Canary: actiontest.Canary,
		Stall: func() { s.set(func() { s.stalled = true }) },
		Break: map[string]func(){
			"it refuses":       func() { s.set(func() { s.status = 401 }) },
			"it is down":       s.Server.Close,
			"nothing is there": func() { s.set(func() { s.series = 0 }) },
		},
	}
}

func TestWait(t *testing.T) {
	actiontest.Run(t, newWait,
		actiontest.Case{Name: "below", YAML: `{query: up, below: 0.005, for: 1m, within: 1ms}`,
			World: func(t *testing.T) *actiontest.World { return newServer(t, always("0.001")).world(t) }},
		actiontest.Case{Name: "one look", YAML: `{query: up, above: 1, below: 3, within: 1ms, step: 30s}`,
			World: func(t *testing.T) *actiontest.World { return newServer(t, always("2")).world(t) }},
	)
}

func run(t *testing.T, s *server, parameters string) (actions.Result, error) {
	t.Helper()
	action, err := actiontest.Decode(newWait, parameters)
	require.NoError(t, err)
	return action.Run(t.Context(), actiontest.Env(s.world(t)))
}

// Unknown is never good: each of these would be read as "below 0.5" by a careless comparison.
func TestUnknownNeverHolds(t *testing.T) {
	for message, s := range map[string]*server{
		"the value is NaN":        newServer(t, always("NaN")),
		"the value is -Inf":       newServer(t, always("-Inf")),
		"no series":               newServer(t, always("")),
		"0.6 is not below 0.5":    newServer(t, always("0.6")),
		"0.5 is not below 0.5":    newServer(t, always("0.5")),
		"4 of 5 points are there": gapAt(t, 2, "0.1"),
	} {
		_, err := run(t, s, `{query: up, below: 0.5, for: 1m, within: 1ms}`)
		require.ErrorContains(t, err, message)
		require.ErrorContains(t, err, "not reached within 1ms")
		require.False(t, actions.IsPermanent(err))
	}
	several := newServer(t, always("0.1"))
	several.series = 2
	_, err := run(t, several, `{query: up, below: 0.5, for: 1m, within: 1ms}`)
	require.ErrorIs(t, err, client.ErrSeveral)
}

// gapAt leaves the nth point of every window out.
func gapAt(t *testing.T, n int, value string) *server {
	count := -1
	return newServer(t, func(float64) string {
		if count = (count + 1) % 5; count == n {
			return ""
		}
		return value
	})
}

// One bad point anywhere in the window counts.
func TestSustained(t *testing.T) {
	for n := range 5 {
		count := -1
		s := newServer(t, func(float64) string {
			if count = (count + 1) % 5; count == n {
				return "0.7"
			}
			return "0.1"
		})
		_, err := run(t, s, `{query: up, below: 0.5, for: 1m, within: 1ms}`)
		require.ErrorContains(t, err, "0.7 is not below 0.5")
	}
}

func TestWaitsUntilItHolds(t *testing.T) {
	s := newServer(t, always("0.9"))
	action, err := actiontest.Decode(newWait, `{query: up, below: 0.5, within: 1h, step: 1ms}`)
	require.NoError(t, err)
	env := actiontest.Env(s.world(t))
	var told []string
	env.Progress = func(line string) {
		told = append(told, line)
		s.set(func() { s.value = always("0.25") })
	}
	did, err := action.Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, prometheus.Outputs{Value: 0.25}, did.Outputs)
	require.Equal(t, "up below 0.5: now 0.25", did.Summary)
	require.Equal(t, []string{"up below 0.5: 0.9 is not below 0.5"}, told)
}

func TestWhatCannotMendEndsAtOnce(t *testing.T) {
	s := newServer(t, always("0.9"))
	_, err := run(t, s, `{query: "up{", below: 0.5, within: 1h}`)
	require.ErrorContains(t, err, "parse error")
	require.True(t, actions.IsPermanent(err))
	action, err := actiontest.Decode(newWait, `{query: "up{", below: 0.5}`)
	require.NoError(t, err)
	_, err = action.Plan(t.Context(), actiontest.Env(s.world(t)))
	require.ErrorContains(t, err, "parse error")
}

func TestPlan(t *testing.T) {
	s := newServer(t, always("0.02"))
	action, err := actiontest.Decode(newWait, `{query: up, below: 0.005, for: 1m, within: 10m}`)
	require.NoError(t, err)
	change, err := action.Plan(t.Context(), actiontest.Env(s.world(t)))
	require.NoError(t, err)
	require.Equal(t, actions.Change{Summary: "wait until up below 0.005 for 1m0s, at most 10m0s (now 0.02)"}, change)
	s.series = 0
	change, err = action.Plan(t.Context(), actiontest.Env(s.world(t)))
	require.NoError(t, err)
	require.Contains(t, change.Summary, "now unknown")
}

func TestWaitIsRefused(t *testing.T) {
	for parameters, message := range map[string]string{
		`{query: " ", below: 1}`:                   "query",
		`{query: up}`:                              "above, below",
		`{query: up, above: 2, below: 2}`:          "no number",
		`{query: up, below: .nan}`:                 "NaN",
		`{query: up, below: 1, for: -1s}`:          "negative",
		`{query: up, below: 1, for: 2d, step: 1s}`: "too short",
	} {
		action, err := actiontest.Decode(newWait, parameters)
		require.NoError(t, err, parameters)
		require.ErrorContains(t, action.Validate(), message, parameters)
	}
}

// A query arrives as it was written, whatever it holds.
func TestQueriesStayOneParameter(t *testing.T) {
	s := newServer(t, always("1"))
	env := actiontest.Env(s.world(t))
	for _, hostile := range actiontest.Hostile() {
		if strings.TrimSpace(hostile) == "" || hostile == "up{" {
			continue
		}
		below := 2.0
		action := &prometheus.Wait{Query: actions.PromQL(hostile), Below: &below, Within: actions.Duration(time.Millisecond)}
		s.asked = nil
		_, err := action.Run(context.Background(), env)
		require.NoError(t, err, "%.60q", hostile)
		require.Equal(t, hostile, s.asked[len(s.asked)-1])
	}
}
