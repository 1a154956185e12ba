package discover

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
)

// histories take in observations as the engine does, without a store.
type histories struct {
	mu       sync.Mutex
	watched  []engine.Watched
	targets  map[string]incident.TargetHistory
	problems map[string]string
	open     map[string]string // incident by target
	unknown  map[string]bool   // targets that no configuration has
	log      map[string][]string
	changed  chan struct{}
}

func newHistories(watched ...engine.Watched) *histories {
	return &histories{watched: watched, targets: map[string]incident.TargetHistory{}, problems: map[string]string{}, open: map[string]string{},
		unknown: map[string]bool{}, log: map[string][]string{}, changed: make(chan struct{}, 1)}
}

func (h *histories) Watched() []engine.Watched {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.watched)
}

func (h *histories) Observe(_ context.Context, target string, o engine.Observation) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer poke(h.changed)
	h.problems[target] = o.Problem
	if o.Problem != "" {
		return nil
	}
	t := h.targets[target]
	for _, f := range t.Observed(o) {
		t = incident.ApplyTarget(t, incident.Event{Version: t.Version + 1, By: o.Source, At: o.At, Fact: f})
		h.log[target] = append(h.log[target], lineOf(f))
	}
	h.targets[target] = t
	return nil
}

// lineOf is a fact in one line.
func lineOf(f incident.Fact) string {
	switch f := f.(type) {
	case incident.RolloutBegan:
		return "rolling " + f.Release.Version
	case incident.ReleaseRecorded:
		return "released " + f.Release.Version
	case incident.WorkloadSeen:
		return "workload"
	case incident.ReleaseSeen:
		return "seen " + f.Version
	}
	return "?"
}

func (h *histories) Target(_ context.Context, name string) (engine.TargetStatus, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unknown[name] {
		return engine.TargetStatus{}, engine.ErrNotFound
	}
	t := h.targets[name]
	s := engine.TargetStatus{Name: name, Rolling: t.Rolling, Incident: h.open[name], Releases: t.Releases}
	if now, ok := t.Current(); ok {
		s.Current = &now
	}
	return s, nil
}

// await waits until what is known of a target is as it must be.
func (h *histories) await(t *testing.T, target, what string, is func(incident.TargetHistory, string) bool) incident.TargetHistory {
	t.Helper()
	timeout := time.NewTimer(time.Minute)
	defer timeout.Stop()
	for {
		h.mu.Lock()
		known, problem := h.targets[target], h.problems[target]
		h.mu.Unlock()
		if is(known, problem) {
			return known
		}
		select {
		case <-h.changed:
		case <-timeout.C:
			h.mu.Lock()
			defer h.mu.Unlock()
			require.FailNow(t, "never: "+what, "%+v\n%s\n%s", known, problem, strings.Join(h.log[target], "\n"))
		}
	}
}

func runs(version string) func(incident.TargetHistory, string) bool {
	return func(t incident.TargetHistory, problem string) bool {
		now, ok := t.Current()
		return ok && problem == "" && t.Rolling == nil && now.Version == version
	}
}

func rolls(version string) func(incident.TargetHistory, string) bool {
	return func(t incident.TargetHistory, _ string) bool { return t.Rolling != nil && t.Rolling.Version == version }
}

func (h *histories) told(target string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.log[target]), func(line string) bool { return strings.HasPrefix(line, "seen") || line == "workload" })
}

// watch runs a watcher for the length of a test; the returned function ends it sooner.
func watch(t *testing.T, h *histories, found func(string, Found), sites ...Site) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{Engine: h, Log: zap.NewNop(), Now: time.Now, Interval: time.Second}
	if found != nil {
		o.Found = func(_ context.Context, site string, f Found) { found(site, f) }
	}
	w := New(o)
	w.Configure(sites)
	ended := make(chan struct{})
	go func() { defer close(ended); w.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return stop
}

func watched(target, kind, namespace, name string) engine.Watched {
	return engine.Watched{Target: target, Cluster: "prod", Workload: plan.Workload{Kind: kind, Namespace: namespace, Name: name}}
}
