package flux

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// Run waits until the source no longer has the bad revision, gives the object back, waits until it is ready, and watches.
func (r *Resume) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	c, f, err := look(ctx, env, r)
	if err != nil {
		return actions.Result{}, err
	}
	if err := c.ClaimShared(ctx, env, r.ref()); err != nil {
		return actions.Result{}, err
	}
	if f.suspended() {
		if err := r.good(ctx, env, c); err != nil {
			return actions.Result{}, err
		}
	}
	resumed, said := false, ""
	err = cluster.Again(ctx, func(ctx context.Context) (err error) { resumed, said, err = r.give(ctx, env, c); return err })
	if err != nil {
		return actions.Result{}, err
	}
	result := actions.Result{Summary: r.ref().String() + ": " + said, Outputs: ResumeOutputs{Resumed: resumed}}
	if f, err = read(ctx, c, r.ref()); err != nil || f.suspended() {
		return result, err
	}
	if err := r.settles(ctx, env, c); err != nil {
		return result, err
	}
	return result, r.stays(ctx, env, c)
}

// good waits until the source has a good revision. What it has without being asked is its own affair: flux/reconcile asks.
func (r *Resume) good(ctx context.Context, env actions.Env, c *cluster.Cluster) error {
	if r.Not == "" && r.Revision == "" {
		return nil
	}
	last := ""
	err := cluster.Until(ctx, lookEvery, func(ctx context.Context) (bool, error) {
		f, err := read(ctx, c, r.ref())
		if err != nil {
			return false, err
		}
		has, source, err := f.desired(ctx, c)
		switch {
		case err != nil:
			return false, err
		case f.object.GetKind() == "GitRepository" || f.object.GetKind() == "OCIRepository":
			return true, nil // it has to look to know
		case r.wanted(has):
			return true, nil
		case source.ref() != f.ref() && source.suspended():
			return false, fmt.Errorf("%s is suspended and has %q, not %s: resume it first; %s stays suspended", source.ref(), has, r.wish(), r.ref())
		}
		if last != has {
			last = has
			env.Progress(fmt.Sprintf("%s has %s, not %s yet", source.ref(), has, r.wish()))
		}
		return false, nil
	})
	if err != nil && last != "" && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%s would go to %s, not to %s: the bad one is not reverted in the branch it follows, or not merged, or not fetched yet (flux/reconcile of its source does that); it stays suspended: %w", r.ref(), last, r.wish(), err)
	}
	return err
}

func (r *Resume) wanted(revision string) bool {
	return !is(revision, r.Not) && (r.Revision == "" || is(revision, r.Revision))
}

// give restores what was recorded, unless another incident needs it or a person was faster.
func (r *Resume) give(ctx context.Context, env actions.Env, c *cluster.Cluster) (resumed bool, said string, err error) {
	f, err := read(ctx, c, r.ref())
	if err != nil {
		return false, "", err
	}
	record, known, err := cluster.PausedOf(f.object, cluster.PausedKey)
	rest, last := record.Without(env)
	switch {
	case err != nil:
		return false, "", err
	case !known && f.suspended():
		return false, "suspended, and not by astern: left so", nil
	case !known:
		return false, "not suspended by astern: left as it is", nil
	case !f.suspended():
		_, err = f.patch(ctx, c, false, map[string]any{cluster.PausedKey: nil}, nil)
		return false, "somebody resumed it already", err
	case !last:
		_, err = f.patch(ctx, c, false, map[string]any{cluster.PausedKey: rest.Text()}, nil)
		return false, "stays suspended, " + strings.Join(rest.By, ", ") + " needs it, too; by hand: " + byHand(r.ref()), err
	}
	_, err = f.patch(ctx, c, false, map[string]any{cluster.PausedKey: nil}, map[string]any{"suspend": record.Before})
	return true, "resumed", err
}

// settles waits until Flux has worked on it since and calls it ready.
func (r *Resume) settles(ctx context.Context, env actions.Env, c *cluster.Cluster) error {
	last := ""
	err := cluster.Until(ctx, lookEvery, func(ctx context.Context) (bool, error) {
		f, err := read(ctx, c, r.ref())
		if err != nil {
			return false, err
		}
		ready := f.condition("Ready")
		if f.observed() && ready.Status == "True" {
			return true, nil
		}
		if now := ready.Reason + ": " + ready.Message; now != last {
			last = now
			env.Progress(r.ref().String() + ": " + now)
		}
		return false, nil
	})
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%s is resumed, but not ready: %s: %w", r.ref(), last, err)
	}
	return err
}

// stays watches that the bad revision does not come back.
func (r *Resume) stays(ctx context.Context, env actions.Env, c *cluster.Cluster) error {
	if r.Not == "" || r.watch() == 0 {
		return nil
	}
	until := env.Now().Add(r.watch())
	env.Progress(fmt.Sprintf("%s: watched for %s coming back until %s", r.ref(), brief(r.Not), until.UTC().Format(time.TimeOnly)))
	err := cluster.Until(ctx, min(lookEvery, r.watch()/2), func(ctx context.Context) (bool, error) {
		f, err := read(ctx, c, r.ref())
		if err != nil {
			return false, err
		}
		has, _, err := f.desired(ctx, c)
		if err != nil {
			return false, err
		}
		how := r.back(f)
		if is(has, r.Not) {
			how = "its source has it again"
		}
		if how != "" {
			return false, r.alarm(how)
		}
		return !env.Now().Before(until), nil
	})
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%s is resumed, the watch was cut short: %w", r.ref(), err)
	}
	return err
}

// back says how the bad revision comes back, if it does. What stands there while the controller is at work is the past.
func (r *Resume) back(f fluxed) string {
	if f.condition("Ready").Status == "True" && f.observed() && slices.ContainsFunc(f.at(), func(at string) bool { return is(at, r.Not) }) {
		return "it is at it again"
	}
	return ""
}

func (r *Resume) alarm(how string) error {
	return actions.Permanent(fmt.Errorf("the bad version is coming back: %s was resumed, and %s; suspend it again and find who writes %s into its source", r.ref(), how, brief(r.Not)))
}

// Verify says whether the suspension for this incident is over and the bad revision is not there.
func (r *Resume) Verify(ctx context.Context, env actions.Env) error {
	c, f, err := look(ctx, env, r)
	if err != nil {
		return err
	}
	record, known, err := cluster.PausedOf(f.object, cluster.PausedKey)
	switch {
	case err != nil:
		return err
	case known && record.Holds(env):
		return actions.NotDone("%s is still suspended for this incident", r.ref())
	}
	has, _, err := f.desired(ctx, c)
	switch {
	case err != nil:
		return err
	case is(has, r.Not):
		return fmt.Errorf("the source of %s has the bad revision %s", r.ref(), brief(r.Not))
	}
	return nil
}
