//go:build e2e

package main_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/examples/demo/rig"
	"astern.dev/astern/tools/controlplane"
	"astern.dev/astern/tools/neighbours"
	"astern.dev/astern/web"
)

// TestE2EKubernetes runs the built binary beside a real API server, with its controllers, and kube-proxy: each procedure from
// a delivery of Alertmanager to the cluster back at the good version. The pods are kwok's: nothing runs in them.
func TestE2EKubernetes(t *testing.T) {
	r := &clusterRig{binary: build(t)}
	var err error
	r.programs, err = rig.FindPrograms(t.Context(), t.Output(), func(neighbours.Neighbour) {})
	require.NoError(t, err)
	r.ControlPlane, err = controlplane.Start(t.Context(), controlplane.Options{Log: t.Output()})
	require.NoError(t, err)
	t.Cleanup(r.Close)

	scenarios := map[string]func(t *testing.T, r *clusterRig, d disturb){
		"BlueGreen": blueGreen, "Rolling": rolling, "Manifest": previousManifests, "ArgoCD": byArgoCD, "Flux": byFlux,
	}
	for _, around := range []struct {
		name string
		d    disturb
	}{{"Undisturbed", undisturbed}, {"AsternKilled", asternKilled}, {"APIServerKilled", apiServerKilled}} {
		t.Run(around.name, func(t *testing.T) { // one after the other: an outage is felt by all
			for name, scenario := range scenarios {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					scenario(t, r, around.d)
				})
			}
		})
	}
}

// blueGreen: a bad version comes as green, and traffic is back at blue, none of it answered by green once that is drained.
func blueGreen(t *testing.T, r *clusterRig, d disturb) {
	w := newClusterWorld(t, r, scene{kind: "Service", procedure: "blue_green"})
	w.apply(w.text("blue-green.yaml"))
	w.begin("deployment/api-blue")
	w.apply(w.text("blue-green-bad.yaml"))
	require.NoError(t, w.cluster.RolledOut(w.ctx, w.namespace, "deployment/api-green"))
	w.kubectl("patch", "service/api", "--patch", `{"spec":{"selector":{"track":"green"}}}`)
	id := w.opened()
	now := w.through(id, d)

	require.Contains(t, stepOf(now.Incident, "goal_answers").Output, "all checks passed", "what the smoke test printed")
	drained := stepOf(now.Incident, "drain").EndedAt
	by, missed := w.traffic.Answers()
	require.Zero(t, missed, "requests that nobody answered, the last one: %v", w.traffic.Missed())
	require.False(t, by["v42"].Last.After(drained), "green answered %s after the drain", by["v42"].Last.Sub(drained))
	require.Equal(t, "0", w.kubectl("get", "deployment/api-green", "--output=jsonpath={.spec.replicas}"))
	require.Empty(t, w.kubectl("get", "pods", "--selector=track=green", "--output=name"))
	w.only("v41")
	w.onlyOne(id)
}

// rolling: a bad version rolls out slowly; it is halted half way, and the version before is brought back.
func rolling(t *testing.T, r *clusterRig, d disturb) {
	w := newClusterWorld(t, r, scene{kind: "Deployment", procedure: "rolling"})
	w.apply(w.text("service.yaml") + "---\n" + w.text("rolling.yaml"))
	w.begin("deployment/api")
	w.apply(slowly(w.text("rolling-bad.yaml")))
	id := w.opened()
	w.through(id, d)
	w.rolledBack(id)
}

// slowly makes each pod take its time to get ready.
func slowly(manifest string) string {
	return strings.Replace(manifest, "{rig.astern.dev/ends-after: 2s}", "{rig.astern.dev/ends-after: 2s, rig.astern.dev/ready-after: 10s}", 1)
}

func (w *clusterWorld) rolledBack(id string) {
	w.t.Helper()
	require.Equal(w.t, "registry.example/shop/api:v41", w.kubectl("get", "deployment/api", "--output=jsonpath={.spec.template.spec.containers[0].image}"))
	require.Empty(w.t, w.kubectl("get", "deployment/api", "--output=jsonpath={.spec.paused}"))
	require.Equal(w.t, "4", w.kubectl("get", "deployment/api", "--output=jsonpath={.status.updatedReplicas}"))
	w.only("v41")
	w.onlyOne(id)
}

// previousManifests: the same, out of Git: what the bad version added is gone, and the deployer still owns what it wrote.
func previousManifests(t *testing.T, r *clusterRig, d disturb) {
	w := newClusterWorld(t, r, scene{kind: "Deployment", procedure: "manifest"})
	deploy := func(name string, pace func(string) string) {
		text := pace(w.text(name))
		w.origin.Commit(t, name, map[string]string{"shop/api.yaml": text, "shop/service.yaml": w.text("service.yaml")})
		w.origin.Git(t, "push", "--quiet", "origin", "main")
		w.apply(strings.Replace(text, "metadata: {name: api,", "metadata: {name: api, annotations: {astern.dev/commit: "+w.origin.Git(t, "rev-parse", "HEAD")+"},", 1))
	}
	w.apply(w.text("service.yaml"))
	deploy("rolling.yaml", func(text string) string { return text })
	w.begin("deployment/api")
	deploy("rolling-bad.yaml", slowly)
	id := w.opened()
	w.through(id, d)
	require.Empty(t, w.kubectl("get", "deployment/api", `--output=jsonpath={.spec.template.metadata.labels.rig\.astern\.dev/answers}`))
	w.rolledBack(id)
}

// byArgoCD: Argo CD heals what differs from Git. It is paused, the fast way taken, Git reverted, and the auto-sync given back.
func byArgoCD(t *testing.T, r *clusterRig, d disturb) {
	w := newClusterWorld(t, r, scene{kind: "Deployment", procedure: "argocd"})
	require.NoError(t, w.cluster.InstallArgoCD(w.ctx))
	w.commit("rolling.yaml")
	require.NoError(t, w.cluster.Apply(w.ctx, w.text("argocd.yaml")))
	t.Cleanup(func() {
		_, _ = w.cluster.Kubectl(context.Background(), "", "--namespace=argocd", "delete", "application/"+w.namespace)
	})
	w.there("deployment/api")
	w.begin("deployment/api")
	bad := w.commit("rolling-bad.yaml")
	id := w.opened()
	now := w.through(id, d)

	reverted := w.reverted(now, bad)
	read := func(path string) string {
		out, err := w.cluster.Kubectl(w.ctx, "", "--namespace=argocd", "get", "application/"+w.namespace, "--output=jsonpath="+path)
		require.NoError(t, err)
		return out
	}
	require.Equal(t, `{"prune":true,"selfHeal":true}`, read("{.spec.syncPolicy.automated}"), "the auto-sync is as it was")
	w.until("Argo CD to be at the revert", func(context.Context) (bool, error) {
		return read("{.status.sync.status} {.status.sync.revision} {.status.health.status}") == "Synced "+reverted+" Healthy", nil
	})
	w.rolledBack(id)
}

// byFlux: the same with Flux, whose real kustomize-controller puts back every five seconds what differs from Git.
func byFlux(t *testing.T, r *clusterRig, d disturb) {
	w := newClusterWorld(t, r, scene{kind: "Deployment", procedure: "flux"})
	require.NoError(t, w.cluster.InstallFlux(w.ctx))
	w.commit("rolling.yaml")
	w.apply(w.text("flux.yaml"))
	w.there("deployment/api")
	w.begin("deployment/api")
	bad := w.commit("rolling-bad.yaml")
	id := w.opened()
	now := w.through(id, d)

	reverted := w.reverted(now, bad)
	require.NotEqual(t, "true", w.kubectl("get", "kustomization/shop", "--output=jsonpath={.spec.suspend}"))
	w.kubectl("wait", "--for=jsonpath={.status.lastAppliedRevision}=main@sha1:"+reverted, "--timeout=30s", "kustomization/shop")
	w.rolledBack(id)
}

// there waits until a GitOps controller has made an object.
func (w *clusterWorld) there(ref string) {
	w.t.Helper()
	w.until(ref, func(ctx context.Context) (bool, error) {
		_, err := w.kubectlIn(ctx, "", "get", ref)
		return err == nil, err
	})
}

// reverted shows that the branch has one commit more, which undoes the bad one, and gives it.
func (w *clusterWorld) reverted(now web.IncidentAnswer, bad string) string {
	w.t.Helper()
	head := w.origin.Server(w.t, "rev-parse", "main")
	require.Equal(w.t, bad, w.origin.Server(w.t, "rev-parse", head+"^"), "one commit, upon the bad one")
	require.Empty(w.t, w.origin.Server(w.t, "diff", "--name-only", bad+"^", head))
	require.Equal(w.t, 1, count(now, "StepSucceeded", stepNumber(now.Incident, "revert")))
	return head
}
