package manifest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

func TestConflictsAreShownAndNotForced(t *testing.T) {
	r := newHistory(t).rig(t)
	_, err := r.cluster.MergePatch(t.Context(), cluster.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "api"},
		map[string]any{"data": map[string]any{"LEVEL": "trace"}}, cluster.PatchOptions{Manager: "kubectl-edit"})
	require.NoError(t, err)
	err = r.refusal(t, nil)
	require.ErrorContains(t, err, "apply ConfigMap shop/api: .data.LEVEL belongs to kubectl-edit")
	require.True(t, actions.IsPermanent(err))
	require.ErrorContains(t, err, "list the manager under `force`")

	take := func(m *Revert) { m.Force = []string{"kubectl-edit"} }
	require.Contains(t, r.plan(t, take).Diff, `~ ConfigMap shop/api data.LEVEL: "trace" -> "info"`)
	r.runs(t, take)
	require.Equal(t, map[string]any{"LEVEL": "info"}, r.get(t, "ConfigMap", "api").Object["data"])
}

func TestWhatOthersAdded(t *testing.T) {
	r := newHistory(t).rig(t)
	_, err := r.cluster.MergePatch(t.Context(), cluster.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "api"},
		map[string]any{"data": map[string]any{"HAND": "1"}}, cluster.PatchOptions{Manager: "kubectl-edit"})
	require.NoError(t, err)
	require.Contains(t, r.plan(t, nil).Diff, "= ConfigMap shop/api data.HAND stays: it is kubectl-edit (by update)'s")
	r.runs(t, nil)
	require.Equal(t, map[string]any{"LEVEL": "info", "HAND": "1"}, r.get(t, "ConfigMap", "api").Object["data"])

	r.deploys(t, deployer, badApp)
	take := func(m *Revert) { m.Force = []string{"kubectl-edit"} }
	require.Contains(t, r.plan(t, take).Diff, `- ConfigMap shop/api data.HAND: "1"`)
	r.runs(t, take)
	require.Equal(t, map[string]any{"LEVEL": "info"}, r.get(t, "ConfigMap", "api").Object["data"])
}

func TestWhatTwoAdded(t *testing.T) {
	r := newHistory(t).rig(t)
	_, err := r.cluster.MergePatch(t.Context(), cluster.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "api"},
		map[string]any{"data": map[string]any{"HAND": "1", "MINE": "2"}}, cluster.PatchOptions{Manager: "kubectl-edit"})
	require.NoError(t, err)
	found, err := documents("test", []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: api, namespace: shop}, data: {HAND: \"1\"}}"))
	require.NoError(t, err)
	_, err = r.cluster.Apply(t.Context(), found[0], cluster.ApplyOptions{Manager: "operator"})
	require.NoError(t, err)
	r.runs(t, func(m *Revert) { m.Force = []string{"kubectl-edit"} })
	require.Equal(t, map[string]any{"LEVEL": "info", "HAND": "1"}, r.get(t, "ConfigMap", "api").Object["data"])
}

func TestForceTakesFromAppliers(t *testing.T) {
	r := newHistory(t).rig(t)
	found, err := documents("test", []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: api, namespace: shop}, data: {LEVEL: trace, OTHER: x}}"))
	require.NoError(t, err)
	_, err = r.cluster.Apply(t.Context(), found[0], cluster.ApplyOptions{Manager: "operator", Force: true})
	require.NoError(t, err)
	err = r.refusal(t, nil)
	require.ErrorContains(t, err, ".data.LEVEL belongs to operator")
	take := func(m *Revert) { m.Force = []string{"operator"} }
	planned := r.plan(t, take)
	require.Contains(t, planned.Diff, "~ ConfigMap shop/api takes data.LEVEL from operator")
	require.Contains(t, planned.Diff, "= ConfigMap shop/api data.OTHER stays: it is operator's")
	r.runs(t, take)
	require.Equal(t, map[string]any{"LEVEL": "info", "OTHER": "x"}, r.get(t, "ConfigMap", "api").Object["data"])
}

func TestTheManagerIsTheDeployer(t *testing.T) {
	r := newHistory(t).rig(t)
	r.refuses(t, "Deployment shop/api was not applied by astern but by deployer; name the one that applied the bad version", func(m *Revert) { m.Manager = "astern" })

	r.deploys(t, "helm", `{apiVersion: apps/v1, kind: Deployment, metadata: {name: api}, spec: {minReadySeconds: 2}}`)
	r.refuses(t, "several managers applied the objects: deployer (Deployment shop/api); helm (Deployment shop/api)", nil)
	planned := r.plan(t, func(m *Revert) { m.Manager = deployer })
	require.Contains(t, planned.Diff, "= Deployment shop/api spec.minReadySeconds stays: it is helm's")
	r.runs(t, func(m *Revert) { m.Manager = deployer })

	empty := newHistory(t).rig(t)
	for _, of := range [][2]string{{"Deployment", "api"}, {"ConfigMap", "api"}, {"Service", "api"}} {
		empty.api.Remove(of[0], "shop", of[1])
	}
	empty.refuses(t, "none of the 3 objects is there", nil)
	empty.runs(t, func(m *Revert) { m.Manager = deployer })
}

func TestMarksStay(t *testing.T) {
	r := newHistory(t).rig(t)
	r.deploys(t, deployer, strings.Replace(badApp, "metadata: {name: api, labels: {app: api}}", `metadata:
  name: api
  labels: {app: api, kustomize.toolkit.fluxcd.io/name: shop, bad: label}
  annotations: {argocd.argoproj.io/tracking-id: "shop:apps/Deployment:shop/api", astern.dev/target: shop, astern.dev/version: "2.0", bad: annotation}`, 1))
	_, err := r.cluster.MergePatch(t.Context(), cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "api"},
		map[string]any{"metadata": map[string]any{"annotations": map[string]any{"astern.dev/commit": r.bad, "note": "a person's"}}}, cluster.PatchOptions{Manager: "kubectl-annotate"})
	require.NoError(t, err)
	r.api.Without("argoproj.io")
	with := func(m *Revert) { m.Version, m.Under = "1.0", "argocd/argocd/shop" }
	r.runs(t, with)
	live := r.get(t, "Deployment", "api")
	require.Equal(t, map[string]string{"app": "api", "kustomize.toolkit.fluxcd.io/name": "shop"}, live.GetLabels())
	require.Equal(t, map[string]string{"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/api", "astern.dev/target": "shop", "astern.dev/version": "1.0",
		"astern.dev/commit": r.good, "note": "a person's"}, live.GetAnnotations())
	writes := len(r.api.Writes())
	r.runs(t, with)
	require.Len(t, r.api.Writes(), writes)
}

func TestUnder(t *testing.T) {
	r := newHistory(t).rig(t)
	r.api.Add(`{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: shop, namespace: argocd}, spec: {destination: {namespace: shop}, syncPolicy: {automated: {selfHeal: true}}}, status: {resources: [{group: apps, kind: Deployment, namespace: shop, name: api}]}}`)
	r.api.Change("Deployment", "shop", "api", func(c map[string]any) {
		(&unstructured.Unstructured{Object: c}).SetAnnotations(map[string]string{"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/api", "argocd.argoproj.io/installation-id": ""})
	})
	r.refuses(t, "argocd/pause", nil)
	under := func(m *Revert) { m.Under = "argocd/argocd/shop" }
	r.plan(t, under)
	was := r.api.State()
	_, err := r.revert(under).Run(t.Context(), r.env())
	require.ErrorContains(t, err, "nothing is written while it is not paused")
	require.Equal(t, was, r.api.State())
	r.api.Change("Application", "argocd", "shop", func(c map[string]any) {
		delete(c["spec"].(map[string]any), "syncPolicy")
	})
	r.runs(t, under)
}

func TestAnotherInstallationHoldsIt(t *testing.T) {
	r := newHistory(t).rig(t)
	other := r.env()
	other.Installation = "green-2"
	require.NoError(t, r.cluster.Claim(t.Context(), other, cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "api"}))
	was := r.api.State()
	_, err := r.revert(nil).Run(t.Context(), r.env())
	require.ErrorContains(t, err, "is claimed by the installation \"green-2\"")
	require.Equal(t, was, r.api.State())
}
