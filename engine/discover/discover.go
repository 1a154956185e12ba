// Package discover looks on at clusters: it tells the engine what runs of each target, and finds the targets that
// annotations name. It only reads. Of ours it imports engine, its values, and actions/cluster.
package discover

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/engine"
)

const defaultInterval = 5 * time.Second

// Engine is what discovery needs of the engine.
type Engine interface {
	// Watched are the targets whose workloads are to be read.
	Watched() []engine.Watched
	// Observe takes in what a cluster shows of a target; told again, it changes nothing.
	Observe(ctx context.Context, target string, o engine.Observation) error
	// Target is what is known of a target.
	Target(ctx context.Context, name string) (engine.TargetStatus, error)
}

// Options are what a watcher is made of.
type Options struct {
	Engine Engine
	Log    *zap.Logger
	Now    func() time.Time
	// Interval is how often each target is told again; changes are seen at once. 5s without a word.
	Interval time.Duration
	// Found is told the targets of a cluster whenever they, or what is wrong with them, change. It may be nil.
	Found func(ctx context.Context, cluster string, f Found)
}

// Site is one cluster as the configuration names it.
type Site struct {
	Name    string
	Cluster *cluster.Cluster
	// Identity changes when the cluster is reached otherwise: it is then read anew.
	Identity string
	// Places are the namespaces whose annotations name targets.
	Places []Place
	// Known are the targets found there before, in force until the cluster is read.
	Known []Entry
}

// Place is a namespace and the environment of the targets there.
type Place struct{ Namespace, Environment string }

// Watcher looks on at clusters. A slow one delays no other.
type Watcher struct {
	options Options
	changed chan struct{}

	mu    sync.Mutex
	sites []Site
}

// New makes a watcher. It reads nothing before Run.
func New(o Options) *Watcher {
	if o.Interval <= 0 {
		o.Interval = defaultInterval
	}
	return &Watcher{options: o, changed: make(chan struct{}, 1)}
}

// Configure says which clusters there are, and that the targets may have changed.
func (w *Watcher) Configure(sites []Site) {
	w.mu.Lock()
	w.sites = slices.Clone(sites)
	w.mu.Unlock()
	poke(w.changed)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// running is a cluster that is being read.
type running struct {
	identity string
	site     *site
	stop     func()
}

// Run looks on until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	all := map[string]running{}
	var reading sync.WaitGroup
	defer reading.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		w.arrange(ctx, all, &reading)
		select {
		case <-ctx.Done():
			return
		case <-w.changed:
		}
	}
}

// arrange begins with clusters that are new, ends with those that are gone or reached otherwise, and wakes the rest.
func (w *Watcher) arrange(ctx context.Context, all map[string]running, reading *sync.WaitGroup) {
	w.mu.Lock()
	sites := w.sites
	w.mu.Unlock()
	wanted := map[string]bool{}
	for _, each := range sites {
		wanted[each.Name] = true
		if has, ok := all[each.Name]; ok {
			if has.identity == each.Identity {
				has.site.place(each.Places)
				continue
			}
			has.stop()
			each.Known = has.site.entries()
		}
		on, stop := context.WithCancel(ctx)
		s := newSite(w.options, each)
		all[each.Name] = running{each.Identity, s, stop}
		reading.Go(func() { s.run(on) })
	}
	for name, has := range all {
		if !wanted[name] {
			has.stop()
			delete(all, name)
		}
	}
}
