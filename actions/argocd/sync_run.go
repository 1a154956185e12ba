package argocd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// Run asks Argo CD's controller for the sync, unless it did already for this step, and waits for its end and for health.
func (s *Sync) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	c, app, goal, err := s.look(ctx, env)
	if err != nil {
		return actions.Result{}, err
	}
	outputs := SyncOutputs{Before: app.at()}
	if err := c.ClaimShared(ctx, env, s.ref()); err != nil {
		return actions.Result{}, err
	}
	if err := cluster.Again(ctx, func(ctx context.Context) error { return s.ask(ctx, env, c, goal) }); err != nil {
		return actions.Result{}, err
	}
	if app, err = s.ended(ctx, env, c); err != nil {
		return actions.Result{}, err
	}
	outputs.Revision = strings.Join(app.reached(), " ")
	result := actions.Result{Summary: fmt.Sprintf("%s/%s synced to %s", s.Namespace, s.Application, brief(s.Revision)), Outputs: outputs}
	return result, s.healthy(ctx, env, c)
}

// ask writes the operation when none is there. What this step asked for before and still goes on, or succeeded, is taken up.
func (s *Sync) ask(ctx context.Context, env actions.Env, c *cluster.Cluster, goal history) error {
	app, err := read(ctx, c, s.ref())
	if err != nil {
		return err
	}
	switch ours, state := s.stand(app, env); {
	case ours && (state == phaseRunning || state == phaseSucceeded):
		return nil
	case app.skipped():
		return actions.Permanent(fmt.Errorf("%s has the annotation %s: Argo CD takes no operation up while it is there", s.ref(), skipKey))
	}
	if text, busy := app.busy(); busy {
		return fmt.Errorf("%s: %s; it must end first", s.ref(), text)
	}
	if auto, why := c.AutoSync(ctx, app.object); auto && !is(app.desired(), s.Revision) {
		return actions.Permanent(fmt.Errorf("%s: %s, and it wants %s, not %s: let argocd/pause come before this step, or revert in Git", s.ref(), why, strings.Join(app.desired(), " "), s.Revision))
	}
	_, err = app.patch(ctx, c, false, map[string]any{"operation": s.operation(app, env, goal)})
	return err
}

// stand says whether the operation there is the one of this step, and how far it is. The controller takes the operation away
// when it is done: one that stands beside a finished state was not taken up yet.
func (s *Sync) stand(app application, env actions.Env) (ours bool, phase string) {
	state := app.Status.OperationState
	mine := func(o operation) bool { return o.info(keyInfo) == env.Key && same(first(o), s.Revision) }
	switch {
	case app.waiting():
		return mine(*app.Operation), phaseRunning
	case state != nil && mine(state.Operation):
		if state.Phase == phaseTerminating {
			return true, phaseRunning
		}
		return true, state.Phase
	}
	return false, ""
}

// first is the revision that an operation was asked for by; with several sources its info says it.
func first(o operation) string {
	if asked := o.info(revisionInfo); asked != "" {
		return asked
	}
	return o.Sync.Revision
}

func (s *Sync) operation(app application, env actions.Env, goal history) map[string]any {
	strategy := map[string]any{"apply": map[string]any{}}
	if s.Hooks {
		strategy = map[string]any{"hook": map[string]any{}}
	}
	// Argo CD's own server copies the options of the policy, too: the controller does not look there.
	sync := map[string]any{"prune": s.Prune, "syncStrategy": strategy, "syncOptions": app.Spec.SyncPolicy.SyncOptions}
	if goal.Revision != "" {
		sync["revision"] = goal.Revision
	}
	if len(goal.Revisions) > 0 {
		sync["revisions"] = goal.Revisions
	}
	if len(goal.Source) > 0 {
		sync["source"] = goal.Source
	}
	if len(goal.Sources) > 0 {
		sync["sources"] = goal.Sources
	}
	if app.Spec.SyncPolicy.SyncOptions == nil {
		delete(sync, "syncOptions")
	}
	info := func(name, value string) any { return map[string]any{"name": name, "value": value} }
	return map[string]any{
		"initiatedBy": map[string]any{"username": "astern"},
		"info":        []any{info(keyInfo, env.Key), info(revisionInfo, s.Revision)},
		"retry":       map[string]any{"limit": 0},
		"sync":        sync,
	}
}

// reached are the revisions of the last operation's result.
func (a application) reached() []string {
	if a.Status.OperationState == nil {
		return nil
	}
	return revisions(a.Status.OperationState.SyncResult.Revision, a.Status.OperationState.SyncResult.Revisions)
}

// ended waits for the end of the operation, which is the revision and nothing else.
func (s *Sync) ended(ctx context.Context, env actions.Env, c *cluster.Cluster) (application, error) {
	var app application
	last := "it was not taken up: does Argo CD's application controller run?"
	err := cluster.Until(ctx, lookEvery, func(ctx context.Context) (bool, error) {
		var err error
		if app, err = read(ctx, c, s.ref()); err != nil {
			return false, err
		}
		ours, phase := s.stand(app, env)
		switch {
		case !ours:
			return false, fmt.Errorf("sync %s to %s: another operation took its place: %s", s.ref(), s.Revision, told(app))
		case phase == phaseSucceeded:
			return true, s.arrived(app)
		case phase == phaseRunning:
			if told(app) != last {
				last = told(app)
				env.Progress(last)
			}
			return false, s.blocked(ctx, c, env, app)
		}
		return false, fmt.Errorf("sync %s to %s: %s", s.ref(), s.Revision, told(app))
	})
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return app, fmt.Errorf("sync %s to %s has not ended: %s: %w", s.ref(), s.Revision, last, err)
	}
	return app, err
}

func told(app application) string {
	state := app.Status.OperationState
	if state == nil || app.waiting() {
		return "it was not taken up: does Argo CD's application controller run?"
	}
	return state.Phase + ": " + state.Message
}

func (s *Sync) arrived(app application) error {
	if at := app.reached(); !is(at, s.Revision) {
		return actions.Permanent(fmt.Errorf("%s was synced to %s, not to %s", s.ref(), strings.Join(at, " "), s.Revision))
	}
	return nil
}

// blocked frees the Application of an operation that a sync window keeps from beginning: it would hold the only place there
// is for as long as the window is closed.
func (s *Sync) blocked(ctx context.Context, c *cluster.Cluster, env actions.Env, app application) error {
	state := app.Status.OperationState
	if state == nil || !strings.Contains(state.Message, "blocked by sync window") || state.Phase != phaseRunning {
		return nil
	}
	mine := func(o operation) bool { return o.info(keyInfo) == env.Key }
	if err := app.terminate(ctx, c, mine); err != nil {
		return err
	}
	return actions.Permanent(fmt.Errorf("sync %s: a sync window of AppProject %s allows no sync by hand now; the operation was ended; open the window, or give it manualSync",
		s.ref(), cluster.ProjectOf(app.object).Name))
}

// healthy waits until Argo CD, having looked after the sync, calls the Application healthy.
func (s *Sync) healthy(ctx context.Context, env actions.Env, c *cluster.Cluster) error {
	last := ""
	err := cluster.Until(ctx, lookEvery, func(ctx context.Context) (bool, error) {
		app, err := read(ctx, c, s.ref())
		if err != nil {
			return false, err
		}
		now := s.health(app)
		if now != last && now != "" {
			env.Progress(s.ref().String() + ": " + now)
		}
		last = now
		return now == "", nil
	})
	if err != nil && last != "" {
		return fmt.Errorf("%s is synced to %s, but %s: %w", s.ref(), s.Revision, last, err)
	}
	return err
}

// health says what is missing; nothing when all is well.
func (s *Sync) health(app application) string {
	state := app.Status.OperationState
	switch {
	case state == nil || !after(app.Status.ReconciledAt, state.FinishedAt):
		return "its health was not looked at since"
	case app.Status.Health.Status != "Healthy":
		return strings.TrimSuffix("its health is "+app.Status.Health.Status+": "+app.Status.Health.Message, ": ")
	}
	return ""
}

// Verify says whether the sync of this step succeeded and the Application is healthy.
func (s *Sync) Verify(ctx context.Context, env actions.Env) error {
	_, app, _, err := s.look(ctx, env)
	if err != nil {
		return err
	}
	if ours, phase := s.stand(app, env); !ours || phase != phaseSucceeded {
		return actions.NotDone("%s: no sync to %s by this step succeeded", s.ref(), s.Revision)
	}
	if err := s.arrived(app); err != nil {
		return actions.NotDone("%v", err)
	}
	if missing := s.health(app); missing != "" {
		return actions.NotDone("%s: %s", s.ref(), missing)
	}
	return nil
}

// Repair ends the sync that this step asked for and that goes on.
func (s *Sync) Repair(ctx context.Context, env actions.Env) error {
	if err := s.Validate(); err != nil {
		return actions.Permanent(err)
	}
	c, err := cluster.Of(env)
	if err != nil {
		return err
	}
	app, err := read(ctx, c, s.ref())
	if err != nil {
		return err
	}
	return app.terminate(ctx, c, func(o operation) bool { return o.info(keyInfo) == env.Key })
}
