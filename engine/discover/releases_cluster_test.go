//go:build cluster

package discover

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/tools/controlplane"
)

func TestMain(m *testing.M) { controlplane.Main(m) }

// prod is the control plane as the configuration would name it.
func prod(t *testing.T, plane *controlplane.ControlPlane, kubeconfig string, places ...Place) Site {
	t.Helper()
	c := &cluster.Connection{Kubeconfig: kubeconfig}
	opened, err := c.Open((&net.Dialer{}).DialContext)
	require.NoError(t, err)
	return Site{Name: "prod", Cluster: opened.(*cluster.Cluster), Identity: kubeconfig, Places: places}
}

func deployment(namespace, name, track, image string, replicas int) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  replicas: %[5]d
  selector: {matchLabels: {app: api, track: %[3]s}}
  template:
    metadata: {labels: {app: api, track: %[3]s}, annotations: {rig.astern.dev/ready-after: 800ms}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: app, image: "registry.example/api:%[4]s"}]}
---
`, namespace, name, track, image, replicas)
}

func patch(t *testing.T, plane *controlplane.ControlPlane, namespace, ref, body string) {
	t.Helper()
	_, err := plane.Kubectl(t.Context(), "", "-n", namespace, "patch", ref, "--type=merge", "-p", body)
	require.NoError(t, err)
}

func kubectl(t *testing.T, plane *controlplane.ControlPlane, args ...string) {
	t.Helper()
	_, err := plane.Kubectl(t.Context(), "", args...)
	require.NoError(t, err)
}

// A deploy is seen as it rolls and when it has ended; a restart and a change of scale are no releases; who undoes a deploy
// moves back, and the version that was left is bad.
func TestClusterADeployIsSeen(t *testing.T) {
	plane := controlplane.Shared(t)
	ns := plane.Namespace(t)
	require.NoError(t, plane.Apply(t.Context(), deployment(ns, "api", "one", "v41", 1)))
	require.NoError(t, plane.RolledOut(t.Context(), ns, "deployment/api"))
	h := newHistories(watched("api", "Deployment", ns, "api"))
	watch(t, h, nil, prod(t, plane, plane.Kubeconfig))
	first := h.await(t, "api", "v41 runs", runs("v41"))
	require.NotEmpty(t, first.UID)
	require.Equal(t, "kubernetes/prod", first.Releases[0].By)
	require.Regexp(t, "^sha256:[0-9a-f]{64}$", first.Releases[0].Digest, "its pods say which image they run")

	kubectl(t, plane, "-n", ns, "set", "image", "deployment/api", "app=registry.example/api:v42")
	began := h.await(t, "api", "v42 rolls", rolls("v42"))
	require.False(t, began.Rolling.Began.Before(first.Releases[0].At))
	second := h.await(t, "api", "v42 runs", runs("v42"))
	obj, err := plane.Get(t.Context(), ns, "deployment/api")
	require.NoError(t, err)
	require.Equal(t, progressed(t, obj), second.Releases[1].At, "its rollout ended when its controller says so")

	kubectl(t, plane, "-n", ns, "rollout", "restart", "deployment/api")
	require.NoError(t, plane.RolledOut(t.Context(), ns, "deployment/api"))
	kubectl(t, plane, "-n", ns, "scale", "deployment/api", "--replicas=2")
	require.NoError(t, plane.RolledOut(t.Context(), ns, "deployment/api"))
	kubectl(t, plane, "-n", ns, "rollout", "undo", "deployment/api", "--to-revision=1")
	h.await(t, "api", "v41 runs again", runs("v41"))
	require.Equal(t, []string{"released v41", "rolling v42", "released v42", "rolling v41", "released v41"}, h.told("api"))
	last := h.targets["api"]
	require.Equal(t, incident.Bad, last.Releases[1].Verdict, "a person moved back from it")
	require.True(t, last.CameBack())
}

func progressed(t *testing.T, d *unstructured.Unstructured) time.Time {
	conditions, _, _ := unstructured.NestedSlice(d.Object, "status", "conditions")
	for _, c := range conditions {
		if is := c.(map[string]any); is["type"] == "Progressing" {
			require.Equal(t, "NewReplicaSetAvailable", is["reason"])
			at, err := time.Parse(time.RFC3339, is["lastUpdateTime"].(string))
			require.NoError(t, err)
			return at.UTC()
		}
	}
	require.FailNow(t, "no condition Progressing")
	return time.Time{}
}

// What happened while nobody looked on is told from what the cluster still knows: ReplicaSets on a first sight, the move of
// the selector and a deploy after a restart. A halted rollout goes on rolling.
func TestClusterWhatHappenedMeanwhileIsSeen(t *testing.T) {
	plane := controlplane.Shared(t)
	ns := plane.Namespace(t)
	require.NoError(t, plane.Apply(t.Context(), deployment(ns, "api", "one", "v41", 2)))
	require.NoError(t, plane.RolledOut(t.Context(), ns, "deployment/api"))
	kubectl(t, plane, "-n", ns, "set", "image", "deployment/api", "app=registry.example/api:v42")
	require.NoError(t, plane.RolledOut(t.Context(), ns, "deployment/api"))
	h := newHistories(watched("api", "Deployment", ns, "api"))
	stop := watch(t, h, nil, prod(t, plane, plane.Kubeconfig))
	known := h.await(t, "api", "v42 runs", runs("v42"))
	require.Equal(t, []string{"released v41", "released v42"}, h.told("api"))
	require.Equal(t, incident.Unknown, known.Releases[0].Verdict)
	stop()

	// A rollout that never ends: its pods cannot become ready.
	patch(t, plane, ns, "deployment/api", `{"spec":{"template":{"metadata":{"labels":{"rig.astern.dev/state":"not-ready"}},"spec":{"containers":[{"name":"app","image":"registry.example/api:v43"}]}}}}`)
	stop = watch(t, h, nil, prod(t, plane, plane.Kubeconfig))
	h.await(t, "api", "v43 rolls", rolls("v43"))
	kubectl(t, plane, "-n", ns, "rollout", "pause", "deployment/api")
	stop()
	watch(t, h, nil, prod(t, plane, plane.Kubeconfig))
	kubectl(t, plane, "-n", ns, "delete", "deployment/api", "--wait=false")
	h.await(t, "api", "it is gone", func(_ incident.TargetHistory, problem string) bool {
		return problem == "Deployment "+ns+"/api is not there"
	})
	require.Equal(t, []string{"released v41", "released v42", "rolling v43"}, h.told("api"), "halted, it rolls on")
	require.NoError(t, plane.Apply(t.Context(), deployment(ns, "api", "one", "v41", 1)))
	again := h.await(t, "api", "v41 runs", runs("v41"))
	require.NotEqual(t, known.UID, again.UID, "another object of the name is another object")
}

const service = `
apiVersion: v1
kind: Service
metadata: {name: api, namespace: %s}
spec: {selector: {app: api, track: %s}, ports: [{port: 80, targetPort: 8080}]}
---
`

// Behind a Service runs what its selector picks; the other side, rolled out before, is where it came from.
func TestClusterASwitchOfAServiceIsSeen(t *testing.T) {
	plane := controlplane.Shared(t)
	ns := plane.Namespace(t)
	require.NoError(t, plane.Apply(t.Context(), deployment(ns, "api-blue", "blue", "v41", 1)+fmt.Sprintf(service, ns, "blue")))
	require.NoError(t, plane.RolledOut(t.Context(), ns, "deployment/api-blue"))
	h := newHistories(watched("api", "Service", ns, "api"))
	stop := watch(t, h, nil, prod(t, plane, plane.Kubeconfig))
	h.await(t, "api", "v41 serves", runs("v41"))
	require.NoError(t, plane.Apply(t.Context(), deployment(ns, "api-green", "green", "v42", 2)))
	require.NoError(t, plane.RolledOut(t.Context(), ns, "deployment/api-green"))
	patch(t, plane, ns, "service/api", `{"spec":{"selector":{"app":"api","track":"green"}}}`)
	now := h.await(t, "api", "v42 serves", runs("v42"))
	require.Equal(t, []string{"released v41", "released v42"}, h.told("api"), "green rolled out in the dark")
	require.Equal(t, map[string]string{"app": "api", "track": "green", "workload": "api-green", "revision": "1", "template": now.Releases[1].Vars["template"]}, now.Releases[1].Vars)
	require.True(t, strings.HasPrefix(now.Releases[1].Vars["template"], "sha256:"))
	stop()

	fresh := newHistories(watched("api", "Service", ns, "api"))
	watch(t, fresh, nil, prod(t, plane, plane.Kubeconfig))
	cold := fresh.await(t, "api", "v42 serves", runs("v42"))
	require.Len(t, cold.Releases, 2)
	require.Equal(t, "v41", cold.Releases[0].Version)
	require.Equal(t, "blue", cold.Releases[0].Vars["track"])
	to, why := cold.Destination()
	require.Empty(t, why)
	require.Equal(t, "api-blue", to.Release.Vars["workload"])
}

// The API server dies while a deploy goes on: it is seen when the server is back. What cannot be read is said.
func TestClusterAnAPIServerThatDiesHidesNothing(t *testing.T) {
	plane := controlplane.Shared(t)
	ns := plane.Namespace(t)
	require.NoError(t, plane.Apply(t.Context(), deployment(ns, "api", "one", "v41", 1)))
	require.NoError(t, plane.RolledOut(t.Context(), ns, "deployment/api"))
	poor, err := plane.KubeconfigFor(t.Context(), ns, "poor")
	require.NoError(t, err)
	h := newHistories(watched("api", "Deployment", ns, "api"))
	other := newHistories(watched("api", "Deployment", ns, "api"))
	watch(t, h, nil, prod(t, plane, plane.Kubeconfig))
	watch(t, other, nil, prod(t, plane, poor))
	h.await(t, "api", "v41 runs", runs("v41"))
	other.await(t, "api", "it may not be read", func(_ incident.TargetHistory, problem string) bool {
		return strings.Contains(problem, "astern rbac") && strings.Contains(problem, "list")
	})
	kubectl(t, plane, "-n", ns, "set", "image", "deployment/api", "app=registry.example/api:v42")
	plane.KillAPIServer()
	require.NoError(t, plane.StartAPIServer(t.Context()))
	h.await(t, "api", "v42 runs", runs("v42"))
}

// StatefulSets and DaemonSets name their revisions otherwise, and write down no end of a rollout.
func TestClusterOtherWorkloadsAreSeen(t *testing.T) {
	plane := controlplane.Shared(t)
	ns := plane.Namespace(t)
	for _, kind := range []string{"StatefulSet", "DaemonSet"} {
		replicas, serviceName := "", ""
		if kind == "StatefulSet" {
			replicas, serviceName = "replicas: 2,", "serviceName: none,"
		}
		require.NoError(t, plane.Apply(t.Context(), fmt.Sprintf(`{apiVersion: apps/v1, kind: %[2]s, metadata: {name: %[3]s, namespace: %[1]s},
			spec: {%[4]s %[5]s selector: {matchLabels: {app: %[3]s}}, template: {metadata: {labels: {app: %[3]s}, annotations: {rig.astern.dev/ready-after: 800ms}},
			spec: {terminationGracePeriodSeconds: 1, containers: [{name: app, image: "registry.example/api:v41"}]}}}}`, ns, kind, strings.ToLower(kind), replicas, serviceName)))
	}
	h := newHistories(watched("sts", "StatefulSet", ns, "statefulset"), watched("ds", "DaemonSet", ns, "daemonset"))
	watch(t, h, nil, prod(t, plane, plane.Kubeconfig))
	for target, object := range map[string]string{"sts": "statefulset/statefulset", "ds": "daemonset/daemonset"} {
		h.await(t, target, "v41 runs", runs("v41"))
		require.NoError(t, plane.RolledOut(t.Context(), ns, object))
		kubectl(t, plane, "-n", ns, "set", "image", object, "app=registry.example/api:v42")
		h.await(t, target, "v42 rolls", rolls("v42"))
		h.await(t, target, "v42 runs", runs("v42"))
		kubectl(t, plane, "-n", ns, "rollout", "restart", object)
		require.NoError(t, plane.RolledOut(t.Context(), ns, object))
		kubectl(t, plane, "-n", ns, "rollout", "undo", object, "--to-revision=1")
		h.await(t, target, "v41 rolls", rolls("v41"))
		last := h.await(t, target, "v41 runs again", runs("v41"))
		require.Equal(t, []string{"released v41", "rolling v42", "released v42", "rolling v41", "released v41"}, h.told(target))
		require.Equal(t, incident.Bad, last.Releases[1].Verdict)
		require.NotEmpty(t, last.Releases[2].Digest)
	}
	cold := newHistories(watched("sts", "StatefulSet", ns, "statefulset"))
	watch(t, cold, nil, prod(t, plane, plane.Kubeconfig))
	cold.await(t, "sts", "v41 runs", runs("v41"))
	require.Equal(t, []string{"released v41"}, cold.told("sts"), "what was left by going back is no way back")
}
