package controlplane

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// InstallArgoCD applies Argo CD's CRDs and starts a small stand-in for its controller, which cannot be built here. It acts on
// Applications in namespace argocd as the real one does: it compares with Git and writes status.sync, status.health and
// status.resources; it performs the operation field, also when automated sync forbids that to people; it syncs by itself with
// automated (unless enabled is false), heals with selfHeal, prunes with prune, keeps a history of full syncs, holds what a
// deny window of the project blocks, and leaves alone what is annotated skip-reconcile. A repoURL may be a path. Several
// sources, Helm, hooks and waves it does not know. It may be called again.
func (c *ControlPlane) InstallArgoCD(ctx context.Context) error {
	return c.once("Argo CD", func() error { return c.installArgoCD(ctx) })
}

func (c *ControlPlane) installArgoCD(ctx context.Context) error {
	if err := c.installCRDs(ctx, "argo-cd"); err != nil {
		return err
	}
	if err := c.CreateNamespace(ctx, ArgoCDNamespace); err != nil {
		return err
	}
	a := &argocd{c: c, mirrors: newMirrors(c.Dir), rendered: map[string][]*unstructured.Unstructured{}, looked: map[string]verdict{}}
	c.loop("argocd", 300*time.Millisecond, a.round)
	return nil
}

// ArgoCDNamespace is where Applications and AppProjects live.
const ArgoCDNamespace = "argocd"

var (
	applications = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}
	projects     = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "appprojects"}
)

type argocd struct {
	c       *ControlPlane
	mirrors *mirrors
	// rendered and looked keep what does not change, so that a round costs little.
	rendered map[string][]*unstructured.Unstructured
	looked   map[string]verdict
}

// application is an Application as it was read.
type application struct {
	object unstructured.Unstructured
	known
}

// known is the part of an Application that the stand-in knows.
type known struct {
	Spec struct {
		Project     string         `json:"project"`
		Source      source         `json:"source"`
		Destination map[string]any `json:"destination"`
		SyncPolicy  struct {
			Automated *struct {
				Enabled  *bool `json:"enabled"`
				Prune    bool  `json:"prune"`
				SelfHeal bool  `json:"selfHeal"`
			} `json:"automated"`
			SyncOptions []string `json:"syncOptions"`
		} `json:"syncPolicy"`
	} `json:"spec"`
	Operation *operation `json:"operation"`
	Status    struct {
		Resources      []map[string]any `json:"resources"`
		History        []map[string]any `json:"history"`
		OperationState *struct {
			Phase      string    `json:"phase"`
			StartedAt  string    `json:"startedAt"`
			FinishedAt string    `json:"finishedAt"`
			Operation  operation `json:"operation"`
			SyncResult struct {
				Revision string `json:"revision"`
			} `json:"syncResult"`
		} `json:"operationState"`
	} `json:"status"`
}

type source struct {
	RepoURL        string `json:"repoURL"`
	Path           string `json:"path,omitempty"`
	TargetRevision string `json:"targetRevision,omitempty"`
}

type operation struct {
	Info        []map[string]any `json:"info,omitempty"`
	InitiatedBy struct {
		Username  string `json:"username,omitempty"`
		Automated bool   `json:"automated,omitempty"`
	} `json:"initiatedBy"`
	Retry map[string]any `json:"retry,omitempty"`
	Sync  *struct {
		Revision     string           `json:"revision,omitempty"`
		Source       *source          `json:"source,omitempty"`
		Prune        bool             `json:"prune,omitempty"`
		DryRun       bool             `json:"dryRun,omitempty"`
		Resources    []map[string]any `json:"resources,omitempty"`
		SyncStrategy map[string]any   `json:"syncStrategy,omitempty"`
		SyncOptions  []string         `json:"syncOptions,omitempty"`
	} `json:"sync,omitempty"`
}

func (a *argocd) round(ctx context.Context) error {
	list, err := a.c.Client.Resource(applications).Namespace(ArgoCDNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var failed []error
	for _, o := range list.Items {
		app := application{object: o}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &app.known); err != nil {
			return err
		}
		if o.GetAnnotations()["argocd.argoproj.io/skip-reconcile"] == "true" {
			continue
		}
		if err := a.reconcile(ctx, app); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", o.GetName(), err))
		}
	}
	return errors.Join(failed...)
}

// reconcile performs what is asked for, or compares and then syncs by itself where it should.
func (a *argocd) reconcile(ctx context.Context, app application) error {
	if app.Operation != nil {
		return a.operate(ctx, app)
	}
	found, err := a.compare(ctx, app)
	if err != nil {
		condition := map[string]any{"type": "ComparisonError", "message": err.Error()}
		return errors.Join(err, a.c.mergeStatus(ctx, applications, &app.object, map[string]any{"conditions": []any{condition}}))
	}
	if !found.same(app) || app.due() {
		body := map[string]any{"status": found.status(app)}
		if app.asked() {
			body["metadata"] = map[string]any{"annotations": map[string]any{refresh: nil}}
		}
		if err := a.c.merge(ctx, applications, &app.object, body); err != nil {
			return err
		}
	}
	return a.syncByItself(ctx, app, found)
}

// refresh is the annotation by which people ask for a look; the controller takes it away when it has looked.
const refresh = "argocd.argoproj.io/refresh"

// due says that a look is to be told of although nothing changed: somebody asked for it, or an operation ended since the last.
func (app application) due() bool {
	looked, _, _ := unstructured.NestedString(app.object.Object, "status", "reconciledAt")
	return app.asked() || app.Status.OperationState != nil && looked < app.Status.OperationState.FinishedAt
}

func (app application) asked() bool {
	_, there := app.object.GetAnnotations()[refresh]
	return there
}

// healAfter is how long the stand-in waits before it heals again; the real one waits five seconds at first.
const healAfter = time.Second

// syncByItself asks for a sync when the cluster differs from Git, as automated says. The same revision is tried once, unless
// selfHeal is set: then only what differs is synced, and no history is written.
func (a *argocd) syncByItself(ctx context.Context, app application, found comparison) error {
	auto := app.Spec.SyncPolicy.Automated
	if auto == nil || auto.Enabled != nil && !*auto.Enabled || found.sync == "Synced" {
		return nil
	}
	last := app.Status.OperationState
	heals := last != nil && last.SyncResult.Revision == found.revision
	if heals && (!auto.SelfHeal || healedJustNow(last.FinishedAt)) {
		return nil
	}
	if blocked, err := a.blocked(ctx, app, true); blocked || err != nil {
		return err
	}
	sync := map[string]any{"revision": found.revision, "prune": auto.Prune}
	if heals {
		sync["resources"] = found.differing()
	}
	return a.c.merge(ctx, applications, &app.object, map[string]any{
		"metadata":  map[string]any{"resourceVersion": app.object.GetResourceVersion()},
		"operation": map[string]any{"initiatedBy": map[string]any{"automated": true}, "sync": sync},
	})
}

func healedJustNow(finished string) bool {
	at, err := time.Parse(time.RFC3339, finished)
	return err == nil && time.Since(at) < healAfter
}
