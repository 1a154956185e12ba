package flux

import (
	"context"
	"errors"
	"fmt"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const suspendExample = `- name: suspend_flux
  uses: flux/suspend
  with: {kind: Kustomization, namespace: flux-system, name: shop}
  timeout: 2m
`

// Suspend stops an object of Flux, so that Flux does not undo what the next steps do, and waits until a reconciliation that is
// under way has ended. How it was is recorded in the annotation astern.dev/paused of the object; flux/resume puts it back.
//
// A Kustomization above that applies the object with `suspend: false` out of Git would put it back: then the step is refused
// with its name, unless under says that an earlier step suspends that one. Suspending a Kustomization does not stop image
// automation that writes to the same repository: the plan names it, and a step of its own suspends it.
type Suspend struct {
	// Kind is Kustomization, HelmRelease, GitRepository, OCIRepository or ImageUpdateAutomation.
	Kind string `yaml:"kind"`
	// Namespace is where the object lies.
	Namespace string `yaml:"namespace"`
	// Object is its name.
	Object string `yaml:"name"`
	// Under names who is above and would undo this suspension, and whom an earlier step of the same procedure suspends:
	// flux/Kustomization/NAMESPACE/NAME.
	Under string `yaml:"under,omitempty"`
}

// SuspendOutputs is what later steps can read.
type SuspendOutputs struct {
	// Suspended says whether it was suspended before.
	Suspended bool `json:"suspended"`
	// ByHand is a command that resumes it; empty where nothing was suspended.
	ByHand string `json:"by_hand"`
}

// Name is flux/suspend.
func (s *Suspend) Name() string { return "flux/suspend" }

// Outputs types steps.<name>.suspended and steps.<name>.by_hand.
func (s *Suspend) Outputs() any { return SuspendOutputs{} }

// Validate checks the names.
func (s *Suspend) Validate() error {
	return errors.Join(checkObject(s.Kind, s.Namespace, s.Object), cluster.CheckUnder(s.Under))
}

func (s *Suspend) ref() cluster.Ref { return object(s.Kind, s.Namespace, s.Object) }

// Access is to read and change the object, and to see who is above it and who writes its source.
func (s *Suspend) Access() []actions.Access {
	return append(rights(s.ref()), cluster.UnderAccess(s.Under)...)
}

// Ready says that the object is there, may be changed, and would stay suspended.
func (s *Suspend) Ready(ctx context.Context, env actions.Env) error {
	c, _, _, err := s.look(ctx, env, false)
	if err != nil {
		return err
	}
	return c.Allowed(ctx, s.Access())
}

func (s *Suspend) look(ctx context.Context, env actions.Env, running bool) (*cluster.Cluster, fluxed, []cluster.Owner, error) {
	c, f, err := look(ctx, env, s)
	if err != nil {
		return nil, fluxed{}, nil, err
	}
	if f.suspended() {
		above, err := c.Above(ctx, f.object)
		return c, f, above, err
	}
	above, err := c.Stays(ctx, f.object, s.Under, running)
	return c, f, above, err
}

// Plan says what would change, by a dry run at the server, and who else writes.
func (s *Suspend) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	c, f, above, err := s.look(ctx, env, false)
	if err != nil {
		return actions.Change{}, err
	}
	change := actions.Change{Changes: true, Summary: s.summary(f), Found: cluster.Digest([]any{f.found(), f.byPerson()})}
	if change.Diff, err = s.diff(ctx, c, f); err != nil {
		return actions.Change{}, err
	}
	if what, busy := f.running(); busy {
		change.Diff = append(change.Diff, "= Flux is at work on it: "+what)
	}
	for _, o := range above {
		change.Diff = append(change.Diff, line(o))
	}
	return change, nil
}

// byPerson says that it is suspended, and for no incident: that an incident suspended it, this or another, is no change.
func (f fluxed) byPerson() bool {
	_, known, err := cluster.PausedOf(f.object, cluster.PausedKey)
	return f.suspended() && (err != nil || !known)
}

func (s *Suspend) summary(f fluxed) string {
	if f.suspended() {
		return s.ref().String() + " is suspended already"
	}
	return "suspend " + s.ref().String()
}

func (s *Suspend) diff(ctx context.Context, c *cluster.Cluster, f fluxed) ([]string, error) {
	if f.suspended() {
		return []string{"= " + s.ref().String() + " spec.suspend: true"}, nil
	}
	var lines []string
	err := cluster.Again(ctx, func(ctx context.Context) error {
		f, err := read(ctx, c, s.ref())
		if err != nil {
			return err
		}
		after, err := f.patch(ctx, c, true, nil, map[string]any{"suspend": true})
		if err == nil {
			lines = cluster.Diff(f.object, after)
		}
		return err
	})
	return lines, err
}

// Run suspends the object, records how it was, and waits until its controller has let go of it.
func (s *Suspend) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	c, f, _, err := s.look(ctx, env, true)
	if err != nil {
		return actions.Result{}, err
	}
	if err := c.ClaimShared(ctx, env, s.ref()); err != nil {
		return actions.Result{}, err
	}
	result := actions.Result{Summary: s.summary(f), Outputs: SuspendOutputs{Suspended: f.suspended()}}
	ours := false
	err = cluster.Again(ctx, func(ctx context.Context) (err error) { ours, err = s.write(ctx, env, c); return err })
	if err != nil {
		return actions.Result{}, err
	}
	if ours {
		result.Summary += "; by hand back: " + byHand(s.ref())
		result.Outputs = SuspendOutputs{Suspended: f.suspended(), ByHand: byHand(s.ref())}
	}
	return result, s.settle(ctx, env, c)
}

// write suspends; ours says that the suspension is one that flux/resume is to take back.
func (s *Suspend) write(ctx context.Context, env actions.Env, c *cluster.Cluster) (ours bool, err error) {
	f, err := read(ctx, c, s.ref())
	if err != nil {
		return false, err
	}
	record, known, err := cluster.PausedOf(f.object, cluster.PausedKey)
	switch {
	case err != nil:
		return false, err
	case !f.suspended(): // never, or resumed by somebody since: how it is now is how it was
		var before any
		if f.Spec.Suspend != nil {
			before = *f.Spec.Suspend
		}
		_, err = f.patch(ctx, c, false, map[string]any{cluster.PausedKey: cluster.NewPaused(env, before).Text()}, map[string]any{"suspend": true})
		return true, err
	case known && !record.Holds(env): // for another incident: whoever is last puts it back
		_, err = f.patch(ctx, c, false, map[string]any{cluster.PausedKey: record.With(env).Text()}, nil)
	}
	return known, err
}

// settle waits until the controller is done with what it began before it saw the suspension. A controller that has seen the
// object as it is now is; of one that does not tell, a while in which it is idle must do.
func (s *Suspend) settle(ctx context.Context, env actions.Env, c *cluster.Cluster) error {
	idle, last := time.Time{}, ""
	err := cluster.Until(ctx, lookEvery, func(ctx context.Context) (bool, error) {
		f, err := read(ctx, c, s.ref())
		if err != nil {
			return false, err
		}
		now := env.Now()
		what, busy := f.running()
		switch {
		case busy:
			idle = time.Time{}
			if what != last {
				last = what
				env.Progress(s.ref().String() + ": " + what)
			}
		case idle.IsZero():
			idle = now
		}
		return !busy && (f.observed() || now.Sub(idle) >= quiet), nil
	})
	if err != nil && last != "" {
		return fmt.Errorf("%s is suspended, but Flux is still at work on it: %s: %w", s.ref(), last, err)
	}
	return err
}

// Verify says whether Flux keeps its hands off now.
func (s *Suspend) Verify(ctx context.Context, env actions.Env) error {
	if err := s.Validate(); err != nil {
		return actions.Permanent(err)
	}
	c, err := cluster.Of(env)
	if err != nil {
		return err
	}
	f, err := read(ctx, c, s.ref())
	if err != nil {
		return err
	}
	if !f.suspended() {
		return actions.NotDone("%s is not suspended", s.ref())
	}
	if what, busy := f.running(); busy {
		return actions.NotDone("%s is suspended, but Flux is still at work on it: %s", s.ref(), what)
	}
	return nil
}
