package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// known is a kind that may be applied.
type known struct {
	group, resource string
	// rank orders the writes: config before workloads, workloads before what scales them and routes to them.
	rank int
}

const (
	config = iota
	workload
	scaling
	routing
)

// table has no kind whose way back is a decision of its own: no CustomResourceDefinition (what is stored is lost), no
// Namespace, no volume, no role.
var table = map[string]known{
	"ConfigMap":               {"", "configmaps", config},
	"Secret":                  {"", "secrets", config},
	"ServiceAccount":          {"", "serviceaccounts", config},
	"NetworkPolicy":           {"networking.k8s.io", "networkpolicies", config},
	"Deployment":              {"apps", "deployments", workload},
	"StatefulSet":             {"apps", "statefulsets", workload},
	"DaemonSet":               {"apps", "daemonsets", workload},
	"CronJob":                 {"batch", "cronjobs", workload},
	"HorizontalPodAutoscaler": {"autoscaling", "horizontalpodautoscalers", scaling},
	"PodDisruptionBudget":     {"policy", "poddisruptionbudgets", scaling},
	"Service":                 {"", "services", routing},
	"Ingress":                 {"networking.k8s.io", "ingresses", routing},
	"HTTPRoute":               {"gateway.networking.k8s.io", "httproutes", routing},
	"GRPCRoute":               {"gateway.networking.k8s.io", "grpcroutes", routing},
}

var defaultKinds = []string{"Deployment", "StatefulSet", "DaemonSet", "ConfigMap", "Service"}

func (r *Revert) kinds() []string {
	if len(r.Kinds) == 0 {
		return defaultKinds
	}
	return r.Kinds
}

func (r *Revert) checkKinds() error {
	var failed []error
	for n, kind := range r.Kinds {
		if _, is := table[kind]; !is {
			failed = append(failed, fmt.Errorf("kinds[%d]: %.60q cannot be put back; it can be one of %s", n, kind, strings.Join(sorted(table), ", ")))
		}
	}
	for n, kind := range r.Leave {
		if err := cluster.CheckKind(fmt.Sprintf("leave[%d]", n), kind); err != nil {
			failed = append(failed, err)
		} else if slices.Contains(r.kinds(), kind) {
			failed = append(failed, fmt.Errorf("leave[%d]: %s is among the kinds to write, too", n, kind))
		}
	}
	return errors.Join(failed...)
}

// goals judges what was rendered: kinds and namespaces that the step may write, each object once, in the order of writing.
func (r *Revert) goals(rendered []*unstructured.Unstructured) (goals, left []*unstructured.Unstructured, err error) {
	var failed []error
	seen := map[cluster.Ref]bool{}
	for _, obj := range rendered {
		if slices.Contains(r.Leave, obj.GetKind()) {
			left = append(left, obj)
			continue
		}
		if err := r.check(obj); err != nil {
			failed = append(failed, err)
			continue
		}
		if obj.GetNamespace() == "" {
			obj.SetNamespace(r.Namespace)
		}
		ref := cluster.RefOf(obj)
		if seen[ref] {
			failed = append(failed, fmt.Errorf("%s: there are two manifests of it", ref))
		}
		seen[ref] = true
		goals = append(goals, obj)
	}
	if len(goals) == 0 && len(failed) == 0 {
		failed = append(failed, fmt.Errorf("%s: all manifests are of kinds to leave", r.Path))
	}
	slices.SortStableFunc(goals, func(a, b *unstructured.Unstructured) int { return table[a.GetKind()].rank - table[b.GetKind()].rank })
	return goals, left, errors.Join(failed...)
}

func (r *Revert) check(obj *unstructured.Unstructured) error {
	gvk := obj.GroupVersionKind()
	entry, is := table[gvk.Kind]
	what := fmt.Sprintf("%.60s %.80s", gvk.Kind, obj.GetName())
	switch {
	case !is || entry.group != gvk.Group:
		return fmt.Errorf("%s (%.80s): this kind cannot be put back by this step: list it under `leave`, or take it out of the path", what, obj.GetAPIVersion())
	case !slices.Contains(r.kinds(), gvk.Kind):
		return fmt.Errorf("%s: %s is not among the kinds to write: add it to `kinds`, or to `leave`", what, gvk.Kind)
	case obj.GetGenerateName() != "":
		return fmt.Errorf("%s: generateName makes a new object each time: it has no way back", what)
	}
	if err := cluster.CheckName("metadata.name", obj.GetName()); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if namespace := obj.GetNamespace(); namespace != "" && !slices.Contains(r.allowed(), namespace) {
		return fmt.Errorf("%s: lies in namespace %.63q; the step may write to %s", what, namespace, strings.Join(r.allowed(), ", "))
	}
	return nil
}

// Access is what it takes to look at, try and write every kind, to see what scales a workload, whether what it refers to
// is there, and to claim it.
func (r *Revert) Access() []actions.Access {
	var all []actions.Access
	for _, namespace := range r.allowed() {
		for _, kind := range r.kinds() {
			all = append(all, actions.Access{Group: table[kind].group, Resource: table[kind].resource, Namespace: namespace, Verbs: []string{"get", "create", "patch"}})
		}
		for _, kind := range []string{"ConfigMap", "ServiceAccount", "Secret"} {
			if !slices.Contains(r.kinds(), kind) && (kind != "Secret" || !r.SecretsUnread) {
				all = append(all, actions.Access{Resource: table[kind].resource, Namespace: namespace, Verbs: []string{"get"}})
			}
		}
		all = append(all,
			actions.Access{Resource: "persistentvolumeclaims", Namespace: namespace, Verbs: []string{"get"}},
			actions.Access{Group: "autoscaling", Resource: "horizontalpodautoscalers", Namespace: namespace, Verbs: []string{"list"}},
			actions.Access{Group: "coordination.k8s.io", Resource: "leases", Namespace: namespace, Verbs: []string{"get", "create", "patch"}})
	}
	return append(all, cluster.UnderAccess(r.Under)...)
}
