package argocd

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const maxWindow = 24 * time.Hour

// Window closes a sync window of an AppProject. It ends by itself, should nobody resume.
type Window struct {
	// Project is the AppProject of the Application.
	Project string `yaml:"project"`
	// Namespace is where the AppProject lies; that of the Application without a word.
	Namespace string `yaml:"namespace,omitempty"`
	// For is how long the window is closed at most, such as 2h; argocd/resume ends it sooner.
	For actions.Duration `yaml:"for"`
}

func (w *Window) validate() error {
	failed := []error{cluster.CheckName("window.project", w.Project)}
	if w.Namespace != "" {
		failed = append(failed, cluster.CheckNamespace("window.namespace", w.Namespace))
	}
	if d := time.Duration(w.For); d < time.Minute || d > maxWindow {
		failed = append(failed, fmt.Errorf("window.for: must be from 1m to %s", maxWindow))
	}
	return errors.Join(failed...)
}

func (w *Window) ref(application string) cluster.Ref {
	return project(w.Project, w.Namespace, application)
}

func project(name, namespace, application string) cluster.Ref {
	if namespace == "" {
		namespace = application
	}
	return cluster.Ref{Kind: "AppProject.argoproj.io", Namespace: namespace, Name: name}
}

// fits refuses an AppProject that is not the Application's.
func (w *Window) fits(app application) error {
	if w == nil {
		return nil
	}
	if is := cluster.ProjectOf(app.object).Name; is != w.Project {
		return actions.Permanent(fmt.Errorf("window.project: %s belongs to AppProject %s, not to %s", app.ref(), is, w.Project))
	}
	return nil
}

// made is the window that keeps the Application from being synced by itself from now on. Its schedule is one minute of one
// day, so that a window which nobody takes away is over when its time is.
func (w *Window) made(env actions.Env, app application) map[string]any {
	now := env.Now().UTC()
	return map[string]any{
		"kind": "deny", "manualSync": true, "timeZone": "UTC", "applications": []any{app.object.GetName()},
		"schedule": fmt.Sprintf("%d %d %d %d *", now.Minute(), now.Hour(), now.Day(), int(now.Month())),
		"duration": time.Duration(w.For).String(),
	}
}

func (w *Window) diff(ctx context.Context, env actions.Env, c *cluster.Cluster, app application) ([]string, error) {
	ref := w.ref(app.object.GetNamespace())
	if _, err := c.Get(ctx, ref); err != nil {
		return nil, err
	}
	return []string{
		"= " + app.ref().String() + " spec.syncPolicy.automated: " + policy(app.Spec.SyncPolicy.Automated),
		fmt.Sprintf("+ %s spec.syncWindows: deny %s from the step on for %s, a sync by hand allowed", ref, app.object.GetName(), short(w.For)),
	}, nil
}

// close adds the window, and records it for the incident. One that is open still is kept.
func (w *Window) close(ctx context.Context, env actions.Env, c *cluster.Cluster, app application) error {
	if !app.automatic() {
		return nil
	}
	obj, err := c.Get(ctx, w.ref(app.object.GetNamespace()))
	if err != nil {
		return err
	}
	key := cluster.PausedKeyFor(app.object.GetName())
	record, known, err := cluster.PausedOf(obj, key)
	if err != nil {
		return err
	}
	all := windowsOf(obj)
	open := known && slices.ContainsFunc(all, sameAs(record.Before)) && stillOpen(env, obj, record.Before)
	switch {
	case open && record.Holds(env):
		return nil
	case open:
		record = record.With(env)
	default:
		window := w.made(env, app)
		all = append(slices.DeleteFunc(all, sameAs(record.Before)), window)
		record = cluster.NewPaused(env, window)
	}
	return patchWindows(ctx, c, obj, all, key, record.Text())
}

// stillOpen says whether a window of the project goes on at least as long as a step may take.
func stillOpen(env actions.Env, project *unstructured.Unstructured, window any) bool {
	for n, w := range windowsOf(project) {
		if sameAs(window)(w) {
			open, until, err := cluster.Windows(project)[n].Open(env.Now())
			return err == nil && open && until.Sub(env.Now()) > 10*time.Minute
		}
	}
	return false
}

func windowsOf(project *unstructured.Unstructured) []any {
	all, _, _ := unstructured.NestedSlice(project.Object, "spec", "syncWindows")
	return all
}

func sameAs(window any) func(any) bool {
	return func(other any) bool { return window != nil && reflect.DeepEqual(window, other) }
}

func patchWindows(ctx context.Context, c *cluster.Cluster, obj *unstructured.Unstructured, all []any, key string, record any) error {
	metadata := annotated(key, record)
	metadata["uid"], metadata["resourceVersion"] = string(obj.GetUID()), obj.GetResourceVersion()
	var windows any = all
	if len(all) == 0 {
		windows = nil
	}
	_, err := c.MergePatch(ctx, cluster.RefOf(obj), map[string]any{"metadata": metadata, "spec": map[string]any{"syncWindows": windows}}, cluster.PatchOptions{})
	return err
}

// open takes the window of the incident away, unless another incident needs it; left names who does.
func open(ctx context.Context, env actions.Env, c *cluster.Cluster, ref cluster.Ref, application string) (changed bool, left []string, err error) {
	obj, err := c.Get(ctx, ref)
	if err != nil {
		return false, nil, err
	}
	key := cluster.PausedKeyFor(application)
	record, known, err := cluster.PausedOf(obj, key)
	if err != nil || !known {
		return false, nil, err
	}
	rest, last := record.Without(env)
	if !last {
		return false, rest.By, patchWindows(ctx, c, obj, windowsOf(obj), key, rest.Text())
	}
	return true, nil, patchWindows(ctx, c, obj, slices.DeleteFunc(windowsOf(obj), sameAs(record.Before)), key, nil)
}
