//go:build cluster

package controlplane_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/tools/controlplane"
)

func TestMain(m *testing.M) { controlplane.Main(m) }

const api = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  replicas: 3
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, image: "registry.example/shop/api:1.4.2"}]}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {selector: {app: api}, ports: [{port: 80, targetPort: 8080}]}
`

func TestClusterRollsOutAndServes(t *testing.T) {
	c := controlplane.Shared(t)
	namespace := c.Namespace(t)
	kubectl := func(args ...string) string {
		t.Helper()
		out, err := c.Kubectl(t.Context(), "", append([]string{"--namespace=" + namespace}, args...)...)
		require.NoError(t, err)
		return out
	}
	_, err := c.Kubectl(t.Context(), api, "--namespace="+namespace, "apply", "-f", "-")
	require.NoError(t, err)
	require.NoError(t, c.RolledOut(t.Context(), namespace, "deployment/api"))

	require.NoError(t, controlplane.Await(t.Context(), "three endpoints", func(ctx context.Context) error {
		ready, err := c.Endpoints(ctx, namespace, "api")
		if err != nil || len(ready) != 3 {
			return fmt.Errorf("%v, %w", ready, err)
		}
		return nil
	}))
	ids := kubectl("get", "pods", "--output=jsonpath={.items[*].status.containerStatuses[*].imageID}")
	require.Regexp(t, `^(registry\.example/shop/api@sha256:[0-9a-f]{64} ?){3}$`, ids)
	pod := kubectl("get", "pods", "--output=jsonpath={.items[0].metadata.name}")
	require.Equal(t, controlplane.PodLog, kubectl("logs", pod))
}

func TestClusterRefusesWhoHasNoRight(t *testing.T) {
	c := controlplane.Shared(t)
	namespace := c.Namespace(t)
	file, err := c.KubeconfigFor(t.Context(), namespace, "nobody")
	require.NoError(t, err)
	_, err = c.Kubectl(t.Context(), "", "--kubeconfig="+file, "--namespace="+namespace, "get", "pods")
	require.ErrorContains(t, err, `User "system:serviceaccount:`+namespace+`:nobody" cannot list resource "pods"`)
}

func TestClusterKeepsWhatItHeldWhenTheAPIServerIsKilled(t *testing.T) {
	c := controlplane.Shared(t)
	namespace := c.Namespace(t)
	c.KillAPIServer()
	_, err := c.Get(t.Context(), "", "namespace/"+namespace)
	require.ErrorContains(t, err, "refused")
	require.NoError(t, c.StartAPIServer(t.Context()))
	kept, err := c.Get(t.Context(), "", "namespace/"+namespace)
	require.NoError(t, err)
	require.Equal(t, namespace, kept.GetName())

	_, err = c.Kubectl(t.Context(), api, "--namespace="+namespace, "apply", "-f", "-")
	require.NoError(t, err)
	require.NoError(t, c.RolledOut(t.Context(), namespace, "deployment/api"), "the controllers come back by themselves")
}

func TestClusterPodsFailAndEndAsTheyAreTold(t *testing.T) {
	c := controlplane.Shared(t)
	namespace := c.Namespace(t)
	kubectl := func(stdin string, args ...string) string {
		t.Helper()
		out, err := c.Kubectl(t.Context(), stdin, append([]string{"--namespace=" + namespace}, args...)...)
		require.NoError(t, err)
		return out
	}
	kubectl(pods, "apply", "-f", "-")
	for pod, reason := range map[string]string{"crashes": "CrashLoopBackOff", "pulls": "ImagePullBackOff"} {
		kubectl("", "wait", "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}="+reason, "--timeout=30s", "pod/"+pod)
	}
	kubectl("", "label", "pod/crashes", controlplane.StateLabel+"-")
	kubectl("", "wait", "--for=condition=Ready", "--timeout=30s", "pod/crashes")
	kubectl("", "wait", "--for=condition=Complete", "--timeout=30s", "job/works")
	kubectl("", "wait", "--for=condition=Failed", "--timeout=30s", "job/fails")

	kubectl("", "wait", "--for=condition=Ready", "--timeout=30s", "pod/slow")
	kubectl("", "delete", "pod/slow", "--wait=false")
	require.NotEmpty(t, kubectl("", "get", "pod/slow", "--output=jsonpath={.metadata.deletionTimestamp}"), "it takes its time to end")
	kubectl("", "wait", "--for=delete", "--timeout=30s", "pod/slow")
}

const pods = `
{apiVersion: v1, kind: Pod, metadata: {name: crashes, labels: {rig.astern.dev/state: crash-loop}}, spec: {containers: [{name: c, image: c}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: pulls, labels: {rig.astern.dev/state: image-pull}}, spec: {containers: [{name: c, image: c}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: slow, annotations: {rig.astern.dev/ends-after: 3s}}, spec: {containers: [{name: c, image: c}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: works}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: c}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: fails}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {rig.astern.dev/job: fails}}
    spec: {restartPolicy: Never, containers: [{name: c, image: c}]}
`
