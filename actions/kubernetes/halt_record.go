package kubernetes

import (
	"encoding/json"
	"maps"
	"math"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions/cluster"
)

// haltedKey is the annotation in which a halt leaves how the object rolled before it: whoever ends the halt can put that back.
const haltedKey = "astern.dev/halted"

// pace is what decides whether and how pods are replaced: paused of a Deployment, the update strategy of the others.
type pace struct {
	Paused   bool           `json:"paused,omitempty"`
	Strategy map[string]any `json:"strategy,omitempty"`
}

// haltRecord is the content of the annotation.
type haltRecord struct {
	// Key is the step that halted it; Template the digest of the template that was halted.
	Key      string `json:"key"`
	Template string `json:"template"`
	Was      pace   `json:"was"`
	Is       pace   `json:"is"`
}

// pace is how the object rolls now.
func (r rollout) pace() pace {
	if r.ref.Kind == deployment {
		paused, _, _ := unstructured.NestedBool(r.obj.Object, "spec", "paused")
		return pace{Paused: paused}
	}
	strategy, _, _ := unstructured.NestedMap(r.obj.Object, "spec", "updateStrategy")
	return pace{Strategy: strategy}
}

func (p pace) same(other pace) bool { return cluster.Digest(p) == cluster.Digest(other) }

func (p pace) strategy() string {
	name, _ := p.Strategy["type"].(string)
	return name
}

// partition is the ordinal below which pods stay as they are. An annotation's numbers are decoded as floats.
func (p pace) partition() int64 {
	with, _ := p.Strategy["rollingUpdate"].(map[string]any)
	switch n := with["partition"].(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	}
	return 0
}

// halts says whether no pod is replaced at this pace.
func (r rollout) halts(p pace) bool {
	return p.Paused || p.strategy() == onDelete || r.ref.Kind == statefulSet && p.strategy() == rollingUpdate && p.partition() > 0 && p.partition() >= r.replicas()
}

// halting is the pace at which no pod is replaced. A StatefulSet keeps its strategy: a partition above every ordinal also
// makes the pods that die come back at the version before, at however many replicas an autoscaler wants.
func (r rollout) halting() pace {
	now := r.pace()
	switch {
	case r.ref.Kind == deployment:
		return pace{Paused: true}
	case r.ref.Kind == statefulSet && now.strategy() == rollingUpdate:
		with, _, _ := unstructured.NestedMap(now.Strategy, "rollingUpdate")
		if with == nil {
			with = map[string]any{}
		}
		with["partition"] = int64(math.MaxInt32)
		strategy := maps.Clone(now.Strategy)
		strategy["rollingUpdate"] = with
		return pace{Strategy: strategy}
	}
	return pace{Strategy: map[string]any{"type": onDelete}}
}

// halted gives the record of a halt of ours, while the object still is as that halt left it.
func (r rollout) halted() (haltRecord, bool) {
	var record haltRecord
	if json.Unmarshal([]byte(r.obj.GetAnnotations()[haltedKey]), &record) != nil {
		return haltRecord{}, false
	}
	return record, record.Is.same(r.pace()) && !record.Was.same(record.Is)
}

// usual is how the object rolls when no halt of ours is in force.
func (r rollout) usual() pace {
	if record, ours := r.halted(); ours {
		return record.Was
	}
	return r.pace()
}

// to gives the operation that sets a pace.
func (r rollout) to(p pace) cluster.Op {
	if r.ref.Kind == deployment {
		return cluster.Op{Op: "add", Path: "/spec/paused", Value: p.Paused}
	}
	return cluster.Op{Op: "add", Path: "/spec/updateStrategy", Value: p.Strategy}
}

// annotate gives the operations that set an annotation.
func (r rollout) annotate(key, value string) []cluster.Op {
	var ops []cluster.Op
	if r.obj.GetAnnotations() == nil {
		ops = append(ops, cluster.Op{Op: "add", Path: "/metadata/annotations", Value: map[string]any{}})
	}
	return append(ops, cluster.Op{Op: "add", Path: annotation(key), Value: value})
}

func annotation(key string) string {
	return "/metadata/annotations/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
