package flux

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const reconcileExample = `- name: fetch
  uses: flux/reconcile
  with: {kind: GitRepository, namespace: flux-system, name: config, revision: "${steps.revert.commit}"}
  timeout: 2m
`

// Reconcile has Flux look at an object now and waits until it is ready and at the revision. Flux ignores a request for what is
// suspended: then the step is refused. To have a new commit applied, let one step reconcile the GitRepository and the next the
// Kustomization.
type Reconcile struct {
	// Kind is Kustomization, HelmRelease, GitRepository, OCIRepository or ImageUpdateAutomation.
	Kind string `yaml:"kind"`
	// Namespace is where the object lies.
	Namespace string `yaml:"namespace"`
	// Object is its name.
	Object string `yaml:"name"`
	// Revision is the commit, the digest, or the exact version of the chart that it must be at; any without a word.
	Revision string `yaml:"revision,omitempty"`
	// Force has a HelmRelease released once more although nothing changed.
	Force bool `yaml:"force,omitempty"`
	// Reset clears the counts of failures of a HelmRelease, so that it is tried again.
	Reset bool `yaml:"reset,omitempty"`
}

// ReconcileOutputs is what later steps can read.
type ReconcileOutputs struct {
	// Revision is what it is at now.
	Revision string `json:"revision"`
	// Before is what it was at before.
	Before string `json:"before"`
}

// Name is flux/reconcile.
func (r *Reconcile) Name() string { return "flux/reconcile" }

// Outputs types steps.<name>.revision and steps.<name>.before.
func (r *Reconcile) Outputs() any { return ReconcileOutputs{} }

// Validate checks the names and that the revision cannot move.
func (r *Reconcile) Validate() error {
	failed := []error{checkObject(r.Kind, r.Namespace, r.Object)}
	if r.Revision != "" {
		failed = append(failed, checkRevision("revision", r.Revision))
	}
	if r.Revision != "" && r.Kind == "ImageUpdateAutomation" {
		failed = append(failed, errors.New("revision: an ImageUpdateAutomation is at none"))
	}
	if (r.Force || r.Reset) && r.Kind != "HelmRelease" {
		failed = append(failed, errors.New("force and reset: are for a HelmRelease alone"))
	}
	return errors.Join(failed...)
}

func (r *Reconcile) ref() cluster.Ref { return object(r.Kind, r.Namespace, r.Object) }

// Access is to read the object and to ask for it.
func (r *Reconcile) Access() []actions.Access { return rights(r.ref()) }

// Ready says that the object is there and may be changed.
func (r *Reconcile) Ready(ctx context.Context, env actions.Env) error {
	c, _, err := look(ctx, env, r)
	if err != nil {
		return err
	}
	return c.Allowed(ctx, r.Access())
}

// Plan says which revision is left and which is gone to.
func (r *Reconcile) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	_, f, err := look(ctx, env, r)
	if err != nil {
		return actions.Change{}, err
	}
	change := actions.Change{Changes: true, Summary: "reconcile " + r.ref().String(), Found: f.found()}
	goal := "whatever its source has"
	if r.Revision != "" {
		goal = r.Revision
		change.Summary += " to " + brief(r.Revision)
	}
	change.Diff = []string{fmt.Sprintf("~ %s revision: %s -> %s", r.ref(), f.reached(), goal)}
	if f.suspended() {
		change.Diff = append(change.Diff, "= it is suspended: an earlier step must resume it")
	}
	return change, nil
}

// token is what the request is known by: the same for every attempt of one step, with the attempt at its end.
func token(env actions.Env) string { return base(env) + strconv.Itoa(max(env.Attempt, 1)) }

func base(env actions.Env) string {
	sum := sha256.Sum256([]byte(env.Key))
	return "astern-" + hex.EncodeToString(sum[:10]) + "-"
}

// Run asks Flux, unless it did already for this step, and waits.
func (r *Reconcile) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	c, f, err := look(ctx, env, r)
	if err != nil {
		return actions.Result{}, err
	}
	outputs := ReconcileOutputs{Before: f.reached()}
	if err := c.ClaimShared(ctx, env, r.ref()); err != nil {
		return actions.Result{}, err
	}
	if err := cluster.Again(ctx, func(ctx context.Context) error { return r.ask(ctx, env, c) }); err != nil {
		return actions.Result{}, err
	}
	f, err = r.done(ctx, env, c)
	if err != nil {
		return actions.Result{}, err
	}
	outputs.Revision = f.reached()
	return actions.Result{Summary: fmt.Sprintf("%s reconciled, at %s", r.ref(), outputs.Revision), Outputs: outputs}, nil
}

// ask writes the request. Those for a forced release and for a reset carry the same token in the same write: Flux takes one
// that stands alone as done and forgets it.
func (r *Reconcile) ask(ctx context.Context, env actions.Env, c *cluster.Cluster) error {
	f, err := read(ctx, c, r.ref())
	if err != nil {
		return err
	}
	if f.suspended() {
		return actions.Permanent(fmt.Errorf("%s is suspended: Flux ignores the request; let flux/resume come before this step", r.ref()))
	}
	if asked := f.object.GetAnnotations()[requestedKey]; strings.HasPrefix(asked, base(env)) {
		if asked == token(env) || f.Status.LastHandledReconcileAt != asked || r.missing(f, env) == "" {
			return nil
		}
	}
	annotations := map[string]any{requestedKey: token(env)}
	if r.Force {
		annotations[forceKey] = token(env)
	}
	if r.Reset {
		annotations[resetKey] = token(env)
	}
	_, err = f.patch(ctx, c, false, annotations, nil)
	return err
}

// done waits until nothing is missing.
func (r *Reconcile) done(ctx context.Context, env actions.Env, c *cluster.Cluster) (fluxed, error) {
	var f fluxed
	last := ""
	err := cluster.Until(ctx, lookEvery, func(ctx context.Context) (bool, error) {
		var err error
		if f, err = read(ctx, c, r.ref()); err != nil {
			return false, err
		}
		if asked := f.object.GetAnnotations()[requestedKey]; !strings.HasPrefix(asked, base(env)) {
			return false, fmt.Errorf("%s: another request took the place of this step's", r.ref())
		}
		missing := r.missing(f, env)
		if missing != last && missing != "" {
			env.Progress(r.ref().String() + ": " + missing)
		}
		last = missing
		if missing != "" && r.handled(f, env) {
			return false, failed(f)
		}
		return missing == "", nil
	})
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return f, fmt.Errorf("%s is not reconciled: %s: %w", r.ref(), last, err)
	}
	return f, err
}

// handled says that the last request of this step was worked off.
func (r *Reconcile) handled(f fluxed, env actions.Env) bool {
	asked := f.object.GetAnnotations()[requestedKey]
	return strings.HasPrefix(asked, base(env)) && f.Status.LastHandledReconcileAt == asked &&
		(!r.Force || f.Status.LastHandledForceAt == asked) && (!r.Reset || f.Status.LastHandledResetAt == asked)
}

// failed says why it is not ready, when its controller has given up for now.
func failed(f fluxed) error {
	ready := f.condition("Ready")
	if _, busy := f.running(); ready.Status != "False" || busy {
		return nil
	}
	return fmt.Errorf("%s is not ready: %s: %s", f.ref(), ready.Reason, ready.Message)
}

// missing says what is not there yet; nothing when all is.
func (r *Reconcile) missing(f fluxed, env actions.Env) string {
	switch ready := f.condition("Ready"); {
	case !r.handled(f, env):
		return "Flux has not worked the request off; does its controller run?"
	case ready.Status != "True" || !f.observed():
		return strings.TrimSuffix("it is not ready: "+ready.Message, ": ")
	case r.Revision != "" && !is(f.reached(), r.Revision):
		return "it is at " + f.reached() + ", not at " + r.Revision
	}
	return ""
}

// Verify says whether the request of this step was worked off and it is at the revision.
func (r *Reconcile) Verify(ctx context.Context, env actions.Env) error {
	_, f, err := look(ctx, env, r)
	if err != nil {
		return err
	}
	if missing := r.missing(f, env); missing != "" {
		return actions.NotDone("%s: %s", r.ref(), missing)
	}
	return nil
}
