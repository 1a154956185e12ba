package manifest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
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

// needs are what a workload's pods name and do not start without, each once.
func needs(obj *unstructured.Unstructured) []cluster.Ref {
	var all []cluster.Ref
	add := func(kind string, at map[string]any, key string) {
		name, _ := at[key].(string)
		if optional, _ := at["optional"].(bool); name != "" && !optional {
			all = append(all, cluster.Ref{Kind: kind, Namespace: obj.GetNamespace(), Name: name})
		}
	}
	spec := below(templateOf(obj), "spec")
	add("ServiceAccount", spec, "serviceAccountName")
	for _, pull := range items(spec, "imagePullSecrets") {
		add("Secret", pull, "name")
	}
	for _, volume := range items(spec, "volumes") {
		for _, source := range append(items(below(volume, "projected"), "sources"), volume) {
			add("ConfigMap", below(source, "configMap"), "name")
			add("Secret", below(source, "secret"), "name")
		}
		add("Secret", below(volume, "secret"), "secretName")
		add("PersistentVolumeClaim", below(volume, "persistentVolumeClaim"), "claimName")
	}
	for _, c := range append(items(spec, "initContainers"), items(spec, "containers")...) {
		for _, from := range items(c, "envFrom") {
			add("ConfigMap", below(from, "configMapRef"), "name")
			add("Secret", below(from, "secretRef"), "name")
		}
		for _, variable := range items(c, "env") {
			add("ConfigMap", below(variable, "valueFrom", "configMapKeyRef"), "name")
			add("Secret", below(variable, "valueFrom", "secretKeyRef"), "name")
		}
	}
	slices.SortFunc(all, func(a, b cluster.Ref) int { return cmp.Compare(a.String(), b.String()) })
	return slices.Compact(all)
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
		for _, need := range needs(it.goal) {
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
		spec := below(templateOf(it.goal), "spec")
		for _, c := range append(items(spec, "initContainers"), items(spec, "containers")...) {
			if image, _ := c["image"].(string); image != "" && !strings.Contains(image, "@sha256:") {
				s.note("= %s %.200s is named by a tag: nodes may run something else under it", it.ref, image)
			}
		}
	}
}

func below(in map[string]any, path ...string) map[string]any {
	for _, key := range path {
		in, _ = in[key].(map[string]any)
	}
	return in
}

func items(in map[string]any, key string) []map[string]any {
	list, _ := in[key].([]any)
	var all []map[string]any
	for _, item := range list {
		if fields, is := item.(map[string]any); is {
			all = append(all, fields)
		}
	}
	return all
}
