package cluster

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// scene is what is known of one namespace: the few fields that say what runs, read once when an object comes in.
type scene struct {
	workloads map[string]*workload // by uid
	services  map[string]*service
	revisions owned[*revision]
	pods      owned[*pod]
}

func newScene() *scene {
	return &scene{map[string]*workload{}, map[string]*service{}, newOwned[*revision](), newOwned[*pod]()}
}

// owned holds objects by uid, and finds those of one controller.
type owned[T interface{ controller() string }] struct {
	all map[string]T
	of  map[string]map[string]T
}

func newOwned[T interface{ controller() string }]() owned[T] {
	return owned[T]{map[string]T{}, map[string]map[string]T{}}
}

func (o owned[T]) put(uid string, value T) {
	o.drop(uid)
	o.all[uid] = value
	owner := value.controller()
	if o.of[owner] == nil {
		o.of[owner] = map[string]T{}
	}
	o.of[owner][uid] = value
}

func (o owned[T]) drop(uid string) {
	was, there := o.all[uid]
	if !there {
		return
	}
	owner := was.controller()
	delete(o.all, uid)
	delete(o.of[owner], uid)
	if len(o.of[owner]) == 0 {
		delete(o.of, owner)
	}
}

// template is a pod template, named by its content.
type template struct {
	digest              string
	container, image    string // the main container's
	labels, annotations map[string]string
}

// workload is a Deployment, StatefulSet or DaemonSet.
type workload struct {
	ref                              Ref
	uid, version                     string
	created                          time.Time
	labels, annotations              map[string]string
	template                         template
	templateAt                       time.Time // when somebody last wrote the template
	writer                           string    // who that was
	paused, onDelete                 bool
	wanted, replicas, updated, ready int64
	generation, observed             int64
	progress                         string // reason of the condition Progressing
	progressAt, progressSince        time.Time
	updateRevision, currentRevision  string
}

// revision is a ReplicaSet or a ControllerRevision.
type revision struct {
	kind, name, uid, owner string
	number                 int64
	created                time.Time
	annotations            map[string]string
	replicas               int64
	template               template
}

type pod struct {
	uid, owner string // owner is its controller
	hash       string // controller-revision-hash
	labels     map[string]string
	ready      bool
	readyAt    time.Time
	images     map[string]string // imageID by container
}

func (r *revision) controller() string { return r.owner }

func (p *pod) controller() string { return p.owner }

type service struct {
	ref                 Ref
	uid, version        string
	created             time.Time
	labels, annotations map[string]string
	selector            map[string]string
	selectorAt          time.Time
}

// put takes an object in, or its newer state.
func (s *scene) put(kind string, obj *unstructured.Unstructured) {
	uid := string(obj.GetUID())
	switch kind {
	case "Deployment", "StatefulSet", "DaemonSet":
		s.workloads[uid] = readWorkload(kind, obj)
	case "ReplicaSet":
		s.revisions.put(uid, readReplicaSet(kind, obj))
	case "ControllerRevision":
		s.revisions.put(uid, readControllerRevision(kind, obj))
	case "Pod":
		s.pods.drop(uid)
		if p := readPod(obj); p != nil {
			s.pods.put(uid, p)
		}
	case "Service":
		s.services[uid] = readService(obj)
	}
}

func (s *scene) drop(kind, uid string) {
	switch kind {
	case "Deployment", "StatefulSet", "DaemonSet":
		delete(s.workloads, uid)
	case "ReplicaSet", "ControllerRevision":
		s.revisions.drop(uid)
	case "Pod":
		s.pods.drop(uid)
	case "Service":
		delete(s.services, uid)
	}
}

// version is the resourceVersion of a workload or Service; empty when it is not there.
func (s *scene) version(ref Ref) string {
	if v := s.service(ref); v != nil {
		return v.version
	}
	for _, w := range s.workloads {
		if w.ref == ref {
			return w.version
		}
	}
	return ""
}

// forget drops all objects of a kind.
func (s *scene) forget(kind string) {
	maps.DeleteFunc(s.workloads, func(_ string, w *workload) bool { return w.ref.Kind == kind })
	if kind == "Service" {
		clear(s.services)
	}
	for uid, r := range s.revisions.all {
		if r.kind == kind {
			s.revisions.drop(uid)
		}
	}
	for uid := range s.pods.all {
		if kind == "Pod" {
			s.pods.drop(uid)
		}
	}
}

func readWorkload(kind string, obj *unstructured.Unstructured) *workload {
	w := &workload{ref: Ref{kind, obj.GetNamespace(), obj.GetName()}, uid: string(obj.GetUID()), version: obj.GetResourceVersion(), created: obj.GetCreationTimestamp().Time,
		labels: obj.GetLabels(), annotations: obj.GetAnnotations(), generation: obj.GetGeneration(), template: readTemplate(treeAt(obj.Object, "spec", "template"))}
	w.templateAt, w.writer = written(obj, "f:spec", "f:template")
	w.paused, _, _ = unstructured.NestedBool(obj.Object, "spec", "paused")
	w.onDelete = textAt(obj.Object, "spec", "updateStrategy", "type") == "OnDelete"
	w.observed = numberAt(obj.Object, "status", "observedGeneration")
	w.updateRevision, w.currentRevision = textAt(obj.Object, "status", "updateRevision"), textAt(obj.Object, "status", "currentRevision")
	if kind == "DaemonSet" {
		w.wanted, w.replicas = numberAt(obj.Object, "status", "desiredNumberScheduled"), numberAt(obj.Object, "status", "currentNumberScheduled")
		w.updated, w.ready = numberAt(obj.Object, "status", "updatedNumberScheduled"), numberAt(obj.Object, "status", "numberAvailable")
		return w
	}
	w.wanted, w.replicas = numberAt(obj.Object, "spec", "replicas"), numberAt(obj.Object, "status", "replicas")
	w.updated, w.ready = numberAt(obj.Object, "status", "updatedReplicas"), numberAt(obj.Object, "status", "availableReplicas")
	conditions, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
	for _, c := range conditions {
		if is, _ := c.(map[string]any); textAt(is, "type") == "Progressing" {
			w.progress, w.progressAt, w.progressSince = textAt(is, "reason"), timeOf(textAt(is, "lastUpdateTime")), timeOf(textAt(is, "lastTransitionTime"))
		}
	}
	return w
}

func readReplicaSet(kind string, obj *unstructured.Unstructured) *revision {
	r := readRevision(kind, obj, treeAt(obj.Object, "spec", "template"))
	r.number, _ = strconv.ParseInt(r.annotations["deployment.kubernetes.io/revision"], 10, 64)
	r.replicas = max(numberAt(obj.Object, "status", "replicas"), 0)
	return r
}

func readControllerRevision(kind string, obj *unstructured.Unstructured) *revision {
	body := treeAt(obj.Object, "data", "spec", "template")
	delete(body, "$patch")
	r := readRevision(kind, obj, body)
	r.number = numberAt(obj.Object, "revision")
	return r
}

func readRevision(kind string, obj *unstructured.Unstructured, body map[string]any) *revision {
	return &revision{kind: kind, name: obj.GetName(), uid: string(obj.GetUID()), owner: ownerOf(obj), created: obj.GetCreationTimestamp().Time,
		annotations: obj.GetAnnotations(), template: readTemplate(body)}
}

// readPod leaves out what does not serve: pods that end, have ended, or were evicted.
func readPod(obj *unstructured.Unstructured) *pod {
	phase := textAt(obj.Object, "status", "phase")
	if obj.GetDeletionTimestamp() != nil || phase == "Succeeded" || phase == "Failed" {
		return nil
	}
	p := &pod{uid: string(obj.GetUID()), owner: ownerOf(obj), labels: obj.GetLabels(), images: map[string]string{}}
	p.hash = p.labels["controller-revision-hash"]
	conditions, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
	for _, c := range conditions {
		if is, _ := c.(map[string]any); textAt(is, "type") == "Ready" {
			p.ready, p.readyAt = textAt(is, "status") == "True", timeOf(textAt(is, "lastTransitionTime"))
		}
	}
	statuses, _, _ := unstructured.NestedSlice(obj.Object, "status", "containerStatuses")
	for _, c := range statuses {
		is, _ := c.(map[string]any)
		p.images[textAt(is, "name")] = textAt(is, "imageID")
	}
	return p
}

func readService(obj *unstructured.Unstructured) *service {
	v := &service{ref: Ref{"Service", obj.GetNamespace(), obj.GetName()}, uid: string(obj.GetUID()), version: obj.GetResourceVersion(), created: obj.GetCreationTimestamp().Time,
		labels: obj.GetLabels(), annotations: obj.GetAnnotations()}
	v.selector, _, _ = unstructured.NestedStringMap(obj.Object, "spec", "selector")
	v.selectorAt, _ = written(obj, "f:spec", "f:selector")
	return v
}

func ownerOf(obj *unstructured.Unstructured) string {
	for _, o := range obj.GetOwnerReferences() {
		if o.Controller != nil && *o.Controller {
			return string(o.UID)
		}
	}
	return ""
}

// written says when a field was last written, and by which manager. A manager's time is that of the last change to
// anything it owns, so this may be too late, never too early.
func written(obj *unstructured.Unstructured, path ...string) (at time.Time, by string) {
	for _, m := range obj.GetManagedFields() {
		if m.Subresource != "" || m.Time == nil || m.FieldsV1 == nil || m.Time.Time.Before(at) {
			continue
		}
		var fields map[string]any
		if json.Unmarshal(m.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		if _, owns, err := unstructured.NestedFieldNoCopy(fields, path...); owns && err == nil {
			at, by = m.Time.Time, m.Manager
		}
	}
	return at, by
}

func treeAt(in map[string]any, path ...string) map[string]any {
	found, _, _ := unstructured.NestedMap(in, path...)
	return found
}

func textAt(in map[string]any, path ...string) string {
	found, _, _ := unstructured.NestedString(in, path...)
	return found
}

func numberAt(in map[string]any, path ...string) int64 {
	found, _, _ := unstructured.NestedInt64(in, path...)
	return found
}

func timeOf(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// readTemplate finds the main container: the one that kubectl takes without a word, else the first.
func readTemplate(body map[string]any) template {
	var t template
	t.labels, _, _ = unstructured.NestedStringMap(body, "metadata", "labels")
	t.annotations, _, _ = unstructured.NestedStringMap(body, "metadata", "annotations")
	t.digest, _ = TemplateDigest(body)
	containers, _, _ := unstructured.NestedSlice(body, "spec", "containers")
	main := t.annotations["kubectl.kubernetes.io/default-container"]
	for n, c := range containers {
		is, _ := c.(map[string]any)
		if name := textAt(is, "name"); n == 0 || name == main {
			t.container, t.image = name, strings.TrimSpace(textAt(is, "image"))
		}
	}
	return t
}
