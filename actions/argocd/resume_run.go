package argocd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// Run waits until Argo CD no longer wants the bad revision, gives the auto-sync back, and watches.
func (r *Resume) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	c, _, err := look(ctx, env, r)
	if err != nil {
		return actions.Result{}, err
	}
	if err := c.ClaimShared(ctx, env, r.ref()); err != nil {
		return actions.Result{}, err
	}
	app, err := r.good(ctx, c)
	if err != nil {
		return actions.Result{}, err
	}
	before := app.lastSync()
	resumed, said := false, ""
	err = cluster.Again(ctx, func(ctx context.Context) (err error) { resumed, said, err = r.give(ctx, env, c); return err })
	if err != nil {
		return actions.Result{}, err
	}
	result := actions.Result{Summary: fmt.Sprintf("auto-sync of %s/%s: %s", r.Namespace, r.Application, said), Outputs: ResumeOutputs{Resumed: resumed}}
	return result, r.stays(ctx, env, c, before)
}

// good waits until Argo CD, asked to look at Git again, wants a good revision.
func (r *Resume) good(ctx context.Context, c *cluster.Cluster) (application, error) {
	app, err := read(ctx, c, r.ref())
	if err != nil || r.wanted(app) {
		return app, err
	}
	if _, err := c.MergePatch(ctx, r.ref(), map[string]any{"metadata": annotated(refreshKey, "normal")}, cluster.PatchOptions{}); err != nil {
		return app, err
	}
	err = cluster.Until(ctx, lookEvery, func(ctx context.Context) (bool, error) {
		if app, err = read(ctx, c, r.ref()); err != nil {
			return false, err
		}
		_, asked := app.object.GetAnnotations()[refreshKey]
		return !asked || r.wanted(app), nil
	})
	switch {
	case err != nil:
		return app, fmt.Errorf("%s: Argo CD was asked to look at Git again and did not yet; auto-sync stays off: %w", r.ref(), err)
	case !r.wanted(app):
		return app, fmt.Errorf("%s wants %s, not %s: the bad one is not reverted in the branch that Argo CD follows, or not merged; auto-sync stays off", r.ref(), strings.Join(app.desired(), " "), r.wish())
	}
	return app, nil
}

// give restores what was recorded, unless another incident needs the pause or a person was faster.
func (r *Resume) give(ctx context.Context, env actions.Env, c *cluster.Cluster) (resumed bool, said string, err error) {
	if r.Window != nil {
		opened, left, err := open(ctx, env, c, r.project(), r.Application)
		return opened, windowSaid(opened, left), err
	}
	app, err := read(ctx, c, r.ref())
	if err != nil {
		return false, "", err
	}
	record, known, err := cluster.PausedOf(app.object, cluster.PausedKey)
	is := policy(app.Spec.SyncPolicy.Automated)
	if err != nil || !known {
		return false, is + ", not paused by astern: left so", err
	}
	rest, last := record.Without(env)
	switch {
	case app.automatic():
		_, err = app.patch(ctx, c, false, map[string]any{"metadata": annotated(cluster.PausedKey, nil)})
		return false, is + ", somebody put it back already", err
	case !last:
		_, err = app.patch(ctx, c, false, map[string]any{"metadata": annotated(cluster.PausedKey, rest.Text())})
		return false, "stays off, " + strings.Join(rest.By, ", ") + " paused it, too; by hand: " + app.byHand(before(record)), err
	case !app.asPaused(before(record)):
		return false, "", actions.Permanent(fmt.Errorf("%s: somebody changed its sync policy while it was paused; it is left as it is. Before the pause it was %s; by hand: %s",
			r.ref(), policy(before(record)), app.byHand(before(record))))
	}
	_, err = app.patch(ctx, c, false, app.restored(before(record)))
	return true, "off -> " + policy(before(record)), err
}

func windowSaid(opened bool, left []string) string {
	switch {
	case opened:
		return "the window that kept it off is taken away"
	case len(left) > 0:
		return "the window stays, " + strings.Join(left, ", ") + " needs it, too"
	}
	return "no window of astern's is there"
}

func before(record cluster.Paused) map[string]any {
	automated, _ := record.Before.(map[string]any)
	return automated
}

// asPaused says whether the policy is what the pause left: the block with enabled false, or no block.
func (a application) asPaused(before map[string]any) bool {
	now := maps.Clone(a.Spec.SyncPolicy.Automated)
	if now == nil {
		return true
	}
	was := maps.Clone(before)
	delete(now, "enabled")
	delete(was, "enabled")
	return reflect.DeepEqual(plain(now), plain(was))
}

// plain gives numbers the types of JSON, on whatever way they came.
func plain(v map[string]any) map[string]any {
	all := map[string]any{}
	if raw, err := json.Marshal(v); err == nil {
		_ = json.Unmarshal(raw, &all)
	}
	return all
}

// restored is the patch after which the block is exactly what it was before.
func (a application) restored(before map[string]any) map[string]any {
	automated := map[string]any{}
	for field := range a.Spec.SyncPolicy.Automated {
		automated[field] = nil
	}
	maps.Copy(automated, before)
	return map[string]any{
		"metadata": annotated(cluster.PausedKey, nil),
		"spec":     map[string]any{"syncPolicy": map[string]any{"automated": automated}},
	}
}

func (a application) lastSync() string {
	if a.Status.OperationState == nil {
		return ""
	}
	return a.Status.OperationState.StartedAt
}

// stays watches that the bad revision does not come back.
func (r *Resume) stays(ctx context.Context, env actions.Env, c *cluster.Cluster, lastSync string) error {
	watch := time.Duration(r.watch())
	if r.Not == "" || watch == 0 {
		return nil
	}
	until := env.Now().Add(watch)
	env.Progress(fmt.Sprintf("%s: watched for %s coming back until %s", r.ref(), brief(r.Not), until.UTC().Format(time.TimeOnly)))
	err := cluster.Until(ctx, min(lookEvery, watch/2), func(ctx context.Context) (bool, error) {
		app, err := read(ctx, c, r.ref())
		if err != nil {
			return false, err
		}
		if how := app.back(r.Not, lastSync); how != "" {
			return false, actions.Permanent(fmt.Errorf("the bad version is coming back: %s %s, after its auto-sync was given back; pause it again and find who writes %s into its source", r.ref(), how, brief(r.Not)))
		}
		return !env.Now().Before(until), nil
	})
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%s: auto-sync is back, the watch was cut short: %w", r.ref(), err)
	}
	return err
}

// back says how the bad revision comes back, if it does. The sync before the resume may have been that of the bad version.
func (a application) back(bad, lastSync string) string {
	state := a.Status.OperationState
	switch {
	case is(a.desired(), bad):
		return "wants it again"
	case a.Operation != nil && is(revisions(a.Operation.Sync.Revision, a.Operation.Sync.Revisions), bad):
		return "is being synced to it"
	case state != nil && state.StartedAt != lastSync && is(a.reached(), bad):
		return "was synced to it"
	}
	return ""
}

// Verify says whether the pause of this incident is over and the bad revision is not wanted.
func (r *Resume) Verify(ctx context.Context, env actions.Env) error {
	c, app, err := look(ctx, env, r)
	if err != nil {
		return err
	}
	on, key := app.object, cluster.PausedKey
	if r.Window != nil {
		if on, err = c.Get(ctx, r.project()); err != nil {
			return err
		}
		key = cluster.PausedKeyFor(r.Application)
	}
	record, known, err := cluster.PausedOf(on, key)
	switch {
	case err != nil:
		return err
	case known && record.Holds(env):
		return actions.NotDone("%s is still paused for this incident", r.ref())
	case is(app.desired(), r.Not):
		return fmt.Errorf("%s wants the bad revision %s", r.ref(), brief(r.Not))
	}
	return nil
}
