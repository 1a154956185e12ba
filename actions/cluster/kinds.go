package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"astern.dev/astern/actions"
)

// askAgain is how long a kind that is not there is believed: a typing slip must not become a storm of questions.
const askAgain = 10 * time.Second

// Kind is how the API server serves one kind of object.
type Kind struct {
	Group, Version, Kind, Resource string
	Namespaced                     bool
	Verbs                          []string
}

func (k Kind) resource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.Group, Version: k.Version, Resource: k.Resource}
}

func (k Kind) gvk() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: k.Group, Version: k.Version, Kind: k.Kind}
}

// ErrNoKind is wrapped when the cluster serves no such kind.
var ErrNoKind = errors.New("the cluster serves no such kind")

type kinds struct {
	mu     sync.Mutex
	now    func() time.Time
	served []Kind
	asked  time.Time
	// away are groups that could not be read: whether they have a kind is not known.
	away []schema.GroupVersion
}

// Kinds lists what the cluster serves, the preferred version of a group first. It is read once, and again when a kind is
// missed.
func (c *Cluster) Kinds(ctx context.Context) ([]Kind, error) {
	c.kinds.mu.Lock()
	defer c.kinds.mu.Unlock()
	if c.kinds.served != nil {
		return c.kinds.served, nil
	}
	return c.refresh(ctx)
}

// Kind finds a kind by name, with or without its group.
func (c *Cluster) Kind(ctx context.Context, name string) (Kind, error) {
	kind, group := splitKind(name)
	if b, known := builtin[kind]; known && (group == "" || group == b.Group) {
		return b, nil
	}
	return c.find(ctx, name, group, func(k Kind) bool { return k.Kind == kind && (group == "" || k.Group == group) })
}

// KindOf finds a kind by the apiVersion and kind of an object.
func (c *Cluster) KindOf(ctx context.Context, gvk schema.GroupVersionKind) (Kind, error) {
	if b, known := builtin[gvk.Kind]; known && b.gvk() == gvk {
		return b, nil
	}
	return c.find(ctx, gvk.GroupVersion().String()+" "+gvk.Kind, gvk.Group, func(k Kind) bool { return k.gvk() == gvk })
}

// find looks for a kind in a group (in all of them when it is empty). That there is none is said only when all were read.
func (c *Cluster) find(ctx context.Context, what, group string, fits func(Kind) bool) (Kind, error) {
	c.kinds.mu.Lock()
	defer c.kinds.mu.Unlock()
	found := all(c.kinds.served, fits)
	if len(found) == 0 && c.kinds.now().Sub(c.kinds.asked) >= askAgain {
		if _, err := c.refresh(ctx); err != nil {
			return Kind{}, err
		}
		found = all(c.kinds.served, fits)
	}
	if len(found) == 0 {
		if err := c.retry(ctx, group); err != nil {
			return Kind{}, fmt.Errorf("whether the cluster serves %s is not known: %w", what, err)
		}
		found = all(c.kinds.served, fits)
	}
	if len(found) == 0 {
		return Kind{}, actions.Permanent(fmt.Errorf("%w: %s; see `kubectl api-resources`", ErrNoKind, what))
	}
	for _, other := range found[1:] {
		if other.Group != found[0].Group {
			return Kind{}, actions.Permanent(fmt.Errorf("kind %s is served by the groups %s and %s: write %s.%s", what, found[0].Group, other.Group, found[0].Kind, found[0].Group))
		}
	}
	return found[0], nil
}

func all(served []Kind, fits func(Kind) bool) []Kind {
	var found []Kind
	for _, k := range served {
		if fits(k) {
			found = append(found, k)
		}
	}
	return found
}

// refresh asks for every group. One whose own server is away (an aggregated API) is remembered: the rest still works.
func (c *Cluster) refresh(ctx context.Context) ([]Kind, error) {
	var groups metav1.APIGroupList
	if err := c.read(ctx, "/apis", &groups); err != nil {
		return nil, err
	}
	served, err := c.version(ctx, "/api/v1", "", "v1")
	if err != nil {
		return nil, err
	}
	c.kinds.away = nil
	for _, g := range groups.Groups {
		for _, v := range preferredFirst(g) {
			more, err := c.version(ctx, "/apis/"+g.Name+"/"+v, g.Name, v)
			if err != nil {
				c.kinds.away = append(c.kinds.away, schema.GroupVersion{Group: g.Name, Version: v})
			}
			served = append(served, more...)
		}
	}
	c.kinds.served, c.kinds.asked = served, c.kinds.now()
	return served, ctx.Err()
}

// retry reads what of a group could not be read before.
func (c *Cluster) retry(ctx context.Context, group string) error {
	var away []schema.GroupVersion
	var failed []error
	for _, gv := range c.kinds.away {
		if group != "" && gv.Group != group {
			away = append(away, gv)
			continue
		}
		more, err := c.version(ctx, "/apis/"+gv.String(), gv.Group, gv.Version)
		if err != nil {
			away, failed = append(away, gv), append(failed, err)
		}
		c.kinds.served = append(c.kinds.served, more...)
	}
	c.kinds.away = away
	return errors.Join(failed...)
}

func preferredFirst(g metav1.APIGroup) []string {
	versions := []string{g.PreferredVersion.Version}
	for _, v := range g.Versions {
		if !slices.Contains(versions, v.Version) {
			versions = append(versions, v.Version)
		}
	}
	return versions
}

func (c *Cluster) version(ctx context.Context, path, group, version string) ([]Kind, error) {
	var list metav1.APIResourceList
	if err := c.read(ctx, path, &list); err != nil && !IsNotFound(err) { // a group that was just removed has none
		return nil, err
	}
	var served []Kind
	for _, r := range list.APIResources {
		if !strings.Contains(r.Name, "/") {
			served = append(served, Kind{group, version, r.Kind, r.Name, r.Namespaced, r.Verbs})
		}
	}
	return served, nil
}

func (c *Cluster) read(ctx context.Context, path string, into any) error {
	body, err := c.raw(ctx, path, nil)
	if err != nil {
		return c.failed(call{verb: "get", path: path}, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read the kinds of the cluster: GET %s: %w", path, err)
	}
	return nil
}

// builtin are kinds that every cluster serves under these names; they need no question. Their groups win where another
// group has a kind of the same name.
var builtin = func() map[string]Kind {
	all := map[string]Kind{}
	add := func(group, version string, namespaced bool, resources map[string]string) {
		for kind, resource := range resources {
			all[kind] = Kind{Group: group, Version: version, Kind: kind, Resource: resource, Namespaced: namespaced}
		}
	}
	add("", "v1", true, map[string]string{"Pod": "pods", "Service": "services", "ConfigMap": "configmaps", "Secret": "secrets",
		"ServiceAccount": "serviceaccounts", "PersistentVolumeClaim": "persistentvolumeclaims", "Event": "events"})
	add("", "v1", false, map[string]string{"Namespace": "namespaces", "Node": "nodes"})
	add("apps", "v1", true, map[string]string{"Deployment": "deployments", "ReplicaSet": "replicasets", "StatefulSet": "statefulsets",
		"DaemonSet": "daemonsets", "ControllerRevision": "controllerrevisions"})
	add("batch", "v1", true, map[string]string{"Job": "jobs", "CronJob": "cronjobs"})
	add("autoscaling", "v2", true, map[string]string{"HorizontalPodAutoscaler": "horizontalpodautoscalers"})
	add("policy", "v1", true, map[string]string{"PodDisruptionBudget": "poddisruptionbudgets"})
	add("discovery.k8s.io", "v1", true, map[string]string{"EndpointSlice": "endpointslices"})
	add("coordination.k8s.io", "v1", true, map[string]string{"Lease": "leases"})
	add("networking.k8s.io", "v1", true, map[string]string{"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"})
	add("rbac.authorization.k8s.io", "v1", true, map[string]string{"Role": "roles", "RoleBinding": "rolebindings"})
	add("rbac.authorization.k8s.io", "v1", false, map[string]string{"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings"})
	add("authorization.k8s.io", "v1", false, map[string]string{"SelfSubjectAccessReview": "selfsubjectaccessreviews"})
	add("apiextensions.k8s.io", "v1", false, map[string]string{"CustomResourceDefinition": "customresourcedefinitions"})
	return all
}()

// guess names the resource of a kind without asking the cluster: Kubernetes and the makers of its extensions build the
// plural of the lower-case kind.
func guess(name string) Kind {
	kind, group := splitKind(name)
	if b, known := builtin[kind]; known && (group == "" || group == b.Group) {
		return b
	}
	resource := strings.ToLower(kind)
	switch {
	case strings.HasSuffix(resource, "y"):
		resource = strings.TrimSuffix(resource, "y") + "ies"
	case strings.HasSuffix(resource, "s"), strings.HasSuffix(resource, "x"):
		resource += "es"
	default:
		resource += "s"
	}
	return Kind{Group: group, Kind: kind, Resource: resource, Namespaced: true}
}
