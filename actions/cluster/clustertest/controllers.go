package clustertest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

const (
	revision = "deployment.kubernetes.io/revision"
	hashKey  = "pod-template-hash"
)

// Controllers makes the world follow every write at once: Deployments make ReplicaSets, those and StatefulSets make pods, and
// Services make EndpointSlices. A pod whose image holds the word "broken" never gets ready; a pod with the annotation
// clustertest/lingers: "true" ends only with EndPods.
func (s *Server) Controllers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loops = true
	s.reconcile()
}

// EndPods ends the pods of a namespace that were told to end and linger.
func (s *Server) EndPods(namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.kindOf("Pod", namespace) {
		if o.GetDeletionTimestamp() != nil {
			s.remove(o)
		}
	}
	s.reconcile()
}

// lingers says that a pod ends only when the test says so.
func lingers(o *object) bool {
	return o.kind.Kind == "Pod" && o.GetAnnotations()["clustertest/lingers"] == "true"
}

func (s *Server) reconcile() {
	if !s.loops {
		return
	}
	for range 10 {
		before := s.version
		for _, o := range s.kindOf("Deployment", "") {
			s.deploy(o)
		}
		for _, kind := range []string{"ReplicaSet", "StatefulSet"} {
			for _, o := range s.kindOf(kind, "") {
				s.replicate(o)
			}
		}
		for _, o := range s.kindOf("Deployment", "") {
			s.deployed(o)
		}
		for _, o := range s.kindOf("Job", "") {
			s.work(o)
		}
		for _, o := range s.kindOf("Service", "") {
			s.endpoints(o)
		}
		if s.version == before {
			return
		}
	}
}

func (s *Server) kindOf(kind, namespace string) []*object {
	k, ok := s.kind(kind)
	if !ok {
		return nil
	}
	return s.list(k, namespace, labels.Everything())
}

// owned are the objects of a kind that an object controls, the oldest first.
func (s *Server) owned(by *object, kind string) []*object {
	var all []*object
	for _, o := range s.kindOf(kind, by.GetNamespace()) {
		if slices.ContainsFunc(o.GetOwnerReferences(), func(r ownerReference) bool { return r.UID == by.GetUID() }) {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b *object) int { return strings.Compare(string(a.GetUID()), string(b.GetUID())) })
	return all
}

func number(u *unstructured.Unstructured, path ...string) int64 {
	n, _ := nested(u, path...).(int64)
	return n
}

func hash(template any) string {
	raw, err := json.Marshal(template)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:5])
}

// deploy finds or makes the ReplicaSet of the template, and gives it the replicas; the others get none once its pods are ready.
func (s *Server) deploy(d *object) {
	template, _ := nested(d.Unstructured, "spec", "template").(map[string]any)
	paused, replicas := nested(d.Unstructured, "spec", "paused") == true, number(d.Unstructured, "spec", "replicas")
	var current *object
	sets := s.owned(d, "ReplicaSet")
	newest := int64(0)
	for _, rs := range sets {
		if rs.GetLabels()[hashKey] == hash(template) {
			current = rs
		}
		newest = max(newest, revisionOf(rs))
	}
	switch {
	case current == nil && paused:
		s.share(d, sets, replicas)
		return
	case current == nil:
		current = s.newSet(d, template, newest+1)
		sets = append(sets, current)
	case revisionOf(current) < newest && !paused:
		s.mark(current, newest+1)
	}
	if !paused {
		s.mark(d, revisionOf(current))
	}
	s.roll(sets, current, replicas, paused)
}

// share keeps a paused Deployment's replicas on the newest set that has any.
func (s *Server) share(_ *object, sets []*object, replicas int64) {
	for _, rs := range slices.Backward(sets) {
		if number(rs.Unstructured, "spec", "replicas") > 0 || replicas == 0 {
			s.scale(rs, replicas)
			return
		}
	}
}

func (s *Server) roll(sets []*object, current *object, replicas int64, paused bool) {
	others := int64(0)
	for _, rs := range sets {
		if rs != current {
			others += number(rs.Unstructured, "spec", "replicas")
		}
	}
	if paused && others > 0 {
		return
	}
	broken := strings.Contains(fmt.Sprint(nested(current.Unstructured, "spec", "template", "spec", "containers")), "broken")
	if broken && others > 0 && replicas > 0 {
		s.scale(current, 1)
		return
	}
	s.scale(current, replicas)
	for _, rs := range sets {
		if rs != current {
			s.scale(rs, 0)
		}
	}
}

func revisionOf(o *object) int64 {
	n, err := strconv.ParseInt(o.GetAnnotations()[revision], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (s *Server) mark(o *object, n int64) {
	s.alter(o, func(u *unstructured.Unstructured) {
		annotations := u.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[revision] = strconv.FormatInt(n, 10)
		u.SetAnnotations(annotations)
	})
}

func (s *Server) scale(o *object, replicas int64) {
	s.alter(o, func(u *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(u.Object, replicas, "spec", "replicas")
	})
}

func (s *Server) alter(o *object, change func(*unstructured.Unstructured)) {
	after := o.DeepCopy()
	change(after)
	s.replace(o, after, "kube-controller-manager")
}

func (s *Server) newSet(d *object, template map[string]any, n int64) *object {
	of := hash(template)
	rs := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"replicas": int64(0),
		"selector": nested(d.DeepCopy(), "spec", "selector"), "template": (&unstructured.Unstructured{Object: template}).DeepCopy().Object}}}
	for _, path := range [][]string{{"metadata", "labels", hashKey}, {"spec", "template", "metadata", "labels", hashKey}, {"spec", "selector", "matchLabels", hashKey}} {
		_ = unstructured.SetNestedField(rs.Object, of, path...)
	}
	own, _, _ := unstructured.NestedStringMap(template, "metadata", "labels") // as the real one: the template's labels, not the Deployment's
	for name, value := range own {
		_ = unstructured.SetNestedField(rs.Object, value, "metadata", "labels", name)
	}
	for name, value := range d.GetAnnotations() {
		_ = unstructured.SetNestedField(rs.Object, value, "metadata", "annotations", name)
	}
	set := s.owns(d, "ReplicaSet", d.GetName()+"-"+of, rs)
	s.mark(set, n)
	return set
}

// owns stores a new object that an owner controls.
func (s *Server) owns(owner *object, kind, name string, u *unstructured.Unstructured) *object {
	k, _ := s.kind(kind)
	u.SetGroupVersionKind(k.gvk())
	u.SetName(name)
	u.SetNamespace(owner.GetNamespace())
	yes := true
	u.SetOwnerReferences([]ownerReference{{APIVersion: owner.GetAPIVersion(), Kind: owner.GetKind(), Name: owner.GetName(), UID: owner.GetUID(), Controller: &yes, BlockOwnerDeletion: &yes}})
	return s.insert(k, &unstructured.Unstructured{Object: plain(u.Object)}, "kube-controller-manager")
}

// replicate gives a ReplicaSet or StatefulSet as many pods as it wants, and counts them.
func (s *Server) replicate(rs *object) {
	var pods, ending []*object
	for _, pod := range s.owned(rs, "Pod") {
		if pod.GetDeletionTimestamp() == nil {
			pods = append(pods, pod)
		} else {
			ending = append(ending, pod)
		}
	}
	wants := number(rs.Unstructured, "spec", "replicas")
	for n := int64(len(pods)); n < wants; n++ {
		pods = append(pods, s.newPod(rs, n))
	}
	for int64(len(pods)) > wants {
		s.end(pods[len(pods)-1])
		pods = pods[:len(pods)-1]
	}
	ready := int64(0)
	for _, pod := range pods {
		if readyPod(pod) {
			ready++
		}
	}
	s.alter(rs, func(u *unstructured.Unstructured) {
		u.Object["status"] = map[string]any{"observedGeneration": u.GetGeneration(), "replicas": int64(len(pods)), "readyReplicas": ready,
			"availableReplicas": ready, "currentReplicas": int64(len(pods)), "updatedReplicas": int64(len(pods)), "terminatingReplicas": int64(len(ending))}
	})
}

func (s *Server) newPod(rs *object, n int64) *object {
	template := (&unstructured.Unstructured{Object: nested(rs.Unstructured, "spec", "template").(map[string]any)}).DeepCopy()
	name := fmt.Sprintf("%s-%05d", rs.GetName(), s.born+1)
	if rs.kind.Kind == "StatefulSet" {
		name = fmt.Sprintf("%s-%d", rs.GetName(), n)
		_ = unstructured.SetNestedField(template.Object, rs.GetName()+"-"+hash(template.Object), "metadata", "labels", "controller-revision-hash")
	}
	pod := s.owns(rs, "Pod", name, template)
	s.alter(pod, s.runs)
	return pod
}

// runs is what the kubelet says of a pod.
func (s *Server) runs(pod *unstructured.Unstructured) {
	containers, _ := nested(pod, "spec", "containers").([]any)
	broken := strings.Contains(fmt.Sprint(containers), "broken")
	var statuses []any
	for _, c := range containers {
		image := fmt.Sprint(c.(map[string]any)["image"])
		id := image
		if !strings.Contains(image, "@sha256:") {
			sum := sha256.Sum256([]byte(image))
			repository, _, _ := strings.Cut(image, ":")
			id = repository + "@sha256:" + hex.EncodeToString(sum[:])
		}
		state := map[string]any{"running": map[string]any{}}
		if broken {
			state = map[string]any{"waiting": map[string]any{"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}}
		}
		statuses = append(statuses, map[string]any{"name": c.(map[string]any)["name"], "image": image, "imageID": id, "ready": !broken, "state": state})
	}
	is := map[bool]string{true: "False", false: "True"}[broken]
	pod.Object["status"] = plain(map[string]any{"kind": "x", "phase": "Running", "podIP": fmt.Sprintf("10.244.%d.%d", s.born/250, s.born%250+1),
		"conditions": []any{map[string]any{"type": "Ready", "status": is}}, "containerStatuses": statuses})
	unstructured.RemoveNestedField(pod.Object, "status", "kind")
}

func readyPod(pod *object) bool { return condition(pod.Unstructured, "Ready") == "True" }

func condition(u *unstructured.Unstructured, kind string) string {
	all, _ := nested(u, "status", "conditions").([]any)
	for _, c := range all {
		if is, ok := c.(map[string]any); ok && is["type"] == kind {
			return fmt.Sprint(is["status"])
		}
	}
	return ""
}

// deployed counts what a Deployment has.
func (s *Server) deployed(d *object) {
	template, _ := nested(d.Unstructured, "spec", "template").(map[string]any)
	var all, ready, updated, ending int64
	for _, rs := range s.owned(d, "ReplicaSet") {
		all += number(rs.Unstructured, "status", "replicas")
		ready += number(rs.Unstructured, "status", "readyReplicas")
		ending += number(rs.Unstructured, "status", "terminatingReplicas")
		if rs.GetLabels()[hashKey] == hash(template) {
			updated = number(rs.Unstructured, "status", "replicas")
		}
	}
	wants := number(d.Unstructured, "spec", "replicas")
	progressing := map[string]any{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
	if nested(d.Unstructured, "spec", "paused") == true {
		progressing = map[string]any{"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused"}
	} else if ready < wants || updated < wants {
		progressing["reason"] = "ReplicaSetUpdated"
	}
	available := map[string]any{"type": "Available", "status": map[bool]string{true: "True", false: "False"}[ready >= wants]}
	s.alter(d, func(u *unstructured.Unstructured) {
		u.Object["status"] = map[string]any{"observedGeneration": u.GetGeneration(), "replicas": all, "readyReplicas": ready, "availableReplicas": ready,
			"updatedReplicas": updated, "unavailableReplicas": max(wants-ready, 0), "terminatingReplicas": ending, "conditions": []any{available, progressing}}
	})
}
