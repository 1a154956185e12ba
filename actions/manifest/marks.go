package manifest

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// marks are the labels and annotations that a deployer, or astern's own discovery, adds to what lies in Git. They are the
// manager's and in no manifest, so they would go, and with them the knowledge whose the object is.
var marks = []string{"argocd.argoproj.io/tracking-id", "argocd.argoproj.io/installation-id", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by",
	"kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/", "meta.helm.sh/", "astern.dev/"}

// What a CI that applies the files writes on a workload to say what it is.
const versionMark = "astern.dev/version"

var commitMarks = []string{"astern.dev/commit", "org.opencontainers.image.revision"}

// marked keeps the marks, and says on workloads that have it said which version and commit they are from now on.
func (s *set) marked(it *item) {
	if it.live == nil {
		return
	}
	labels, annotations := s.kept(it, "labels", it.live.GetLabels(), it.goal.GetLabels()), s.kept(it, "annotations", it.live.GetAnnotations(), it.goal.GetAnnotations())
	for _, key := range append([]string{versionMark}, commitMarks...) {
		delete(annotations, key)
		_, says := it.goal.GetAnnotations()[key]
		if _, has := it.live.GetAnnotations()[key]; has && !says && table[it.ref.Kind].rank == workload {
			annotations[key] = s.commit
		}
	}
	if _, has := annotations[versionMark]; has {
		annotations[versionMark] = s.r.Version // empty is none: another source then counts
	}
	add(it.body, "labels", labels)
	add(it.body, "annotations", annotations)
}

// kept are the marks that the manager has on the object and that the manifest does not have.
func (s *set) kept(it *item, field string, live, goal map[string]string) map[string]string {
	keep := maps.Clone(live)
	if keep == nil {
		keep = map[string]string{}
	}
	maps.DeleteFunc(keep, func(key, _ string) bool {
		_, says := goal[key]
		mark := func(m string) bool { return key == m || strings.HasSuffix(m, "/") && strings.HasPrefix(key, m) }
		mine := func(o owner) bool { return s.mine(it, o) && o.owns("f:metadata", "f:"+field, "f:"+key) }
		return says || !slices.ContainsFunc(marks, mark) || !slices.ContainsFunc(it.owners, mine)
	})
	return keep
}

func add(obj *unstructured.Unstructured, field string, more map[string]string) {
	if len(more) == 0 {
		return
	}
	all, _, _ := unstructured.NestedStringMap(obj.Object, "metadata", field)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, more)
	for key, value := range all {
		setField(obj, value, "metadata", field, key)
	}
}

// saysVersion is a conflict about what a workload says it is: that is the manager's to say with what it applies.
func saysVersion(field string) bool {
	return slices.ContainsFunc(append(commitMarks, versionMark), func(key string) bool { return field == ".metadata.annotations."+key })
}
