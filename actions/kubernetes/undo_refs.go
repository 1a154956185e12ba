package kubernetes

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

// need is an object that a template names: without it the pods of that template do not start.
type need struct{ kind, name string }

// needs are what a template names and cannot do without, each once. What it names as optional is left out.
func needs(template map[string]any) []need {
	n := &needed{}
	spec, _, _ := unstructured.NestedMap(template, "spec")
	n.add("ServiceAccount", text(spec, "serviceAccountName"), spec)
	for _, pull := range items(spec, "imagePullSecrets") {
		n.add("Secret", text(pull, "name"), pull)
	}
	for _, volume := range items(spec, "volumes") {
		n.volume(volume)
	}
	for _, c := range containers(template) {
		n.environment(c.fields)
	}
	slices.SortFunc(n.all, func(a, b need) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name)) })
	return slices.Compact(n.all)
}

type needed struct{ all []need }

func (n *needed) add(kind, name string, at map[string]any) {
	if optional, _ := at["optional"].(bool); name != "" && !optional {
		n.all = append(n.all, need{kind, name})
	}
}

func (n *needed) volume(v map[string]any) {
	for _, source := range append(items(under(v, "projected"), "sources"), v) {
		n.add("ConfigMap", text(under(source, "configMap"), "name"), under(source, "configMap"))
		n.add("Secret", text(under(source, "secret"), "name"), under(source, "secret"))
	}
	n.add("Secret", text(under(v, "secret"), "secretName"), under(v, "secret"))
	n.add("PersistentVolumeClaim", text(under(v, "persistentVolumeClaim"), "claimName"), v)
	n.add("Secret", text(under(v, "csi", "nodePublishSecretRef"), "name"), v)
}

func (n *needed) environment(c map[string]any) {
	for _, from := range items(c, "envFrom") {
		n.add("ConfigMap", text(under(from, "configMapRef"), "name"), under(from, "configMapRef"))
		n.add("Secret", text(under(from, "secretRef"), "name"), under(from, "secretRef"))
	}
	for _, one := range items(c, "env") {
		config, secret := under(one, "valueFrom", "configMapKeyRef"), under(one, "valueFrom", "secretKeyRef")
		n.add("ConfigMap", text(config, "name"), config)
		n.add("Secret", text(secret, "name"), secret)
	}
}

// missing names the objects that a template needs and that are gone.
func missing(ctx context.Context, c *cluster.Cluster, namespace string, all []need, secrets bool) ([]string, error) {
	var gone []string
	for _, n := range all {
		if n.kind == "Secret" && !secrets {
			continue
		}
		ref := cluster.Ref{Kind: n.kind, Namespace: namespace, Name: n.name}
		there, err := c.Exists(ctx, ref)
		if err != nil {
			return nil, err
		}
		if !there {
			gone = append(gone, ref.String())
		}
	}
	return gone, nil
}

// checkNeeds refuses a goal whose configuration is gone: its pods would not start.
func (u *Undo) checkNeeds(ctx context.Context, c *cluster.Cluster, to revision) error {
	gone, err := missing(ctx, c, u.Namespace, needs(to.template), !u.SecretsUnread)
	if err != nil {
		return fmt.Errorf("undo %s: what the version before needs cannot be looked for: %w", u.ref(), err)
	}
	if len(gone) == 0 {
		return nil
	}
	return actions.Permanent(fmt.Errorf("undo %s: the template of revision %d needs what is gone: %s; put it back first, or apply the whole manifest out of Git (manifest/revert)",
		u.ref(), to.number, strings.Join(gone, ", ")))
}

func text(in map[string]any, key string) string {
	s, _ := in[key].(string)
	return s
}

func under(in map[string]any, path ...string) map[string]any {
	found, _, _ := unstructured.NestedMap(in, path...)
	return found
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
