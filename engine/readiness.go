package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
)

// Readiness is whether the way back of a target is open, as of the last time it was asked.
type Readiness struct {
	At time.Time `json:"at"`
	// Problems says what is missing; empty when a rollback could begin now.
	Problems []string `json:"problems,omitempty"`
}

// Ready says whether nothing is missing.
func (r Readiness) Ready() bool { return len(r.Problems) == 0 }

type readiness struct {
	mu  sync.RWMutex
	all map[string]Readiness
	old chan struct{} // holds one word at most: what is known may be old
}

func (r *readiness) outdated() {
	select {
	case r.old <- struct{}{}:
	default:
	}
}

// ReadinessOutdated tells that a target or the configuration changed: what AskReadiness found may be so no more.
func (e *Engine) ReadinessOutdated() <-chan struct{} { return e.readiness.old }

func (r *readiness) of(target string) *Readiness {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if known, ok := r.all[target]; ok {
		return &known
	}
	return nil
}

// AskReadiness asks for each target with a procedure of its own whether the way back is open: there is somewhere to go, the plan
// can be made now, and each action says that it could do its work. It reads only. One target at a time: nobody waits for it.
// It answers whether all are open.
func (e *Engine) AskReadiness(ctx context.Context) bool {
	all, open := map[string]Readiness{}, true
	for _, t := range e.config.Load().Book.Targets() {
		if t.Procedure == "" {
			continue
		}
		known := Readiness{At: e.now(), Problems: e.askTarget(ctx, t)}
		if ctx.Err() != nil {
			return open
		}
		all[t.Name], open = known, open && known.Ready()
		if before := e.readiness.of(t.Name); !known.Ready() && (before == nil || !slices.Equal(before.Problems, known.Problems)) {
			e.log.Warn("the way back of a target is not open", zap.String("target", t.Name), zap.Strings("problems", known.Problems))
		}
	}
	e.readiness.mu.Lock()
	defer e.readiness.mu.Unlock()
	e.readiness.all = all
	return open
}

// askTarget is what would stop a rollback of the target now.
func (e *Engine) askTarget(ctx context.Context, t *plan.Target) []string {
	q, err := e.askForPerson(ctx, t.Name)
	if err != nil {
		return []string{err.Error()}
	}
	findings := append(e.makePlan(ctx, &q), e.guardDestination(ctx, q), e.guardSeen(ctx, q))
	var problems []string
	for _, f := range refusals(findings) {
		problems = append(problems, f.Reason)
	}
	if q.plan == nil {
		return problems
	}
	for _, s := range q.plan.Steps {
		if err := e.askStepReady(ctx, q, s); err != nil {
			problems = append(problems, fmt.Sprintf("step %s: %v", s.Name, err))
		}
	}
	return problems
}

func (e *Engine) askStepReady(ctx context.Context, q question, s incident.Step) error {
	action, _, err := q.cfg.Book.Action(s, nil)
	var waits *plan.LateError
	if errors.As(err, &waits) {
		return nil // it can be asked when the steps before it are done
	}
	if err != nil {
		return err
	}
	r, can := action.(actions.Readier)
	if !can {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, planPatience)
	defer cancel()
	return r.Ready(ctx, e.env(q.cfg, q.inc, q.target, s, 0, 0))
}

var (
	readyMetric = prometheus.NewDesc("astern_target_ready", "Whether the way back of a target was open when it was last asked: 1 or 0.", []string{"target"}, nil)
	knownMetric = prometheus.NewDesc("astern_target_seen", "Whether what runs of a target is known from its cluster: 1 or 0.", []string{"target"}, nil)
	badMetric   = prometheus.NewDesc("astern_target_bad_release", "Whether a release that is bad or denied runs: 1 or 0.", []string{"target"}, nil)
	armedMetric = prometheus.NewDesc("astern_armed", "Whether the installation is armed: 1 or 0.", nil, nil)
	stopMetric  = prometheus.NewDesc("astern_stopped", "How many stops are set: by a command, or by the stop file.", nil, nil)
	barkMetric  = prometheus.NewDesc("astern_last_watchdog_timestamp_seconds", "When the last Watchdog came, by its sender.", []string{"source"}, nil)
	leftMetric  = prometheus.NewDesc("astern_discovery_problems", "Workloads in a cluster that name a target and are left out.", []string{"cluster"}, nil)
)

// Describe and Collect make the engine tell Prometheus of its targets; their names come from the configuration.
func (e *Engine) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{readyMetric, knownMetric, badMetric, armedMetric, stopMetric, barkMetric, leftMetric} {
		to <- d
	}
}

// Collect reads what is in memory.
func (e *Engine) Collect(to chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	tell(armedMetric, yes(e.armed() && !e.anonymous))
	tell(stopMetric, float64(e.stops()))
	e.index.mu.RLock()
	for source, at := range e.index.watchdog {
		tell(barkMetric, float64(at.Unix()), source)
	}
	e.index.mu.RUnlock()
	for _, t := range e.config.Load().Book.Targets() {
		if known := e.readiness.of(t.Name); known != nil {
			tell(readyMetric, yes(known.Ready()), t.Name)
		}
		if t.Workload != nil {
			tell(knownMetric, yes(e.unread(t, e.now()) == ""), t.Name)
		}
		if history, err := e.targets.load(context.Background(), targetStream(t.Name)); err == nil {
			now, ok := history.Suspect()
			tell(badMetric, yes(ok && now.Verdict.Barred()), t.Name)
		}
	}
	e.sightings.mu.RLock()
	defer e.sightings.mu.RUnlock()
	for cluster, problems := range e.sightings.discovery {
		tell(leftMetric, float64(len(problems)), cluster)
	}
}

// stops counts what stands in automation's way; a state that cannot be read is a stop.
func (e *Engine) stops() int {
	i, ok := e.installationNow()
	if !ok {
		return 1
	}
	n := len(i.Stops)
	if e.stoppedByFile() != "" {
		n++
	}
	return n
}

func yes(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
