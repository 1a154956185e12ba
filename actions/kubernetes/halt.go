package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const haltExample = `- name: halt
  uses: kubernetes/rollout-halt
  with:
    kind: "${target.workload.kind}"
    namespace: "${target.workload.namespace}"
    name: "${target.workload.name}"
  timeout: 60s
  retry: {attempts: 3, backoff: 2s}
`

// Halt stops a rollout where it is: no further pod is replaced. A Deployment is paused. A StatefulSet gets a partition above
// all its ordinals, so that a pod that dies comes back at the version before. A DaemonSet gets the strategy OnDelete; a
// node whose pod is missing at that moment still gets one of the new version. Pods that were replaced already stay and go on
// serving: to halt stops the spreading, kubernetes/rollout-undo brings the version before back.
//
// What was before is kept in the annotation astern.dev/halted of the object, and kubernetes/rollout-undo puts it back. Where
// no pod is left to be replaced, or somebody halted it before, nothing is written.
type Halt struct {
	// Kind is Deployment, StatefulSet or DaemonSet.
	Kind string `yaml:"kind"`
	// Namespace of the object.
	Namespace string `yaml:"namespace"`
	// Name of the object.
	Object string `yaml:"name"`
	// Under names the Argo CD or Flux object that would undo this and that an earlier step pauses, such as
	// argocd/argocd/shop or flux/Kustomization/flux-system/shop.
	Under string `yaml:"under,omitempty"`

	planned string
}

// HaltOutputs is what later steps can read.
type HaltOutputs struct {
	// Paused says whether the Deployment was paused before the step.
	Paused bool `json:"paused"`
	// Strategy is the type of the update strategy that a StatefulSet or DaemonSet had.
	Strategy string `json:"strategy,omitempty"`
	// Partition is the partition that a StatefulSet had.
	Partition int64 `json:"partition,omitempty"`
	// Halted says whether this step halted it: false where nothing rolled, or where it was halted before.
	Halted bool `json:"halted"`
}

// Name is kubernetes/rollout-halt.
func (h *Halt) Name() string { return "kubernetes/rollout-halt" }

// Outputs types steps.<name>.paused.
func (h *Halt) Outputs() any { return HaltOutputs{} }

func (h *Halt) ref() cluster.Ref {
	return cluster.Ref{Kind: h.Kind, Namespace: h.Namespace, Name: h.Object}
}

// Validate checks the names.
func (h *Halt) Validate() error {
	return errors.Join(checkRollout(h.ref()), cluster.CheckUnder(h.Under))
}

// Access is to read and patch the one object, and to claim it.
func (h *Halt) Access() []actions.Access {
	return append(append(cluster.ClaimAccess(h.ref()), h.ref().Access("get", "patch")), cluster.UnderAccess(h.Under)...)
}

// Ready says whether the object is there and may be halted.
func (h *Halt) Ready(ctx context.Context, env actions.Env) error {
	c, err := h.cluster(env)
	if err != nil {
		return err
	}
	if err := c.Allowed(ctx, h.Access()); err != nil {
		return err
	}
	r, err := readRollout(ctx, c, h.ref())
	if err != nil {
		return err
	}
	return c.Under(ctx, r.obj, h.Under, false)
}

func (h *Halt) cluster(env actions.Env) (*cluster.Cluster, error) {
	if err := h.Validate(); err != nil {
		return nil, actions.Permanent(err)
	}
	return cluster.Of(env)
}

// Plan says what the server would make of the write, without storing it.
func (h *Halt) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	c, err := h.cluster(env)
	if err != nil {
		return actions.Change{}, err
	}
	var change actions.Change
	err = cluster.Again(ctx, func(ctx context.Context) (err error) {
		change, err = h.plan(ctx, env, c)
		return err
	})
	h.planned = change.Found
	return change, err
}

func (h *Halt) plan(ctx context.Context, env actions.Env, c *cluster.Cluster) (actions.Change, error) {
	r, err := readRollout(ctx, c, h.ref())
	if err != nil {
		return actions.Change{}, err
	}
	if err := c.Under(ctx, r.obj, h.Under, false); err != nil {
		return actions.Change{}, err
	}
	change := actions.Change{Changes: true, Summary: "halt " + r.ref.String() + ": " + why(r), Found: found(r)}
	if h.ops(env, r) == nil {
		change.Diff = []string{"= " + r.ref.String() + " " + why(r)}
		return change, nil
	}
	if r, err = r.still(ctx, c); err != nil {
		return actions.Change{}, err
	}
	after, err := c.JSONPatch(ctx, r.ref, append(cluster.Fence(r.obj), h.ops(env, r)...), cluster.PatchOptions{DryRun: true})
	if err != nil {
		return actions.Change{}, err
	}
	change.Diff = diffRollout(r, rollout{r.ref, after}, nil)
	return change, nil
}

// found covers which object it is and which template rolls out. How far it got and whether it is halted is left out.
func found(r rollout) string {
	return cluster.Digest(map[string]any{"uid": r.uid(), "template": r.digest()})
}

// why says in words what there is to halt.
func why(r rollout) string {
	_, ours := r.halted()
	switch {
	case ours:
		return "it is halted by an earlier step"
	case r.halts(r.pace()):
		return "it is halted already, not by astern"
	case !r.rolls():
		return fmt.Sprintf("nothing rolls: %d of %d pods have its template", r.updated(), r.replicas())
	}
	return fmt.Sprintf("%d of %d pods have the new template", r.updated(), r.replicas())
}

// ops are what there is to write: nothing where nothing rolls or it is halted. The record of an older halt follows a template
// that was set since.
func (h *Halt) ops(env actions.Env, r rollout) []cluster.Op {
	record, ours := r.halted()
	switch {
	case ours && record.Template == r.digest():
		return nil
	case ours:
		record.Key, record.Template = env.Key, r.digest()
		return r.annotate(haltedKey, written(record))
	case r.halts(r.pace()), !r.rolls():
		return nil
	}
	to := r.halting()
	return append(r.annotate(haltedKey, written(haltRecord{env.Key, r.digest(), r.pace(), to})), r.to(to))
}

func written(record haltRecord) string {
	raw, err := json.Marshal(record)
	if err != nil { // it was decoded from JSON
		panic(err)
	}
	return string(raw)
}
