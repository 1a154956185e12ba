package argocd

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
	resumeExample = `- name: resume_argocd
  uses: argocd/resume
  with: {namespace: argocd, application: shop, not: "${release.current.commit}", revision: "${steps.revert.commit}", watch: 1m}
  timeout: 5m
`
)

// Resume gives an Application the auto-sync back that argocd/pause recorded, exactly as it was, and then watches that the bad
// version does not come back. While Argo CD still wants the bad revision nothing is given back: it would deploy it again.
// What was not paused, or was given back by a person meanwhile, is left as it is.
type Resume struct {
	// Namespace is where the Application lies, most often argocd.
	Namespace string `yaml:"namespace"`
	// Application is its name.
	Application string `yaml:"application"`
	// Not is the bad revision, which Argo CD must no longer want. Only with `watch: 0s` may it be left out.
	Not string `yaml:"not,omitempty"`
	// Revision is what Argo CD must want, such as the commit of the revert; without it any but the bad one will do. Name it
	// where others commit to the same branch: a commit upon the bad one brings the bad one, too. A commit upon the good one is
	// not told from it: then a person decides, so let argocd/sync to it come right after the revert.
	Revision string `yaml:"revision,omitempty"`
	// Watch is how long to watch that the bad revision stays away; 1m without a word, 0s not at all. The step's timeout must be
	// longer.
	Watch *actions.Duration `yaml:"watch,omitempty"`
	// Window names the AppProject whose window argocd/pause closed.
	Window *Project `yaml:"window,omitempty"`
}

// Project names an AppProject.
type Project struct {
	// Project is its name.
	Project string `yaml:"project"`
	// Namespace is where it lies; that of the Application without a word.
	Namespace string `yaml:"namespace,omitempty"`
}

// ResumeOutputs is what later steps can read.
type ResumeOutputs struct {
	// Resumed says that this step gave the auto-sync back.
	Resumed bool `json:"resumed"`
}

// Name is argocd/resume.
func (r *Resume) Name() string { return "argocd/resume" }

// Outputs types steps.<name>.resumed.
func (r *Resume) Outputs() any { return ResumeOutputs{} }

// Lasts is the time of the watch.
func (r *Resume) Lasts() time.Duration { return time.Duration(r.watch()) }

func (r *Resume) watch() actions.Duration {
	if r.Watch == nil {
		return defaultWatch
	}
	return *r.Watch
}

// Validate checks the names and the revision.
func (r *Resume) Validate() error {
	failed := []error{checkApplication(r.Namespace, r.Application)}
	if r.Not != "" {
		failed = append(failed, checkRevision("not", r.Not))
	}
	if r.Revision != "" {
		failed = append(failed, checkRevision("revision", r.Revision))
	}
	switch d := time.Duration(r.watch()); {
	case d < 0 || d > time.Hour:
		failed = append(failed, errors.New("watch: must be from 0s to 1h"))
	case d > 0 && r.Not == "":
		failed = append(failed, errors.New("not: without the bad revision nothing can be watched for; `watch: 0s` gives auto-sync back without a look"))
	}
	if r.Window != nil {
		failed = append(failed, cluster.CheckName("window.project", r.Window.Project))
		if r.Window.Namespace != "" {
			failed = append(failed, cluster.CheckNamespace("window.namespace", r.Window.Namespace))
		}
	}
	return errors.Join(failed...)
}

func (r *Resume) ref() cluster.Ref { return cluster.ArgoApplication(r.Namespace, r.Application) }

func (r *Resume) project() cluster.Ref {
	return project(r.Window.Project, r.Window.Namespace, r.Namespace)
}

// Access is to read and change the Application, and with a window its AppProject.
func (r *Resume) Access() []actions.Access {
	all := rights(r.ref())
	if r.Window != nil {
		all = append(all, r.project().Access("get", "patch"))
	}
	return all
}

// Ready says that the Application is there and may be changed.
func (r *Resume) Ready(ctx context.Context, env actions.Env) error {
	c, _, err := look(ctx, env, r)
	if err != nil {
		return err
	}
	return c.Allowed(ctx, r.Access())
}

// Plan says what is given back. An earlier step pauses: what is on now is what comes back.
func (r *Resume) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	c, app, err := look(ctx, env, r)
	if err != nil {
		return actions.Change{}, err
	}
	change := actions.Change{Changes: true, Summary: fmt.Sprintf("auto-sync of %s/%s as it was before the pause", r.Namespace, r.Application), Found: app.found()}
	record, known, err := cluster.PausedOf(app.object, cluster.PausedKey)
	before, _ := record.Before.(map[string]any)
	line := fmt.Sprintf("= %s auto-sync: %s", r.ref(), policy(app.Spec.SyncPolicy.Automated))
	if known && !app.automatic() {
		line = fmt.Sprintf("~ %s auto-sync: off -> %s", r.ref(), policy(before))
	}
	change.Diff = append(change.Diff, line)
	if r.Not != "" || r.Revision != "" {
		change.Diff = append(change.Diff, "= only when Argo CD wants "+r.wish()+"; then watched for "+short(r.watch()))
	}
	if err != nil {
		return actions.Change{}, err
	}
	above, err := c.Above(ctx, app.object)
	for _, o := range above {
		if o.Kind == cluster.ByImages {
			change.Diff = append(change.Diff, "= "+o.String())
		}
	}
	return change, err
}

// wish says which revision Argo CD must want.
func (r *Resume) wish() string {
	switch {
	case r.Revision != "":
		return brief(r.Revision)
	case r.Not != "":
		return "another revision than " + brief(r.Not)
	}
	return "any revision"
}

func (r *Resume) wanted(app application) bool {
	return !is(app.desired(), r.Not) && (r.Revision == "" || is(app.desired(), r.Revision))
}
