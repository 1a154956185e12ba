package clustertest

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// setDefaults fills in the defaults that astern's work depends on.
func setDefaults(k Kind, u *unstructured.Unstructured) {
	fill := func(value any, path ...string) {
		if nested(u, path...) == nil {
			_ = unstructured.SetNestedField(u.Object, value, path...)
		}
	}
	switch k.Kind {
	case "Deployment", "StatefulSet":
		fill(int64(1), "spec", "replicas")
	case "Service":
		fill("ClusterIP", "spec", "type")
	}
}

// check refuses what the real API refuses, with a cause for each mistake.
func check(k Kind, before, after *unstructured.Unstructured) error {
	var wrong field.ErrorList
	for _, why := range validation.IsDNS1123Subdomain(after.GetName()) {
		wrong = append(wrong, field.Invalid(field.NewPath("metadata", "name"), after.GetName(), why))
	}
	for name, value := range after.GetLabels() {
		wrong = append(wrong, checkLabel(field.NewPath("metadata", "labels"), name, value)...)
	}
	spec := field.NewPath("spec")
	switch k.Kind {
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet":
		wrong = append(wrong, checkWorkload(spec, before, after)...)
	case "Job":
		wrong = append(wrong, checkJob(spec, before, after)...)
	case "Service":
		selector, _ := nested(after, "spec", "selector").(map[string]any)
		for name, value := range selector {
			wrong = append(wrong, checkLabel(spec.Child("selector"), name, fmt.Sprint(value))...)
		}
	case "ConfigMap", "Secret":
		if before != nil && nested(before, "immutable") == true && (differ(before, after, "data") || differ(before, after, "binaryData")) {
			wrong = append(wrong, field.Forbidden(field.NewPath("data"), "field is immutable when `immutable` is set"))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return apierrors.NewInvalid(k.gvk().GroupKind(), after.GetName(), wrong)
}

func checkLabel(at *field.Path, name, value string) field.ErrorList {
	var wrong field.ErrorList
	for _, why := range validation.IsQualifiedName(name) {
		wrong = append(wrong, field.Invalid(at, name, why))
	}
	for _, why := range validation.IsValidLabelValue(value) {
		wrong = append(wrong, field.Invalid(at, value, why))
	}
	return wrong
}

func checkWorkload(spec *field.Path, before, after *unstructured.Unstructured) field.ErrorList {
	var wrong field.ErrorList
	match, _ := nested(after, "spec", "selector", "matchLabels").(map[string]any)
	if len(match) == 0 {
		wrong = append(wrong, field.Required(spec.Child("selector"), ""))
	}
	if before != nil && differ(before, after, "spec", "selector") {
		wrong = append(wrong, field.Invalid(spec.Child("selector"), match, "field is immutable"))
	}
	set, has := labels.Set{}, labels.Set{}
	for name, value := range match {
		set[name] = fmt.Sprint(value)
	}
	of, _ := nested(after, "spec", "template", "metadata", "labels").(map[string]any)
	for name, value := range of {
		has[name] = fmt.Sprint(value)
	}
	if !set.AsSelector().Matches(has) {
		wrong = append(wrong, field.Invalid(spec.Child("template", "metadata", "labels"), of, "`selector` does not match template `labels`"))
	}
	if n, ok := nested(after, "spec", "replicas").(int64); ok && n < 0 {
		wrong = append(wrong, field.Invalid(spec.Child("replicas"), n, "must be greater than or equal to 0"))
	}
	return append(wrong, checkPod(spec.Child("template", "spec"), after)...)
}

func checkPod(at *field.Path, u *unstructured.Unstructured) field.ErrorList {
	var wrong field.ErrorList
	containers, _ := nested(u, "spec", "template", "spec", "containers").([]any)
	if len(containers) == 0 {
		wrong = append(wrong, field.Required(at.Child("containers"), ""))
	}
	for n, c := range containers {
		if is, ok := c.(map[string]any); !ok || is["name"] == nil {
			wrong = append(wrong, field.Required(at.Child("containers").Index(n).Child("name"), ""))
		}
	}
	return wrong
}

func checkJob(spec *field.Path, before, after *unstructured.Unstructured) field.ErrorList {
	wrong := checkPod(spec.Child("template", "spec"), after)
	if policy := nested(after, "spec", "template", "spec", "restartPolicy"); policy != "Never" && policy != "OnFailure" {
		wrong = append(wrong, field.NotSupported(spec.Child("template", "spec", "restartPolicy"), fmt.Sprint(policy), []string{"OnFailure", "Never"}))
	}
	if before != nil && differ(before, after, "spec", "template") {
		wrong = append(wrong, field.Invalid(spec.Child("template"), nil, "field is immutable"))
	}
	return wrong
}
