package clustertest

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

type ownerReference = metav1.OwnerReference

// endpoints keeps the EndpointSlice of a Service that has a selector. Without one nobody does: what is there stays.
func (s *Server) endpoints(service *object) {
	selector, _ := nested(service.Unstructured, "spec", "selector").(map[string]any)
	if len(selector) == 0 {
		return
	}
	set := labels.Set{}
	for name, value := range selector {
		set[name] = fmt.Sprint(value)
	}
	pods, _ := s.kind("Pod")
	all := []any{}
	for _, pod := range s.list(pods, service.GetNamespace(), set.AsSelector()) {
		if ports(service, pod) {
			all = append(all, endpoint(service, pod))
		}
	}
	slice := s.find("EndpointSlice", service.GetNamespace(), service.GetName()+"-1")
	if slice == nil {
		slice = s.owns(service, "EndpointSlice", service.GetName()+"-1", &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"kubernetes.io/service-name": service.GetName()}}, "addressType": "IPv4", "endpoints": []any{}}})
	}
	s.alter(slice, func(u *unstructured.Unstructured) { u.Object["endpoints"] = all })
}

func endpoint(service, pod *object) map[string]any {
	ready, ending := readyPod(pod), pod.GetDeletionTimestamp() != nil
	always := nested(service.Unstructured, "spec", "publishNotReadyAddresses") == true
	return map[string]any{
		"addresses":  []any{nested(pod.Unstructured, "status", "podIP")},
		"conditions": map[string]any{"ready": always || ready && !ending, "serving": ready, "terminating": ending},
		"targetRef":  map[string]any{"kind": "Pod", "namespace": pod.GetNamespace(), "name": pod.GetName(), "uid": string(pod.GetUID())},
	}
}

// ports says whether every port of the Service leads to one of the pod's: by number always, by name where a container has it.
func ports(service, pod *object) bool {
	all, _ := nested(service.Unstructured, "spec", "ports").([]any)
	for _, p := range all {
		name, named := p.(map[string]any)["targetPort"].(string)
		if named && !hasPort(pod, name) {
			return false
		}
	}
	return true
}

func hasPort(pod *object, name string) bool {
	containers, _ := nested(pod.Unstructured, "spec", "containers").([]any)
	for _, c := range containers {
		open, _ := c.(map[string]any)["ports"].([]any)
		for _, p := range open {
			if p.(map[string]any)["name"] == name {
				return true
			}
		}
	}
	return false
}
