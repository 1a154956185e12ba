//go:build cluster

package controlplane_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/tools/controlplane"
)

// manifests is a Git repository with one Deployment in shop/api.yaml.
type manifests struct {
	t   *testing.T
	dir string
}

func newManifests(t *testing.T) manifests {
	m := manifests{t, t.TempDir()}
	m.git("init", "--quiet", "--initial-branch=main")
	m.git("config", "user.name", "ci")
	m.git("config", "user.email", "ci@example.com")
	return m
}

func (m manifests) git(args ...string) string {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), "git", args...)
	cmd.Dir = m.dir
	out, err := cmd.CombinedOutput()
	require.NoError(m.t, err, string(out))
	return strings.TrimSpace(string(out))
}

// release commits a version and gives the commit.
func (m manifests) release(version string) string {
	m.t.Helper()
	text := strings.Split(strings.ReplaceAll(api, "1.4.2", version), "---")[0]
	require.NoError(m.t, os.MkdirAll(filepath.Join(m.dir, "shop"), 0o755))
	require.NoError(m.t, os.WriteFile(filepath.Join(m.dir, "shop/api.yaml"), []byte(text), 0o600))
	m.git("add", ".")
	m.git("commit", "--quiet", "--message=api "+version)
	return m.git("rev-parse", "HEAD")
}

// runs waits until the Deployment's template has the version.
func runs(t *testing.T, c *controlplane.ControlPlane, namespace, version string) {
	t.Helper()
	require.NoError(t, controlplane.Await(t.Context(), "version "+version, func(ctx context.Context) error {
		image, err := c.Kubectl(ctx, "", "--namespace="+namespace, "get", "deployment/api", "--output=jsonpath={.spec.template.spec.containers[0].image}")
		if err == nil && !strings.HasSuffix(image, ":"+version) {
			return fmt.Errorf("it is %s", image)
		}
		return err
	}))
}

func TestClusterFluxFollowsGitUntilItIsSuspended(t *testing.T) {
	c := controlplane.Shared(t)
	require.NoError(t, c.InstallFlux(t.Context()))
	namespace, repository := c.Namespace(t), newManifests(t)
	repository.release("1.4.1")
	require.NoError(t, c.Apply(t.Context(), fmt.Sprintf(`
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: config, namespace: %[1]s, annotations: {rig.astern.dev/repository-path: %[2]s}}
spec: {url: "https://git.example/shop/config", interval: 1h, ref: {branch: main}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: shop, namespace: %[1]s}
spec: {sourceRef: {kind: GitRepository, name: config}, path: ./shop, interval: 1h, prune: true, wait: true, targetNamespace: %[1]s}
`, namespace, repository.dir)))
	runs(t, c, namespace, "1.4.1")
	_, err := c.Kubectl(t.Context(), "", "--namespace="+namespace, "wait", "--for=condition=Ready", "--timeout=60s", "kustomization/shop")
	require.NoError(t, err)

	commit := repository.release("1.4.2")
	_, err = c.Kubectl(t.Context(), "", "--namespace="+namespace, "annotate", "gitrepository/config", "reconcile.fluxcd.io/requestedAt=now-1")
	require.NoError(t, err)
	runs(t, c, namespace, "1.4.2")
	_, err = c.Kubectl(t.Context(), "", "--namespace="+namespace, "wait", "--for=jsonpath={.status.lastAppliedRevision}=main@sha1:"+commit, "--timeout=60s", "kustomization/shop")
	require.NoError(t, err)
}

func TestClusterArgoCDSyncsHealsAndObeysOperations(t *testing.T) {
	c := controlplane.Shared(t)
	require.NoError(t, c.InstallArgoCD(t.Context()))
	namespace, repository := c.Namespace(t), newManifests(t)
	good := repository.release("1.4.1")
	kubectl := func(args ...string) string {
		t.Helper()
		out, err := c.Kubectl(t.Context(), "", append([]string{"--namespace=argocd"}, args...)...)
		require.NoError(t, err)
		return out
	}
	require.NoError(t, c.Apply(t.Context(), fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: argocd}
spec:
  project: default
  source: {repoURL: %q, path: shop, targetRevision: main}
  destination: {server: "https://kubernetes.default.svc", namespace: %s}
  syncPolicy: {automated: {selfHeal: true, prune: true}}
`, repository.dir, namespace)))
	runs(t, c, namespace, "1.4.1")
	kubectl("wait", "--for=jsonpath={.status.health.status}=Healthy", "--timeout=60s", "application/shop")
	bad := repository.release("1.4.2")
	kubectl("wait", "--for=jsonpath={.status.history[-1:].revision}="+bad, "--timeout=60s", "application/shop")
	runs(t, c, namespace, "1.4.2")
	kubectl("wait", "--for=jsonpath={.status.sync.status}=Synced", "--timeout=30s", "application/shop")
	kubectl("wait", "--for=jsonpath={.status.health.status}=Healthy", "--timeout=30s", "application/shop")
	_, err := c.Kubectl(t.Context(), "", "--namespace="+namespace, "set", "image", "deployment/api", "api=registry.example/shop/api:by-hand")
	require.NoError(t, err)
	runs(t, c, namespace, "1.4.2")

	kubectl("patch", "application/shop", "--type=merge", "--patch", `{"spec":{"syncPolicy":{"automated":{"enabled":false}}}}`)
	kubectl("patch", "application/shop", "--type=merge", "--patch", `{"operation":{"info":[{"name":"key","value":"k1"}],"sync":{"revision":"`+good+`"}}}`)
	kubectl("wait", "--for=jsonpath={.status.history[-1:].revision}="+good, "--timeout=60s", "application/shop")
	runs(t, c, namespace, "1.4.1")
	kubectl("wait", "--for=jsonpath={.status.sync.status}=OutOfSync", "--timeout=60s", "application/shop")
	require.Equal(t, "Succeeded k1", kubectl("get", "application/shop", "--output=jsonpath={.status.operationState.phase} {.status.operationState.operation.info[0].value}"))

	kubectl("patch", "application/shop", "--type=merge", "--patch", `{"spec":{"syncPolicy":{"automated":{"enabled":true}}}}`)
	runs(t, c, namespace, "1.4.2")
}
