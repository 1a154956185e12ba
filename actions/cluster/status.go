package cluster

import (
	"fmt"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// State is how far an object is on the way to what its spec says.
type State string

// The states an object can be in.
const (
	Current     State = "Current"
	InProgress  State = "InProgress"
	Failed      State = "Failed"
	Terminating State = "Terminating"
	Unknown     State = "Unknown"
)

// Status says whether an object is as its spec says, and if not, why. What its controller has not seen yet is InProgress:
// the status read right after a write is that of the spec before.
func Status(obj *unstructured.Unstructured) (State, string) {
	generation, has, _ := unstructured.NestedInt64(obj.Object, "metadata", "generation")
	observed, told, _ := unstructured.NestedInt64(obj.Object, "status", "observedGeneration")
	if has && told && observed < generation {
		return InProgress, fmt.Sprintf("its controller has seen generation %d of %d", observed, generation)
	}
	result, err := status.Compute(obj)
	if err != nil {
		return Unknown, err.Error()
	}
	return State(result.Status), result.Message
}
