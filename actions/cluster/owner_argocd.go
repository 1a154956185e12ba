package cluster

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	argoGroup       = "argoproj.io"
	applicationKind = "Application." + argoGroup
	trackingID      = "argocd.argoproj.io/tracking-id"
	argoNamespace   = "argocd"
	instanceLabel   = "app.kubernetes.io/instance"
	skipReconcile   = "argocd.argoproj.io/skip-reconcile"
	imageList       = "argocd-image-updater.argoproj.io/image-list"
)

// ArgoApplication names an Application of Argo CD.
func ArgoApplication(namespace, name string) Ref { return Ref{applicationKind, namespace, name} }

// argoOwner finds the Application that keeps an object: its tracking annotation says so, or the label, which Helm charts
// write as well, and an Application that lists the object.
func (c *Cluster) argoOwner(ctx context.Context, obj *unstructured.Unstructured, named Owner) ([]Owner, error) {
	name, tracked := trackedBy(obj)
	instance := obj.GetLabels()[instanceLabel]
	switch {
	case tracked:
	case named.Kind == ByArgoCD:
		return c.listing(ctx, obj, named.Ref.Namespace, named.Ref.Name)
	case instance != "" && CheckName("", instance) == nil && !helmsOwn(obj):
		return c.listing(ctx, obj, "", instance)
	default:
		return nil, nil
	}
	namespace := ""
	if at, app, two := strings.Cut(name, "_"); two {
		namespace, name = at, app
	}
	if namespace == "" && named.Kind == ByArgoCD && named.Ref.Name == name {
		namespace = named.Ref.Namespace
	}
	if CheckName("", name) != nil || namespace != "" && CheckNamespace("", namespace) != nil {
		return nil, nil // somebody else's annotation: Argo CD knows no such Application either
	}
	app, why, err := c.application(ctx, obj, namespace, name)
	if err != nil {
		return nil, err
	}
	if app == nil {
		return []Owner{{Kind: ByArgoCD, Ref: ArgoApplication(cmp.Or(namespace, argoNamespace), name), Active: true, Elsewhere: why == notHere, Why: "Argo CD keeps it by this Application, but " + why}}, nil
	}
	return []Owner{c.ofApplication(ctx, app)}, nil
}

// trackedBy reads app:group/kind:namespace/name. An annotation that was copied from another object says nothing of this one.
func trackedBy(obj *unstructured.Unstructured) (string, bool) {
	parts := strings.SplitN(obj.GetAnnotations()[trackingID], ":", 3)
	if len(parts) != 3 {
		return "", false
	}
	gvk := obj.GroupVersionKind()
	_, name, _ := strings.Cut(parts[2], "/")
	return parts[0], parts[1] == gvk.Group+"/"+gvk.Kind && name == obj.GetName()
}

// helmsOwn says that the instance label is that of a chart that helm itself installed.
func helmsOwn(obj *unstructured.Unstructured) bool {
	return obj.GetAnnotations()["meta.helm.sh/release-name"] == obj.GetLabels()[instanceLabel]
}

// listing finds the Application of a name that lists the object among what it keeps.
func (c *Cluster) listing(ctx context.Context, obj *unstructured.Unstructured, namespace, name string) ([]Owner, error) {
	app, why, err := c.application(ctx, obj, namespace, name)
	switch {
	case err != nil:
		return nil, err
	case why == notAllowed:
		ref := ArgoApplication(cmp.Or(namespace, argoNamespace), name)
		return []Owner{{Kind: ByArgoCD, Ref: ref, Active: true, Why: "its label says that Argo CD may keep it by this Application, but " + why}}, nil
	case app == nil || !keeps(app, obj):
		return nil, nil
	}
	return []Owner{c.ofApplication(ctx, app)}, nil
}

func keeps(app, obj *unstructured.Unstructured) bool {
	gvk := obj.GroupVersionKind()
	kept, _, _ := unstructured.NestedSlice(app.Object, "status", "resources")
	return slices.ContainsFunc(kept, func(k any) bool {
		r, _ := k.(map[string]any)
		is := func(field, value string) bool { text, _ := r[field].(string); return text == value }
		return is("group", gvk.Group) && is("kind", gvk.Kind) && is("name", obj.GetName()) && (is("namespace", obj.GetNamespace()) || is("namespace", ""))
	})
}

// application finds an Application by name: where it is said to be, else where Argo CD lives by default, else anywhere.
func (c *Cluster) application(ctx context.Context, obj *unstructured.Unstructured, namespace, name string) (*unstructured.Unstructured, string, error) {
	app, why, err := c.look(ctx, ArgoApplication(cmp.Or(namespace, argoNamespace), name))
	if app != nil || err != nil || namespace != "" || why == notAllowed {
		return app, why, err
	}
	all, err := c.List(ctx, applicationKind, "", "")
	switch {
	case isNoKind(err), IsForbidden(err):
		return nil, why, nil
	case err != nil:
		return nil, "", err
	}
	all = slices.DeleteFunc(all, func(a unstructured.Unstructured) bool { return a.GetName() != name })
	if len(all) == 0 {
		return nil, why, nil
	}
	return &all[max(0, slices.IndexFunc(all, func(a unstructured.Unstructured) bool { return keeps(&a, obj) }))], "", nil
}

func isNoKind(err error) bool { return errors.Is(err, ErrNoKind) }

func (c *Cluster) ofApplication(ctx context.Context, app *unstructured.Unstructured) Owner {
	o := Owner{Kind: ByArgoCD, Ref: ArgoApplication(app.GetNamespace(), app.GetName()), object: app}
	o.Active, o.Why = c.AutoSync(ctx, app)
	return o
}

// AutoSync says whether Argo CD syncs an Application by itself now, and in words how it is.
func (c *Cluster) AutoSync(ctx context.Context, app *unstructured.Unstructured) (bool, string) {
	automated, set, _ := unstructured.NestedMap(app.Object, "spec", "syncPolicy", "automated")
	enabled, said := automated["enabled"].(bool)
	if !set || automated == nil || said && !enabled {
		return false, "its auto-sync is off"
	}
	if skip, err := strconv.ParseBool(app.GetAnnotations()[skipReconcile]); err == nil && skip {
		return false, "Argo CD leaves it alone (annotation " + skipReconcile + ")"
	}
	closed, window := c.WindowClosed(ctx, app)
	if closed {
		return false, window
	}
	why := "its auto-sync is on: it does not heal, but the next commit puts a change back"
	if heals, _ := automated["selfHeal"].(bool); heals {
		why = "its auto-sync heals: it puts a change back within seconds"
	}
	if window != "" {
		why += "; " + window
	}
	return true, why
}

// applicationSet says whether an ApplicationSet would put back the sync policy of an Application it made.
func applicationSet(ref Ref, set *unstructured.Unstructured, why string, app *unstructured.Unstructured) Owner {
	o := Owner{Kind: ByArgoCD, Ref: ref, object: set}
	switch {
	case set == nil:
		o.Active, o.Elsewhere, o.Why = true, why == notHere, "made the Application, but "+why
	case leavesUpdates(set):
		o.Why = "made the Application and does not update it"
	case ignoresPolicy(set, app.GetName()):
		o.Why = "made the Application and leaves its sync policy alone (ignoreApplicationDifferences)"
	default:
		o.Active, o.Why = true, "made the Application and puts its sync policy back: give it ignoreApplicationDifferences with jsonPointers [/spec/syncPolicy], or pause with a window of the AppProject"
	}
	return o
}

func leavesUpdates(set *unstructured.Unstructured) bool {
	policy, _, _ := unstructured.NestedString(set.Object, "spec", "syncPolicy", "applicationsSync")
	return policy == "create-only" || policy == "create-delete"
}

func ignoresPolicy(set *unstructured.Unstructured, app string) bool {
	rules, _, _ := unstructured.NestedSlice(set.Object, "spec", "ignoreApplicationDifferences")
	return slices.ContainsFunc(rules, func(r any) bool {
		rule, _ := r.(map[string]any)
		if name, _ := rule["name"].(string); name != "" && name != app {
			return false
		}
		pointers, _, _ := unstructured.NestedStringSlice(rule, "jsonPointers")
		paths, _, _ := unstructured.NestedStringSlice(rule, "jqPathExpressions")
		covers := []string{"/spec", "/spec/syncPolicy", "/spec/syncPolicy/automated", ".spec.syncPolicy", ".spec.syncPolicy.automated"}
		return slices.ContainsFunc(append(pointers, paths...), func(p string) bool { return slices.Contains(covers, p) })
	})
}
