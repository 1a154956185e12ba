package kubernetes

import (
	"context"
	"fmt"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// Run writes, and waits until the controller has acted on it: from then on no pod is replaced.
func (h *Halt) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	c, err := h.cluster(env)
	if err != nil {
		return actions.Result{}, err
	}
	var did actions.Result
	var after rollout
	err = cluster.Again(ctx, func(ctx context.Context) (err error) {
		did, after, err = h.write(ctx, env, c)
		return err
	})
	if err != nil {
		return actions.Result{}, err
	}
	_, err = untilSeen(ctx, c, after)
	return did, err
}

func (h *Halt) write(ctx context.Context, env actions.Env, c *cluster.Cluster) (actions.Result, rollout, error) {
	r, err := readRollout(ctx, c, h.ref())
	if err != nil {
		return actions.Result{}, r, err
	}
	ops, usual := h.ops(env, r), r.usual()
	did := actions.Result{Summary: "halt " + r.ref.String() + ": " + why(r), Outputs: HaltOutputs{usual.Paused, usual.strategy(), usual.partition(), false}}
	if ops == nil {
		return did, r, nil
	}
	if h.planned == "" {
		h.planned = found(r) // a second reading in this run finds the same, or nothing is written
	}
	if h.planned != found(r) {
		return actions.Result{}, r, actions.Permanent(fmt.Errorf("halt %s: another template was set since the plan was made: nothing was written", r.ref))
	}
	if err := r.mayWrite(ctx, env, c, h.Under); err != nil {
		return actions.Result{}, r, err
	}
	if r, err = r.still(ctx, c); err != nil {
		return actions.Result{}, r, err
	}
	if ops = h.ops(env, r); ops == nil {
		return did, r, nil
	}
	after, err := c.JSONPatch(ctx, r.ref, append(cluster.Fence(r.obj), ops...), cluster.PatchOptions{})
	if err != nil {
		return actions.Result{}, r, err
	}
	did.Summary = fmt.Sprintf("halted %s: %d of %d pods have the new template%s", r.ref, r.updated(), r.replicas(), rollout{r.ref, after}.goesOn())
	did.Outputs = HaltOutputs{usual.Paused, usual.strategy(), usual.partition(), true}
	return did, rollout{r.ref, after}, nil
}

// Verify is nil when the controller knows that no pod is to be replaced, or when none is left to be.
func (h *Halt) Verify(ctx context.Context, env actions.Env) error {
	c, err := h.cluster(env)
	if err != nil {
		return err
	}
	r, err := readRollout(ctx, c, h.ref())
	switch {
	case err != nil:
		return err
	case !r.rolls(), r.seen() && r.halts(r.pace()):
		return nil
	case r.halts(r.pace()):
		return actions.NotDone("%s is halted, but its controller has not acted on it yet", r.ref)
	}
	return actions.NotDone("%s rolls on: %s", r.ref, why(r))
}

// goesOn is how a person lets a halted rollout go on when no further step does; empty where none of ours halts it.
func (r rollout) goesOn() string {
	if _, ours := r.halted(); !ours {
		return ""
	}
	if r.ref.Kind == "Deployment" {
		return fmt.Sprintf("; `kubectl -n %s rollout resume deployment/%s` lets it go on", r.ref.Namespace, r.ref.Name)
	}
	return "; the annotation " + haltedKey + " holds the strategy that lets it go on"
}
