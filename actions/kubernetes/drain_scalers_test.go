package kubernetes

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster/clustertest"
)

// autoscaled is an HPA of green that, once it sees 0, writes what it decided before; times says how often.
func autoscaled(s *clustertest.Server, times int) {
	s.Add(`{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: green, namespace: shop}, spec: {minReplicas: 2, maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api-green}}}`)
	s.Before(func(call clustertest.Call) *clustertest.Fault {
		if call.Verb == "get" && call.Resource == "deployments" && times > 0 && replicasOf(s, "api-green") == 0 {
			times--
			scaledAt(s, "api-green", 5)
		}
		return nil
	})
}

func TestAnAutoscalerIsKeptOut(t *testing.T) {
	s := left(t)
	autoscaled(s, 1)
	var told []string
	env := envOf(t, s)
	env.Progress = func(line string) { told = append(told, line) }
	did, err := drainOf(t, drainGreen).Run(t.Context(), env)
	require.NoError(t, err)
	require.Contains(t, told, "Deployment shop/api-green: an autoscaler wrote 5 replicas; 0 is written again")
	require.Equal(t, 3, did.Outputs.(DrainOutputs).Replicas)
	require.Zero(t, replicasOf(s, "api-green"))
	require.Len(t, s.Writes(), 2)

	s = left(t)
	autoscaled(s, 2)
	_, err = drainOf(t, drainGreen).Run(t.Context(), envOf(t, s))
	require.ErrorContains(t, err, "somebody scaled it to 5 meanwhile: it is left at that")
	require.True(t, actions.IsPermanent(err), "who writes it twice is no autoscaler at rest")
	require.Len(t, s.Writes(), 2)
}

// The 0 is believed only when an autoscaler had the time to write once more.
func TestAnAutoscalerIsGivenItsTime(t *testing.T) {
	s := left(t)
	autoscaled(s, 0)
	d, env := drainOf(t, drainGreen), envOf(t, s)
	d.period = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	looks := 0
	s.Before(func(call clustertest.Call) *clustertest.Fault {
		if call.Verb == "get" && call.Resource == "deployments" && replicasOf(s, "api-green") == 0 {
			if looks++; looks == 3 {
				cancel()
			}
		}
		return nil
	})
	_, err := d.Run(ctx, env)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, s.All("Pod", "shop", "track=green"))
}

// A person who scales it is no autoscaler: his word stands.
func TestAPersonWhoScalesItUpIsRespected(t *testing.T) {
	s := left(t)
	s.Add(`{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: blue, namespace: shop}, spec: {maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api-blue}}}`)
	s.Before(func(call clustertest.Call) *clustertest.Fault {
		if call.Verb == "get" && call.Resource == "deployments" && replicasOf(s, "api-green") == 0 {
			scaledAt(s, "api-green", 1)
		}
		return nil
	})
	_, err := drainOf(t, drainGreen).Run(t.Context(), envOf(t, s))
	require.ErrorContains(t, err, "somebody scaled it to 1 meanwhile")
	require.EqualValues(t, 1, replicasOf(s, "api-green"))
	require.Len(t, s.Writes(), 1)
}

const kedaOfGreen = `{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: green, namespace: shop, uid: scaled-1, annotations: {autoscaling.keda.sh/paused-replicas: "2"}}, spec: {scaleTargetRef: {name: api-green}}}` + "\n---\n" +
	`{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: keda-hpa-green, namespace: shop, ownerReferences: [{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, name: green, uid: scaled-1, controller: true}]}, spec: {maxReplicas: 9, scaleTargetRef: {kind: Deployment, name: api-green}}}`

func TestKEDAIsPaused(t *testing.T) {
	s := left(t)
	s.Add(kedaOfGreen)
	d, env := drainOf(t, drainGreen), envOf(t, s)
	change, err := d.Plan(t.Context(), env)
	require.NoError(t, err)
	require.Contains(t, change.Diff, `+ ScaledObject shop/green metadata.annotations[autoscaling.keda.sh/paused]: "true"`)
	require.Contains(t, change.Diff, `~ ScaledObject shop/green metadata.annotations[autoscaling.keda.sh/paused-replicas]: "2" -> "0"`)
	did, err := d.Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, DrainOutputs{Replicas: 3, Paused: "green"}, did.Outputs)
	require.Equal(t, map[string]string{kedaPaused: "true", kedaReplicas: "0", drainedKey: fmt.Sprintf(`{"key":%q,"paused":null,"paused_replicas":"2"}`, env.Key)},
		s.Get("ScaledObject", "shop", "green").GetAnnotations())
	require.Equal(t, []string{"patch scaledobjects shop/green", "patch deployments/scale shop/api-green"}, s.Writes(), "KEDA first")
	_, err = drainOf(t, drainGreen).Run(t.Context(), env)
	require.NoError(t, err)
	require.Len(t, s.Writes(), 2)
}

// Somebody who pauses KEDA otherwise in that moment is not forgotten: what he wrote is what was before.
func TestKEDAIsPausedAsItIsThen(t *testing.T) {
	s := left(t)
	s.Add(kedaOfGreen)
	done := false
	s.Before(func(call clustertest.Call) *clustertest.Fault {
		if call.Verb == "patch" && call.Resource == "scaledobjects" && !done {
			done = true
			s.Change("ScaledObject", "shop", "green", func(o map[string]any) {
				_ = unstructured.SetNestedField(o, "7", "metadata", "annotations", kedaReplicas)
			})
		}
		return nil
	})
	_, err := drainOf(t, drainGreen).Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.Contains(t, s.Get("ScaledObject", "shop", "green").GetAnnotations()[drainedKey], `"paused_replicas":"7"`)
}
