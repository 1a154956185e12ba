package engine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules"
)

// Engine takes alerts in, records facts and performs commands. All methods are safe for concurrent use.
type Engine struct {
	store    Store
	log      *zap.Logger
	now      func() time.Time
	metrics  *metrics
	registry *actions.Registry
	// anonymous forces observe: the door is open to all.
	anonymous bool
	stopFile  string
	hook      func(point string)
	grace     time.Duration // how long an action may outstay its deadline
	patience  time.Duration // how long an action in doubt is asked whether its effect is there
	inTurn    bool
	watches   bool
	newID     func() string

	incidents    *journal[incident.Incident]
	targets      *journal[incident.TargetHistory]
	installation *journal[incident.Installation]

	config      atomic.Pointer[Configuration]
	reloadError atomic.Pointer[string]
	dispatcher  Dispatcher
	draining    atomic.Bool
	started     atomic.Bool

	index    index
	clock    clockwork
	watchers watchers
	progress sync.Map // stream -> last progress line of a running step
	late     chan lateAlert
	partial  chan string // sources that sent a truncated view
	running  sync.Map    // stream -> context.CancelFunc of the step under way
	// beginning is held shared while a step's intent is asked for and stored, and alone while Stop is: when Stop returns,
	// whatever was not stored as begun asks after it.
	beginning sync.RWMutex
	// reread reads a configuration's snapshot; reopened holds the last few of the past.
	reread   func(snapshot []byte) (*Configuration, error)
	reopened reopened
	// reconsidered are the streams whose next look ignores the pause they keep.
	reconsidered sync.Map
	// reloading lets one configuration come in force after another.
	reloading sync.Mutex
	shadows   shadows
	failures  failures
	sightings sightings
	readiness readiness
}

// Options are what an engine is made of.
type Options struct {
	Store Store
	Log   *zap.Logger
	Now   func() time.Time
	// Elapsed counts the time since some moment whatever happens to the wall clock; nil leaves jumps unseen (S30).
	Elapsed  func() time.Duration
	Registry *actions.Registry
	Config   *Configuration
	Metrics  prometheus.Registerer
	// Anonymous says that anybody may knock: everything is judged in observe.
	Anonymous bool
	// StopFile, when it exists or cannot be looked up, stops all automation (S19).
	StopFile string
	// Reopen reads what Configuration.Source wrote, without opening a connection: it answers for the past. Nil: nothing does.
	Reopen func(snapshot []byte) (*Configuration, error)
	// Watches says that clusters are read: a target whose workload nobody has read lately is not known well enough to act.
	Watches bool
	// NewID makes the name of an installation that has none yet; nil leaves it without one.
	NewID func() string
	// InTurn asks the world once about a doubt, and does what concerns different targets and people one after the other, so
	// that two runs on a virtual clock are the same; a program of its own does it side by side.
	InTurn bool
	// Hook is told each boundary of a record, for crash tests; nil in production.
	Hook func(point string)
}

// Configuration is one loaded whole: it is swapped as one and never changed (S28).
type Configuration struct {
	Rules    *rules.Set
	Book     *plan.Book
	Settings Settings
	Digest   string
	// Source is the snapshot that Options.Reopen reads; the engine keeps it by Digest. Empty: it is not kept.
	Source []byte
}

// Settings is what astern.yaml says, opened.
type Settings struct {
	DefaultMode       incident.Mode
	Modes             map[string]incident.Mode // ceiling by environment
	Guards            incident.Guards
	TeamGuards        map[string]incident.Guards
	Connections       map[string]map[string]any // opened, by kind and name
	SenderConnections map[string]string         // sender -> alertmanager connection
	ExternalURL       string
	Retention         time.Duration
}

// New makes an engine. It does nothing before Start.
func New(o Options) (*Engine, error) {
	if o.Store == nil || o.Config == nil || o.Registry == nil || o.Now == nil || o.Log == nil {
		return nil, fmt.Errorf("engine: store, configuration, registry, clock and log are needed")
	}
	e := &Engine{
		store: o.Store, log: o.Log, now: func() time.Time { return o.Now().UTC().Round(0) }, registry: o.Registry,
		anonymous: o.Anonymous, stopFile: o.StopFile, hook: o.Hook, reread: o.Reopen, grace: 10 * time.Second, patience: doubtPatience,
		late: make(chan lateAlert, 1024), partial: make(chan string, 64),
	}
	if e.hook == nil {
		e.hook = func(string) {}
	}
	if o.InTurn {
		e.patience = 0 // time stands still while the world is asked: it would answer the same again
	}
	e.readiness.old = make(chan struct{}, 1)
	e.clock.count, e.inTurn, e.watches, e.newID = o.Elapsed, o.InTurn, o.Watches, o.NewID
	e.config.Store(o.Config)
	e.metrics = newMetrics(o.Metrics)
	if o.Metrics != nil {
		o.Metrics.MustRegister(e)
	}
	e.index.init()
	digest := func() string { return e.config.Load().Digest }
	e.incidents = &journal[incident.Incident]{
		store: o.Store, apply: incident.Apply, replay: incident.Replay, now: e.now, config: digest, hook: e.hook, keep: 256,
		version: func(i incident.Incident) int { return i.Version }, head: incident.HeadOf, after: e.incidentChanged,
		live:    func(i incident.Incident) bool { return i.Version > 0 && incident.Live(i) },
		streams: map[string]*stream[incident.Incident]{},
	}
	e.targets = &journal[incident.TargetHistory]{
		store: o.Store, apply: incident.ApplyTarget, replay: replay(incident.ApplyTarget), now: e.now, config: digest, hook: e.hook, keep: 1 << 20,
		version: func(t incident.TargetHistory) int { return t.Version }, streams: map[string]*stream[incident.TargetHistory]{},
		after: func(string, incident.TargetHistory, []incident.Event) { e.shadows.moved(); e.readiness.outdated() },
	}
	e.installation = &journal[incident.Installation]{
		store: o.Store, apply: incident.ApplyInstallation, replay: incident.ReplayInstallation, now: e.now, config: digest, hook: e.hook, keep: 1,
		version: func(i incident.Installation) int { return i.Version }, streams: map[string]*stream[incident.Installation]{},
	}
	return e, nil
}

func replay[S any](apply func(S, incident.Event) S) func([]incident.Event) S {
	return func(events []incident.Event) S {
		var s S
		for _, e := range events {
			s = apply(s, e)
		}
		return s
	}
}

// The streams of the store.
const installationStream = "installation"

func incidentStream(id string) string   { return "incident/" + id }
func targetStream(target string) string { return "target/" + target }

// Start rebuilds what is in memory from the histories and wakes every incident that has something to do. The
// dispatcher calls Perform from then on.
func (e *Engine) Start(ctx context.Context, d Dispatcher) error {
	e.dispatcher = d
	if err := e.KeepConfiguration(ctx, e.config.Load()); err != nil {
		return err
	}
	if err := e.recordRules(ctx, e.config.Load()); err != nil { // the files may have changed while nothing ran
		return err
	}
	if err := e.found(ctx); err != nil {
		return err
	}
	heads, err := e.store.Heads(ctx, incident.HeadFilter{Live: true, Limit: 1 << 20})
	if err != nil {
		return fmt.Errorf("list live incidents: %w", err)
	}
	for _, h := range heads {
		i, err := e.incidents.load(ctx, incidentStream(h.ID))
		if err != nil {
			return err
		}
		e.index.learn(i)
		e.index.knows(openEpisodes(i), i.Target, i.ID)
	}
	if err := e.recallWatchdogs(ctx); err != nil {
		return err
	}
	if err := e.disarmRestored(ctx); err != nil {
		return err
	}
	// The files may have changed while nothing ran, or an earlier word may have been cut short.
	if err := e.reconfigureOpen(ctx); err != nil {
		return err
	}
	e.started.Store(true)
	for _, h := range heads {
		e.wakeBoth(incidentStream(h.ID))
	}
	return nil
}

// found gives the installation its name, once.
func (e *Engine) found(ctx context.Context) error {
	if e.newID == nil {
		return nil
	}
	r := e.installation.record(ctx, installationStream, func(i incident.Installation) (draft, error) {
		if i.ID != "" {
			return draft{}, nil
		}
		return facts(byAstern, incident.Founded{ID: e.newID()}), nil
	})
	return r.err
}

// Drain makes the door answer 503 from now on; incidents go on until the dispatcher is closed.
func (e *Engine) Drain() { e.draining.Store(true) }

// Ready says whether notifications can be taken in.
func (e *Engine) Ready(ctx context.Context) error {
	if !e.started.Load() || e.draining.Load() {
		return ErrDraining
	}
	return e.store.Healthy(ctx)
}

func (e *Engine) wakeBoth(stream string) {
	e.dispatcher.Wake(stream, incident.ProcedureLane, e.now())
	e.dispatcher.Wake(stream, incident.NoticeLane, e.now())
}

// incidentChanged follows every stored change of an incident.
func (e *Engine) incidentChanged(stream string, i incident.Incident, events []incident.Event) {
	e.index.learn(i)
	e.shadows.follow(i.ID, events)
	e.watchers.changed(i.ID)
	e.metrics.facts(events)
	e.logFacts(i, events)
	if e.dispatcher != nil {
		e.wakeBoth(stream)
	}
	if !incident.Live(i) {
		e.incidents.retire(stream)
	}
}
