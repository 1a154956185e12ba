package kubernetes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/cluster/clustertest"
)

// ordered is an API server with StatefulSet shop/db whose pods 2 and 1 do not get ready at revision db-2; the revision before
// is db-1. A deleted pod comes back at the revision that the template has, as the real controller makes it.
func ordered(t testing.TB) (*clustertest.Server, string) {
	t.Helper()
	s := clustertest.New(t)
	s.Add(strings.Replace(inOrder, "partition: 1", "partition: 0", 1))
	goal := keep(t, s, statefulSet, "db")
	for n, revision := range []string{"db-1", "db-2", "db-2"} {
		member(s, n, revision, n == 0)
	}
	s.Before(func(c clustertest.Call) *clustertest.Fault {
		if c.Verb == "get" && c.Resource == "statefulsets" {
			follow(s, goal)
		}
		if c.Verb == "get" && c.Resource == "pods" && s.Get("Pod", "shop", c.Name) == nil {
			n := int(c.Name[len(c.Name)-1] - '0')
			member(s, n, "db-1", true)
		}
		return nil
	})
	return s, goal
}

// follow is what the controller says once it has seen the template.
func follow(s *clustertest.Server, goal string) {
	s.Change(statefulSet, "shop", "db", func(o map[string]any) {
		revision := "db-2"
		if (rollout{obj: &unstructured.Unstructured{Object: o}}).digest() == goal {
			revision = "db-1"
		}
		generation, _, _ := unstructured.NestedInt64(o, "metadata", "generation")
		_ = unstructured.SetNestedField(o, generation, "status", "observedGeneration")
		_ = unstructured.SetNestedField(o, revision, "status", "updateRevision")
	})
}

func member(s *clustertest.Server, n int, revision string, ready bool) {
	of := s.Get(statefulSet, "shop", "db")
	s.Add(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: db-%d
  namespace: shop
  labels: {app: db, controller-revision-hash: %s}
  ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, uid: %q, controller: true}]
spec: {containers: [{name: db, image: "registry.example/db:2"}]}
status: {phase: Running, conditions: [{type: Ready, status: %q}]}
`, n, revision, of.GetUID(), map[bool]string{true: "True", false: "False"}[ready]))
}

const dbRef = `kind: StatefulSet, namespace: shop, name: db`

func undoDB(t testing.TB, goal string) *Undo {
	return do(t, &Undo{}, fmt.Sprintf("{%s, to: %q}", dbRef, goal))
}

func TestUndoOfAStuckStatefulSet(t *testing.T) {
	_, goal := ordered(t)
	actiontest.Run(t, func() actions.Action { return &Undo{} }, actiontest.Case{
		Name: "stuck", YAML: fmt.Sprintf("{%s, to: %q}", dbRef, goal),
		World:     func(t *testing.T) *actiontest.World { s, _ := ordered(t); return worldOf(t, s) },
		Temporary: []int{429, 500}, Permanent: []int{403, 404},
	})
	s, goal := ordered(t)
	did, err := undoDB(t, goal).Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.Equal(t, []string{"db-2", "db-1"}, did.Outputs.(UndoOutputs).Deleted, "the highest first")
	require.Contains(t, did.Summary, "2 stuck pods deleted")
	var fences []string
	for _, call := range s.Calls() {
		if call.Verb == "delete" {
			require.Contains(t, string(call.Body), `"preconditions":{"uid":`)
			require.Contains(t, string(call.Body), `"resourceVersion":`)
			fences = append(fences, call.Name)
		}
	}
	require.Equal(t, []string{"db-2", "db-1"}, fences)
}

// Whoever is not stuck is left alone: a ready pod, one that ends, one below the partition, one of the goal's revision, and all of
// a set whose pods are not ordered or that is halted.
func TestStuck(t *testing.T) {
	base := func(change func(map[string]any)) rollout {
		o, err := decodeYAML(strings.Replace(inOrder, "partition: 1", "partition: 0", 1))
		require.NoError(t, err)
		obj := &unstructured.Unstructured{Object: o}
		raw, err := obj.MarshalJSON()
		require.NoError(t, err)
		require.NoError(t, obj.UnmarshalJSON(raw))
		change(obj.Object)
		return rollout{undoDB(t, "sha256:"+strings.Repeat("0", 64)).ref(), obj}
	}
	set := func(value any, path ...string) func(map[string]any) {
		return func(o map[string]any) { require.NoError(t, unstructured.SetNestedField(o, value, path...)) }
	}
	pod := func(n int, hash string, ready, going bool) rolloutPod {
		return rolloutPod{name: fmt.Sprintf("db-%d", n), hash: hash, ready: ready, going: going}
	}
	all := []rolloutPod{pod(0, "db-1", true, false), pod(1, "db-1", false, false), pod(2, "db-2", false, false), pod(3, "db-1", false, true), pod(4, "db-0", false, false)}
	names := func(r rollout) (names []string) {
		for _, p := range r.stuck(all) {
			names = append(names, p.name)
		}
		return names
	}
	require.Equal(t, []string{"db-4", "db-1"}, names(base(func(map[string]any) {})))
	require.Equal(t, []string{"db-4"}, names(base(set(int64(2), "spec", "updateStrategy", "rollingUpdate", "partition"))))
	require.Empty(t, names(base(set("Parallel", "spec", "podManagementPolicy"))))
	require.Empty(t, names(base(set("OnDelete", "spec", "updateStrategy", "type"))))
	require.Empty(t, names(base(set("", "status", "updateRevision"))))
	require.Empty(t, names(base(set(int64(3), "spec", "updateStrategy", "rollingUpdate", "partition"))), "halted")
	deployed := base(func(map[string]any) {})
	deployed.ref.Kind = deployment
	require.Empty(t, names(deployed))
}

// A crash between the patch and the deletion leaves a set that is stuck: it is not done, and a second run frees it. A pod
// that changed after it was read is not deleted.
func TestStuckAfterACrash(t *testing.T) {
	s, goal := ordered(t)
	v, err := undoDB(t, goal).look(t.Context(), envOf(t, s), connected(t, s.Kubeconfig(t)))
	require.NoError(t, err)
	s.Change(statefulSet, "shop", "db", func(o map[string]any) { _ = unstructured.SetNestedMap(o, v.to.restored(), "spec", "template") })
	err = undoDB(t, goal).Verify(t.Context(), envOf(t, s))
	require.ErrorIs(t, err, actions.ErrNotDone)
	require.ErrorContains(t, err, "is stuck on pods of another version: db-2, db-1")

	saved := ""
	s.Before(func(c clustertest.Call) *clustertest.Fault {
		if c.Verb == "delete" && saved == "" {
			saved = c.Name
			s.Change("Pod", "shop", c.Name, func(o map[string]any) {
				o["status"] = map[string]any{"phase": "Running", "conditions": []any{map[string]any{"type": "Ready", "status": "True"}}}
			})
		}
		return nil
	})
	did, err := undoDB(t, goal).Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.Equal(t, "db-2", saved)
	require.Equal(t, []string{"db-1"}, did.Outputs.(UndoOutputs).Deleted)
	require.Equal(t, "db-2", s.Get("Pod", "shop", "db-2").GetLabels()[revisionLabel], "it got ready meanwhile: its controller replaces it")
	require.Equal(t, "db-1", s.Get("Pod", "shop", "db-1").GetLabels()[revisionLabel])
	require.NoError(t, undoDB(t, goal).Verify(t.Context(), envOf(t, s)))
	require.Zero(t, writesTo(s, "statefulsets"))
}
