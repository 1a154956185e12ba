package manifest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions/cluster"
)

// scalers are the autoscalers of the namespaces, by the workload they scale.
func (s *set) scalers(ctx context.Context) (map[cluster.Ref]string, error) {
	scaled := map[cluster.Ref]string{}
	asked := map[string]bool{}
	for _, it := range s.items {
		namespace := it.ref.Namespace
		if it.live == nil || !hasReplicas(it.goal) || asked[namespace] {
			continue
		}
		asked[namespace] = true
		all, err := s.cluster.List(ctx, "HorizontalPodAutoscaler", namespace, "")
		if err != nil {
			return nil, err
		}
		for _, hpa := range all {
			to := cluster.Below(hpa.Object, "spec", "scaleTargetRef")
			kind, _ := to["kind"].(string)
			name, _ := to["name"].(string)
			scaled[cluster.Ref{Kind: kind, Namespace: namespace, Name: name}] = hpa.GetName()
		}
	}
	return scaled, nil
}

func hasReplicas(obj *unstructured.Unstructured) bool {
	return obj.GetKind() == "Deployment" || obj.GetKind() == "StatefulSet"
}

// replicas leaves the number of pods to whoever sets it. Where the manager holds the field, leaving it out would take it
// away and make it 1: the number of now is sent instead.
func (s *set) replicas(it *item) {
	if it.live == nil || !hasReplicas(it.goal) {
		return
	}
	now, _, _ := unstructured.NestedInt64(it.live.Object, "spec", "replicas")
	wanted, named, _ := unstructured.NestedInt64(it.goal.Object, "spec", "replicas")
	held, others := false, []string{}
	for _, o := range it.owners {
		switch {
		case !o.owns("f:spec", "f:replicas"):
		case s.mine(it, o):
			held = true
		default:
			others = append(others, o.String())
		}
	}
	if scaler := s.scaled[it.ref]; scaler != "" {
		others = append(others, "HorizontalPodAutoscaler "+scaler)
	}
	if named && len(others) == 0 {
		return
	}
	it.left = true
	if held {
		setField(it.body, now, "spec", "replicas")
	} else {
		unstructured.RemoveNestedField(it.body.Object, "spec", "replicas")
	}
	if named && wanted != now {
		it.note("spec.replicas stays %d, the manifest says %d: it is left to %s", now, wanted, strings.Join(others, ", "))
	}
}

func setField(obj *unstructured.Unstructured, value any, at ...string) {
	fields := obj.Object
	for _, key := range at[:len(at)-1] {
		next, is := fields[key].(map[string]any)
		if !is {
			next = map[string]any{}
			fields[key] = next
		}
		fields = next
	}
	fields[at[len(at)-1]] = value
}

// haltedKey is the annotation in which kubernetes/rollout-halt leaves how the object rolled before it.
const haltedKey = "astern.dev/halted"

// halt is its content: what decides whether pods are replaced, before and after.
type halt struct {
	Was, Is struct {
		Paused   bool           `json:"paused"`
		Strategy map[string]any `json:"strategy"`
	}
}

// record is the halt that astern left on the object last, in force or not.
func (it *item) record() (h halt, is bool) {
	return h, it.live != nil && json.Unmarshal([]byte(it.live.GetAnnotations()[haltedKey]), &h) == nil
}

// halted says whether the halt is in force: the object still is as it left it.
func (it *item) halted() bool {
	h, is := it.record()
	return is && it.rollsAs(h.Is.Paused, h.Is.Strategy)
}

func (it *item) rollsAs(paused bool, strategy map[string]any) bool {
	nowPaused, now := paceOf(it.live)
	return paused == nowPaused && (!hasStrategy(it.live) || cluster.Digest(strategy) == cluster.Digest(now))
}

func paceOf(obj *unstructured.Unstructured) (paused bool, strategy map[string]any) {
	paused, _, _ = unstructured.NestedBool(obj.Object, "spec", "paused")
	strategy, _, _ = unstructured.NestedMap(obj.Object, "spec", "updateStrategy")
	return paused, strategy
}

func hasStrategy(obj *unstructured.Unstructured) bool {
	return obj.GetKind() == "StatefulSet" || obj.GetKind() == "DaemonSet"
}

// pace ends a halt of ours in the same write: in two the bad version would go on rolling in between. What a person paused
// rolls nothing, so it is refused.
func (s *set) pace(it *item) error {
	switch {
	case it.live == nil:
		return nil
	case it.goal.GetKind() == "Deployment":
		return s.unpause(it)
	case hasStrategy(it.goal):
		if h, is := it.record(); is {
			if to := merged(h.Was.Strategy, it.goal); it.halted() || it.rollsAs(false, to) {
				setField(it.body, to, "spec", "updateStrategy")
			}
		}
	}
	return nil
}

func (s *set) unpause(it *item) error {
	paused, set, _ := unstructured.NestedBool(it.live.Object, "spec", "paused")
	if _, says := cluster.Below(it.goal.Object, "spec")["paused"]; says || !set {
		return nil
	}
	h, _ := it.record()
	by := s.pausedBy(it)
	ours := it.halted() && !h.Was.Paused
	if paused && len(by) > 0 && !ours && !s.r.Resume {
		return fmt.Errorf("%s is paused by %s: somebody has it in hand, and nothing would roll out; resume it (kubectl rollout resume), or set `resume: true`", it.ref, strings.Join(by, ", "))
	}
	setField(it.body, false, "spec", "paused")
	return nil
}

// pausedBy are those who paused it and are not the manager.
func (s *set) pausedBy(it *item) []string {
	var by []string
	for _, o := range it.owners {
		if o.owns("f:spec", "f:paused") && !s.mine(it, o) {
			by = append(by, o.String())
		}
	}
	return by
}

// merged is how a workload rolled before it was halted, with what the manifest says about it.
func merged(was map[string]any, goal *unstructured.Unstructured) map[string]any {
	_, wanted := paceOf(goal)
	if kind, named := wanted["type"]; named && !reflect.DeepEqual(kind, was["type"]) {
		return wanted
	}
	strategy := maps.Clone(was)
	for key, value := range wanted {
		inner, is := value.(map[string]any)
		before, both := strategy[key].(map[string]any)
		if is && both {
			with := maps.Clone(before)
			maps.Copy(with, inner)
			value = with
		}
		strategy[key] = value
	}
	return whole(strategy)
}

// whole makes numbers of JSON that have no fraction integers again.
func whole(in map[string]any) map[string]any {
	for key, value := range in {
		switch v := value.(type) {
		case float64:
			if v == float64(int64(v)) {
				in[key] = int64(v)
			}
		case map[string]any:
			in[key] = whole(v)
		}
	}
	return in
}

// state is what of a live object the effect of the step depends on: which object it is, and all that the manifest is about.
// What an earlier step of the same plan changes, a halt, and what is left to others is left out.
func (it *item) state() any {
	if it.live == nil {
		return "absent"
	}
	clean := it.live.DeepCopy()
	if it.left {
		unstructured.RemoveNestedField(clean.Object, "spec", "replicas")
	}
	if h, _ := it.record(); it.halted() && hasStrategy(clean) {
		setField(clean, whole(h.Was.Strategy), "spec", "updateStrategy")
	}
	if it.ref.Kind == "Deployment" {
		unstructured.RemoveNestedField(clean.Object, "spec", "paused")
	}
	state := map[string]any{"uid": string(clean.GetUID())}
	for field, value := range clean.Object {
		if content(field) {
			state[field] = value
		}
	}
	state["labels"], state["annotations"] = only(clean.GetLabels(), it.goal.GetLabels()), only(clean.GetAnnotations(), it.goal.GetAnnotations())
	return state
}

func only(all, these map[string]string) map[string]string {
	kept := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(these)) {
		if value, is := all[key]; is {
			kept[key] = value
		}
	}
	return kept
}
