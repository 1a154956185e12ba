package clustertest_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/cluster/clustertest"
)

func colour(name, image string, replicas int) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: shop}
spec:
  replicas: %[3]d
  selector: {matchLabels: {app: api, track: %[1]s}}
  template:
    metadata: {labels: {app: api, track: %[1]s}, annotations: {clustertest/lingers: "true"}}
    spec: {containers: [{name: api, image: %[2]q}]}
`, name, image, replicas)
}

func served(s *clustertest.Server) (ready int) {
	for _, slice := range s.All("EndpointSlice", "shop", "kubernetes.io/service-name=api") {
		all, _, _ := unstructured.NestedSlice(slice.Object, "endpoints")
		for _, e := range all {
			if yes, _, _ := unstructured.NestedBool(e.(map[string]any), "conditions", "ready"); yes {
				ready++
			}
		}
	}
	return ready
}

func image(s *clustertest.Server, name, image string) {
	s.Change("Deployment", "shop", name, func(o map[string]any) {
		_ = unstructured.SetNestedSlice(o, []any{map[string]any{"name": "api", "image": image}}, "spec", "template", "spec", "containers")
	})
}

func TestControllers(t *testing.T) {
	s := clustertest.New(t)
	s.Controllers()
	s.Add(service + "\n---\n" + colour("green", "api:1", 3))
	require.Equal(t, 3, served(s))
	state, message := cluster.Status(s.Get("Deployment", "shop", "green"))
	require.Equal(t, cluster.Current, state, message)

	image(s, "green", "api:2-broken")
	require.Equal(t, 3, served(s), "a version that never gets ready takes nothing away")
	state, _ = cluster.Status(s.Get("Deployment", "shop", "green"))
	require.Equal(t, cluster.InProgress, state)
	image(s, "green", "api:1")
	require.Len(t, s.All("ReplicaSet", "shop", ""), 2)
	require.Equal(t, "3", s.Get("Deployment", "shop", "green").GetAnnotations()["deployment.kubernetes.io/revision"], "a ReplicaSet that is used again is numbered anew")

	s.Change("Deployment", "shop", "green", func(o map[string]any) { _ = unstructured.SetNestedField(o, int64(0), "spec", "replicas") })
	require.Zero(t, served(s))
	require.Len(t, s.All("Pod", "shop", ""), 4, "they linger, the broken one, too")
	s.EndPods("shop")
	require.Empty(t, s.All("Pod", "shop", ""))
}
