package clustertest_test

import (
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/cluster/clustertest"
)

const service = `{apiVersion: v1, kind: Service, metadata: {name: api, namespace: shop}, spec: {selector: {app: api, track: green}, ports: [{port: 80}]}}`

var ref = cluster.Ref{Kind: "Service", Namespace: "shop", Name: "api"}

func open(t *testing.T, s *clustertest.Server) *cluster.Cluster {
	t.Helper()
	c := &cluster.Connection{Kubeconfig: s.Kubeconfig(t)}
	require.NoError(t, c.Validate())
	opened, err := c.Open((&net.Dialer{}).DialContext)
	require.NoError(t, err)
	return opened.(*cluster.Cluster)
}

func TestPatchesAreFenced(t *testing.T) {
	s := clustertest.New(t)
	s.Add(service)
	c := open(t, s)
	was, err := c.Get(t.Context(), ref)
	require.NoError(t, err)
	ops := append(cluster.Fence(was), cluster.Op{Op: "replace", Path: "/spec/selector", Value: map[string]string{"track": "blue"}})
	state := s.State()
	dry, err := c.JSONPatch(t.Context(), ref, ops, cluster.PatchOptions{DryRun: true})
	require.NoError(t, err)
	require.Equal(t, []string{"- Service shop/api spec.selector.app: \"api\"", "~ Service shop/api spec.selector.track: \"green\" -> \"blue\""}, cluster.Diff(was, dry))
	require.Equal(t, state, s.State(), "a dry run stores nothing")

	s.Change("Service", "shop", "api", func(o map[string]any) { o["metadata"].(map[string]any)["labels"] = map[string]any{"a": "b"} })
	_, err = c.JSONPatch(t.Context(), ref, ops, cluster.PatchOptions{})
	require.ErrorIs(t, err, cluster.ErrMoved)
	_, err = c.MergePatch(t.Context(), ref, map[string]any{"metadata": map[string]any{"resourceVersion": was.GetResourceVersion()}, "spec": map[string]any{"type": "NodePort"}}, cluster.PatchOptions{})
	require.ErrorIs(t, err, cluster.ErrMoved)
	_, err = c.MergePatch(t.Context(), ref, map[string]any{"spec": map[string]any{"selector": map[string]any{"track": "no good"}}}, cluster.PatchOptions{})
	require.ErrorIs(t, err, cluster.ErrInvalid)
	require.Empty(t, s.Writes())

	was, err = c.Get(t.Context(), ref)
	require.NoError(t, err)
	ops = append(cluster.Fence(was), cluster.Op{Op: "replace", Path: "/spec/selector", Value: map[string]string{"track": "blue"}})
	_, err = c.JSONPatch(t.Context(), ref, ops, cluster.PatchOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"patch services shop/api"}, s.Writes())
}

func TestRightsAreKept(t *testing.T) {
	s := clustertest.New(t)
	s.Add(service)
	c := open(t, s)
	s.Only(ref.Access("get"))
	_, err := c.Get(t.Context(), ref)
	require.NoError(t, err)
	_, err = c.MergePatch(t.Context(), ref, map[string]any{}, cluster.PatchOptions{})
	require.True(t, cluster.IsForbidden(err), "%v", err)
	require.ErrorContains(t, err, "patch services")
	_, err = c.List(t.Context(), "Service", "shop", "")
	require.True(t, cluster.IsForbidden(err), "a name grants no listing")
	require.NoError(t, c.Allowed(t.Context(), []actions.Access{ref.Access("get")}))
	require.ErrorContains(t, c.Allowed(t.Context(), []actions.Access{ref.Access("get", "patch")}), "patch services")
}

func TestApplyKnowsOwners(t *testing.T) {
	s := clustertest.New(t)
	c := open(t, s)
	config := func(value string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": "flags", "namespace": "shop"}, "data": map[string]any{"flag": value}}}
	}
	_, err := c.Apply(t.Context(), config("on"), cluster.ApplyOptions{Manager: "ci"})
	require.NoError(t, err)
	_, err = c.Apply(t.Context(), config("on"), cluster.ApplyOptions{Manager: "ci"})
	require.NoError(t, err)
	require.Len(t, s.Writes(), 1, "the same again is no write")
	_, err = c.Apply(t.Context(), config("off"), cluster.ApplyOptions{Manager: "astern"})
	var conflict *cluster.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, []cluster.FieldConflict{{Manager: "ci", Field: ".data.flag"}}, conflict.Conflicts)
	_, err = c.Apply(t.Context(), config("off"), cluster.ApplyOptions{Manager: "astern", Force: true})
	require.NoError(t, err)
}

func TestFaults(t *testing.T) {
	s := clustertest.New(t)
	s.Add(service)
	c := open(t, s)
	fault := &clustertest.Fault{CutAfter: true}
	s.Before(func(call clustertest.Call) *clustertest.Fault {
		if call.Verb == "patch" {
			return fault
		}
		return nil
	})
	patch := func() error {
		_, err := c.MergePatch(t.Context(), ref, map[string]any{"spec": map[string]any{"type": "NodePort"}}, cluster.PatchOptions{})
		return err
	}
	require.True(t, actions.IsDoubtful(patch()))
	require.Len(t, s.Writes(), 1)
	fault = &clustertest.Fault{Cut: true}
	s.Change("Service", "shop", "api", func(o map[string]any) { o["spec"].(map[string]any)["type"] = "ClusterIP" })
	require.True(t, actions.IsDoubtful(patch()))
	require.Len(t, s.Writes(), 1)
	fault = &clustertest.Fault{Status: http.StatusTooManyRequests}
	require.False(t, actions.IsDoubtful(patch()))

	asked := 0
	s.Before(func(clustertest.Call) *clustertest.Fault { asked++; return &clustertest.Fault{Cut: true} })
	_, err := c.Get(t.Context(), ref)
	require.ErrorContains(t, err, "the connection ended before the answer")
	require.LessOrEqual(t, asked, 2, "the engine alone asks again; net/http once, on a connection that had been idle")
}

func TestScale(t *testing.T) {
	s := clustertest.New(t)
	s.Add(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: api, namespace: shop}, spec: {replicas: 3, selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api}}, spec: {containers: [{name: api, image: "api:1"}]}}}}`)
	c := open(t, s)
	api := cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: "api"}
	scale, err := c.Subresource(t.Context(), api, "scale")
	require.NoError(t, err)
	body := func(version string) map[string]any {
		return map[string]any{"metadata": map[string]any{"resourceVersion": version}, "spec": map[string]any{"replicas": 0}}
	}
	_, err = c.MergePatch(t.Context(), api, body("1"), cluster.PatchOptions{Subresource: "scale"})
	require.ErrorIs(t, err, cluster.ErrMoved)
	_, err = c.MergePatch(t.Context(), api, body(scale.GetResourceVersion()), cluster.PatchOptions{Subresource: "scale"})
	require.NoError(t, err)
	n, _, _ := unstructured.NestedInt64(s.Get("Deployment", "shop", "api").Object, "spec", "replicas")
	require.Zero(t, n)
	require.EqualValues(t, 2, s.Get("Deployment", "shop", "api").GetGeneration())
}
