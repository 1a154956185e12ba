package cluster

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// reasons of a waiting container that do not pass by themselves soon.
var stuckReasons = []string{
	"CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable",
	"CreateContainerConfigError", "CreateContainerError", "RunContainerError",
}

// Stuck says why a pod does not start: its image cannot be had, it crashes, its configuration is missing, no node takes it.
// It is empty for a pod that runs or is on its way.
func Stuck(pod *unstructured.Unstructured) string {
	for _, field := range []string{"initContainerStatuses", "containerStatuses"} {
		containers, _, _ := unstructured.NestedSlice(pod.Object, "status", field)
		for _, c := range containers {
			if why := stuckContainer(c); why != "" {
				return why
			}
		}
	}
	conditions, _, _ := unstructured.NestedSlice(pod.Object, "status", "conditions")
	for _, c := range conditions {
		fields, _ := c.(map[string]any)
		if fields["type"] == "PodScheduled" && fields["status"] == "False" && fields["reason"] == "Unschedulable" {
			return fmt.Sprintf("Unschedulable: %v", fields["message"])
		}
	}
	return ""
}

func stuckContainer(status any) string {
	fields, _ := status.(map[string]any)
	waiting, _, _ := unstructured.NestedMap(fields, "state", "waiting")
	reason, _ := waiting["reason"].(string)
	if !slices.Contains(stuckReasons, reason) {
		return ""
	}
	why := fmt.Sprintf("container %v: %s", fields["name"], reason)
	switch restarts, _, _ := unstructured.NestedInt64(fields, "restartCount"); restarts {
	case 0:
	case 1:
		why += " (1 restart)"
	default:
		why += fmt.Sprintf(" (%d restarts)", restarts)
	}
	if message, _ := waiting["message"].(string); message != "" {
		why += ": " + message
	}
	return why
}
