//go:build crash

package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"astern.dev/astern/actions/slack/slacktest"
)

// crashWorld is everything around astern, in this process, which outlives every kill: Prometheus and Alertmanager as far
// as astern asks them, a Slack, and services whose steps it counts.
type crashWorld struct {
	prometheus, alertmanager, slackServer, services *httptest.Server

	slack *slacktest.Server
	busy  *connections

	mu     sync.Mutex
	broken map[string]bool   // target -> its error rate is high
	listed map[string][]byte // Alertmanager's list, by any key
	flips  map[string]int    // incident -> how often the step that must not be repeated took effect
	puts   map[string]int    // path -> how often a converging step was sent
	idle   map[string]bool   // path -> its effect is there
}

func newCrashWorld(t *testing.T, targets []string) *crashWorld {
	w := &crashWorld{slack: slacktest.New(), busy: newConnections(), broken: map[string]bool{}, listed: map[string][]byte{},
		flips: map[string]int{}, puts: map[string]int{}, idle: map[string]bool{}}
	for _, name := range targets {
		w.slack.AddChannel(slackChannel(name), name)
	}
	serve := func(h http.Handler) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.Config.ConnState = w.busy.changed
		s.Start()
		t.Cleanup(s.Close)
		return s
	}
	w.prometheus, w.alertmanager = serve(http.HandlerFunc(w.servePrometheus)), serve(http.HandlerFunc(w.serveAlertmanager))
	w.slackServer, w.services = serve(w.slack), serve(http.HandlerFunc(w.serveServices))
	return w
}

func slackChannel(target string) string {
	return "C0" + strings.ToUpper(strings.ReplaceAll(target, "-", ""))
}

// breaks makes a target fail and shows its alert in Alertmanager's list; mends takes the alert back.
func (w *crashWorld) breaks(target string, alert []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken[target], w.listed[target] = true, alert
}

func (w *crashWorld) mends(target string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.listed, target)
}

func (w *crashWorld) flipped(incident string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flips[incident]
}

var ofService = regexp.MustCompile(`service="([^"]+)"`)

// servePrometheus answers range queries: the error rate of the service a query names, or its requests.
func (w *crashWorld) servePrometheus(rw http.ResponseWriter, req *http.Request) {
	_ = req.ParseForm()
	if req.Form.Get("lookback_delta") == "x" {
		rw.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(rw, `{"status":"error","errorType":"bad_data","error":"error parsing lookback delta duration"}`)
		return
	}
	query, value := req.Form.Get("query"), "50"
	if named := ofService.FindStringSubmatch(query); named != nil && strings.HasPrefix(query, "errors") {
		w.mu.Lock()
		value = map[bool]string{true: "0.03", false: "0"}[w.broken[named[1]]]
		w.mu.Unlock()
	}
	from, _ := strconv.ParseFloat(req.Form.Get("start"), 64)
	to, _ := strconv.ParseFloat(req.Form.Get("end"), 64)
	step, _ := strconv.ParseFloat(req.Form.Get("step"), 64)
	var points []string
	for at := from; at <= to+1e-6; at += max(step, 1) {
		points = append(points, fmt.Sprintf("[%.3f,%q]", at, value))
	}
	fmt.Fprintf(rw, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[%s]}]}}`, strings.Join(points, ","))
}

func (w *crashWorld) serveAlertmanager(rw http.ResponseWriter, _ *http.Request) {
	w.mu.Lock()
	list := bytes.Join(slices.Collect(maps.Values(w.listed)), []byte(","))
	w.mu.Unlock()
	for _, part := range [][]byte{[]byte("["), list, []byte("]")} {
		_, _ = rw.Write(part) // a client that was killed is no fault of the world
	}
}

// serveServices is what the steps change and ask: /healthz, /TARGET/INCIDENT/traffic and drained by PUT, and
// /TARGET/INCIDENT/flip by a POST that has its effect each time it is sent.
func (w *crashWorld) serveServices(rw http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/healthz" {
		fmt.Fprintln(rw, "ok")
		return
	}
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	if len(parts) != 3 {
		http.NotFound(rw, req)
		return
	}
	target, incident := parts[0], parts[1]
	w.mu.Lock()
	defer w.mu.Unlock()
	switch req.Method {
	case http.MethodPut:
		w.puts[req.URL.Path]++
		w.idle[req.URL.Path] = true
		w.broken[target] = false
	case http.MethodPost:
		w.flips[incident]++
		w.idle[req.URL.Path] = true
	}
	fmt.Fprintf(rw, `{"done":%t}`, w.idle[req.URL.Path])
}

// connections counts those that are open, so that a test can wait until the world has heard out a process that was
// killed: what it sent before its end is then done, and its successor's questions are answered by the truth.
type connections struct {
	mu   sync.Mutex
	none *sync.Cond
	open map[net.Conn]bool
}

func newConnections() *connections {
	c := &connections{open: map[net.Conn]bool{}}
	c.none = sync.NewCond(&c.mu)
	return c
}

func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open[conn] = true
	case http.StateClosed, http.StateHijacked:
		delete(c.open, conn)
	}
	if len(c.open) == 0 {
		c.none.Broadcast()
	}
}

func (c *connections) awaitNone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.open) > 0 {
		c.none.Wait()
	}
}

// crashAlert is one alert as Alertmanager's API lists it.
func crashAlert(labels map[string]string, starts time.Time) []byte {
	raw, err := json.Marshal(map[string]any{
		"labels": labels, "annotations": map[string]string{"summary": "more than 1 % of the answers are errors"},
		"startsAt": starts, "updatedAt": starts, "endsAt": starts.Add(time.Hour), "fingerprint": "2fd8f0b5b35c9a66",
		"generatorURL": "http://prometheus.example:9090/graph?g0.expr=errors+%3E+0.01&g0.tab=1", "receivers": []map[string]string{{"name": "astern"}},
		"status": map[string]any{"state": "active", "silencedBy": []string{}, "inhibitedBy": []string{}, "mutedBy": []string{}},
	})
	if err != nil {
		panic(err) // a value of this function's own
	}
	return raw
}

// lists shows one more alert in Alertmanager's list.
func (w *crashWorld) lists(key string, alert []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listed[key] = alert
}
