package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const (
	scaledObject = "ScaledObject.keda.sh"
	drainedKey   = "astern.dev/drained"
	kedaPaused   = "autoscaling.keda.sh/paused"
	kedaReplicas = "autoscaling.keda.sh/paused-replicas"
)

// scalers are those who write the number of replicas.
type scalers struct {
	hpas []*unstructured.Unstructured
	// keda is the ScaledObject that made one of them; nil without KEDA, and when it is paused.
	keda *unstructured.Unstructured
}

func (s scalers) any() bool { return len(s.hpas) > 0 || s.keda != nil }

// readScalers finds the autoscalers of the object. KEDA's ScaledObject is found by the autoscaler that it made.
func (v drainView) readScalers(ctx context.Context, c *cluster.Cluster) (scalers, error) {
	all, err := c.List(ctx, "HorizontalPodAutoscaler", v.ref.Namespace, "")
	if err != nil {
		return scalers{}, err
	}
	var s scalers
	for _, hpa := range all {
		kind, _, _ := unstructured.NestedString(hpa.Object, "spec", "scaleTargetRef", "kind")
		name, _, _ := unstructured.NestedString(hpa.Object, "spec", "scaleTargetRef", "name")
		if kind != v.ref.Kind || name != v.ref.Name {
			continue
		}
		s.hpas = append(s.hpas, hpa.DeepCopy())
		maker := metav1.GetControllerOf(&hpa)
		if maker == nil || maker.Kind != "ScaledObject" || !strings.HasPrefix(maker.APIVersion, "keda.sh/") {
			continue
		}
		if s.keda, err = c.Get(ctx, cluster.Ref{Kind: scaledObject, Namespace: v.ref.Namespace, Name: maker.Name}); err != nil && !cluster.IsNotFound(err) {
			return scalers{}, err
		}
	}
	return s, nil
}

func (s scalers) notes() []string {
	var lines []string
	for _, hpa := range s.hpas {
		most, _, _ := unstructured.NestedInt64(hpa.Object, "spec", "maxReplicas")
		least, set, _ := unstructured.NestedInt64(hpa.Object, "spec", "minReplicas")
		if !set {
			least = 1
		}
		lines = append(lines, fmt.Sprintf("= %s (%d to %d replicas) rests while there are 0", cluster.RefOf(hpa), least, most))
	}
	return lines
}

// kedaRecord is what the annotation of a paused ScaledObject holds: what its own annotations held before. Null is that it had none.
type kedaRecord struct {
	Key            string  `json:"key"`
	Paused         *string `json:"paused"`
	PausedReplicas *string `json:"paused_replicas"`
}

// pause lets KEDA hold 0 replicas. It gives the lines of a plan, or what was written.
func (v drainView) pause(ctx context.Context, env actions.Env, c *cluster.Cluster, dry bool) ([]string, error) {
	keda := v.scalers.keda
	if keda == nil || keda.GetAnnotations()[kedaPaused] == "true" && keda.GetAnnotations()[kedaReplicas] == "0" {
		return nil, nil
	}
	record, err := json.Marshal(kedaRecord{env.Key, annotated(keda, kedaPaused), annotated(keda, kedaReplicas)})
	if err != nil {
		return nil, err
	}
	after, err := c.MergePatch(ctx, cluster.RefOf(keda), map[string]any{"metadata": map[string]any{
		"uid": string(keda.GetUID()), "resourceVersion": keda.GetResourceVersion(),
		"annotations": map[string]any{kedaPaused: "true", kedaReplicas: "0", drainedKey: string(record)},
	}}, cluster.PatchOptions{DryRun: dry})
	if err != nil {
		return nil, err
	}
	return cluster.Diff(keda, after), nil
}

func annotated(o *unstructured.Unstructured, key string) *string {
	value, set := o.GetAnnotations()[key]
	if !set {
		return nil
	}
	return &value
}
