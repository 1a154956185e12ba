// Package simulate runs the engine on virtual time: the engine, its store and its clients are those of production; the
// clock, the neighbours behind the doors and what steps come to are the simulation's. `astern test` and `astern backtest`
// stand on it. It imports the engine and what is below.
package simulate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/engine/store"
	"astern.dev/astern/rules"
)

// Options are what a world is made of.
type Options struct {
	Registry *actions.Registry
	Rules    *rules.Set
	Book     *plan.Book
	// Settings are the installation's; the world opens the connections. Without senders there is one, "alertmanager".
	Settings engine.Settings
	Digest   string
	Start    time.Time
	// Prometheus answers the queries of guards and health; nil is a server that is down.
	Prometheus http.Handler
	// Outcome says what a step comes to, and Telling what a telling does; nil succeeds at once.
	Outcome func(StepCall) StepOutcome
	Telling func(NoticeCall) error
}

// Receiver is astern's receiver in the route of the world's Alertmanager.
const Receiver = "astern"

// World is one installation on virtual time. Its methods are called by one goroutine; what it runs takes turns.
type World struct {
	opts         Options
	clock        *clock
	dir          string
	store        *store.SQLite
	alertmanager *Alertmanager
	doors        []*door
	opened       map[string]any // the one connection of each kind
	config       *engine.Configuration
	registry     *actions.Registry

	engine *engine.Engine
	life   *mortal
	ctx    context.Context // of the process that runs now
	kill   context.CancelFunc

	barks  bool
	barked time.Time
	tick   time.Time
	idle   bool
	offset time.Duration // of the wall clock

	mu       sync.Mutex
	touched  map[string]int
	effects  map[string]bool
	timeouts map[string]time.Duration
	steps    []StepRun
	tellings []Telling
	failed   error
}

// New makes a world and starts its astern: not armed, the Watchdog silent.
func New(ctx context.Context, o Options) (*World, error) {
	w := &World{opts: o.withDefaults(), clock: newClock(o.Start), touched: map[string]int{}, effects: map[string]bool{}, timeouts: map[string]time.Duration{}}
	w.registry = o.Registry.Around(w.wrap)
	w.alertmanager = &Alertmanager{now: w.Now, alerts: map[string]client.GettableAlert{}}
	var err error
	if w.dir, err = os.MkdirTemp("", "astern-simulate-"); err != nil {
		return nil, fmt.Errorf("make a folder for the simulation: %w", err)
	}
	w.store, err = store.OpenSQLite(ctx, filepath.Join(w.dir, "astern.db"), store.Options{Now: w.now, Volatile: true, LedgerRows: 1 << 20, LedgerAge: 100 * 365 * 24 * time.Hour})
	if err == nil {
		err = w.openDoors()
	}
	if err == nil {
		w.config = w.Configuration(w.opts.Rules, w.opts.Book, w.opts.Settings, w.opts.Digest)
		err = w.boot(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (o Options) withDefaults() Options {
	if o.Outcome == nil {
		o.Outcome = func(StepCall) StepOutcome { return StepOutcome{} }
	}
	if o.Telling == nil {
		o.Telling = func(NoticeCall) error { return nil }
	}
	if o.Prometheus == nil {
		o.Prometheus = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusServiceUnavailable) })
	}
	return o
}

func (w *World) openDoors() error {
	w.opened = map[string]any{}
	for _, kind := range []string{"prometheus", "alertmanager"} {
		handler := http.Handler(w.alertmanager)
		if kind == "prometheus" {
			handler = w.opts.Prometheus
		}
		d := newDoor(handler)
		w.doors = append(w.doors, d)
		through, err := d.http()
		if err != nil {
			return err
		}
		if kind == "prometheus" {
			w.opened[kind] = client.NewPrometheus(root(kind), through)
		} else {
			w.opened[kind] = client.NewAlertmanager(root(kind), through)
		}
	}
	return nil
}

// Configuration makes of loaded files what this world's engine holds: every name leads to the world's one server.
func (w *World) Configuration(set *rules.Set, book *plan.Book, s engine.Settings, digest string) *engine.Configuration {
	if len(s.SenderConnections) == 0 {
		s.SenderConnections = map[string]string{"alertmanager": ""}
	}
	s.Connections = map[string]map[string]any{}
	for kind, opened := range w.opened {
		s.Connections[kind] = map[string]any{"default": opened}
		for _, t := range book.Targets() {
			if name := t.Connections[kind]; name != "" {
				s.Connections[kind][name] = opened
			}
		}
	}
	s.SenderConnections = maps.Clone(s.SenderConnections)
	for sender := range s.SenderConnections {
		s.SenderConnections[sender] = "default"
	}
	return &engine.Configuration{Rules: set, Book: book.With(w.registry), Settings: s, Digest: digest}
}

// boot starts a process on the world's file.
func (w *World) boot(ctx context.Context) error {
	w.ctx, w.kill = context.WithCancel(context.WithoutCancel(ctx))
	w.life = &mortal{Store: w.store}
	var err error
	w.engine, err = engine.New(engine.Options{Store: w.life, Log: zap.NewNop(), Now: w.now, Registry: w.registry, Config: w.config, InTurn: true,
		Elapsed: func() time.Duration { return w.Now().Sub(w.opts.Start) }})
	if err != nil {
		return err
	}
	if err := w.engine.Start(ctx, waker{w, w.engine}); err != nil {
		return err
	}
	w.engine.ReconcileAtStart(w.ctx)
	w.tick, w.idle = w.Now().Add(engine.ReconcileEvery), false
	return nil
}

// Restart kills the process, in the middle of whatever it does, and starts another on the same file.
func (w *World) Restart(ctx context.Context) error {
	w.life.dead.Store(true)
	w.kill()
	w.clock.forget()
	w.clock.rouse()
	w.clock.forget()
	return w.boot(context.WithoutCancel(ctx)) // what asks for it may have been given the life that ends
}

// Reload puts another configuration in force.
func (w *World) Reload(ctx context.Context, cfg *engine.Configuration) error {
	if err := w.engine.Reload(ctx, cfg); err != nil {
		return err
	}
	w.config = cfg
	return nil
}

// Close ends the world and removes what it wrote.
func (w *World) Close() error {
	if w.kill != nil {
		w.life.dead.Store(true)
		w.kill()
		w.clock.forget()
		w.clock.rouse()
	}
	for _, d := range w.doors {
		d.shut()
	}
	var err error
	if w.store != nil {
		err = w.store.Close()
	}
	return errors.Join(err, os.RemoveAll(w.dir))
}

// Engine is the one that runs now; Restart starts another.
func (w *World) Engine() *engine.Engine { return w.engine }

// Alertmanager is the list behind its API.
func (w *World) Alertmanager() *Alertmanager { return w.alertmanager }

// Source is the first sender's name, for deliveries that name none.
func (w *World) Source() string {
	return slices.Sorted(maps.Keys(w.config.Settings.SenderConnections))[0]
}

// Steps are the attempts that ended, in order.
func (w *World) Steps() []StepRun {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.steps)
}

// Tellings are what was told so far, failures among them.
func (w *World) Tellings() []Telling {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.tellings)
}

// Touch says that somebody else changed the target: no plan of before fits it any more (S4).
func (w *World) Touch(target string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.touched[target]++
}

func (w *World) found(target string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("%s#%d", target, w.touched[target])
}

func (w *World) happened(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.effects[key] = true
}

func (w *World) hasHappened(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.effects[key]
}

func (w *World) ran(s StepRun) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps = append(w.steps, s)
}

func (w *World) told(t Telling) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tellings = append(w.tellings, t)
}

// timeoutOf is the step's own, in virtual time; the engine's deadline is on the wall clock.
func (w *World) timeoutOf(id, step string) time.Duration {
	i, _, err := w.engine.Incident(w.ctx, id)
	if err != nil || i.Plan == nil {
		return 0
	}
	for _, s := range i.Plan.Steps {
		if s.Name == step {
			return s.Timeout
		}
	}
	return 0
}

// waker meets engine.Dispatcher for one process.
type waker struct {
	world  *World
	engine *engine.Engine
}

// Wake puts work on the agenda.
func (k waker) Wake(stream string, lane incident.Lane, at time.Time) {
	if k.world.engine == k.engine {
		k.world.wake(task{stream, lane}, at)
	}
}
