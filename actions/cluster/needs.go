package cluster

import (
	"cmp"
	"slices"
)

// Needs are the objects that a pod template names and cannot do without, each once: without them its pods do not start. What it
// names as optional is left out.
func Needs(template map[string]any, namespace string) []Ref {
	n := &needs{namespace: namespace}
	spec := Below(template, "spec")
	n.add("ServiceAccount", spec, "serviceAccountName")
	for _, pull := range Items(spec, "imagePullSecrets") {
		n.add("Secret", pull, "name")
	}
	for _, volume := range Items(spec, "volumes") {
		n.volume(volume)
	}
	for _, container := range append(Items(spec, "initContainers"), Items(spec, "containers")...) {
		n.environment(container)
	}
	slices.SortFunc(n.all, func(a, b Ref) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	return slices.Compact(n.all)
}

type needs struct {
	namespace string
	all       []Ref
}

func (n *needs) add(kind string, at map[string]any, key string) {
	name, _ := at[key].(string)
	if optional, _ := at["optional"].(bool); name != "" && !optional {
		n.all = append(n.all, Ref{Kind: kind, Namespace: n.namespace, Name: name})
	}
}

func (n *needs) volume(v map[string]any) {
	for _, source := range append(Items(Below(v, "projected"), "sources"), v) {
		n.add("ConfigMap", Below(source, "configMap"), "name")
		n.add("Secret", Below(source, "secret"), "name")
	}
	n.add("Secret", Below(v, "secret"), "secretName")
	n.add("PersistentVolumeClaim", Below(v, "persistentVolumeClaim"), "claimName")
	n.add("Secret", Below(v, "csi", "nodePublishSecretRef"), "name")
}

func (n *needs) environment(container map[string]any) {
	for _, from := range Items(container, "envFrom") {
		n.add("ConfigMap", Below(from, "configMapRef"), "name")
		n.add("Secret", Below(from, "secretRef"), "name")
	}
	for _, variable := range Items(container, "env") {
		n.add("ConfigMap", Below(variable, "valueFrom", "configMapKeyRef"), "name")
		n.add("Secret", Below(variable, "valueFrom", "secretKeyRef"), "name")
	}
}

// Below is the map under a path of keys, not a copy of it; nil when something else is there, or nothing.
func Below(in map[string]any, path ...string) map[string]any {
	for _, key := range path {
		in, _ = in[key].(map[string]any)
	}
	return in
}

// Items are the maps in the list under a key, not copies of them.
func Items(in map[string]any, key string) []map[string]any {
	list, _ := in[key].([]any)
	var all []map[string]any
	for _, item := range list {
		if fields, is := item.(map[string]any); is {
			all = append(all, fields)
		}
	}
	return all
}
