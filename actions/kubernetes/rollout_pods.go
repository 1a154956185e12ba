package kubernetes

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions/cluster"
)

// rolloutPod is what concerns a rollout of one pod.
type rolloutPod struct {
	name, uid, version string
	// hash names the revision it was made from.
	hash         string
	ready, going bool
	obj          unstructured.Unstructured
}

// pods reads the pods of the workload, those that end included.
func (r rollout) pods(ctx context.Context, c *cluster.Cluster) ([]rolloutPod, error) {
	var makers []unstructured.Unstructured
	var err error
	if r.ref.Kind == deployment {
		makers, err = r.owned(ctx, c, "ReplicaSet")
	}
	if err != nil {
		return nil, err
	}
	var uids []string
	for _, maker := range makers {
		uids = append(uids, string(maker.GetUID()))
	}
	return r.podsBy(ctx, c, uids)
}

// podsOf reads the pods of the workload, whose revisions are read already.
func (r rollout) podsOf(ctx context.Context, c *cluster.Cluster, revisions []revision) ([]rolloutPod, error) {
	var uids []string
	for _, v := range revisions {
		uids = append(uids, v.uid)
	}
	return r.podsBy(ctx, c, uids)
}

// podsBy reads the pods that the workload or one of the makers made.
func (r rollout) podsBy(ctx context.Context, c *cluster.Cluster, makers []string) ([]rolloutPod, error) {
	selector, err := r.selector()
	if err != nil {
		return nil, err
	}
	objects, err := c.List(ctx, "Pod", r.ref.Namespace, selector)
	if err != nil {
		return nil, err
	}
	makers = append(makers, r.uid())
	var all []rolloutPod
	for _, o := range objects {
		if slices.Contains(makers, makerOf(o)) {
			all = append(all, readRolloutPod(o))
		}
	}
	return all, nil
}

func makerOf(o unstructured.Unstructured) string {
	for _, owner := range o.GetOwnerReferences() {
		if owner.Controller != nil && *owner.Controller {
			return string(owner.UID)
		}
	}
	return ""
}

func readRolloutPod(o unstructured.Unstructured) rolloutPod {
	labels := o.GetLabels()
	p := rolloutPod{name: o.GetName(), uid: string(o.GetUID()), version: o.GetResourceVersion(), obj: o,
		hash: cmp.Or(labels[hashLabel], labels[revisionLabel]), going: o.GetDeletionTimestamp() != nil}
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	p.ready = slices.ContainsFunc(conditions, func(c any) bool {
		is, _ := c.(map[string]any)
		return is["type"] == "Ready" && is["status"] == "True"
	})
	return p
}

// ordinal is the number at the end of the name of a StatefulSet's pod.
func (p rolloutPod) ordinal() int {
	n, err := strconv.Atoi(p.name[strings.LastIndex(p.name, "-")+1:])
	if err != nil {
		return -1
	}
	return n
}

// images adds the digests of the images that run, by container. An image that was built on the node has none.
func (p rolloutPod) images(into map[string]string) {
	for _, s := range p.statuses() {
		name, _ := s["name"].(string)
		id, _ := s["imageID"].(string)
		if _, digest, found := strings.Cut(id, "@"); found && goalForm.MatchString(digest) {
			into[name] = digest
		}
	}
}

// statuses are those of its containers, init containers first: a pod begins with them.
func (p rolloutPod) statuses() []map[string]any {
	var all []map[string]any
	for _, field := range []string{"initContainerStatuses", "containerStatuses"} {
		list, _, _ := unstructured.NestedSlice(p.obj.Object, "status", field)
		for _, item := range list {
			if s, is := item.(map[string]any); is {
				all = append(all, s)
			}
		}
	}
	return all
}
