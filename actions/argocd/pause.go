package argocd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const pauseExample = `- name: pause_argocd
  uses: argocd/pause
  with: {namespace: argocd, application: shop}
  timeout: 2m
`

// Pause stops the auto-sync of an Application, so that Argo CD does not undo what the next steps do, and waits until a sync
// that is under way has ended. How it was is recorded in the annotation astern.dev/paused of the Application; argocd/resume
// puts it back. It sets spec.syncPolicy.automated.enabled to false, or removes the block where Argo CD is older than 3.1 and
// does not know that field.
//
// Somebody above may put the auto-sync back: an ApplicationSet, or the Application of an app of apps. Then the step is
// refused with their name, unless window says to close a sync window of the AppProject instead, which nobody above undoes.
type Pause struct {
	// Namespace is where the Application lies, most often argocd.
	Namespace string `yaml:"namespace"`
	// Application is its name.
	Application string `yaml:"application"`
	// Window closes a sync window of the AppProject for the Application instead of changing the Application. A sync by hand,
	// and argocd/sync, still work.
	Window *Window `yaml:"window,omitempty"`
	// Under names who is above and would undo this pause, and whom an earlier step of the same procedure pauses:
	// argocd/NAMESPACE/NAME or flux/Kustomization/NAMESPACE/NAME.
	Under string `yaml:"under,omitempty"`
	// Terminate ends a sync that auto-sync began and that is still under way, instead of waiting for it: a sync of a version
	// that never gets healthy may never end.
	Terminate bool `yaml:"terminate,omitempty"`
}

// PauseOutputs is what later steps can read.
type PauseOutputs struct {
	// Automated says whether auto-sync was on before.
	Automated bool `json:"automated"`
	// ByHand is a command that puts it back; empty where nothing was paused.
	ByHand string `json:"by_hand"`
}

// Name is argocd/pause.
func (p *Pause) Name() string { return "argocd/pause" }

// Outputs types steps.<name>.automated and steps.<name>.by_hand.
func (p *Pause) Outputs() any { return PauseOutputs{} }

// Validate checks the names.
func (p *Pause) Validate() error {
	failed := []error{checkApplication(p.Namespace, p.Application), cluster.CheckUnder(p.Under)}
	if p.Window != nil {
		failed = append(failed, p.Window.validate())
	}
	return errors.Join(failed...)
}

func (p *Pause) ref() cluster.Ref { return cluster.ArgoApplication(p.Namespace, p.Application) }

// Access is to read and change the Application, and with a window its AppProject.
func (p *Pause) Access() []actions.Access {
	all := append(rights(p.ref()), cluster.UnderAccess(p.Under)...)
	if p.Window != nil {
		all = append(all, p.Window.ref(p.Namespace).Access("get", "patch"))
	}
	return all
}

// Ready says that the Application is there, may be changed, and would stay paused.
func (p *Pause) Ready(ctx context.Context, env actions.Env) error {
	c, _, _, err := p.look(ctx, env, false)
	if err != nil {
		return err
	}
	return c.Allowed(ctx, p.Access())
}

// look reads the Application and refuses a pause that somebody above would undo.
func (p *Pause) look(ctx context.Context, env actions.Env, running bool) (*cluster.Cluster, application, []cluster.Owner, error) {
	c, app, err := look(ctx, env, p)
	if err != nil {
		return nil, application{}, nil, err
	}
	if p.Window != nil || !app.automatic() {
		above, err := c.Above(ctx, app.object)
		return c, app, above, errors.Join(err, p.Window.fits(app))
	}
	above, err := c.Stays(ctx, app.object, p.Under, running)
	if actions.IsPermanent(err) {
		err = actions.Permanent(fmt.Errorf("%w; or write `window: {project: %s, for: 2h}`, which nobody above undoes", err, cluster.ProjectOf(app.object).Name))
	}
	return c, app, above, err
}

// Plan says what would change, by a dry run at the server, and who else writes.
func (p *Pause) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	c, app, above, err := p.look(ctx, env, false)
	if err != nil {
		return actions.Change{}, err
	}
	change := actions.Change{Changes: true, Summary: p.summary(app), Found: cluster.Digest([]any{app.found(), app.unpaused()})}
	if change.Diff, err = p.diff(ctx, env, c, app); err != nil {
		return actions.Change{}, err
	}
	if text, busy := app.busy(); busy {
		change.Diff = append(change.Diff, "= "+text)
	}
	for _, o := range above {
		change.Diff = append(change.Diff, "= "+o.String())
	}
	return change, nil
}

// unpaused is the policy as people left it: that an incident paused it, this or another of the same Application, is no change.
func (a application) unpaused() map[string]any {
	record, known, err := cluster.PausedOf(a.object, cluster.PausedKey)
	if err != nil || !known || a.automatic() || !a.asPaused(before(record)) {
		return a.Spec.SyncPolicy.Automated
	}
	return before(record)
}

func (p *Pause) summary(app application) string {
	is := policy(app.Spec.SyncPolicy.Automated)
	switch {
	case is == "off":
		return fmt.Sprintf("auto-sync of %s/%s is off already", p.Namespace, p.Application)
	case p.Window != nil:
		return fmt.Sprintf("auto-sync of %s/%s (%s) kept off for %s by a window of AppProject %s", p.Namespace, p.Application, is, short(p.Window.For), p.Window.Project)
	}
	return fmt.Sprintf("auto-sync of %s/%s: %s -> off", p.Namespace, p.Application, is)
}

func (p *Pause) diff(ctx context.Context, env actions.Env, c *cluster.Cluster, app application) ([]string, error) {
	if !app.automatic() {
		return []string{"= " + app.ref().String() + " spec.syncPolicy.automated: off"}, nil
	}
	if p.Window != nil {
		return p.Window.diff(ctx, env, c, app)
	}
	var off application
	err := cluster.Again(ctx, func(ctx context.Context) (err error) {
		if app, err = read(ctx, c, p.ref()); err == nil {
			off, err = app.off(ctx, c, true, nil)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return cluster.Diff(app.object, off.object), nil
}

// off turns auto-sync off and reads back. An API server whose Argo CD does not know `enabled` refuses the field, or drops it
// without a word: then the block goes.
func (a application) off(ctx context.Context, c *cluster.Cluster, dry bool, annotations map[string]any) (application, error) {
	with := func(automated any) map[string]any {
		body := map[string]any{"spec": map[string]any{"syncPolicy": map[string]any{"automated": automated}}}
		if annotations != nil {
			body["metadata"] = map[string]any{"annotations": annotations}
		}
		return body
	}
	is, err := a.patch(ctx, c, dry, with(map[string]any{"enabled": false}))
	switch {
	case unknownEnabled(err), err == nil && is.automatic() && dry:
		is = a
	case err != nil || !is.automatic():
		return is, err
	}
	if is, err = is.patch(ctx, c, dry, with(nil)); err == nil && is.automatic() {
		err = actions.Permanent(fmt.Errorf("%s: its auto-sync stays on, whatever is written: an admission webhook may put it back", a.ref()))
	}
	return is, err
}

func unknownEnabled(err error) bool {
	return errors.Is(err, cluster.ErrInvalid) && strings.Contains(err.Error(), `unknown field "spec.syncPolicy.automated.enabled"`)
}

// Run turns auto-sync off, records how it was, and waits until no sync is under way.
func (p *Pause) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	c, app, _, err := p.look(ctx, env, true)
	if err != nil {
		return actions.Result{}, err
	}
	result := actions.Result{Summary: p.summary(app), Outputs: PauseOutputs{Automated: app.automatic()}}
	if err := c.ClaimShared(ctx, env, p.ref()); err != nil {
		return actions.Result{}, err
	}
	if err := cluster.Again(ctx, func(ctx context.Context) error { return p.write(ctx, env, c) }); err != nil {
		return result, err
	}
	if err := p.settle(ctx, env, c); err != nil {
		return result, err
	}
	if by := p.restores(ctx, c); by != "" {
		result.Summary += "; by hand back on: " + by
		result.Outputs = PauseOutputs{Automated: true, ByHand: by}
	}
	return result, nil
}

func (p *Pause) write(ctx context.Context, env actions.Env, c *cluster.Cluster) error {
	app, err := read(ctx, c, p.ref())
	if err != nil {
		return err
	}
	if p.Window != nil {
		return p.Window.close(ctx, env, c, app)
	}
	record, known, err := cluster.PausedOf(app.object, cluster.PausedKey)
	switch {
	case err != nil:
		return err
	case app.automatic(): // never paused, or put back on by somebody since: how it is now is how it was
		record = cluster.NewPaused(env, app.Spec.SyncPolicy.Automated)
		_, err = app.off(ctx, c, false, map[string]any{cluster.PausedKey: record.Text()})
	case known && !record.Holds(env): // for another incident: whoever is last puts it back
		_, err = app.patch(ctx, c, false, map[string]any{"metadata": annotated(cluster.PausedKey, record.With(env).Text())})
	}
	return err
}

// settle waits until the sync that was under way has ended: until then it still applies the bad version.
func (p *Pause) settle(ctx context.Context, env actions.Env, c *cluster.Cluster) error {
	last := ""
	err := cluster.Until(ctx, lookEvery, func(ctx context.Context) (bool, error) {
		app, err := read(ctx, c, p.ref())
		if err != nil {
			return false, err
		}
		text, busy := app.busy()
		if busy && text != last {
			last = text
			env.Progress(p.ref().String() + ": " + text)
		}
		if busy && p.Terminate {
			err = app.terminate(ctx, c, func(o operation) bool { return o.InitiatedBy.Automated })
		}
		return !busy, err
	})
	if err != nil && last != "" {
		return fmt.Errorf("%s: auto-sync is off, but %s: %w", p.ref(), last, err)
	}
	return err
}

// terminate ends the operation under way when it is of those meant; what waits to be taken up is taken away. A race lost
// against the controller is no failure: the next look tells.
func (a application) terminate(ctx context.Context, c *cluster.Cluster, meant func(operation) bool) error {
	state := a.Status.OperationState
	ops := cluster.Fence(a.object)
	switch {
	case state != nil && state.Phase == phaseRunning && meant(state.Operation):
		ops = append(ops, cluster.Op{Op: "replace", Path: "/status/operationState/phase", Value: phaseTerminating})
	case a.waiting() && meant(*a.Operation):
		ops = append(ops, cluster.Op{Op: "remove", Path: "/operation"})
	default:
		return nil
	}
	_, err := c.JSONPatch(ctx, a.ref(), ops, cluster.PatchOptions{})
	if errors.Is(err, cluster.ErrMoved) {
		return nil
	}
	return err
}

// restores is the command that puts the auto-sync back, from what was recorded.
func (p *Pause) restores(ctx context.Context, c *cluster.Cluster) string {
	app, err := read(ctx, c, p.ref())
	if err != nil {
		return ""
	}
	if p.Window != nil {
		return fmt.Sprintf("remove the window of astern from AppProject %s", p.Window.Project)
	}
	record, known, err := cluster.PausedOf(app.object, cluster.PausedKey)
	if before, _ := record.Before.(map[string]any); err == nil && known {
		return app.byHand(before)
	}
	return ""
}

// Verify says whether Argo CD keeps its hands off now.
func (p *Pause) Verify(ctx context.Context, env actions.Env) error {
	if err := p.Validate(); err != nil {
		return actions.Permanent(err)
	}
	c, err := cluster.Of(env)
	if err != nil {
		return err
	}
	app, err := read(ctx, c, p.ref())
	if err != nil {
		return err
	}
	if auto, why := c.AutoSync(ctx, app.object); auto {
		return actions.NotDone("%s: %s", p.ref(), why)
	}
	if text, busy := app.busy(); busy {
		return actions.NotDone("%s: %s", p.ref(), text)
	}
	return nil
}

// Repair takes away the record of a pause that did not come about.
func (p *Pause) Repair(ctx context.Context, env actions.Env) error {
	if err := p.Validate(); err != nil {
		return actions.Permanent(err)
	}
	c, err := cluster.Of(env)
	if err != nil {
		return err
	}
	return cluster.Again(ctx, func(ctx context.Context) error {
		app, err := read(ctx, c, p.ref())
		if err != nil {
			return err
		}
		if _, marked := app.object.GetAnnotations()[cluster.PausedKey]; !marked || !app.automatic() {
			return nil
		}
		_, err = app.patch(ctx, c, false, map[string]any{"metadata": annotated(cluster.PausedKey, nil)})
		return err
	})
}

// short writes 2h0m0s as 2h.
func short(d actions.Duration) string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
