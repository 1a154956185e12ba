package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// maxShown bounds the pods that a plan lists by name for one side.
const maxShown = 20

// switchView is a Service as it was read, with the pods of both sides.
type switchView struct {
	service        *unstructured.Unstructured
	selector, goal map[string]string
	now, then      side
	floor          int
}

// switchRecord is what the annotation of a switch holds.
type switchRecord struct {
	Key   string            `json:"key"`
	From  map[string]string `json:"from"`
	Ready int               `json:"ready"`
}

// look reads the Service and both sides, and refuses what must not be switched. Errors that time may mend are not permanent.
func (s *ServiceSelector) look(ctx context.Context, c *cluster.Cluster) (switchView, error) {
	v := switchView{goal: s.Selector}
	var err error
	if v.service, err = c.Get(ctx, s.ref()); err != nil {
		return v, err
	}
	v.selector = selectorOf(v.service)
	if err := switchable(v.service); err != nil {
		return v, err
	}
	if v.now, err = readSide(ctx, c, s.Namespace, selectorText(v.selector)); err != nil {
		return v, err
	}
	if v.then = v.now; !v.switched() {
		if v.then, err = readSide(ctx, c, s.Namespace, selectorText(v.goal)); err != nil {
			return v, err
		}
	}
	v.floor = s.floor(v)
	if v.switched() {
		return v, nil
	}
	return v, s.carries(v)
}

// floor is how many ready pods the new side needs: what the user wrote, what this switch has written down, or what the
// side now serving should have.
func (s *ServiceSelector) floor(v switchView) int {
	if s.Floor > 0 {
		return s.Floor
	}
	if record, done := v.record(); done && v.switched() {
		return record.Ready
	}
	if v.switched() {
		return 1
	}
	return v.now.capacity()
}

// switchable refuses a Service whose selector says nothing about where its traffic goes.
func switchable(service *unstructured.Unstructured) error {
	kind, _, _ := unstructured.NestedString(service.Object, "spec", "type")
	switch {
	case kind == "ExternalName":
		return actions.Permanent(fmt.Errorf("%s is an ExternalName: a selector does not lead its traffic", cluster.RefOf(service)))
	case len(selectorOf(service)) == 0:
		return actions.Permanent(fmt.Errorf("%s has no selector: somebody else writes its endpoints; switch it there", cluster.RefOf(service)))
	}
	return nil
}

// carries refuses a new side that could not carry the load, or is not one version.
func (s *ServiceSelector) carries(v switchView) error {
	ready, chosen := v.then.ready(), selectorText(v.goal)
	switch {
	case len(v.then.pods) == 0:
		return fmt.Errorf("switch %s: no pod in %s has the labels %s; start the version to go to first", s.ref(), s.Namespace, chosen)
	case len(ready) < v.floor:
		return fmt.Errorf("switch %s: %d of %d pods with the labels %s are ready, %d are needed to carry the load of the side now serving; scale it up, or write `ready`",
			s.ref(), len(ready), len(v.then.pods), chosen, v.floor)
	}
	if err := s.oneVersion(v); err != nil {
		return err
	}
	return s.openPorts(v)
}

func (s *ServiceSelector) oneVersion(v switchView) error {
	for _, p := range v.then.pods {
		if s.Template != "" && p.template != s.Template {
			return fmt.Errorf("switch %s: pod %s does not run the expected version: its template is %s, not %s", s.ref(), p.name, short(p.template), short(s.Template))
		}
	}
	if all := v.then.templates(); len(all) > 1 {
		return fmt.Errorf("switch %s: the pods with the labels %s run %d versions (templates %s); wait until their rollout has ended, or write `template`",
			s.ref(), selectorText(v.goal), len(all), shorts(all))
	}
	return nil
}

// openPorts wants each target port that the Service calls by name in every pod of the new side: a pod without it would be in no
// endpoint.
func (s *ServiceSelector) openPorts(v switchView) error {
	ports, _, _ := unstructured.NestedSlice(v.service.Object, "spec", "ports")
	for _, p := range ports {
		name, named := p.(map[string]any)["targetPort"].(string)
		if !named {
			continue
		}
		for _, pod := range v.then.ready() {
			if !slices.Contains(pod.ports, name) {
				return actions.Permanent(fmt.Errorf("switch %s: pod %s has no port named %q, which the Service leads to; it has %s", s.ref(), pod.name, name, listed(pod.ports)))
			}
		}
	}
	return nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none with a name"
	}
	return strings.Join(names, ", ")
}

// short is the part of a digest that people compare.
func short(digest string) string {
	if digest == "" {
		return "unknown"
	}
	return strings.TrimPrefix(digest, "sha256:")[:min(12, len(strings.TrimPrefix(digest, "sha256:")))]
}

func shorts(digests []string) string {
	var all []string
	for _, d := range digests {
		all = append(all, short(d))
	}
	return strings.Join(all, ", ")
}

func (v switchView) switched() bool { return maps.Equal(v.selector, v.goal) }

// record is what the last switch wrote down.
func (v switchView) record() (switchRecord, bool) {
	var r switchRecord
	raw, written := v.service.GetAnnotations()[switchedKey]
	return r, written && json.Unmarshal([]byte(raw), &r) == nil
}

// found covers which Service it is and where its traffic goes; not its labels, its status, or which pods there are.
func (v switchView) found() string {
	ports, _, _ := unstructured.NestedSlice(v.service.Object, "spec", "ports")
	return cluster.Digest(map[string]any{"uid": v.service.GetUID(), "selector": v.selector, "ports": ports})
}

// ops replace the whole selector of the Service that was read, if it still is as it was read.
func (v switchView) ops(env actions.Env) []cluster.Op {
	raw, err := json.Marshal(switchRecord{env.Key, v.selector, v.floor})
	if err != nil { // strings and a number
		panic(err)
	}
	ops := append(cluster.Fence(v.service), cluster.Op{Op: "test", Path: "/spec/selector", Value: v.selector}, cluster.Op{Op: "replace", Path: "/spec/selector", Value: v.goal})
	if v.service.GetAnnotations() == nil {
		return append(ops, cluster.Op{Op: "add", Path: "/metadata/annotations", Value: map[string]string{switchedKey: string(raw)}})
	}
	return append(ops, cluster.Op{Op: "add", Path: "/metadata/annotations/" + strings.ReplaceAll(switchedKey, "/", "~1"), Value: string(raw)})
}

// notes are the lines of a plan that say who serves now and then, and what a switch does not do.
func (v switchView) notes() []string {
	var lines []string
	if !v.switched() {
		lines = v.now.lines("now")
	}
	lines = append(lines, v.then.lines("then")...)
	affinity, _, _ := unstructured.NestedString(v.service.Object, "spec", "sessionAffinity")
	address, _, _ := unstructured.NestedString(v.service.Object, "spec", "clusterIP")
	lines = append(lines, "= established connections stay with the pods they have until they close or the pods end: drain those")
	if affinity == "ClientIP" {
		lines = append(lines, "= session affinity: clients may stay with the pods they had until those end")
	}
	if address == "None" {
		lines = append(lines, "= headless: clients follow when they ask the DNS again")
	}
	return lines
}

func (s side) lines(when string) []string {
	var lines []string
	for n, p := range s.pods {
		if n == maxShown {
			return append(lines, fmt.Sprintf("= %s: and %s more", when, countPods(len(s.pods)-n)))
		}
		state := "not ready"
		if p.ready {
			state = "ready"
		}
		lines = append(lines, fmt.Sprintf("= %s: %s %s, %s", when, p.name, state, strings.Join(p.images, " ")))
	}
	return lines
}
