package kubernetes

import (
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// keeps asks whether a PodDisruptionBudget is still kept by the pods of others. Scaling ignores budgets, so nobody else asks. One that
// protects these pods alone has nothing left to protect: they serve nothing.
func (v drainView) keeps(budget unstructured.Unstructured, rest []rolloutPod) ([]string, error) {
	selector, err := budgetSelector(budget)
	if err != nil {
		return nil, err
	}
	if !v.picks(selector) {
		return nil, nil
	}
	name, expected := cluster.RefOf(&budget), 0
	for _, p := range rest {
		if selector.Matches(labels.Set(p.obj.GetLabels())) {
			expected++
		}
	}
	if expected == 0 {
		return []string{fmt.Sprintf("= %s protects these pods alone, which serve nothing; scaling does not ask it", name)}, nil
	}
	healthy, wants := serves(selector, rest), mustStay(budget, expected)
	if healthy < wants {
		return nil, fmt.Errorf("drain %s: %s wants %d healthy pods, %d of %d others are left; scale up the side that serves", v.ref, name, wants, healthy, expected)
	}
	return []string{fmt.Sprintf("= %s is kept: %d of %d other pods are healthy, it wants %d", name, healthy, expected, wants)}, nil
}

func budgetSelector(budget unstructured.Unstructured) (labels.Selector, error) {
	raw, _, _ := unstructured.NestedMap(budget.Object, "spec", "selector")
	var of metav1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &of); err != nil {
		return nil, actions.Permanent(fmt.Errorf("%s: its selector cannot be read: %w", cluster.RefOf(&budget), err))
	}
	return metav1.LabelSelectorAsSelector(&of)
}

// mustStay is how many of the expected pods a budget wants healthy. Percentages are rounded up, as Kubernetes does.
func mustStay(budget unstructured.Unstructured, expected int) int {
	if n, set := amount(budget, "minAvailable", expected); set {
		return n
	}
	if n, set := amount(budget, "maxUnavailable", expected); set {
		return max(expected-n, 0)
	}
	return 0
}

func amount(budget unstructured.Unstructured, field string, of int) (int, bool) {
	value, set, _ := unstructured.NestedFieldNoCopy(budget.Object, "spec", field)
	switch value := value.(type) {
	case int64:
		return int(value), set
	case string:
		percent, err := strconv.Atoi(strings.TrimSuffix(value, "%"))
		return (percent*of + 99) / 100, err == nil
	}
	return 0, false
}
