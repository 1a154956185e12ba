package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// operate performs the operation field: Running, the sync, then its end and the field removed, in one write.
func (a *argocd) operate(ctx context.Context, app application) error {
	started := time.Now().UTC().Format(time.RFC3339)
	asked, _, err := unstructured.NestedMap(app.object.Object, "operation")
	if err != nil {
		return err
	}
	blocked, err := a.blocked(ctx, app, app.Operation.InitiatedBy.Automated)
	if err != nil {
		return err
	}
	state := map[string]any{"phase": "Running", "operation": asked, "startedAt": started, "message": "", "finishedAt": nil, "syncResult": nil}
	if blocked {
		state["message"] = "Sync operation blocked by sync window"
	}
	if err := a.c.mergeStatus(ctx, applications, &app.object, map[string]any{"operationState": state}); err != nil || blocked {
		return err
	}
	result, failed := a.sync(ctx, app)
	state["phase"], state["message"], state["syncResult"] = "Succeeded", "successfully synced", result
	if failed != nil {
		state["phase"], state["message"] = "Failed", failed.Error()
	}
	state["finishedAt"] = time.Now().UTC().Format(time.RFC3339)
	status := map[string]any{"operationState": state}
	if op := app.Operation.Sync; failed == nil && !op.DryRun && len(op.Resources) == 0 {
		status["history"] = app.history(result, started, asked["initiatedBy"])
	}
	return errors.Join(failed, a.c.merge(ctx, applications, &app.object, map[string]any{"operation": nil, "status": status}))
}

// history is the history with one entry more, ten at most.
func (app application) history(result map[string]any, started string, by any) []map[string]any {
	id := int64(0)
	if n := len(app.Status.History); n > 0 {
		if last, ok := app.Status.History[n-1]["id"].(int64); ok {
			id = last + 1
		}
	}
	entry := map[string]any{"id": id, "revision": result["revision"], "source": result["source"], "deployStartedAt": started,
		"deployedAt": time.Now().UTC().Format(time.RFC3339)}
	if by != nil {
		entry["initiatedBy"] = by
	}
	all := append(slices.Clone(app.Status.History), entry)
	return all[max(0, len(all)-10):]
}

// sync applies a revision's manifests, and removes what they no longer have when asked to prune.
func (a *argocd) sync(ctx context.Context, app application) (map[string]any, error) {
	op := app.Operation.Sync
	if op == nil {
		return nil, errors.New("the operation asks for no sync")
	}
	from := app.Spec.Source
	if op.Source != nil {
		from = *op.Source
	}
	from.TargetRevision = firstOf(op.Revision, from.TargetRevision)
	mirror, revision, err := a.mirrors.fetch(ctx, from.RepoURL, from.TargetRevision)
	if err != nil {
		return map[string]any{"revision": from.TargetRevision, "source": from}, err
	}
	objects, err := a.render(ctx, app, mirror, revision, from.Path)
	result := map[string]any{"revision": revision, "source": from}
	if err != nil {
		return result, err
	}
	dry := []string{}
	if op.DryRun {
		dry = []string{"--dry-run=server"}
	}
	done := []any{}
	for _, o := range objects {
		if len(op.Resources) > 0 && !slices.ContainsFunc(op.Resources, func(r map[string]any) bool { return r["kind"] == o.GetKind() && r["name"] == o.GetName() }) {
			continue
		}
		if _, err := a.apply(ctx, app, o, dry...); err != nil {
			return result, err
		}
		kind := o.GroupVersionKind()
		done = append(done, map[string]any{"group": kind.Group, "version": kind.Version, "kind": kind.Kind, "namespace": o.GetNamespace(),
			"name": o.GetName(), "status": "Synced", "syncPhase": "Sync", "message": "applied"})
	}
	result["resources"] = done
	if op.Prune && !op.DryRun && len(op.Resources) == 0 {
		return result, a.prune(ctx, app, objects)
	}
	return result, nil
}

// apply does what Argo CD does: as kubectl apply does, on the client's side unless ServerSideApply is asked for.
func (a *argocd) apply(ctx context.Context, app application, o *unstructured.Unstructured, more ...string) (*unstructured.Unstructured, error) {
	text, err := json.Marshal(o.Object)
	if err != nil {
		return nil, err
	}
	args := append([]string{"--field-manager=argocd-controller", "--filename=-"}, more...)
	if slices.Contains(app.Spec.SyncPolicy.SyncOptions, "ServerSideApply=true") {
		args = append(args, "--server-side", "--force-conflicts")
	}
	printed, err := a.c.Kubectl(ctx, string(text), append([]string{"apply", "--namespace=" + o.GetNamespace(), "--output=json"}, args...)...)
	if err != nil {
		return nil, err
	}
	read := &unstructured.Unstructured{}
	return read, json.Unmarshal([]byte(printed), &read.Object)
}

func (a *argocd) prune(ctx context.Context, app application, objects []*unstructured.Unstructured) error {
	for _, r := range app.Status.Resources {
		kept := slices.ContainsFunc(objects, func(o *unstructured.Unstructured) bool {
			return o.GetKind() == r["kind"] && o.GetName() == r["name"] && o.GetNamespace() == r["namespace"]
		})
		if kept {
			continue
		}
		if _, err := a.c.Kubectl(ctx, "", "delete", "--ignore-not-found", "--wait=false", fmt.Sprintf("--namespace=%v", r["namespace"]),
			fmt.Sprintf("%v.%v.%v/%v", r["kind"], r["version"], r["group"], r["name"])); err != nil {
			return err
		}
	}
	return nil
}

// window is one of a project's sync windows.
type window struct {
	Kind         string   `json:"kind"`
	Schedule     string   `json:"schedule"`
	Duration     string   `json:"duration"`
	Applications []string `json:"applications"`
	Namespaces   []string `json:"namespaces"`
	ManualSync   bool     `json:"manualSync"`
}

// blocked says that a deny window of the project is open for the Application now. One with manualSync lets people through.
func (a *argocd) blocked(ctx context.Context, app application, automated bool) (bool, error) {
	project, err := a.c.Client.Resource(projects).Namespace(ArgoCDNamespace).Get(ctx, firstOf(app.Spec.Project, "default"), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var read struct {
		Spec struct {
			SyncWindows []window `json:"syncWindows"`
		} `json:"spec"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(project.Object, &read); err != nil {
		return false, err
	}
	for _, w := range read.Spec.SyncWindows {
		open, err := w.open(time.Now())
		if err != nil {
			return false, err
		}
		if w.Kind == "deny" && open && w.covers(app) && (automated || !w.ManualSync) {
			return true, nil
		}
	}
	return false, nil
}

func (w window) open(now time.Time) (bool, error) {
	schedule, err := cron.ParseStandard(w.Schedule)
	if err != nil {
		return false, err
	}
	length, err := time.ParseDuration(w.Duration)
	if err != nil {
		return false, err
	}
	return !schedule.Next(now.Add(-length)).After(now), nil
}

func (w window) covers(app application) bool {
	namespace, _ := app.Spec.Destination["namespace"].(string)
	return matches(w.Applications, app.object.GetName()) || matches(w.Namespaces, namespace)
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		head, wild := strings.CutSuffix(p, "*")
		return p == name || wild && strings.HasPrefix(name, head)
	})
}
