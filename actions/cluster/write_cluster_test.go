//go:build cluster

package cluster

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/tools/controlplane"
)

const webManifest = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: NS}, spec: {replicas: 2, selector: {matchLabels: {app: web}},
	template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: "registry.example/web:1"}]}}}}`

// real is a namespace with a Deployment that a person applied, and the cluster as the administrator reaches it.
func real(t *testing.T) (*controlplane.ControlPlane, *Cluster, Ref) {
	t.Helper()
	plane := controlplane.Shared(t)
	namespace := plane.Namespace(t)
	require.NoError(t, plane.Apply(t.Context(), strings.ReplaceAll(webManifest, "NS", namespace)))
	return plane, open(t, Connection{Kubeconfig: plane.Kubeconfig}), Ref{"Deployment", namespace, "web"}
}

func webOf(t *testing.T, ref Ref) *unstructured.Unstructured {
	return object(t, strings.ReplaceAll(webManifest, "NS", ref.Namespace))
}

// A patch that is fenced by what was read is refused once the object has changed, for each kind of patch and for deletion.
func TestClusterStaleWritesAreRefused(t *testing.T) {
	_, c, web := real(t)
	read, err := c.Get(t.Context(), web)
	require.NoError(t, err)
	_, err = c.MergePatch(t.Context(), web, map[string]any{"metadata": map[string]any{"labels": map[string]any{"by": "a-person"}}}, PatchOptions{Manager: "kubectl"})
	require.NoError(t, err)

	stale := map[string]any{"metadata": map[string]any{"resourceVersion": read.GetResourceVersion()}, "spec": map[string]any{"replicas": 0}}
	_, err = c.JSONPatch(t.Context(), web, append(Fence(read), Op{"replace", "/spec/replicas", 0}), PatchOptions{})
	require.ErrorIs(t, err, ErrMoved)
	_, err = c.JSONPatch(t.Context(), web, []Op{{"test", "/spec/replicas", 7}, {"replace", "/spec/replicas", 0}}, PatchOptions{})
	require.ErrorIs(t, err, ErrMoved)
	_, err = c.JSONPatch(t.Context(), web, []Op{{"replace", "/spec/nowhere/at/all", 0}}, PatchOptions{})
	require.ErrorIs(t, err, ErrMoved, "what was to be replaced is not there")
	_, err = c.MergePatch(t.Context(), web, stale, PatchOptions{})
	require.ErrorIs(t, err, ErrMoved)
	_, err = c.MergePatch(t.Context(), web, stale, PatchOptions{Subresource: "scale"})
	require.ErrorIs(t, err, ErrMoved)
	applied := webOf(t, web)
	applied.SetResourceVersion(read.GetResourceVersion())
	_, err = c.Apply(t.Context(), applied, ApplyOptions{Manager: "kubectl", Force: true})
	require.ErrorIs(t, err, ErrMoved)
	require.ErrorIs(t, c.Delete(t.Context(), web, DeleteOptions{UID: string(read.GetUID()), ResourceVersion: read.GetResourceVersion()}), ErrMoved)
	require.ErrorIs(t, c.Delete(t.Context(), web, DeleteOptions{UID: "00000000-0000-0000-0000-000000000000"}), ErrMoved)

	now, err := c.Get(t.Context(), web)
	require.NoError(t, err)
	replicas, _, _ := unstructured.NestedInt64(now.Object, "spec", "replicas")
	require.EqualValues(t, 2, replicas)
	_, err = c.JSONPatch(t.Context(), web, append(Fence(now), Op{"replace", "/spec/replicas", 0}), PatchOptions{DryRun: true})
	if err == nil || !strings.Contains(err.Error(), ErrMoved.Error()) { // the controller may just have written its status
		require.NoError(t, err)
	}
}

// What the server refuses is told apart from what has moved, and the cause is named.
func TestClusterRefusedObjectsSayWhy(t *testing.T) {
	_, c, web := real(t)
	_, err := c.JSONPatch(t.Context(), web, []Op{{"replace", "/spec/replicas", -1}}, PatchOptions{})
	require.ErrorIs(t, err, ErrInvalid)
	require.NotErrorIs(t, err, ErrMoved)
	require.True(t, actions.IsPermanent(err))
	require.ErrorContains(t, err, "spec.replicas: Invalid value: -1")
	_, err = c.JSONPatch(t.Context(), web, []Op{{"replace", "/spec/selector/matchLabels/app", "other"}}, PatchOptions{})
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorContains(t, err, "field is immutable")
	_, err = c.MergePatch(t.Context(), web, map[string]any{"spec": map[string]any{"replica": 1}}, PatchOptions{})
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorContains(t, err, `unknown field "spec.replica"`)
	strange := webOf(t, web)
	require.NoError(t, unstructured.SetNestedField(strange.Object, int64(1), "spec", "replica"))
	_, err = c.Apply(t.Context(), strange, ApplyOptions{})
	require.ErrorIs(t, err, ErrInvalid)
	_, err = c.Create(t.Context(), webOf(t, web), CreateOptions{})
	require.True(t, IsAlreadyExists(err), err)
	_, err = c.Get(t.Context(), Ref{"Deployment", web.Namespace, "none"})
	require.True(t, IsNotFound(err), err)
	require.ErrorContains(t, err, "get Deployment "+web.Namespace+"/none")
}

func TestClusterApplyNamesWhoOwnsAField(t *testing.T) {
	_, c, web := real(t)
	other := webOf(t, web)
	require.NoError(t, unstructured.SetNestedField(other.Object, int64(5), "spec", "replicas"))
	_, err := c.Apply(t.Context(), other, ApplyOptions{Manager: "astern"})
	var conflict *ConflictError
	require.ErrorAs(t, err, &conflict)
	require.True(t, actions.IsPermanent(err))
	require.Equal(t, []FieldConflict{{"kubectl", ".spec.replicas"}}, conflict.Conflicts)
	after, err := c.Apply(t.Context(), other, ApplyOptions{Manager: "kubectl", DryRun: true})
	require.NoError(t, err)
	before, err := c.Get(t.Context(), web)
	require.NoError(t, err)
	require.Equal(t, []string{"~ " + web.String() + " spec.replicas: 2 -> 5"}, Diff(before, after))
}

// A dry run goes all the way through the server and leaves nothing, whichever the write.
func TestClusterADryRunLeavesNothing(t *testing.T) {
	plane, c, web := real(t)
	require.NoError(t, plane.RolledOut(t.Context(), web.Namespace, "deployment/web"))
	before, err := c.Get(t.Context(), web)
	require.NoError(t, err)
	_, err = c.JSONPatch(t.Context(), web, []Op{{"replace", "/spec/replicas", 0}}, PatchOptions{DryRun: true})
	require.NoError(t, err)
	scaled, err := c.MergePatch(t.Context(), web, map[string]any{"spec": map[string]any{"replicas": 0}}, PatchOptions{DryRun: true, Subresource: "scale"})
	require.NoError(t, err)
	require.Equal(t, "Scale", scaled.GetKind())
	require.NoError(t, c.Delete(t.Context(), web, DeleteOptions{UID: string(before.GetUID()), DryRun: true}))
	second := webOf(t, web)
	second.SetName("second")
	_, err = c.Create(t.Context(), second, CreateOptions{DryRun: true})
	require.NoError(t, err)
	after, err := c.Get(t.Context(), web)
	require.NoError(t, err)
	require.Empty(t, Diff(before, after))
	require.Equal(t, before.GetGeneration(), after.GetGeneration())
	_, err = c.Get(t.Context(), Ref{"Deployment", web.Namespace, "second"})
	require.True(t, IsNotFound(err))
}

// A Deployment and its ReplicaSet have one digest; a restart makes a new ReplicaSet of the same digest; status tells when
// it is rolled out, and does not believe the status of the spec before.
func TestClusterTemplatesAndStatus(t *testing.T) {
	plane, c, web := real(t)
	require.NoError(t, plane.RolledOut(t.Context(), web.Namespace, "deployment/web"))
	deployment, err := c.Get(t.Context(), web)
	require.NoError(t, err)
	state, why := Status(deployment)
	require.Equal(t, Current, state, why)
	digests := func() map[string]int {
		sets, err := c.List(t.Context(), "ReplicaSet", web.Namespace, "app=web")
		require.NoError(t, err)
		found := map[string]int{}
		for _, set := range sets {
			found[digestOf(t, &set)]++
		}
		return found
	}
	require.Equal(t, map[string]int{digestOf(t, deployment): 1}, digests())
	_, err = plane.Kubectl(t.Context(), "", "--namespace="+web.Namespace, "rollout", "restart", "deployment/web")
	require.NoError(t, err)
	require.NoError(t, plane.RolledOut(t.Context(), web.Namespace, "deployment/web"))
	require.Equal(t, map[string]int{digestOf(t, deployment): 2}, digests())

	patched, err := c.MergePatch(t.Context(), web, map[string]any{"spec": map[string]any{"paused": true}}, PatchOptions{})
	require.NoError(t, err)
	state, why = Status(patched)
	require.Equal(t, InProgress, state, why)
	require.NoError(t, Until(t.Context(), 50*time.Millisecond, func(ctx context.Context) (bool, error) {
		seen, err := c.Get(ctx, web)
		if err != nil {
			return false, err
		}
		_, why := Status(seen)
		return !strings.Contains(why, "seen generation"), nil
	}))
}

func digestOf(t *testing.T, obj *unstructured.Unstructured) string {
	t.Helper()
	template, _, err := unstructured.NestedMap(obj.Object, "spec", "template")
	require.NoError(t, err)
	digest, err := TemplateDigest(template)
	require.NoError(t, err)
	return digest
}

// Kinds of an extension are known as soon as it is installed; lists are read page by page.
func TestClusterKindsAndLists(t *testing.T) {
	plane, c, web := real(t)
	all, err := c.Kinds(t.Context())
	require.NoError(t, err)
	require.Greater(t, len(all), 40)
	for name, known := range builtin {
		served, err := c.find(t.Context(), name, known.Group, func(k Kind) bool { return k.gvk() == known.gvk() })
		require.NoError(t, err, name)
		served.Verbs = nil
		require.Equal(t, known, served, "what is taken for granted is so")
	}
	require.NoError(t, plane.Apply(t.Context(), `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: gadgets.astern.example}, spec: {group: astern.example,
		scope: Namespaced, names: {plural: gadgets, singular: gadget, kind: Gadget}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}}`))
	_, err = plane.Kubectl(t.Context(), "", "wait", "--for=condition=Established", "--timeout=30s", "crd/gadgets.astern.example")
	require.NoError(t, err)
	c.kinds.now = func() time.Time { return time.Now().Add(askAgain) }
	kind, err := c.Kind(t.Context(), "Gadget.astern.example")
	require.NoError(t, err)
	require.Equal(t, "gadgets", kind.Resource)
	none, err := c.List(t.Context(), "Gadget", web.Namespace, "")
	require.NoError(t, err)
	require.Empty(t, none)
	_, err = c.List(t.Context(), "Gizmo", web.Namespace, "")
	require.ErrorIs(t, err, ErrNoKind)
	everywhere, err := c.List(t.Context(), "Pod", "", "app=web")
	require.NoError(t, err)
	require.NotNil(t, everywhere)
}

// A token file that rotates is read again: the old token is not held on to.
func TestClusterATokenRotates(t *testing.T) {
	plane, _, web := real(t)
	admin, err := os.ReadFile(plane.Kubeconfig)
	require.NoError(t, err)
	token := strings.Split(strings.SplitAfter(string(admin), `token: "`)[1], `"`)[0]
	file := t.TempDir() + "/token"
	require.NoError(t, os.WriteFile(file, []byte("expired"), 0o600))
	name := t.TempDir() + "/kubeconfig"
	require.NoError(t, os.WriteFile(name, []byte(strings.ReplaceAll(string(admin), `token: "`+token+`"`, "tokenFile: "+file)), 0o600))
	c := open(t, Connection{Kubeconfig: name})
	_, err = c.Get(t.Context(), web)
	require.ErrorContains(t, err, "does not accept the credentials")
	require.NotContains(t, err.Error(), "expired")
	require.NoError(t, os.WriteFile(file, []byte(token), 0o600))
	_, err = c.Get(t.Context(), web)
	require.NoError(t, err)
}
