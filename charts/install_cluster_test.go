//go:build cluster

package charts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/tools/controlplane"
)

const shop = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api, app.kubernetes.io/version: %[1]s}}
    spec: {containers: [{name: api, image: "registry.example/shop/api:%[1]s"}]}
`

const around = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: %[1]s-data}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: /nowhere}
  claimRef: {namespace: %[1]s, name: data-a-astern-0}
---
apiVersion: v1
kind: Secret
metadata: {name: astern-tokens, namespace: %[1]s}
stringData: {alertmanager: token-of-alertmanager, sre: token-of-sre}
`

// installed is the chart's release in a namespace that is restricted.
type installed struct {
	t         *testing.T
	plane     *controlplane.ControlPlane
	namespace string
	values    []string
}

func (i *installed) helm(args ...string) string {
	i.t.Helper()
	printed, err := helm(i.t, append(args, "--namespace", i.namespace, "--kubeconfig", i.plane.Kubeconfig)...)
	require.NoError(i.t, err, printed)
	return printed
}

func (i *installed) kubectl(args ...string) string {
	i.t.Helper()
	printed, err := i.plane.Kubectl(i.t.Context(), "", args...)
	require.NoError(i.t, err, printed)
	return printed
}

// write makes a file of values.
func (i *installed) write(name, text string) string {
	path := filepath.Join(i.t.TempDir(), name)
	require.NoError(i.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// rights are the values that `astern rbac` prints for what the chart would write.
func (i *installed) rights(binary string) string {
	dir := i.t.TempDir()
	for name, text := range texts(rendered(i.t, i.values...)["ConfigMap/a-astern"].at("data")) {
		require.NoError(i.t, os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "/etc/astern/files/", "")), 0o600))
	}
	k := &kubelet{t: i.t}
	return k.in(".", binary, "rbac", "-o", "values", dir)
}

// The chart is installed, upgraded, rolled back and removed on a real API server, and astern in it does a rollback: its image
// as the root, its pod's arguments, volumes, user and service account, and no right but those of the chart.
func TestClusterChartInstalledRollsBack(t *testing.T) {
	plane := controlplane.Shared(t)
	i := &installed{t: t, plane: plane, namespace: plane.Namespace(t)}
	require.NoError(t, plane.CreateNamespace(t.Context(), "shop"))
	i.kubectl("label", "namespace", i.namespace, "pod-security.kubernetes.io/enforce=restricted")
	require.NoError(t, plane.Apply(t.Context(), fmt.Sprintf(around, i.namespace)))
	k := newKubelet(t, plane, i.namespace)

	i.values = []string{"--values", "astern/ci/full-values.yaml", "--values", i.write("here.yaml", "config: {reloadEvery: 200ms, astern: {egress: {allow: [127.0.0.0/8]}}}\n")}
	i.values = append(i.values, "--values", i.write("rbac.yaml", i.rights(filepath.Join(k.root, "astern"))))
	i.helm(append([]string{"install", "a", "astern"}, i.values...)...)
	i.kubectl("--namespace="+i.namespace, "wait", "--for=jsonpath={.status.phase}=Bound", "pvc/data-a-astern-0", "--timeout=60s")
	i.kubectl("--namespace="+i.namespace, "wait", "--for=condition=Ready", "pod/a-astern-0", "--timeout=60s")

	for _, version := range []string{"v41", "v42"} {
		require.NoError(t, plane.Apply(t.Context(), fmt.Sprintf(shop, version)))
		require.NoError(t, plane.RolledOut(t.Context(), "shop", "deployment/api"))
	}
	k.start(k.read("pod/a-astern-0"))
	i.until("what runs was read", func() error { return says(k, []string{"release", "list", "shop-api"}, "v42", "v41") })
	i.until("the way back is open", func() error { return says(k, []string{"targets", "shop-api"}, "✓ open") })

	printed, err := k.astern("rollback", "shop-api", "--reason=the test", "--yes", "--wait")
	require.NoError(t, err, printed)
	require.Equal(t, "registry.example/shop/api:v41", i.kubectl("--namespace=shop", "get", "deployment/api", "--output=jsonpath={.spec.template.spec.containers[0].image}"))
	require.NoError(t, plane.RolledOut(t.Context(), "shop", "deployment/api"))

	first := k.config()
	changed := append(i.values, "--values", i.write("rule.yaml", "config: {rules: {more.yaml: {groups: [{name: more, rules: [{rule: Never, when: 'alert.labels.alertname == \"Never\"', do: rollback}]}]}}}\n"))
	i.helm(append([]string{"upgrade", "a", "astern"}, changed...)...)
	k.volumes(k.read("pod/a-astern-0"))
	i.until("the new rule is in force", func() error { return says(k, []string{"rules"}, "Never") })
	require.NotEqual(t, first, k.config())
	i.helm("rollback", "a", "1")
	require.NoError(t, os.Remove(filepath.Join(k.root, "etc/astern/files/rules-more.yaml"))) // as the kubelet's symlink does
	k.volumes(k.read("pod/a-astern-0"))
	i.until("the first configuration is in force", func() error {
		if now := k.config(); now != first {
			return fmt.Errorf("%s is in force", now)
		}
		return nil
	})

	printed, err = k.astern("ready")
	require.NoError(t, err, printed)
	require.Contains(t, printed, "astern is ready")
	tests := i.helm("get", "hooks", "a")
	_, err = plane.Kubectl(t.Context(), tests, "--namespace="+i.namespace, "apply", "--dry-run=server", "--filename=-")
	require.NoError(t, err, "the test's pod is admitted where pods are restricted")

	k.stop()
	i.helm("uninstall", "a", "--wait")
	left := i.kubectl("--namespace="+i.namespace, "get", "all,configmaps,serviceaccounts,roles,rolebindings,networkpolicies,persistentvolumeclaims", "--output=name")
	require.Equal(t, "configmap/kube-root-ca.crt\nserviceaccount/default\npersistentvolumeclaim/data-a-astern-0", strings.TrimSpace(left))
	require.NotContains(t, i.kubectl("--namespace=shop", "get", "roles,rolebindings", "--output=name"), "astern")
}

// says asks a command until its answer holds all of these.
func says(k *kubelet, args []string, all ...string) error {
	printed, err := k.astern(args...)
	for _, want := range all {
		if !strings.Contains(printed, want) {
			err = errors.Join(err, fmt.Errorf("%v does not say %q: %s", args, want, printed))
		}
	}
	return err
}

func (i *installed) until(what string, probe func() error) {
	i.t.Helper()
	require.NoError(i.t, controlplane.Await(i.t.Context(), what, func(context.Context) error { return probe() }))
}
