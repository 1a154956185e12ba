//go:build cluster

package flux

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
	"astern.dev/astern/actions/kubernetes"
	"astern.dev/astern/tools/controlplane"
)

func TestMain(m *testing.M) { controlplane.Main(m) }

// onFlux is a real control plane with Flux's real kustomize-controller, a stand-in that serves the sources, and a Git
// repository whose Deployment api a Kustomization applies.
type onFlux struct {
	*controlplane.ControlPlane
	t              *testing.T
	namespace, git string
	cluster        *cluster.Cluster
	env            actions.Env
}

func realFlux(t *testing.T) *onFlux {
	t.Helper()
	plane := controlplane.Shared(t)
	require.NoError(t, plane.InstallFlux(t.Context()))
	c := &onFlux{ControlPlane: plane, t: t, namespace: plane.Namespace(t), git: t.TempDir()}
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

func (c *onFlux) run(name string, args ...string) string {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), name, args...)
	cmd.Dir = c.git
	out, err := cmd.CombinedOutput()
	require.NoError(c.t, err, string(out))
	return strings.TrimSpace(string(out))
}

// commit writes files to Git and gives the commit.
func (c *onFlux) commit(files map[string]string) string {
	c.t.Helper()
	for name, text := range files {
		require.NoError(c.t, os.MkdirAll(filepath.Dir(filepath.Join(c.git, name)), 0o755))
		require.NoError(c.t, os.WriteFile(filepath.Join(c.git, name), []byte(text), 0o600))
	}
	c.run("git", "add", ".")
	c.run("git", "commit", "--quiet", "--allow-empty", "--message=change")
	return c.run("git", "rev-parse", "HEAD")
}

func shopAt(v string) map[string]string {
	return map[string]string{"shop/api.yaml": fmt.Sprintf(`{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"}, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "api"}},
		"template": {"metadata": {"labels": {"app": "api"}}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "api", "image": "registry.example/api:%s"}]}}}}`, v)}
}

func (c *onFlux) kubectl(args ...string) string {
	c.t.Helper()
	out, err := c.Kubectl(c.t.Context(), "", append([]string{"--namespace=" + c.namespace}, args...)...)
	require.NoError(c.t, err)
	return out
}

func (c *onFlux) source() string {
	return fmt.Sprintf(`
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: config, namespace: %s, annotations: {%s: %q}}
spec: {url: "https://git.example/config", interval: 1h, ref: {branch: main}}
`, c.namespace, controlplane.RepositoryPath, c.git)
}

func (c *onFlux) kustomization(name, path, more string) string {
	return fmt.Sprintf(`
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: %[1]s, namespace: %[2]s}
spec: {sourceRef: {kind: GitRepository, name: config}, path: ./%[3]s, interval: 1h, prune: true, targetNamespace: %[2]s%[4]s}
`, name, c.namespace, path, more)
}

func (c *onFlux) applied(name, commit string) {
	c.t.Helper()
	c.kubectl("wait", "--for=jsonpath={.status.lastAppliedRevision}=main@sha1:"+commit, "--timeout=60s", "kustomization/"+name)
}

func (c *onFlux) image() string {
	c.t.Helper()
	return strings.TrimPrefix(c.kubectl("get", "deployment/api", "--output=jsonpath={.spec.template.spec.containers[0].image}"), "registry.example/api:")
}

// of decodes an action on an object of the namespace.
func of[A actions.Action](c *onFlux, action A, kind, name, more string) A {
	return decode(c.t, action, fmt.Sprintf("{kind: %s, namespace: %s, name: %s%s}", kind, c.namespace, name, more))
}

// does plans, runs and verifies a step of its own.
func (c *onFlux) does(step string, action actions.Action) actions.Result {
	c.t.Helper()
	env := c.env
	env.Key = "incident-1/" + step
	_, err := action.Plan(c.t.Context(), env)
	require.NoError(c.t, err)
	did, err := action.Run(c.t.Context(), env)
	require.NoError(c.t, err)
	require.NoError(c.t, action.(actions.Verifier).Verify(c.t.Context(), env))
	return did
}

func (c *onFlux) template() string {
	c.t.Helper()
	obj, err := c.cluster.Get(c.t.Context(), cluster.Ref{Kind: "Deployment", Namespace: c.namespace, Name: "api"})
	require.NoError(c.t, err)
	digest, err := cluster.TemplateDigest(obj.Object["spec"].(map[string]any)["template"].(map[string]any))
	require.NoError(c.t, err)
	return digest
}

// The whole way: a bad commit is live, the Kustomization is suspended, the cluster goes back at once, Git is reverted, its
// source is fetched, the Kustomization is given back, and the good version stays.
func TestClusterGitOpsComplete(t *testing.T) {
	c := realFlux(t)
	good := c.commit(shopAt("1.4.1"))
	require.NoError(t, c.Apply(t.Context(), c.source()+"---"+c.kustomization("shop", "shop", "")))
	c.applied("shop", good)
	require.NoError(t, c.RolledOut(t.Context(), c.namespace, "deployment/api"))
	back := c.template()
	bad := c.commit(shopAt("1.4.2"))
	c.does("fetch-bad", of(c, &Reconcile{}, "GitRepository", "config", ", revision: "+bad))
	c.does("apply-bad", of(c, &Reconcile{}, "Kustomization", "shop", ", revision: "+bad))
	require.NoError(t, c.RolledOut(t.Context(), c.namespace, "deployment/api"))
	require.Equal(t, "1.4.2", c.image())

	under := "flux/Kustomization/" + c.namespace + "/shop"
	undo := func(under string) *kubernetes.Undo {
		return &kubernetes.Undo{Kind: "Deployment", Namespace: c.namespace, Object: "api", To: back, Under: under}
	}
	_, err := undo("").Plan(t.Context(), c.env)
	require.ErrorContains(t, err, fmt.Sprintf("add the step flux/suspend {kind: Kustomization, namespace: %s, name: shop}", c.namespace))
	_, err = undo(under).Plan(t.Context(), c.env)
	require.NoError(t, err)
	_, err = undo(under).Run(t.Context(), c.env)
	require.ErrorContains(t, err, "would undo this now")
	require.Equal(t, "1.4.2", c.image(), "nothing is written while it is not suspended")

	change, err := of(c, &Suspend{}, "Kustomization", "shop", "").Plan(t.Context(), c.env)
	require.NoError(t, err)
	require.Contains(t, change.Diff, fmt.Sprintf("+ Kustomization %s/shop spec.suspend: true", c.namespace))
	c.does("suspend", of(c, &Suspend{}, "Kustomization", "shop", ""))
	c.does("undo", undo(under))
	require.Equal(t, "1.4.1", c.image())
	_, err = of(c, &Reconcile{}, "Kustomization", "shop", "").Run(t.Context(), c.env)
	require.ErrorContains(t, err, "Flux ignores the request")

	c.run("git", "revert", "--no-edit", bad)
	revert := c.run("git", "rev-parse", "HEAD")
	c.does("fetch", of(c, &Reconcile{}, "GitRepository", "config", ", revision: "+revert))
	did := c.does("resume", of(c, &Resume{}, "Kustomization", "shop", ", watch: 2s, not: "+bad+", revision: "+revert))
	require.Equal(t, ResumeOutputs{Resumed: true}, did.Outputs)
	c.applied("shop", revert)
	require.Equal(t, "1.4.1", c.image())
	require.Equal(t, back, c.template())

	c.kubectl("set", "image", "deployment/api", "api=registry.example/api:by-hand")
	c.does("again", of(c, &Reconcile{}, "Kustomization", "shop", ""))
	require.Equal(t, "1.4.1", c.image(), "Flux is at work again")
}

// A Kustomization above that applies this one with `suspend: false` out of Git puts a suspension back: that is seen before, and
// true of the real one; where that one is suspended first, it stays.
func TestClusterTheOneAboveResets(t *testing.T) {
	c := realFlux(t)
	files := shopAt("1.4.1")
	files["all/shop.yaml"] = c.kustomization("shop", "shop", ", suspend: false")
	files["all/web.yaml"] = c.kustomization("web", "shop", "")
	first := c.commit(files)
	require.NoError(t, c.Apply(t.Context(), c.source()+"---"+c.kustomization("all", "all", "")))
	c.applied("all", first)
	c.applied("shop", first)
	_, err := of(c, &Suspend{}, "Kustomization", "shop", "").Plan(t.Context(), c.env)
	require.ErrorContains(t, err, fmt.Sprintf("would be undone by Kustomization %s/all: Flux applies it again every 1h, with what Git says of the pause", c.namespace))

	c.kubectl("patch", "kustomization/shop", "--type=merge", "--patch", `{"spec":{"suspend":true}}`, "--field-manager=somebody")
	c.does("reset", of(c, &Reconcile{}, "Kustomization", "all", ""))
	require.Equal(t, "false", c.kubectl("get", "kustomization/shop", "--output=jsonpath={.spec.suspend}"), "as it was said")

	under := ", under: flux/Kustomization/" + c.namespace + "/all"
	_, err = of(c, &Suspend{}, "Kustomization", "shop", under).Plan(t.Context(), c.env)
	require.NoError(t, err, "an earlier step suspends it")
	_, err = of(c, &Suspend{}, "Kustomization", "shop", under).Run(t.Context(), c.env)
	require.ErrorContains(t, err, "would be undone by")
	c.does("suspend-all", of(c, &Suspend{}, "Kustomization", "all", ""))
	c.does("suspend-shop", of(c, &Suspend{}, "Kustomization", "shop", under))
	c.does("resume-shop", of(c, &Resume{}, "Kustomization", "shop", ", watch: 0s"))
	c.does("resume-all", of(c, &Resume{}, "Kustomization", "all", ", watch: 0s"))

	// What Git does not say stays: the one above need not be suspended.
	c.applied("web", first)
	c.does("suspend-web", of(c, &Suspend{}, "Kustomization", "web", ""))
	c.does("stays", of(c, &Reconcile{}, "Kustomization", "all", ""))
	require.Equal(t, "true", c.kubectl("get", "kustomization/web", "--output=jsonpath={.spec.suspend}"))
}

// The watch after the resume sees a commit that brings the bad version back.
func TestClusterComeBack(t *testing.T) {
	c := realFlux(t)
	good := c.commit(shopAt("1.4.1"))
	require.NoError(t, c.Apply(t.Context(), c.source()+"---"+c.kustomization("shop", "shop", "")))
	c.applied("shop", good)
	bad := c.commit(shopAt("1.4.2"))
	c.run("git", "reset", "--quiet", "--hard", good)
	c.does("suspend", of(c, &Suspend{}, "Kustomization", "shop", ""))
	env := c.env
	env.Progress = func(line string) {
		if strings.Contains(line, "watched") {
			c.run("git", "reset", "--quiet", "--hard", bad)
			c.kubectl("annotate", "gitrepository/config", requestedKey+"=somebody")
		}
	}
	_, err := of(c, &Resume{}, "Kustomization", "shop", ", watch: 60s, not: "+bad).Run(t.Context(), env)
	require.ErrorContains(t, err, "the bad version is coming back")
	require.True(t, actions.IsPermanent(err))
}

// The rights that the actions name are enough on a real API server, and one less is an error that names it.
func TestClusterRights(t *testing.T) {
	c := realFlux(t)
	good := c.commit(shopAt("1.4.1"))
	require.NoError(t, c.Apply(t.Context(), c.source()+"---"+c.kustomization("shop", "shop", "")))
	c.applied("shop", good)
	file, err := c.KubeconfigFor(t.Context(), c.namespace, "astern")
	require.NoError(t, err)
	opened, err := (&cluster.Connection{Kubeconfig: file}).Open((&net.Dialer{}).DialContext)
	require.NoError(t, err)
	env := c.env
	env.Connect = func(string, string) (any, error) { return opened, nil }
	suspend := of(c, &Suspend{}, "Kustomization", "shop", "")
	require.ErrorContains(t, suspend.Ready(t.Context(), env), "the right to get kustomizations.kustomize.toolkit.fluxcd.io")
	c.grant(append(suspend.Access(), of(c, &Resume{}, "Kustomization", "shop", ", watch: 0s").Access()...))
	require.NoError(t, controlplane.Await(t.Context(), "the rights", func(ctx context.Context) error { return suspend.Ready(ctx, env) }))
	_, err = suspend.Run(t.Context(), env)
	require.NoError(t, err)
	_, err = of(c, &Resume{}, "Kustomization", "shop", ", watch: 1ms, not: "+bad).Run(t.Context(), env)
	require.NoError(t, err)
}

// grant binds a Role with these rights, and no more, to the service account astern.
func (c *onFlux) grant(rights []actions.Access) {
	c.t.Helper()
	var rules []string
	for _, a := range rights {
		names := ""
		if a.Name != "" {
			names = fmt.Sprintf(", resourceNames: [%s]", a.Name)
		}
		rules = append(rules, fmt.Sprintf("{apiGroups: [%q], resources: [%s], verbs: [%s]%s}", a.Group, a.Resource, strings.Join(a.Verbs, ", "), names))
	}
	require.NoError(c.t, c.Apply(c.t.Context(), fmt.Sprintf(`
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: astern, namespace: %[1]s}, rules: [%[2]s]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: astern, namespace: %[1]s}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: astern}, subjects: [{kind: ServiceAccount, name: astern, namespace: %[1]s}]}
`, c.namespace, strings.Join(rules, ", "))))
}
