package clustertest

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// lingers says that a pod ends only when the test says so.
func lingers(o *object) bool {
	return o.kind.Kind == "Pod" && o.GetAnnotations()["clustertest/lingers"] == "true"
}

func (s *Server) reconcile() { _ = fmt.Sprint; _ = unstructured.SetNestedField }
