package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
)

// world is what astern sees and changes: queries, Alertmanager's list, and the effects of steps and channels.
type world struct {
	mu       sync.Mutex
	now      func() time.Time
	values   map[string]func(at time.Time) string // a query's value at a time; "" is a gap
	series   map[string]int                       // how many series a query answers with; 1 without a word
	promDown bool
	alerts   map[string]client.GettableAlert
	amDown   bool
	effects  []string // what steps did, in order
	state    string   // what the steps' precondition reads
	fail     map[string][]error
	told     []actions.Message
	tellErr  []error
	onRun    func(step string)
	onAlerts func() // asked when Alertmanager's list is read
	onVerify func(step string) error
	ready    error  // what an action says of its readiness
	planErr  error  // what a look at the world comes to
	until    string // the step that runs until its context ends
	deaf     string // the step that heeds no context
}

func (w *world) set(query, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.values[query] = func(time.Time) string { return value }
}

// bad shows an error rate of 3 % under load; good shows none.
func (w *world) bad() {
	for _, service := range []string{"api", "web", "pay", "one", "two", "three", "four", "five"} {
		w.set("errors{service=\""+service+"\"}", "0.03")
		w.set("requests{service=\""+service+"\"}", "50")
	}
}

func (w *world) good() {
	for _, service := range []string{"api", "web", "pay", "one", "two", "three", "four", "five"} {
		w.set("errors{service=\""+service+"\"}", "0")
	}
}

func (w *world) list(l map[string]string, starts time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := client.GettableAlert{Labels: l, StartsAt: starts, Fingerprint: fmt.Sprint(l)}
	a.Status.State = "active"
	w.alerts[fmt.Sprint(l)] = a
}

func (w *world) unlist(l map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.alerts, fmt.Sprint(l))
}

func (w *world) silence(l map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.alerts[fmt.Sprint(l)]
	a.Status.State, a.Status.SilencedBy = "suppressed", []string{"s-1"}
	w.alerts[fmt.Sprint(l)] = a
}

func (w *world) inhibit(l map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.alerts[fmt.Sprint(l)]
	a.Status.State, a.Status.InhibitedBy = "suppressed", []string{"other"}
	w.alerts[fmt.Sprint(l)] = a
}

func (w *world) did() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.effects)
}

// prometheus answers range queries from the world's values, point by point.
func (w *world) prometheus(rw http.ResponseWriter, req *http.Request) {
	_ = req.ParseForm()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.promDown {
		http.Error(rw, "down", http.StatusServiceUnavailable)
		return
	}
	if delta := req.Form.Get("lookback_delta"); delta == "x" {
		rw.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(rw, `{"status":"error","errorType":"bad_data","error":"error parsing lookback delta duration"}`)
		return
	}
	var result []string
	query := req.Form.Get("query")
	value, known := w.values[query]
	copies := 1
	if n, ok := w.series[query]; ok {
		copies = n
	}
	for n := range copies {
		if !known {
			break
		}
		var points []string
		from, to, step := unix(req.Form.Get("start")), unix(req.Form.Get("end")), unix(req.Form.Get("step"))
		for at := from; at <= to+1e-6; at += step {
			if v := value(time.UnixMilli(int64(at * 1000)).UTC()); v != "" {
				points = append(points, fmt.Sprintf("[%.3f,%q]", at, v))
			}
		}
		if len(points) > 0 {
			result = append(result, fmt.Sprintf(`{"metric":{"n":"%d"},"values":[%s]}`, n, strings.Join(points, ",")))
		}
	}
	fmt.Fprintf(rw, `{"status":"success","data":{"resultType":"matrix","result":[%s]}}`, strings.Join(result, ","))
}

func unix(s string) float64 {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return f
	}
	if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return float64(at.UnixNano()) / 1e9
	}
	d, _ := time.ParseDuration(s)
	return d.Seconds()
}

func (w *world) alertmanager(rw http.ResponseWriter, _ *http.Request) {
	if w.onAlerts != nil {
		w.onAlerts()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.amDown {
		http.Error(rw, "down", http.StatusServiceUnavailable)
		return
	}
	type status struct {
		State       string   `json:"state"`
		SilencedBy  []string `json:"silencedBy"`
		InhibitedBy []string `json:"inhibitedBy"`
		MutedBy     []string `json:"mutedBy"`
	}
	out := []map[string]any{}
	for _, a := range w.alerts {
		out = append(out, map[string]any{
			"labels": a.Labels, "annotations": map[string]string{}, "startsAt": a.StartsAt, "updatedAt": w.now(), "endsAt": w.now().Add(time.Minute),
			"fingerprint": a.Fingerprint, "receivers": []map[string]string{{"name": "astern"}}, "generatorURL": "",
			"status": status{a.Status.State, append([]string{}, a.Status.SilencedBy...), append([]string{}, a.Status.InhibitedBy...), []string{}},
		})
	}
	_ = json.NewEncoder(rw).Encode(out)
}

// move is a step of the test's procedures: it puts the world's state from one word to another.
type move struct {
	To   string `yaml:"to" json:"to"`
	Look bool   `yaml:"look,omitempty" json:"look,omitempty"`

	world *world
}

func (m *move) Name() string                             { return "world/move" }
func (m *move) Ready(context.Context, actions.Env) error { return m.world.ready }
func (m *move) Outputs() any                             { return nil }
func (m *move) Validate() error {
	if m.To == "" {
		return fmt.Errorf("to: is missing")
	}
	return nil
}

func (m *move) Plan(context.Context, actions.Env) (actions.Change, error) {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	if m.world.planErr != nil {
		return actions.Change{}, m.world.planErr
	}
	return actions.Change{Changes: !m.Look, Summary: m.world.state + " -> " + m.To, Found: base(m.world.state)}, nil
}

// base leaves out what the plan's own steps change: the part of the state after the slash.
func base(state string) string { b, _, _ := strings.Cut(state, "/"); return b }

func (m *move) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	step := env.Key[strings.LastIndexByte(env.Key, '/')+1:]
	if step == m.world.deaf {
		select {}
	}
	if step == m.world.until {
		<-ctx.Done()
		return actions.Result{}, ctx.Err()
	}
	if m.world.onRun != nil {
		m.world.onRun(step)
	}
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	if errs := m.world.fail[step]; len(errs) > 0 {
		m.world.fail[step] = errs[1:]
		if errs[0] != nil {
			return actions.Result{}, errs[0]
		}
	}
	if !m.Look {
		m.world.effects = append(m.world.effects, env.Key+"="+m.To)
	}
	return actions.Result{Summary: "moved to " + m.To}, nil
}

// Repair undoes a half move.
func (m *move) Repair(_ context.Context, env actions.Env) error {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	m.world.effects = append(m.world.effects, env.Key+" undone")
	return nil
}

func (m *move) Verify(_ context.Context, env actions.Env) error {
	if m.world.onVerify != nil {
		if err := m.world.onVerify(env.Key[strings.LastIndexByte(env.Key, '/')+1:]); err != nil {
			return err
		}
	}
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	if m.Look || slices.Contains(m.world.effects, env.Key+"="+m.To) {
		return nil
	}
	return actions.NotDone("not moved to %s", m.To)
}

// blind is a step that cannot say whether it happened.
type blind struct {
	To    string `yaml:"to" json:"to"`
	world *world
}

func (b *blind) Name() string    { return "world/blind" }
func (b *blind) Outputs() any    { return nil }
func (b *blind) Validate() error { return nil }
func (b *blind) Plan(context.Context, actions.Env) (actions.Change, error) {
	return actions.Change{Changes: true, Summary: "blind " + b.To}, nil
}
func (b *blind) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	return (&move{To: b.To, world: b.world}).Run(ctx, env)
}

// shout is the test's channel.
type shout struct {
	world *world
}

func (s *shout) Name() string    { return "webhook" }
func (s *shout) Outputs() any    { return nil }
func (s *shout) Validate() error { return nil }
func (s *shout) Plan(context.Context, actions.Env) (actions.Change, error) {
	return actions.Change{}, nil
}
func (s *shout) Run(_ context.Context, env actions.Env) (actions.Result, error) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if len(s.world.tellErr) > 0 {
		err := s.world.tellErr[0]
		s.world.tellErr = s.world.tellErr[1:]
		if err != nil {
			return actions.Result{}, err
		}
	}
	s.world.told = append(s.world.told, env.Notice.Message)
	return actions.Result{Ref: "r"}, nil
}
