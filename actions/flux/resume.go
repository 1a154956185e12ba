package flux

import (
	"context"
	"errors"
	"fmt"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const (
	defaultWatch  = actions.Duration(time.Minute)
	resumeExample = `- name: resume_flux
  uses: flux/resume
  with:
    kind: Kustomization
    namespace: flux-system
    name: shop
    not: "${release.current.commit}"
    revision: "${steps.revert.commit}"
    watch: 1m
  timeout: 5m
`
)

// Resume gives an object back to Flux as it was before flux/suspend, waits until it is ready, and then watches that the bad
// version does not come back. While its source still has the bad revision it is not given back: Flux would apply it again.
// What was not suspended, or was resumed by a person meanwhile, is left as it is.
type Resume struct {
	// Kind is Kustomization, HelmRelease, GitRepository, OCIRepository or ImageUpdateAutomation.
	Kind string `yaml:"kind"`
	// Namespace is where the object lies.
	Namespace string `yaml:"namespace"`
	// Object is its name.
	Object string `yaml:"name"`
	// Not is the bad revision, which its source must no longer have. Only with `watch: 0s` may it be left out, and for an
	// ImageUpdateAutomation.
	Not string `yaml:"not,omitempty"`
	// Revision is what its source must have, such as the commit of the revert; without it any but the bad one will do. Name it
	// where others commit to the same branch: a commit upon the bad one brings the bad one, too. A commit upon the good one is
	// not told from it: then a person decides, so let flux/reconcile of the source come right after the revert.
	Revision string `yaml:"revision,omitempty"`
	// Watch is how long to watch that the bad revision stays away; 1m without a word, 0s not at all. The step's timeout must be
	// longer.
	Watch *actions.Duration `yaml:"watch,omitempty"`
}

// ResumeOutputs is what later steps can read.
type ResumeOutputs struct {
	// Resumed says that this step gave it back.
	Resumed bool `json:"resumed"`
}

// Name is flux/resume.
func (r *Resume) Name() string { return "flux/resume" }

// Outputs types steps.<name>.resumed.
func (r *Resume) Outputs() any { return ResumeOutputs{} }

// Lasts is the time of the watch.
func (r *Resume) Lasts() time.Duration { return r.watch() }

func (r *Resume) watch() time.Duration {
	if r.Watch == nil {
		return time.Duration(defaultWatch)
	}
	return time.Duration(*r.Watch)
}

// Validate checks the names and the revisions.
func (r *Resume) Validate() error {
	failed := []error{checkObject(r.Kind, r.Namespace, r.Object)}
	for field, value := range map[string]string{"not": r.Not, "revision": r.Revision} {
		switch {
		case value != "" && r.Kind == "ImageUpdateAutomation":
			failed = append(failed, fmt.Errorf("%s: an ImageUpdateAutomation is at no revision", field))
		case value != "":
			failed = append(failed, checkRevision(field, value))
		}
	}
	switch d := r.watch(); {
	case d < 0 || d > time.Hour:
		failed = append(failed, errors.New("watch: must be from 0s to 1h"))
	case d > 0 && r.Not == "" && r.Kind != "ImageUpdateAutomation":
		failed = append(failed, errors.New("not: without the bad revision nothing can be watched for; `watch: 0s` gives it back without a look"))
	}
	return errors.Join(failed...)
}

func (r *Resume) ref() cluster.Ref { return object(r.Kind, r.Namespace, r.Object) }

// Access is to read and change the object, and to read its source.
func (r *Resume) Access() []actions.Access {
	all := rights(r.ref())
	if r.Kind == "Kustomization" || r.Kind == "HelmRelease" {
		all = append(all, object("OCIRepository", r.Namespace, "").Access("get"))
	}
	return all
}

// Ready says that the object is there and may be changed.
func (r *Resume) Ready(ctx context.Context, env actions.Env) error {
	c, _, err := look(ctx, env, r)
	if err != nil {
		return err
	}
	return c.Allowed(ctx, r.Access())
}

// Plan says what is given back. An earlier step suspends: what is now is what comes back.
func (r *Resume) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	c, f, err := look(ctx, env, r)
	if err != nil {
		return actions.Change{}, err
	}
	change := actions.Change{Changes: true, Summary: "resume " + r.ref().String() + " as it was before it was suspended", Found: f.found()}
	record, known, err := cluster.PausedOf(f.object, cluster.PausedKey)
	if err != nil {
		return actions.Change{}, err
	}
	says := fmt.Sprintf("= %s spec.suspend: %t", r.ref(), f.suspended())
	if known && f.suspended() {
		says = fmt.Sprintf("~ %s spec.suspend: true -> %t", r.ref(), record.Before == true)
	}
	change.Diff = append(change.Diff, says)
	if r.Not != "" || r.Revision != "" {
		change.Diff = append(change.Diff, fmt.Sprintf("= only when its source has %s; then watched for %s", r.wish(), r.watch()))
	}
	above, err := c.Above(ctx, f.object)
	for _, o := range above {
		if o.Kind == cluster.ByImages {
			change.Diff = append(change.Diff, line(o))
		}
	}
	return change, err
}

// wish says which revision the source must have.
func (r *Resume) wish() string {
	if r.Revision != "" {
		return brief(r.Revision)
	}
	return "another revision than " + brief(r.Not)
}
