package manifest

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// templateOf is the pod template of a workload.
func templateOf(obj *unstructured.Unstructured) map[string]any {
	at := []string{"spec", "template"}
	if obj.GetKind() == "CronJob" {
		at = []string{"spec", "jobTemplate", "spec", "template"}
	}
	template, _, _ := unstructured.NestedMap(obj.Object, at...)
	return template
}

// skew compares what the workloads need with what will be there: what is gone fails the step, as the old pods would not
// start; what is there, but not among the manifests, is as the version to leave has it, and is said.
func (s *set) skew(ctx context.Context) error {
	made := map[cluster.Ref]bool{}
	for _, it := range s.items {
		made[it.ref] = true
	}
	var gone []string
	asked := map[cluster.Ref]bool{}
	for _, it := range s.items {
		for _, need := range cluster.Needs(templateOf(it.goal), it.goal.GetNamespace()) {
			if made[need] || asked[need] || need.Kind == "Secret" && s.r.SecretsUnread {
				continue
			}
			asked[need] = true
			there, err := s.cluster.Exists(ctx, need)
			switch {
			case err != nil:
				return fmt.Errorf("%s needs %s: %w", it.ref, need, err)
			case !there:
				gone = append(gone, fmt.Sprintf("%s (for %s)", need, it.ref))
			case need.Kind == "ConfigMap" || need.Kind == "Secret":
				s.note("= %s is not among the manifests: %s will run with it as it is now", need, it.ref)
			}
		}
	}
	if len(gone) > 0 {
		return actions.Permanent(fmt.Errorf("the manifests at %.12s need what is gone: %s; put it back first, or its manifest under the path", s.commit, strings.Join(gone, ", ")))
	}
	return nil
}

// tags says which images are named by a tag alone.
func (s *set) tags() {
	for _, it := range s.items {
		spec := cluster.Below(templateOf(it.goal), "spec")
		for _, c := range append(cluster.Items(spec, "initContainers"), cluster.Items(spec, "containers")...) {
			if image, _ := c["image"].(string); image != "" && !strings.Contains(image, "@sha256:") {
				s.note("= %s %.200s is named by a tag: nodes may run something else under it", it.ref, image)
			}
		}
	}
}
