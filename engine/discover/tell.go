package discover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
)

// enrichEvery is how often owners are asked again what they say of a release: they may learn it after its rollout.
const enrichEvery = 30 * time.Second

// errLags: the watch does not show yet what the API server has.
var errLags = errors.New("the watch lags behind")

// told is what the engine was told of a target last.
type told struct {
	workload plan.Workload
	shown    string // what the cluster showed, with the versions of the objects
	asked    time.Time
	was      engine.Observation
	failing  time.Time // since when its objects cannot be asked for
}

// tell reads a target's workload and tells the engine of it. What a watch shows counts as news only when the API server
// says that it has nothing newer: an old sight after a rollback would look as if somebody had undone it.
func (s *site) tell(ctx context.Context, target string, t *told) error {
	at := s.options.Now()
	v := s.views[t.workload.Namespace]
	r, err := v.Running(ref(t.workload))
	switch {
	case errors.Is(err, cluster.ErrNotRead):
		return nil
	case err != nil:
		t.shown = ""
		return s.observe(ctx, target, engine.Observation{Source: s.source(), At: at, Problem: err.Error()})
	}
	shown := fmt.Sprintf("%+v", r)
	if shown == t.shown && at.Sub(t.asked) < enrichEvery {
		return s.observe(ctx, target, t.was)
	}
	fresh, err := v.Fresh(ctx, ref(t.workload), r)
	if err != nil {
		return s.failed(ctx, target, t, at, err)
	}
	if t.failing = (time.Time{}); !fresh {
		return errLags
	}
	s.Cluster.Enrich(ctx, &r)
	known, err := s.options.Engine.Target(ctx, target)
	if err != nil {
		return err
	}
	o := Observe(s.source(), at, r, known)
	if err := s.observe(ctx, target, o); err != nil {
		return err
	}
	t.shown, t.asked, t.was = shown, at, o
	return nil
}

// failed tells of an error that lasts.
func (s *site) failed(ctx context.Context, target string, t *told, at time.Time, err error) error {
	if t.failing.IsZero() {
		t.failing = at
	}
	if at.Sub(t.failing) < cluster.Patience {
		return err
	}
	return s.observe(ctx, target, engine.Observation{Source: s.source(), At: at, Problem: err.Error()})
}

func (s *site) source() string { return "kubernetes/" + s.Name }

func (s *site) observe(ctx context.Context, target string, o engine.Observation) error {
	err := s.options.Engine.Observe(ctx, target, o)
	if err != nil && ctx.Err() == nil {
		s.options.Log.Warn("what a cluster shows of a target could not be recorded", zap.String("target", target), zap.Error(err))
	}
	return err
}

// Observe is what a reading at a time says of a target of which something is known. Times are put in order: those of a
// cluster come from another clock, and some are guesses.
func Observe(source string, at time.Time, r cluster.Running, known engine.TargetStatus) engine.Observation {
	o := engine.Observation{Source: source, At: at, UID: r.UID, Rolling: r.Rolling, Release: release(r.Release)}
	for _, past := range r.Past {
		o.Past = append(o.Past, release(past))
	}
	now := &o.Release
	if known.Current == nil && !r.Release.Proven { // else an old release might count as a recent change
		now.At = r.Release.Began
	}
	if now.At.IsZero() || now.At.After(at) {
		now.At = at
	}
	if last := newest(known); last != nil && !last.Same(*now) && !now.At.After(last.At) {
		now.At = later(at, last.At)
	}
	if was := known.Rolling; was != nil && !o.Rolling && was.Same(*now) && now.At.Before(was.Began) {
		now.At = later(at, was.Began)
	}
	if now.Began.After(now.At) {
		now.Began = now.At
	}
	return o
}

// newest is the last release that is known: a rollout that goes on, else what runs.
func newest(known engine.TargetStatus) *incident.Release {
	if known.Rolling != nil {
		return known.Rolling
	}
	return known.Current
}

// later is a time if it lies after another, else a moment after that.
func later(at, after time.Time) time.Time {
	if at.After(after) {
		return at
	}
	return after.Add(time.Millisecond)
}

func release(r cluster.Release) incident.Release {
	return incident.Release{Version: r.Version, Commit: r.Commit, Digest: r.Digest, Vars: r.Vars, At: r.At, Began: r.Began}
}
