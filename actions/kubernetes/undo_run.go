package kubernetes

import (
	"context"
	"fmt"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// Plan says what the server would make of the write, without storing it.
func (u *Undo) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	c, err := u.cluster(env)
	if err != nil {
		return actions.Change{}, err
	}
	var change actions.Change
	err = cluster.Again(ctx, func(ctx context.Context) (err error) {
		change, err = u.plan(ctx, env, c)
		return err
	})
	u.planned = change.Found
	return change, err
}

func (u *Undo) plan(ctx context.Context, env actions.Env, c *cluster.Cluster) (actions.Change, error) {
	v, err := u.look(ctx, env, c)
	if err != nil {
		return actions.Change{}, err
	}
	if err := c.Under(ctx, v.obj, u.Under, false); err != nil {
		return actions.Change{}, err
	}
	change := actions.Change{Changes: true, Summary: v.summary(), Found: v.found()}
	if v.ops(env) == nil {
		change.Diff = []string{"= " + v.ref.String() + " has the template already"}
		return change, nil
	}
	if v.rollout, err = v.still(ctx, c); err != nil {
		return actions.Change{}, err
	}
	after, err := c.JSONPatch(ctx, v.ref, append(cluster.Fence(v.obj), v.ops(env)...), cluster.PatchOptions{DryRun: true})
	if err != nil {
		return actions.Change{}, err
	}
	if err := v.stays(rollout{v.ref, after}); err != nil {
		return actions.Change{}, err
	}
	change.Diff = append(diffRollout(v.rollout, rollout{v.ref, after}, v.running()), appliers(v.rollout)...)
	return change, nil
}

// ops are the one write; none where the goal is reached and no halt of ours is in force.
func (v undoView) ops(env actions.Env) []cluster.Op {
	if v.reached {
		return resumeOps(v.rollout)
	}
	return undoOps(env, v.rollout, v.to)
}

// found covers which object it is, the template it has, the goal, and how it rolls without a halt of ours, which an earlier
// step of the same plan may have set.
func (v undoView) found() string {
	return cluster.Digest(map[string]any{"uid": v.uid(), "template": v.digest(), "goal": v.to.digest, "pace": v.usual()})
}

func (v undoView) summary() string {
	if v.reached {
		return fmt.Sprintf("undo %s: it has the goal's template already", v.ref)
	}
	return fmt.Sprintf("undo %s: back to revision %d of %s (%s)", v.ref, v.to.number, v.to.created.UTC().Format("2006-01-02 15:04 UTC"), v.to.shownImage())
}

func (v revision) shownImage() string {
	if all := v.images(); len(all) > 0 {
		return all[0]
	}
	return v.digest
}

// stays refuses a write that admission would turn into something else: the goal would never be reached.
func (v undoView) stays(after rollout) error {
	if after.digest() == v.to.digest {
		return nil
	}
	return actions.Permanent(fmt.Errorf("undo %s: admission changes the template of revision %d into another (%s): a policy of the cluster no longer takes that version as it was", v.ref, v.to.number, after.digest()))
}

// running are the images that pods run, by the digest of their template.
func (v undoView) running() map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, one := range v.all {
		if len(one.running) > 0 {
			all[one.digest] = one.running
		}
	}
	return all
}

// Run writes once, waits until the controller has acted on it, and frees a StatefulSet of pods it is stuck on.
func (u *Undo) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	c, err := u.cluster(env)
	if err != nil {
		return actions.Result{}, err
	}
	var v undoView
	var after rollout
	err = cluster.Again(ctx, func(ctx context.Context) (err error) {
		v, after, err = u.write(ctx, env, c)
		return err
	})
	if err != nil {
		return actions.Result{}, err
	}
	did := actions.Result{Summary: v.summary()}
	outputs := UndoOutputs{Template: v.digest()}
	if !v.reached {
		outputs.Revision = v.to.name
	}
	after, err = untilSeen(ctx, c, after)
	if err == nil {
		outputs.Deleted, err = unstick(ctx, env, c, after)
	}
	if n := len(outputs.Deleted); n > 0 {
		did.Summary += fmt.Sprintf(", %d stuck pods deleted", n)
	}
	did.Outputs = outputs
	return did, err
}

func (u *Undo) write(ctx context.Context, env actions.Env, c *cluster.Cluster) (undoView, rollout, error) {
	v, err := u.look(ctx, env, c)
	if err != nil || v.ops(env) == nil {
		return v, v.rollout, err
	}
	if u.planned == "" {
		u.planned = v.found() // a second reading in this run finds the same, or nothing is written
	}
	if !v.reached && u.planned != v.found() {
		return v, v.rollout, actions.Permanent(fmt.Errorf("undo %s: it is no longer as the plan found it: nothing was written", v.ref))
	}
	if err := v.mayWrite(ctx, env, c, u.Under); err != nil {
		return v, v.rollout, err
	}
	if v.rollout, err = v.still(ctx, c); err != nil {
		return v, v.rollout, err
	}
	after, err := c.JSONPatch(ctx, v.ref, append(cluster.Fence(v.obj), v.ops(env)...), cluster.PatchOptions{})
	u.wrote = v.to.digest
	return v, rollout{v.ref, after}, err
}

// Verify is nil when the object has the goal's template, rolls at its usual pace, and no pod keeps it from that. Whether all
// pods have it is for kubernetes/rollout-wait to say.
func (u *Undo) Verify(ctx context.Context, env actions.Env) error {
	c, err := u.cluster(env)
	if err != nil {
		return err
	}
	r, err := readRollout(ctx, c, u.ref())
	if err != nil {
		return err
	}
	all, err := u.known(ctx, c, r)
	if err != nil {
		return err
	}
	// An image's digest is known by the pods that run it alone, and those may be gone.
	if _, reached := now(r, all, u.To); !reached && r.digest() != u.wrote {
		return actions.NotDone("%s has the template %s, not the goal's", r.ref, r.digest())
	}
	if _, ours := r.halted(); ours {
		return actions.NotDone("%s has the goal's template, but is still halted", r.ref)
	}
	return verifyUnstuck(ctx, c, r)
}
