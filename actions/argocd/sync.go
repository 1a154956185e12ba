package argocd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const syncExample = `- name: sync
  uses: argocd/sync
  with:
    namespace: argocd
    application: shop
    revision: "${release.previous.commit}"
    hooks: false
    prune: true
  timeout: 5m
`

// Sync brings an Application to one revision and waits until the sync succeeded at that revision and the Application is
// healthy. Git is not changed: while auto-sync is on and wants another revision the step is refused, for it would be undone.
type Sync struct {
	// Namespace is where the Application lies, most often argocd.
	Namespace string `yaml:"namespace"`
	// Application is its name.
	Application string `yaml:"application"`
	// Revision is the commit, or the exact version of the chart, to bring it to.
	Revision string `yaml:"revision"`
	// History takes the Application's sources as they were when it last was at the revision, as `argocd app rollback` does. It
	// is needed where the Application has several sources.
	History bool `yaml:"history,omitempty"`
	// Hooks runs the sync hooks of the Application, such as migrations; without it they do not run.
	Hooks bool `yaml:"hooks,omitempty"`
	// Prune deletes what the revision does not have.
	Prune bool `yaml:"prune,omitempty"`
}

// SyncOutputs is what later steps can read.
type SyncOutputs struct {
	// Revision is what the Application is at now.
	Revision string `json:"revision"`
	// Before is what it was at before, as far as Argo CD knows.
	Before string `json:"before"`
}

// Name is argocd/sync.
func (s *Sync) Name() string { return "argocd/sync" }

// Outputs types steps.<name>.revision and steps.<name>.before.
func (s *Sync) Outputs() any { return SyncOutputs{} }

// Validate checks the names and that the revision cannot move.
func (s *Sync) Validate() error {
	return errors.Join(checkApplication(s.Namespace, s.Application), checkRevision("revision", s.Revision))
}

func (s *Sync) ref() cluster.Ref { return cluster.ArgoApplication(s.Namespace, s.Application) }

// Access is to read and change the Application.
func (s *Sync) Access() []actions.Access { return rights(s.ref()) }

// Ready says that the Application is there, that it may be changed, and that the revision is known where it must be.
func (s *Sync) Ready(ctx context.Context, env actions.Env) error {
	c, _, _, err := s.look(ctx, env)
	if err != nil {
		return err
	}
	return c.Allowed(ctx, s.Access())
}

func (s *Sync) look(ctx context.Context, env actions.Env) (*cluster.Cluster, application, history, error) {
	c, app, err := look(ctx, env, s)
	if err != nil {
		return nil, application{}, history{}, err
	}
	goal, err := s.goal(app)
	return c, app, goal, err
}

// goal finds the sources of the revision in the Application's history where they are to come from there.
func (s *Sync) goal(app application) (history, error) {
	if !s.History {
		switch len(app.Spec.Sources) {
		case 0:
			return history{Revision: s.Revision}, nil
		case 1: // Argo CD reads a list for what is written as a list
			return history{Revisions: []string{s.Revision}}, nil
		default:
			return history{}, actions.Permanent(fmt.Errorf("%s has %d sources: one revision does not say what each is to be at; write `history: true`", s.ref(), len(app.Spec.Sources)))
		}
	}
	for _, h := range slices.Backward(app.Status.History) {
		if is(revisions(h.Revision, h.Revisions), s.Revision) {
			return h, nil
		}
	}
	return history{}, actions.Permanent(fmt.Errorf("%s was never at %s as far as its history goes back (%d syncs)", s.ref(), s.Revision, len(app.Status.History)))
}

// Plan says which revision is left and which is gone to.
func (s *Sync) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	_, app, goal, err := s.look(ctx, env)
	if err != nil {
		return actions.Change{}, err
	}
	change := actions.Change{Changes: true, Summary: fmt.Sprintf("sync %s/%s to %s", s.Namespace, s.Application, brief(s.Revision)), Found: app.found()}
	change.Diff = append(change.Diff, fmt.Sprintf("~ %s revision: %s -> %s", s.ref(), app.at(), s.Revision))
	hooks := "its hooks do not run"
	if s.Hooks {
		hooks = "its hooks run"
	}
	pruned := "what the revision does not have stays"
	if s.Prune {
		pruned = "what the revision does not have is deleted"
	}
	change.Diff = append(change.Diff, "= "+hooks+"; "+pruned)
	if goal.Source != nil || goal.Sources != nil {
		change.Diff = append(change.Diff, "= its sources are those of its history")
	}
	if app.automatic() && !is(app.desired(), s.Revision) {
		change.Diff = append(change.Diff, "= auto-sync is "+policy(app.Spec.SyncPolicy.Automated)+" now: an earlier step must pause it")
	}
	return change, nil
}

// at is the revision of the last sync that succeeded.
func (a application) at() string {
	if n := len(a.Status.History); n > 0 {
		if all := revisions(a.Status.History[n-1].Revision, a.Status.History[n-1].Revisions); len(all) > 0 {
			return all[0]
		}
	}
	if state := a.Status.OperationState; state != nil && state.Phase == phaseSucceeded && state.SyncResult.Revision != "" {
		return state.SyncResult.Revision
	}
	return "unknown"
}

func brief(revision string) string {
	if commit.MatchString(revision) && len(revision) > 12 {
		return revision[:12]
	}
	return revision
}
