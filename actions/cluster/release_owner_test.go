package cluster

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions/cluster/clustertest"
)

const (
	fullHash  = "8841cafe8841cafe8841cafe8841cafe8841cafe"
	otherHash = "0123456701234567012345670123456701234567"
)

// keptBy is a Deployment with what its owner left on it, its template last written by a manager.
func keptBy(writer, metadata string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  namespace: shop
  %s
  managedFields:
  - {manager: early, operation: Update, apiVersion: apps/v1, time: "2026-11-01T00:00:00Z", fieldsType: FieldsV1, fieldsV1: {"f:spec": {"f:template": {}}}}
  - {manager: %s, operation: Apply, apiVersion: apps/v1, time: "2026-11-02T00:00:00Z", fieldsType: FieldsV1, fieldsV1: {"f:spec": {"f:template": {}}}}
  - {manager: kube-controller-manager, operation: Update, subresource: status, apiVersion: apps/v1, time: "2026-11-03T00:00:00Z", fieldsType: FieldsV1, fieldsV1: {"f:spec": {"f:template": {}}}}
spec: {replicas: 1, selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api}}, spec: {containers: [{name: app, image: "registry.example/api:v42"}]}}}
`, metadata, writer)
}

const (
	byArgo = `annotations: {argocd.argoproj.io/tracking-id: "shop:apps/Deployment:shop/api"}`
	byKust = `labels: {kustomize.toolkit.fluxcd.io/name: shop, kustomize.toolkit.fluxcd.io/namespace: flux-system}`
	byRel  = `labels: {helm.toolkit.fluxcd.io/name: shop, helm.toolkit.fluxcd.io/namespace: flux-system}`
	byHelm = `annotations: {meta.helm.sh/release-name: shop, meta.helm.sh/release-namespace: shop}`
)

func application(sync, revision, phase string) string {
	return fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: argocd}
spec: {source: {repoURL: "https://git.example/shop", path: "."}, syncPolicy: {automated: {selfHeal: true}}}
status:
  sync: {status: %s, revision: %q}
  operationState: {phase: %s}
  history:
  - {id: 1, revision: %q, deployStartedAt: "2026-11-22T23:58:00Z", deployedAt: "2026-11-23T00:01:00Z"}
`, sync, revision, phase, otherHash)
}

func kustomization(applied, attempted, ready string, suspended bool) string {
	return fmt.Sprintf(`
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: shop, namespace: flux-system, generation: 3}
spec: {suspend: %v, path: ./shop, sourceRef: {kind: GitRepository, name: shop}}
status:
  observedGeneration: 3
  lastAppliedRevision: "main@sha1:%s"
  lastAttemptedRevision: "main@sha1:%s"
  conditions: [{type: Ready, status: %q}]
  history: [{digest: "sha256:00", firstReconciled: "2026-11-23T00:00:30Z", lastReconciledDuration: 40s, metadata: {revision: "main@sha1:%s"}}]
`, suspended, applied, attempted, ready, otherHash)
}

// What an owner says counts only where it is certain.
func TestOwnersSayWhichCommitAndChartRuns(t *testing.T) {
	release := `
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: shop, namespace: flux-system}
spec: {chart: {spec: {chart: api}}}
status: {conditions: [{type: Ready, status: "True"}], history: [{chartName: api, chartVersion: 1.4.2}, {chartName: api, chartVersion: 1.4.1}]}
`
	for name, c := range map[string]struct {
		world               string
		commit, chart, past string
	}{
		"Argo CD, synced":                   {world: keptBy("argocd-controller", byArgo) + "---" + application("Synced", fullHash, "Succeeded"), commit: fullHash, past: otherHash},
		"Argo CD, another revision lives":   {world: keptBy("argocd-controller", byArgo) + "---" + application("OutOfSync", fullHash, "Succeeded"), past: otherHash},
		"Argo CD, while it syncs":           {world: keptBy("argocd-controller", byArgo) + "---" + application("Synced", fullHash, "Running"), past: otherHash},
		"Argo CD, a person wrote since":     {world: keptBy("kubectl", byArgo) + "---" + application("Synced", fullHash, "Succeeded"), past: otherHash},
		"Argo CD, a branch is no commit":    {world: keptBy("argocd-controller", byArgo) + "---" + application("Synced", "main", "Succeeded"), past: otherHash},
		"Flux, ready":                       {world: keptBy("kustomize-controller", byKust) + "---" + kustomization(fullHash, fullHash, "True", false), commit: fullHash, past: otherHash},
		"Flux, suspended":                   {world: keptBy("kustomize-controller", byKust) + "---" + kustomization(fullHash, fullHash, "True", true), past: otherHash},
		"Flux, a newer one is tried":        {world: keptBy("kustomize-controller", byKust) + "---" + kustomization(fullHash, otherHash, "True", false), past: otherHash},
		"Flux, not ready":                   {world: keptBy("kustomize-controller", byKust) + "---" + kustomization(fullHash, fullHash, "False", false), past: otherHash},
		"Flux, a person wrote since":        {world: keptBy("kubectl-edit", byKust) + "---" + kustomization(fullHash, fullHash, "True", false), past: otherHash},
		"a HelmRelease of Flux":             {world: keptBy("helm-controller", byRel) + "---" + release, chart: "api-1.4.2"},
		"a HelmRelease, person wrote since": {world: keptBy("kubectl", byRel) + "---" + release},
		"nobody":                            {world: keptBy("kubectl", "labels: {app: api}")},
		"Helm, the newest that is deployed": {world: keptBy("helm", byHelm) + "---" + record(t, 2, "deployed", "1.4.1") + "---" + record(t, 10, "deployed", "1.4.2") + "---" + record(t, 11, "failed", "1.4.3"), chart: "api-1.4.2"},
		"Helm, a person wrote since":        {world: keptBy("kubectl", byHelm) + "---" + record(t, 2, "deployed", "1.4.1")},
	} {
		t.Run(name, func(t *testing.T) {
			s := clustertest.New(t)
			workload, owners, _ := strings.Cut(c.world, "---\n")
			s.Add(owners)
			r := Running{Release: Release{Vars: map[string]string{}}, Past: []Release{{Began: midnight}}}
			r.take(open(t, Connection{Kubeconfig: s.Kubeconfig(t)}).said(t.Context(), object(t, workload)))
			require.Equal(t, c.commit, r.Release.Commit)
			require.Equal(t, c.chart, r.Release.Vars[ChartVar])
			require.Equal(t, c.past, r.Past[0].Commit)
			require.Empty(t, s.Writes())
		})
	}
}

// What stands at the workload itself stays; while a rollout goes on, nobody is asked.
func TestAnOwnerDoesNotContradictAnAnnotation(t *testing.T) {
	r := Running{Release: Release{Commit: "abcdef0", Vars: map[string]string{}}, Past: []Release{{Commit: "abcdef1", Began: midnight}}}
	r.take(said{commit: fullHash, deploys: []deploy{{otherHash, midnight, midnight}}})
	require.Equal(t, "abcdef0", r.Release.Commit)
	require.Equal(t, "abcdef1", r.Past[0].Commit)
	s := clustertest.New(t)
	rolling := Running{Workload: Ref{"Deployment", "shop", "api"}, Rolling: true}
	open(t, Connection{Kubeconfig: s.Kubeconfig(t)}).Enrich(t.Context(), &rolling)
	require.Empty(t, s.Calls())
}

// Without the right to read Secrets there is no chart, and nothing fails.
func TestHelmsRecordsNeedNotBeReadable(t *testing.T) {
	s := clustertest.New(t)
	s.Add(record(t, 2, "deployed", "1.4.1"))
	c := open(t, Connection{Kubeconfig: s.Kubeconfig(t)})
	workload := object(t, keptBy("helm", byHelm))
	_, found, err := c.byHelm(t.Context(), workload)
	require.NoError(t, err)
	require.True(t, found)
	s.Forbid("list", "secrets")
	_, found, err = c.byHelm(t.Context(), workload)
	require.NoError(t, err)
	require.False(t, found)
}

// record is a release record as Helm writes it: JSON, gzip, base64, and base64 again by the API.
func record(t testing.TB, version int, status, chart string) string {
	raw, err := json.Marshal(map[string]any{"name": "shop", "namespace": "shop", "version": version, "info": map[string]any{"status": status, "last_deployed": "2026-11-02T00:00:00Z"},
		"chart": map[string]any{"metadata": map[string]any{"name": "api", "version": chart}}, "config": map[string]any{"password": clustertest.Canary}})
	require.NoError(t, err)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write(raw)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	inner := base64.StdEncoding.EncodeToString(packed.Bytes())
	return fmt.Sprintf(`
apiVersion: v1
kind: Secret
type: helm.sh/release.v1
metadata: {name: sh.helm.release.v1.shop.v%[1]d, namespace: shop, labels: {owner: helm, name: shop, status: %[2]s, version: "%[1]d"}}
data: {release: %[3]s}
`, version, status, base64.StdEncoding.EncodeToString([]byte(inner)))
}

func TestRecordsOfStrangersAreRefused(t *testing.T) {
	bomb := func() string {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, err := w.Write(bytes.Repeat([]byte(" "), maxHelm+2))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return base64.StdEncoding.EncodeToString(packed.Bytes())
	}
	for inner, why := range map[string]string{"%": "illegal base64", bomb(): "larger than 32 MiB", base64.StdEncoding.EncodeToString([]byte("{")): "no JSON"} {
		secret := &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{"release": base64.StdEncoding.EncodeToString([]byte(inner))}}}
		_, err := readHelmRelease(secret)
		require.ErrorContains(t, err, why)
	}
	_, err := readHelmRelease(&unstructured.Unstructured{Object: map[string]any{"data": map[string]any{"release": "%"}}})
	require.Error(t, err)
}

func TestACommitIsThatOfOneDeploy(t *testing.T) {
	at := func(minutes int) time.Time { return midnight.Add(time.Duration(minutes) * time.Minute) }
	deploys := []deploy{{"a", at(0), at(2)}, {"b", at(10), at(12)}, {"c", at(11), at(13)}, {"a", at(1), at(3)}}
	for minutes, want := range map[int]string{-1: "", 1: "a", 5: "", 11: "", 13: "c"} {
		require.Equal(t, want, commitAt(deploys, at(minutes)), minutes)
	}
	require.Equal(t, "a", commitAt(deploys, at(0).Add(-clockGrain)))
}

func FuzzHelmRelease(f *testing.F) {
	f.Add(strings.TrimSpace(record(f, 1, "deployed", "1.0.0")[strings.Index(record(f, 1, "deployed", "1.0.0"), "release: ")+9:]))
	f.Fuzz(func(t *testing.T, data string) {
		h, err := readHelmRelease(&unstructured.Unstructured{Object: map[string]any{"data": map[string]any{"release": data}}})
		if err == nil {
			require.LessOrEqual(t, len(h.chart()), 128)
		}
	})
}
