//go:build cluster

package argocd

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/tools/controlplane"
)

func TestMain(m *testing.M) { controlplane.Main(m) }

// onArgoCD is a real control plane with Argo CD's real CRDs, a stand-in for its controller, and a Git repository whose
// Deployment api an Application of the namespace's name applies.
type onArgoCD struct {
	*controlplane.ControlPlane
	t              *testing.T
	namespace, git string
	cluster        *cluster.Cluster
	env            actions.Env
}

func realArgoCD(t *testing.T) *onArgoCD {
	t.Helper()
	plane := controlplane.Shared(t)
	require.NoError(t, plane.InstallArgoCD(t.Context()))
	c := &onArgoCD{ControlPlane: plane, t: t, namespace: plane.Namespace(t), git: t.TempDir()}
	connection := &cluster.Connection{Kubeconfig: plane.Kubeconfig}
	opened, err := connection.Open((&net.Dialer{}).DialContext)
	require.NoError(t, err)
	c.cluster = opened.(*cluster.Cluster)
	c.env = actiontest.Env(&actiontest.World{Connections: map[string]any{"kubernetes": c.cluster}})
	c.env.Installation = "one"
	c.run("git", "init", "--quiet", "--initial-branch=main")
	c.run("git", "config", "user.name", "ci")
	c.run("git", "config", "user.email", "ci@example.com")
	return c
}

func (c *onArgoCD) run(name string, args ...string) string {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), name, args...)
	cmd.Dir = c.git
	out, err := cmd.CombinedOutput()
	require.NoError(c.t, err, string(out))
	return strings.TrimSpace(string(out))
}

// commit writes a version to Git and gives the commit.
func (c *onArgoCD) commit(version string) string {
	c.t.Helper()
	text := fmt.Sprintf(`{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"}, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "api"}},
		"template": {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": [{"name": "api", "image": "registry.example/api:%s"}]}}}}`, version)
	require.NoError(c.t, os.MkdirAll(filepath.Join(c.git, "shop"), 0o755))
	require.NoError(c.t, os.WriteFile(filepath.Join(c.git, "shop", "api.yaml"), []byte(text), 0o600))
	c.run("git", "add", ".")
	c.run("git", "commit", "--quiet", "--message="+version)
	return c.run("git", "rev-parse", "HEAD")
}

func (c *onArgoCD) kubectl(args ...string) string {
	c.t.Helper()
	out, err := c.Kubectl(c.t.Context(), "", args...)
	require.NoError(c.t, err)
	return out
}

// follow has an Application follow the branch by itself, in an AppProject of its own.
func (c *onArgoCD) follow(metadata string) {
	c.t.Helper()
	require.NoError(c.t, c.Apply(c.t.Context(), fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: %[1]s, namespace: argocd}
spec: {sourceRepos: ["*"], destinations: [{namespace: "*", server: "*"}]}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: %[1]s, namespace: argocd, %[3]s}
spec:
  project: %[1]s
  source: {repoURL: %[2]q, path: shop, targetRevision: main}
  destination: {server: "https://kubernetes.default.svc", namespace: %[1]s}
  syncPolicy: {automated: {selfHeal: true, prune: true}}
`, c.namespace, c.git, metadata)))
	c.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		_, _ = c.Kubectl(ctx, "", "--namespace=argocd", "delete", "application/"+c.namespace, "--wait=false")
	})
}

// synced waits until Argo CD deployed a commit and what it deployed is healthy.
func (c *onArgoCD) synced(commit string) {
	c.t.Helper()
	c.kubectl("--namespace=argocd", "wait", "--for=jsonpath={.status.history[-1:].revision}="+commit, "--timeout=60s", "application/"+c.namespace)
	c.kubectl("--namespace=argocd", "wait", "--for=jsonpath={.status.health.status}=Healthy", "--timeout=60s", "application/"+c.namespace)
}

func (c *onArgoCD) image() string {
	c.t.Helper()
	return strings.TrimPrefix(c.kubectl("--namespace="+c.namespace, "get", "deployment/api", "--output=jsonpath={.spec.template.spec.containers[0].image}"), "registry.example/api:")
}

func (c *onArgoCD) params(more string) string {
	return fmt.Sprintf("{namespace: argocd, application: %s%s}", c.namespace, more)
}

func (c *onArgoCD) app() application {
	c.t.Helper()
	a, err := read(c.t.Context(), c.cluster, cluster.ArgoApplication("argocd", c.namespace))
	require.NoError(c.t, err)
	return a
}

func (c *onArgoCD) runs(action actions.Action) actions.Result {
	c.t.Helper()
	_, err := action.Plan(c.t.Context(), c.env)
	require.NoError(c.t, err)
	did, err := action.Run(c.t.Context(), c.env)
	require.NoError(c.t, err)
	require.NoError(c.t, action.(actions.Verifier).Verify(c.t.Context(), c.env))
	return did
}

// The whole way: a bad commit is live and Argo CD heals; it is paused, what a person sets by hand stays, the good revision is
// synced, Git is reverted, auto-sync is given back, and the bad version stays away.
func TestClusterGitOpsComplete(t *testing.T) {
	c := realArgoCD(t)
	good := c.commit("1.4.1")
	c.follow("")
	c.synced(good)
	bad := c.commit("1.4.2")
	c.synced(bad)
	deployed, err := c.cluster.Get(t.Context(), cluster.Ref{Kind: "Deployment", Namespace: c.namespace, Name: "api"})
	require.NoError(t, err)
	under := "argocd/argocd/" + c.namespace
	owner, found, err := c.cluster.Owner(t.Context(), deployed)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, under, owner.Name())
	require.ErrorContains(t, c.cluster.Under(t.Context(), deployed, "", false), "add the step argocd/pause")
	require.ErrorContains(t, c.cluster.Under(t.Context(), deployed, under, true), "its auto-sync heals")

	change, err := decode(t, &Pause{}, c.params("")).Plan(t.Context(), c.env)
	require.NoError(t, err)
	require.Contains(t, change.Diff, fmt.Sprintf("+ Application argocd/%s spec.syncPolicy.automated.enabled: false", c.namespace))
	c.runs(decode(t, &Pause{}, c.params("")))
	require.NoError(t, c.cluster.Under(t.Context(), deployed, under, true))
	c.kubectl("--namespace="+c.namespace, "set", "image", "deployment/api", "api=registry.example/api:1.4.1")
	c.kubectl("--namespace=argocd", "wait", "--for=jsonpath={.status.sync.status}=OutOfSync", "--timeout=60s", "application/"+c.namespace)
	require.Equal(t, "1.4.1", c.image(), "nobody puts the bad version back")

	_, err = decode(t, &Resume{}, c.params(", watch: 1s, not: "+bad)).Run(t.Context(), c.env)
	require.ErrorContains(t, err, "the bad one is not reverted")
	did := c.runs(decode(t, &Sync{}, c.params(", prune: true, revision: "+good)))
	require.Equal(t, SyncOutputs{Revision: good, Before: bad}, did.Outputs)

	c.run("git", "revert", "--no-edit", bad)
	revert := c.run("git", "rev-parse", "HEAD")
	c.runs(decode(t, &Sync{}, c.params(", revision: "+revert)))
	did = c.runs(decode(t, &Resume{}, c.params(", watch: 2s, not: "+bad+", revision: "+revert)))
	require.Equal(t, ResumeOutputs{Resumed: true}, did.Outputs)
	require.Equal(t, map[string]any{"selfHeal": true, "prune": true}, c.app().Spec.SyncPolicy.Automated)
	require.Equal(t, "1.4.1", c.image())
	c.kubectl("--namespace="+c.namespace, "set", "image", "deployment/api", "api=registry.example/api:by-hand")
	require.NoError(t, controlplane.Await(t.Context(), "Argo CD to heal again", func(context.Context) error {
		if is := c.image(); is != "1.4.1" {
			return fmt.Errorf("it is %s", is)
		}
		return nil
	}))
}

// A window of the real AppProject keeps auto-sync away while ApplicationSets and apps of apps may put the policy back; the bad
// version that comes back after the resume is said.
func TestClusterWindowAndComeBack(t *testing.T) {
	c := realArgoCD(t)
	good := c.commit("1.4.1")
	require.NoError(t, c.Apply(t.Context(), `
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: shops, namespace: argocd}
spec: {generators: [{list: {elements: [{name: shop}]}}], template: {metadata: {name: shop}, spec: {project: shop, destination: {}}}}
`))
	uid := c.kubectl("--namespace=argocd", "get", "applicationset/shops", "--output=jsonpath={.metadata.uid}")
	c.follow(fmt.Sprintf("ownerReferences: [{apiVersion: argoproj.io/v1alpha1, kind: ApplicationSet, name: shops, uid: %s, controller: true}]", uid))
	c.synced(good)
	bad := c.commit("1.4.2")
	c.synced(bad)
	_, err := decode(t, &Pause{}, c.params("")).Plan(t.Context(), c.env)
	require.ErrorContains(t, err, "ApplicationSet argocd/shops: made the Application and puts its sync policy back")

	window := fmt.Sprintf(", window: {project: %s, for: 1h}", c.namespace)
	c.runs(decode(t, &Pause{}, c.params(window)))
	c.kubectl("--namespace="+c.namespace, "set", "image", "deployment/api", "api=registry.example/api:1.4.1")
	c.kubectl("--namespace=argocd", "wait", "--for=jsonpath={.status.sync.status}=OutOfSync", "--timeout=60s", "application/"+c.namespace)
	c.runs(decode(t, &Sync{}, c.params(", revision: "+good)))
	require.Equal(t, "1.4.1", c.image())
	require.True(t, c.app().automatic())

	c.run("git", "revert", "--no-edit", bad)
	env := c.env
	env.Progress = func(line string) {
		if strings.Contains(line, "watched") {
			c.run("git", "reset", "--quiet", "--hard", bad)
		}
	}
	_, err = decode(t, &Resume{}, c.params(fmt.Sprintf(", watch: 30s, not: %s, window: {project: %s}", bad, c.namespace))).Run(t.Context(), env)
	require.ErrorContains(t, err, "the bad version is coming back: Application argocd/"+c.namespace)
	require.Empty(t, c.kubectl("--namespace=argocd", "get", "appproject/"+c.namespace, "--output=jsonpath={.spec.syncWindows}"))
}

// An Argo CD before 3.1 drops `enabled` without a word and syncs on: that is seen, in the plan already, and the block is removed.
func TestClusterOlderArgoCDDropsEnabled(t *testing.T) {
	c := realArgoCD(t)
	const crd = "customresourcedefinition/applications.argoproj.io"
	path := "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/syncPolicy/properties/automated/properties/enabled"
	c.kubectl("patch", crd, "--type=json", "--patch", `[{"op":"remove","path":"`+path+`"}]`)
	t.Cleanup(func() {
		_, err := c.Kubectl(context.Background(), "", "patch", crd, "--type=json", "--patch", `[{"op":"add","path":"`+path+`","value":{"type":"boolean"}}]`)
		require.NoError(t, err)
	})
	good := c.commit("1.4.1")
	c.follow("")
	c.synced(good)
	ref := cluster.ArgoApplication("argocd", c.namespace)
	require.NoError(t, controlplane.Await(t.Context(), "the API server to drop the field", func(ctx context.Context) error {
		a, err := c.cluster.MergePatch(ctx, ref, map[string]any{"spec": map[string]any{"syncPolicy": map[string]any{"automated": map[string]any{"enabled": false}}}}, cluster.PatchOptions{DryRun: true})
		if err == nil && strings.Contains(fmt.Sprint(a.Object["spec"]), "enabled") {
			return fmt.Errorf("it knows it still")
		}
		if unknownEnabled(err) {
			require.NotContains(t, err.Error(), "repoURL", "a refusal does not echo the object")
			return nil
		}
		return err
	}))
	change, err := decode(t, &Pause{}, c.params("")).Plan(t.Context(), c.env)
	require.NoError(t, err)
	require.Contains(t, strings.Join(change.Diff, "\n"), fmt.Sprintf("- Application argocd/%s spec.syncPolicy", c.namespace))
	c.runs(decode(t, &Pause{}, c.params("")))
	require.Nil(t, c.app().Spec.SyncPolicy.Automated)
	c.runs(decode(t, &Resume{}, c.params(", watch: 0s")))
	require.Equal(t, map[string]any{"selfHeal": true, "prune": true}, c.app().Spec.SyncPolicy.Automated)
}

// An operation that somebody left behind is neither merged into nor taken for this step's.
func TestClusterLeftoverOperation(t *testing.T) {
	c := realArgoCD(t)
	require.NoError(t, c.Apply(t.Context(), fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: %[1]s, namespace: %[1]s}
spec: {project: default, source: {repoURL: "https://git.example", path: ., targetRevision: main}, destination: {namespace: %[1]s}}
operation: {initiatedBy: {username: nina}, sync: {revision: "%[2]s", prune: true, resources: [{kind: ConfigMap, name: x}]}}
`, c.namespace, bad)))
	s := &Sync{Namespace: c.namespace, Application: c.namespace, Revision: good}
	_, err := s.Run(t.Context(), c.env)
	require.ErrorContains(t, err, `a sync by "nina" waits for Argo CD's controller; it must end first`)
	c.kubectl("--namespace="+c.namespace, "patch", "application/"+c.namespace, "--type=merge", "--patch", `{"operation":null}`)
	ctx, cancel := context.WithCancel(t.Context())
	env := c.env
	env.Progress = func(string) { cancel() }
	go func() {
		_ = controlplane.Await(ctx, "the operation", func(ctx context.Context) error {
			a, err := read(ctx, c.cluster, s.ref())
			if err != nil || a.Operation == nil {
				return fmt.Errorf("none yet: %w", err)
			}
			cancel()
			return nil
		})
	}()
	_, err = s.Run(ctx, env)
	require.ErrorContains(t, err, "does Argo CD's application controller run?")
	op := c.kubectl("--namespace="+c.namespace, "get", "application/"+c.namespace, "--output=jsonpath={.operation.sync.revision} {.operation.sync.resources} {.operation.info[0].value}")
	require.Equal(t, good+"  "+c.env.Key, op)
	require.NoError(t, s.Repair(t.Context(), c.env))
	require.Empty(t, c.kubectl("--namespace="+c.namespace, "get", "application/"+c.namespace, "--output=jsonpath={.operation}"))
}
