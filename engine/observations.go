package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
)

// Observation is what a cluster shows of one target now.
type Observation = incident.Observation

// Watched is a target whose workload is to be read in a cluster.
type Watched struct {
	Target string
	// Cluster is the name of a kubernetes connection.
	Cluster  string
	Workload plan.Workload
}

// Watched are the targets of the configuration in force whose workloads are to be read.
func (e *Engine) Watched() []Watched {
	cfg := e.config.Load()
	var all []Watched
	for _, t := range cfg.Book.Targets() {
		if t.Workload != nil {
			all = append(all, Watched{t.Name, clusterOf(cfg, t), *t.Workload})
		}
	}
	return all
}

// clusterOf is the cluster that a target chose, or the only one there is.
func clusterOf(cfg *Configuration, t *plan.Target) string {
	if name := t.Connections["kubernetes"]; name != "" {
		return name
	}
	if named := cfg.Settings.Connections["kubernetes"]; len(named) == 1 {
		return sortedKeys(named)[0]
	}
	return ""
}

// sightings are the last words of clusters, in memory: they are told again soon.
type sightings struct {
	mu        sync.RWMutex
	targets   map[string]sighting
	discovery map[string][]string // by cluster
}

type sighting struct {
	at      time.Time
	problem string
}

func (s *sightings) of(target string) (sighting, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	seen, ok := s.targets[target]
	return seen, ok
}

func (s *sightings) keep(target string, seen sighting) (before sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.targets == nil {
		s.targets = map[string]sighting{}
	}
	before = s.targets[target]
	s.targets[target] = seen
	return before
}

// Observe takes in what a cluster shows of a target. What the target's own procedure does is not told here: its history hears
// of it when the steps are done. What was read before the last move is passed over.
func (e *Engine) Observe(ctx context.Context, target string, o Observation) error {
	before := e.sightings.keep(target, sighting{e.now(), o.Problem})
	if o.Problem != "" {
		if before.problem != o.Problem {
			e.log.Warn("a target's workload cannot be read", zap.String("target", target), logReason(o.Problem))
		}
		return nil
	}
	news := false
	r := e.targets.record(ctx, targetStream(target), func(t incident.TargetHistory) (draft, error) {
		seen := t.Observed(o)
		if e.ownDoing(target, t, o) {
			seen = slices.DeleteFunc(seen, isOfReleases)
		}
		news = len(seen) > 0
		return facts(o.Source, seen...), nil
	})
	if r.err == nil && news {
		e.reconsider(func(i incident.Incident) bool { return i.Target == target })
	}
	return r.err
}

// isOfReleases says whether a fact is about what runs, not about the object that runs it.
func isOfReleases(f incident.Fact) bool {
	_, object := f.(incident.WorkloadSeen)
	return !object
}

// ownDoing says whether what is seen is what a procedure under way makes of the target.
func (e *Engine) ownDoing(target string, t incident.TargetHistory, o Observation) bool {
	if n := len(t.Moves); n > 0 && o.At.Before(t.Moves[n-1].At) {
		return true
	}
	i, open := e.index.openOn(target)
	return open && i.Touched && !i.Marked && i.Plan != nil && (i.Plan.To.Same(o.Release) || i.Plan.From.Same(o.Release))
}

// SetDiscoveryProblems keeps what is wrong with the targets that a cluster's annotations name, until it is told anew.
func (e *Engine) SetDiscoveryProblems(cluster string, problems []string) {
	e.sightings.mu.Lock()
	defer e.sightings.mu.Unlock()
	if slices.Equal(e.sightings.discovery[cluster], problems) {
		return
	}
	e.sightings.discovery = maps.Clone(e.sightings.discovery)
	if e.sightings.discovery == nil {
		e.sightings.discovery = map[string][]string{}
	}
	e.sightings.discovery[cluster] = problems
	for _, p := range problems {
		e.log.Warn("a target in a cluster is left out", zap.String("cluster", cluster), logReason(p))
	}
}

// unseenFor is how long a cluster may be silent before nobody knows what runs there.
const unseenFor = time.Minute

// unread says why nobody knows what runs of a target; empty when it was read a moment ago, or when nobody reads it.
func (e *Engine) unread(t *plan.Target, now time.Time) string {
	if !e.watches || t.Workload == nil {
		return ""
	}
	seen, ok := e.sightings.of(t.Name)
	switch {
	case !ok:
		return fmt.Sprintf("%s was not read yet", t.Workload)
	case seen.problem != "":
		return seen.problem
	case now.Sub(seen.at) > unseenFor:
		return fmt.Sprintf("%s was last read %s ago", t.Workload, short(now.Sub(seen.at)))
	}
	return ""
}

// unsure says why nobody knows what runs of a target: it is not read, or what was told is not shown.
func (e *Engine) unsure(t *plan.Target, history incident.TargetHistory, now time.Time) string {
	why, told := e.unread(t, now), history.Unshown()
	if why == "" && e.watches && t.Workload != nil && told != nil {
		return fmt.Sprintf("%s told of %s, and %s does not show it", told.By, told.Version, t.Workload)
	}
	return why
}

// clusterGuards are those that ask for what a cluster shows of the target.
func (q question) clusterGuards() []openingGuard {
	if q.target.Workload == nil {
		return nil
	}
	return []openingGuard{(*Engine).guardSeen}
}

// guardSeen keeps S13 where a cluster runs the target: what is not read now proves no culprit.
func (e *Engine) guardSeen(_ context.Context, q question) incident.Finding {
	why := e.unsure(q.target, q.history, q.now)
	if why == "" {
		return pass("seen", "S13", "what runs is known")
	}
	f := finding("seen", "S13", incident.Hold, "what runs is not known: %s", why)
	f.Unknown, f.RetryAt = true, q.now.Add(5*time.Second)
	return *f
}

// cameBack keeps S24: after a rollback somebody or something put the version back that was left.
func (q question) cameBack() *incident.Finding {
	now, ok := q.history.Suspect()
	if p := q.inc.Plan; !ok || p == nil || now.Version != p.From.Version || p.From.Same(p.To) {
		return nil
	}
	return finding("came_back", "S24", incident.Stop, "%s came back: %s rolled it out again after this rollback", now.Version, now.By)
}

// troubles are what a person should know of a target before it is needed.
func (e *Engine) troubles(t *plan.Target, history incident.TargetHistory) []string {
	var all []string
	if why := e.unsure(t, history, e.now()); why != "" {
		all = append(all, why)
	}
	if now, ok := history.Suspect(); ok && now.Verdict.Barred() {
		all = append(all, fmt.Sprintf("%s runs although it is %s: %s", now.Version, now.Verdict, now.Reason))
	}
	return all
}
