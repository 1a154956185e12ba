package cluster

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStatus(t *testing.T) {
	done := "replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2"
	for name, c := range map[string]struct {
		metadata, spec, status string
		is                     State
		says                   string
	}{
		"rolled out":          {"generation: 2", "replicas: 2", "observedGeneration: 2, " + done + ", conditions: [{type: Available, status: 'True'}, {type: Progressing, status: 'True', reason: NewReplicaSetAvailable}]", Current, ""},
		"not seen yet":        {"generation: 3", "replicas: 2", "observedGeneration: 2, " + done, InProgress, "seen generation 2 of 3"},
		"on the way":          {"generation: 2", "replicas: 2", "observedGeneration: 2, replicas: 2, updatedReplicas: 1", InProgress, ""},
		"its deadline passed": {"generation: 2", "replicas: 2", "observedGeneration: 2, conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded}]", Failed, "Progress deadline exceeded"},
		"being deleted":       {"generation: 2, deletionTimestamp: '2026-01-01T00:00:00Z'", "replicas: 2", "observedGeneration: 2", Terminating, ""},
	} {
		t.Run(name, func(t *testing.T) {
			state, why := Status(object(t, fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: api, namespace: shop, %s}, spec: {%s}, status: {%s}}`, c.metadata, c.spec, c.status)))
			require.Equal(t, c.is, state, why)
			require.Contains(t, why, c.says)
		})
	}
}

func TestWhyAPodDoesNotStart(t *testing.T) {
	for name, c := range map[string]struct{ status, why string }{
		"running":        {"phase: Running, containerStatuses: [{name: app, ready: true, state: {running: {}}}]", ""},
		"starting":       {"phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: ContainerCreating}}}]", ""},
		"no image":       {"phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: ImagePullBackOff, message: 'no such manifest'}}}]", "container app: ImagePullBackOff: no such manifest"},
		"crashes":        {"phase: Running, containerStatuses: [{name: app, restartCount: 4, state: {waiting: {reason: CrashLoopBackOff, message: back-off 5m}}}]", "container app: CrashLoopBackOff (4 restarts): back-off 5m"},
		"init":           {"phase: Pending, initContainerStatuses: [{name: migrate, restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}}]", "container migrate: CrashLoopBackOff (1 restart)"},
		"no config":      {"phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: CreateContainerConfigError, message: 'configmap \"x\" not found'}}}]", `container app: CreateContainerConfigError: configmap "x" not found`},
		"no node for it": {"phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: '0/3 nodes'}]", "Unschedulable: 0/3 nodes"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.why, Stuck(object(t, `{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop}, status: {`+c.status+`}}`)))
		})
	}
}
