package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// side is what one selector of a Service chooses.
type side struct {
	pods []sidePod
	// replicas is how many pods its workloads should have.
	replicas int
}

// sidePod is a pod that has not ended and was not told to.
type sidePod struct {
	name, uid string
	ready     bool
	// template names the pod template it was made from; empty where nothing that is known made it.
	template string
	images   []string
	// ports are the names of its ports.
	ports []string
}

// sideAccess is what readSide and endpointsOf need.
func sideAccess(namespace string) []actions.Access {
	of := func(kind string, verbs ...string) actions.Access {
		return cluster.Ref{Kind: kind, Namespace: namespace}.Access(verbs...)
	}
	return []actions.Access{
		of("Pod", "list"), of("EndpointSlice", "list"), of("ReplicaSet", "get"), of(deployment, "get"), of(statefulSet, "get"),
		of(daemonSet, "get"), of("ControllerRevision", "get"),
	}
}

func (s side) ready() []sidePod {
	return slices.DeleteFunc(slices.Clone(s.pods), func(p sidePod) bool { return !p.ready })
}

// templates are the digests of the templates that its ready pods run.
func (s side) templates() []string {
	var all []string
	for _, p := range s.ready() {
		all = append(all, p.template)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// capacity is how many ready pods carry its load: while a version rolls out there are more, and of a broken one fewer are ready.
func (s side) capacity() int { return max(s.replicas, 1) }

// makers remembers who made pods, so that each is asked for once.
type makers struct {
	c         *cluster.Cluster
	templates map[string]string
	replicas  map[string]int
}

// readSide reads the pods that a selector chooses, as they are now.
func readSide(ctx context.Context, c *cluster.Cluster, namespace, selector string) (side, error) {
	all, err := c.List(ctx, "Pod", namespace, selector)
	if err != nil {
		return side{}, err
	}
	m := makers{c, map[string]string{}, map[string]int{}}
	var s side
	for _, o := range all {
		if phase, _, _ := unstructured.NestedString(o.Object, "status", "phase"); phase == "Succeeded" || phase == "Failed" || o.GetDeletionTimestamp() != nil {
			continue
		}
		p := readSidePod(o)
		if p.template, err = m.template(ctx, &o); err != nil {
			return side{}, err
		}
		s.pods = append(s.pods, p)
	}
	for _, n := range m.replicas {
		s.replicas += n
	}
	return s, nil
}

func readSidePod(o unstructured.Unstructured) sidePod {
	p := sidePod{name: o.GetName(), uid: string(o.GetUID()), ready: podReady(o)}
	containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "containers")
	for _, c := range containers {
		is, _ := c.(map[string]any)
		p.images = append(p.images, imageOf(o, is))
		open, _, _ := unstructured.NestedSlice(is, "ports")
		for _, port := range open {
			if name, ok := port.(map[string]any)["name"].(string); ok {
				p.ports = append(p.ports, name)
			}
		}
	}
	return p
}

// podReady takes the pod's own word: an EndpointSlice may be told to call every pod ready.
func podReady(o unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		is, _ := c.(map[string]any)
		return is["type"] == "Ready" && is["status"] == "True"
	})
}

// imageOf is the image a container runs, by digest where the kubelet has told it.
func imageOf(pod unstructured.Unstructured, container map[string]any) string {
	statuses, _, _ := unstructured.NestedSlice(pod.Object, "status", "containerStatuses")
	for _, s := range statuses {
		is, _ := s.(map[string]any)
		if id, _ := is["imageID"].(string); is["name"] == container["name"] && id != "" {
			return strings.TrimPrefix(id, "docker-pullable://")
		}
	}
	image, _ := container["image"].(string)
	return image
}

// template finds the pod template a pod was made from, and counts the replicas of its workload.
func (m makers) template(ctx context.Context, pod *unstructured.Unstructured) (string, error) {
	maker := metav1.GetControllerOf(pod)
	if maker == nil {
		m.replicas[string(pod.GetUID())] = 1
		return "", nil
	}
	revision := pod.GetLabels()["controller-revision-hash"]
	key := string(maker.UID) + "/" + revision
	if known, asked := m.templates[key]; asked {
		return known, nil
	}
	digest, err := m.ask(ctx, pod, *maker, revision)
	if cluster.IsNotFound(err) { // it was deleted since its pods were listed
		return "", nil
	}
	m.templates[key] = digest
	return digest, err
}

func (m makers) ask(ctx context.Context, pod *unstructured.Unstructured, maker metav1.OwnerReference, revision string) (string, error) {
	namespace := pod.GetNamespace()
	switch maker.Kind {
	case "ReplicaSet":
		rs, err := m.c.Get(ctx, cluster.Ref{Kind: "ReplicaSet", Namespace: namespace, Name: maker.Name})
		if err != nil {
			return "", err
		}
		if err := m.count(ctx, rs); err != nil {
			return "", err
		}
		return templateIn(rs.Object)
	case statefulSet, daemonSet:
		owner, err := m.c.Get(ctx, cluster.Ref{Kind: maker.Kind, Namespace: namespace, Name: maker.Name})
		if err != nil {
			return "", err
		}
		m.replicas[string(owner.GetUID())] = wanted(owner)
		r, err := m.c.Get(ctx, cluster.Ref{Kind: "ControllerRevision", Namespace: namespace, Name: revisionName(maker, revision)})
		if err != nil {
			return "", err
		}
		data, _, _ := unstructured.NestedMap(r.Object, "data")
		return templateIn(data)
	}
	m.replicas[string(pod.GetUID())] = 1
	return "", nil
}

// revisionName is the ControllerRevision a pod was made from: a StatefulSet writes its name on the pod, a DaemonSet its hash.
func revisionName(maker metav1.OwnerReference, revision string) string {
	if strings.HasPrefix(revision, maker.Name+"-") {
		return revision
	}
	return maker.Name + "-" + revision
}

// count adds the replicas of what made a ReplicaSet: its Deployment, or else the set itself.
func (m makers) count(ctx context.Context, rs *unstructured.Unstructured) error {
	maker := metav1.GetControllerOf(rs)
	if maker == nil || maker.Kind != deployment {
		m.replicas[string(rs.GetUID())] = wanted(rs)
		return nil
	}
	if _, counted := m.replicas[string(maker.UID)]; counted {
		return nil
	}
	owner, err := m.c.Get(ctx, cluster.Ref{Kind: deployment, Namespace: rs.GetNamespace(), Name: maker.Name})
	switch {
	case cluster.IsNotFound(err): // it was deleted, and left its pods behind
		m.replicas[string(rs.GetUID())] = wanted(rs)
		return nil
	case err == nil:
		m.replicas[string(maker.UID)] = wanted(owner)
	}
	return err
}

// wanted is how many pods a workload should have.
func wanted(o *unstructured.Unstructured) int {
	if o.GetKind() == daemonSet {
		n, _, _ := unstructured.NestedInt64(o.Object, "status", "desiredNumberScheduled")
		return int(n)
	}
	n, set, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
	if !set {
		return 1
	}
	return int(n)
}

func templateIn(content map[string]any) (string, error) {
	template, _, _ := unstructured.NestedMap(content, "spec", "template")
	digest, err := cluster.TemplateDigest(template)
	if err != nil {
		return "", fmt.Errorf("which version a pod runs: %w", err)
	}
	return digest, nil
}
