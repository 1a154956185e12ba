package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// stuck are the pods that keep a StatefulSet from rolling, the highest ordinal first. With ordered pods its controller waits
// for each to be ready before it replaces any, so a pod of a broken version stays until somebody deletes it.
func (r rollout) stuck(all []rolloutPod) []rolloutPod {
	goal := r.text("status", "updateRevision")
	if r.ref.Kind != statefulSet || r.text("spec", "podManagementPolicy") == "Parallel" || goal == "" || r.halts(r.pace()) {
		return nil
	}
	from := r.number("spec", "ordinals", "start") + r.usual().partition()
	var found []rolloutPod
	for _, p := range all {
		if p.hash != goal && !p.ready && !p.going && int64(p.ordinal()) >= from {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b rolloutPod) int { return cmp.Compare(b.ordinal(), a.ordinal()) })
	return found
}

// unstick deletes the stuck pods one at a time: the next only when the one made in the place of the last is ready.
func unstick(ctx context.Context, env actions.Env, c *cluster.Cluster, r rollout) ([]string, error) {
	var deleted []string
	if r.ref.Kind != statefulSet {
		return nil, nil
	}
	for {
		pods, err := r.pods(ctx, c)
		if err != nil {
			return deleted, err
		}
		left := r.stuck(pods)
		if len(left) == 0 {
			return deleted, nil
		}
		gone, err := freed(ctx, env, c, r, left[0], len(left) > 1)
		if gone {
			deleted = append(deleted, left[0].name)
		}
		if err != nil {
			return deleted, err
		}
	}
}

// freed deletes one pod, if it still is as it was read, and waits until another stands in its place: a ready one, where more
// are to be deleted.
func freed(ctx context.Context, env actions.Env, c *cluster.Cluster, r rollout, p rolloutPod, ready bool) (bool, error) {
	if err := c.Claim(ctx, env, r.ref); err != nil {
		return false, err
	}
	ref := cluster.Ref{Kind: "Pod", Namespace: r.ref.Namespace, Name: p.name}
	if env.Progress != nil {
		env.Progress(fmt.Sprintf("%s keeps %s from rolling: it is deleted", ref, r.ref))
	}
	err := c.Delete(ctx, ref, cluster.DeleteOptions{UID: p.uid, ResourceVersion: p.version})
	if errors.Is(err, cluster.ErrMoved) || cluster.IsNotFound(err) {
		return false, nil // it changed: it is looked at again
	}
	if err != nil {
		return false, err
	}
	err = cluster.Until(ctx, lookAgain, func(ctx context.Context) (bool, error) {
		obj, err := c.Get(ctx, ref)
		if cluster.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		next := readRolloutPod(*obj)
		return next.uid != p.uid && (next.ready || !ready), nil
	})
	if err != nil {
		return true, fmt.Errorf("%s was deleted because it kept %s from rolling; no other stands in its place yet: %w", ref, r.ref, err)
	}
	return true, nil
}

// verifyUnstuck says whether a StatefulSet's controller has acted on the template and no pod is stuck. The controllers of the
// others act on it by themselves.
func verifyUnstuck(ctx context.Context, c *cluster.Cluster, r rollout) error {
	if r.ref.Kind != statefulSet {
		return nil
	}
	if !r.seen() {
		return actions.NotDone("%s has the goal's template, but its controller has not acted on it yet", r.ref)
	}
	pods, err := r.pods(ctx, c)
	if err != nil {
		return err
	}
	var names []string
	for _, p := range r.stuck(pods) {
		names = append(names, p.name)
	}
	if len(names) > 0 {
		return actions.NotDone("%s has the goal's template, but is stuck on pods of another version: %s", r.ref, strings.Join(names, ", "))
	}
	return nil
}
