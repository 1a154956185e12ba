package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/cluster/clustertest"
)

func (r *rig) scales(t *testing.T, n int64) {
	t.Helper()
	_, err := r.cluster.MergePatch(t.Context(), cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "api"},
		map[string]any{"spec": map[string]any{"replicas": n}}, cluster.PatchOptions{Subresource: "scale", Manager: "kube-controller-manager"})
	require.NoError(t, err)
}

func TestReplicasAreLeftToTheirOwner(t *testing.T) {
	replicas := func(r *rig) any { return cluster.Below(r.get(t, "Deployment", "api").Object, "spec")["replicas"] }
	hpa := `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: api, namespace: shop}, spec: {maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api}}}`

	t.Run("scaled by an autoscaler", func(t *testing.T) {
		r := newHistory(t).rig(t)
		r.api.Add(hpa)
		r.scales(t, 7)
		planned := r.plan(t, nil)
		require.Contains(t, strings.Join(planned.Diff, "\n"), "= Deployment shop/api spec.replicas stays 7, the manifest says 3: it is left to kube-controller-manager (")
		require.NotContains(t, strings.Join(planned.Diff, "\n"), "spec.replicas:")
		r.scales(t, 5)
		require.Equal(t, planned.Found, r.plan(t, nil).Found, "it goes on scaling")
		r.runs(t, nil)
		require.EqualValues(t, 5, replicas(r))
		r.refusesForce(t)
		more := int64(8)
		r.api.Before(func(c clustertest.Call) *clustertest.Fault {
			if c.Verb == "patch" && c.Resource == "deployments" && c.DryRun {
				more++
				r.scales(t, more)
			}
			return nil
		})
		require.NoError(t, r.revert(nil).Verify(t.Context(), r.env()), "it scales between reading and trying")
		require.EqualValues(t, 9, replicas(r))
	})
	t.Run("an autoscaler that has not scaled", func(t *testing.T) {
		r := newHistory(t).rig(t)
		r.deploys(t, deployer, strings.Replace(badApp, "replicas: 3", "replicas: 6", 1))
		r.api.Add(hpa)
		r.runs(t, nil)
		require.EqualValues(t, 6, replicas(r), "leaving the field out would have made it 1")
	})
	t.Run("the manifest names none", func(t *testing.T) {
		r := newHistory(t).rig(t)
		none := r.origin.Commit(t, "no replicas", map[string]string{"deploy/app.yaml": strings.Replace(goodApp, "  replicas: 3\n", "", 1)})
		r.runs(t, func(m *Revert) { m.Commit = none })
		require.EqualValues(t, 3, replicas(r))
	})
	t.Run("the deployer's own", func(t *testing.T) {
		r := newHistory(t).rig(t)
		r.deploys(t, deployer, strings.Replace(badApp, "replicas: 3", "replicas: 6", 1))
		require.Contains(t, r.plan(t, nil).Diff, "~ Deployment shop/api spec.replicas: 6 -> 3")
		r.runs(t, nil)
		require.EqualValues(t, 3, replicas(r))
	})
}

func (r *rig) refusesForce(t *testing.T) {
	t.Helper()
	r.deploys(t, deployer, strings.Replace(badApp, "  replicas: 3\n", "", 1))
	r.scales(t, 8)
	r.runs(t, func(m *Revert) { m.Force = []string{"kube-controller-manager"} })
	require.EqualValues(t, 8, cluster.Below(r.get(t, "Deployment", "api").Object, "spec")["replicas"], "force does not take replicas")
}

func (r *rig) halts(t *testing.T) {
	t.Helper()
	_, err := r.cluster.MergePatch(t.Context(), cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "api"}, map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{haltedKey: `{"key":"k","template":"t","was":{},"is":{"paused":true}}`}},
		"spec":     map[string]any{"paused": true},
	}, cluster.PatchOptions{})
	require.NoError(t, err)
}

func TestPaused(t *testing.T) {
	paused := func(r *rig) bool {
		is, _ := cluster.Below(r.get(t, "Deployment", "api").Object, "spec")["paused"].(bool)
		return is
	}
	t.Run("halted by an earlier step", func(t *testing.T) {
		r := newHistory(t).rig(t)
		planned := r.plan(t, nil)
		r.halts(t)
		again := r.plan(t, nil)
		require.Equal(t, planned.Found, again.Found)
		require.Contains(t, again.Diff, "~ Deployment shop/api takes spec.paused from astern")
		r.runs(t, nil)
		require.False(t, paused(r), "it goes on with the write that brings the good version")
	})
	t.Run("paused by a person", func(t *testing.T) {
		r := newHistory(t).rig(t)
		_, err := r.cluster.MergePatch(t.Context(), cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "api"},
			map[string]any{"spec": map[string]any{"paused": true}}, cluster.PatchOptions{Manager: "kubectl-rollout"})
		require.NoError(t, err)
		r.refuses(t, "Deployment shop/api is paused by kubectl-rollout (by update): somebody has it in hand", nil)
		r.runs(t, func(m *Revert) { m.Resume = true })
		require.False(t, paused(r))
	})
	t.Run("paused by the bad version", func(t *testing.T) {
		r := newHistory(t).rig(t)
		r.deploys(t, deployer, strings.Replace(badApp, "replicas: 3", "replicas: 3\n  paused: true", 1))
		require.True(t, paused(r))
		r.runs(t, nil)
		require.False(t, paused(r))
	})
}

func TestHaltedStatefulSet(t *testing.T) {
	set := func(image string) string {
		return `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db}, spec: {serviceName: db, replicas: 3, updateStrategy: {type: RollingUpdate}, selector: {matchLabels: {app: db}},
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: "registry.test/db:` + image + `"}]}}}}`
	}
	r := newHistory(t).rig(t)
	good := r.origin.Commit(t, "db", map[string]string{"db/db.yaml": set("1")})
	r.deploys(t, deployer, set("2"))
	_, err := r.cluster.MergePatch(t.Context(), cluster.Ref{Kind: "StatefulSet", Namespace: "shop", Name: "db"}, map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{haltedKey: `{"key":"k","template":"t","was":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"partition":1}}},"is":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"partition":2147483647}}}}`}},
		"spec":     map[string]any{"updateStrategy": map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"partition": int64(2147483647)}}},
	}, cluster.PatchOptions{})
	require.NoError(t, err)
	r.runs(t, func(m *Revert) { m.Path, m.Commit = "db", good })
	db := r.get(t, "StatefulSet", "db")
	require.Contains(t, fmt.Sprint(db.Object), "registry.test/db:1")
	require.EqualValues(t, 1, cluster.Below(db.Object, "spec", "updateStrategy", "rollingUpdate")["partition"], "as it was before the halt")
}
