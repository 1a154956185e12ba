package discover

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/plan"
)

const (
	// gather is how long changes are gathered before they are looked at: a rollout makes many in a second.
	gather = 200 * time.Millisecond
	// atOnce is how many targets of one cluster are asked about side by side.
	atOnce = 4
	// askPatience bounds the questions about one target.
	askPatience = 20 * time.Second
)

// site reads one cluster.
type site struct {
	Site
	options Options
	woken   chan struct{}
	views   map[string]*view // by namespace
	told    map[string]*told // by target
	gone    map[string]farewell

	mu    sync.Mutex // guards the places, and what was found
	found Found
	first bool // nothing was found yet
}

// view is a namespace that is being watched.
type view struct {
	*cluster.View
	kinds []string
	stop  func()
}

func newSite(o Options, s Site) *site {
	return &site{Site: s, options: o, woken: make(chan struct{}, 1), views: map[string]*view{}, told: map[string]*told{},
		gone: map[string]farewell{}, found: Found{Entries: s.Known}, first: true}
}

// place says which namespaces name targets from now on, and that the watched targets may be others.
func (s *site) place(all []Place) {
	s.mu.Lock()
	s.Places = all
	s.mu.Unlock()
	poke(s.woken)
}

func (s *site) entries() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.found.Entries
}

func (s *site) places() []Place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Places
}

// run looks whenever something has changed, and every interval, until ctx ends.
func (s *site) run(ctx context.Context) {
	var watching sync.WaitGroup
	defer watching.Wait()
	for ctx.Err() == nil {
		watched := s.watched()
		s.arrange(ctx, &watching, watched)
		again := s.look(ctx, watched)
		s.discover(ctx)
		s.rest(ctx, again)
	}
}

// rest waits for a change, then a moment more for those that come with it. Clusters are not asked all at the same time.
func (s *site) rest(ctx context.Context, again bool) {
	interval := s.options.Interval
	if again {
		interval = gather
	} else {
		interval -= rand.N(interval/5 + 1)
	}
	until := time.NewTimer(interval)
	defer until.Stop()
	select {
	case <-ctx.Done():
		return
	case <-until.C:
		return
	case <-s.woken:
	}
	soon := time.NewTimer(gather)
	defer soon.Stop()
	select {
	case <-ctx.Done():
	case <-soon.C:
	}
	select { // what came meanwhile is seen now
	case <-s.woken:
	default:
	}
}

func (s *site) watched() []engine.Watched {
	return slices.DeleteFunc(s.options.Engine.Watched(), func(w engine.Watched) bool { return w.Cluster != s.Name })
}

// arrange watches what the targets and the places need: of a namespace no more kinds than that, as its rights may be few.
func (s *site) arrange(ctx context.Context, watching *sync.WaitGroup, watched []engine.Watched) {
	needs := map[string]map[string]bool{}
	need := func(namespace string, kinds []string) {
		if needs[namespace] == nil {
			needs[namespace] = map[string]bool{}
		}
		for _, kind := range kinds {
			needs[namespace][kind] = true
		}
	}
	for _, w := range watched {
		need(w.Workload.Namespace, cluster.ReadKinds(w.Workload.Kind))
	}
	for _, p := range s.places() {
		for _, kind := range cluster.MarkedKinds() { // all at once: else each target that is found would begin the watch anew
			need(p.Namespace, cluster.ReadKinds(kind))
		}
	}
	for namespace, v := range s.views {
		if kinds := slices.Sorted(maps.Keys(needs[namespace])); !slices.Equal(kinds, v.kinds) {
			v.stop()
			delete(s.views, namespace)
		}
	}
	for namespace, kinds := range needs {
		if s.views[namespace] != nil {
			continue
		}
		on, stop := context.WithCancel(ctx)
		v := &view{kinds: slices.Sorted(maps.Keys(kinds)), stop: stop}
		v.View = s.Cluster.View(namespace, v.kinds, s.options.Now, func() { poke(s.woken) })
		s.views[namespace] = v
		watching.Go(func() { v.Run(on) })
	}
}

// look tells the engine of each target; it says whether one is to be looked at again soon.
func (s *site) look(ctx context.Context, watched []engine.Watched) bool {
	var again sync.Map
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, w := range watched {
		t := s.told[w.Target]
		if t == nil || t.workload != w.Workload {
			t = &told{workload: w.Workload}
			s.told[w.Target] = t
		}
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, askPatience)
			defer cancel()
			if err := s.tell(ctx, w.Target, t); err != nil {
				again.Store(w.Target, err)
			}
			return nil
		})
	}
	_ = group.Wait() // each target's trouble is its own
	for target := range s.told {
		if !slices.ContainsFunc(watched, func(w engine.Watched) bool { return w.Target == target }) {
			delete(s.told, target)
		}
	}
	soon := false
	again.Range(func(_, err any) bool { soon = soon || errors.Is(err.(error), errLags); return true })
	return soon
}

func ref(w plan.Workload) cluster.Ref {
	return cluster.Ref{Kind: w.Kind, Namespace: w.Namespace, Name: w.Name}
}
