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

func TestUndo(t *testing.T) {
	yaml := fmt.Sprintf("{%s, to: %q, from: %q}", apiRef, digestAt(t, "1"), digestAt(t, "2-broken"))
	actiontest.Run(t, func() actions.Action { return &Undo{} },
		actiontest.Case{
			Name: "from a broken version", YAML: yaml,
			World:     func(t *testing.T) *actiontest.World { return worldOf(t, shop(t)) },
			Temporary: []int{401, 429, 500, 503}, Permanent: []int{400, 403, 404, 422},
		},
		actiontest.Case{
			Name: "halted before", YAML: yaml,
			World: func(t *testing.T) *actiontest.World {
				s := shop(t)
				halted(t, s)
				return worldOf(t, s)
			},
			Temporary: []int{500}, Permanent: []int{403},
		},
		actiontest.Case{
			Name: "there already", YAML: yaml,
			World:     func(t *testing.T) *actiontest.World { s := shop(t); deploy(s, "1", ""); return worldOf(t, s) },
			Temporary: []int{500}, Permanent: []int{403},
		})
}

func halted(t testing.TB, s *clustertest.Server) {
	t.Helper()
	_, err := halt(t).Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
}

// The plan says everything that will change, and no value of a variable.
func TestUndoPlan(t *testing.T) {
	s := shop(t)
	s.Change(deployment, "shop", "api", func(o map[string]any) {
		_ = unstructured.SetNestedField(o, hidden, "spec", "template", "metadata", "annotations", "token")
	})
	change, err := undo(t, digestAt(t, "1")).Plan(t.Context(), envOf(t, s))
	require.NoError(t, err)
	diff := strings.Join(change.Diff, "\n")
	require.NotContains(t, diff, hidden)
	require.Contains(t, diff, "- Deployment shop/api spec.template.metadata.annotations.token\n")
	for _, line := range []string{
		"~ Deployment shop/api container app image: registry.example/api:2-broken@sha256:",
		" -> registry.example/api:1@sha256:",
		"~ Deployment shop/api container app env DATABASE\n",
		"- Deployment shop/api uses ConfigMap api-2-broken\n", "+ Deployment shop/api uses ConfigMap api-1\n", "+ Deployment shop/api uses Secret key-1\n",
		`~ Deployment shop/api metadata.annotations[astern.dev/version]: "2-broken" -> "1"`,
	} {
		require.Contains(t, diff, line)
	}
	require.NotContains(t, diff, "replicas")
	require.Contains(t, diff, "~ Deployment shop/api container app.args changes\n")
	require.NotContains(t, diff, "app.env changes")
	require.Regexp(t, `^undo Deployment shop/api: back to revision 2 of .* UTC \(registry.example/api:1@sha256:[0-9a-f]{64}\)$`, change.Summary)
}

// One write brings the template, the pace and the version's name back, and leaves the rest as it is. Done again, it does
// nothing: an undo by number would toggle.
func TestUndoTwice(t *testing.T) {
	s := shop(t)
	halted(t, s)
	s.Change(deployment, "shop", "api", func(o map[string]any) {
		_ = unstructured.SetNestedField(o, int64(5), "spec", "replicas")
		_ = unstructured.SetNestedField(o, "kept", "metadata", "annotations", "team")
	})
	one, env := digestAt(t, "1"), envOf(t, s)
	writes := writesTo(s, "deployments")
	did, err := undo(t, one).Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, digestAt(t, "2-broken"), did.Outputs.(UndoOutputs).Template)
	require.Equal(t, writes+1, writesTo(s, "deployments"))
	is := s.Get(deployment, "shop", "api")
	r := rollout{undo(t, one).ref(), is}
	require.Equal(t, one, r.digest())
	require.Equal(t, int64(5), r.replicas(), "an autoscaler's number is its own")
	require.NotContains(t, is.Object["spec"].(map[string]any)["template"].(map[string]any)["metadata"].(map[string]any)["labels"], hashLabel)
	require.False(t, paused(s))
	require.Equal(t, "1", is.GetAnnotations()["astern.dev/version"])
	require.Equal(t, "kept", is.GetAnnotations()["team"])
	require.NotContains(t, is.GetAnnotations(), haltedKey)
	require.Len(t, s.All("ReplicaSet", "shop", ""), 3, "the revision that is there is used again")

	for range 2 {
		did, err = undo(t, one).Run(t.Context(), env)
		require.NoError(t, err)
		require.Equal(t, "undo Deployment shop/api: it has the goal's template already", did.Summary)
	}
	require.Equal(t, writes+1, writesTo(s, "deployments"))
}

// An approval outlives the halt of the same plan and what controllers write, and nothing else.
func TestUndoFound(t *testing.T) {
	s := shop(t)
	one, env := digestAt(t, "1"), envOf(t, s)
	found := func() string {
		change, err := undo(t, one).Plan(t.Context(), env)
		require.NoError(t, err)
		return change.Found
	}
	planned := found()
	s.Change(deployment, "shop", "api", func(o map[string]any) { _ = unstructured.SetNestedField(o, int64(9), "status", "collisionCount") })
	require.Equal(t, planned, found())
	s.Change(deployment, "shop", "api", func(o map[string]any) { _ = unstructured.SetNestedField(o, int64(9), "spec", "replicas") })
	require.Equal(t, planned, found())
	halted(t, s)
	require.Equal(t, planned, found())
	deploy(s, "3-broken", "")
	_, err := undo(t, one).Plan(t.Context(), env)
	require.ErrorContains(t, err, "another template was set while it was halted")
	require.ErrorContains(t, err, "; `kubectl -n shop rollout resume deployment/api` lets it go on")
	require.True(t, actions.IsMoved(err), "a plan that was made before is superseded")
	pause(s, false)
	require.NotEqual(t, planned, found())
}

// A goal is named by template or image, and found behind restarts and newer revisions.
func TestUndoGoals(t *testing.T) {
	s := shop(t)
	env := envOf(t, s)
	var running string
	for _, pod := range s.All("Pod", "shop", "") {
		statuses, _, _ := unstructured.NestedSlice(pod.Object, "status", "containerStatuses")
		is := statuses[0].(map[string]any)
		if strings.HasSuffix(is["image"].(string), ":1") {
			_, running, _ = strings.Cut(is["imageID"].(string), "@")
		}
	}
	_, err := undo(t, running).Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, digestAt(t, "1"), rollout{obj: s.Get(deployment, "shop", "api")}.digest(), "by the image that its pods run")
	_, err = undo(t, running).Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, digestAt(t, "1"), rollout{obj: s.Get(deployment, "shop", "api")}.digest())

	pinned := "sha256:" + strings.Repeat("ab", 32)
	s.Add(strings.ReplaceAll(strings.ReplaceAll(apiNeeds, "key-1", "key-x"), "api-1", "api-x"))
	deploy(s, "x@"+pinned, "")
	deploy(s, "2-broken", "")
	_, err = undo(t, pinned).Plan(t.Context(), env)
	require.NoError(t, err, "by the image that it pins")
}

// Nothing is written when there is no way back, and the error says what there is.
func TestUndoOfNothingKept(t *testing.T) {
	s := shop(t)
	for _, rs := range s.All("ReplicaSet", "shop", "") {
		if (rollout{obj: rs}).digest() == digestAt(t, "1") {
			s.Remove("ReplicaSet", "shop", rs.GetName())
		}
	}
	one := undo(t, digestAt(t, "1"))
	for _, err := range []error{second(one.Plan(t.Context(), envOf(t, s))), second(one.Run(t.Context(), envOf(t, s))), one.Ready(t.Context(), envOf(t, s))} {
		require.ErrorContains(t, err, "no revision with template or image "+digestAt(t, "1")+" is kept")
		require.ErrorContains(t, err, "there are: revision 3 (template "+digestAt(t, "2-broken")+", registry.example/api:2-broken@sha256:")
		require.ErrorContains(t, err, "0 minutes old, runs now); apply its manifest out of Git")
		require.True(t, actions.IsPermanent(err))
	}
	require.Zero(t, writesTo(s, "deployments"))
}

// Each object that the earlier template names must be there; Secrets are looked for by their metadata, or not at all.
func TestUndoNeeds(t *testing.T) {
	for kind, name := range map[string]string{"ConfigMap": "api-1", "Secret": "key-1", "ServiceAccount": "api"} {
		s := shop(t)
		s.Remove(kind, "shop", name)
		_, err := undo(t, digestAt(t, "1")).Run(t.Context(), envOf(t, s))
		require.ErrorContains(t, err, "the template of revision 2 needs what is gone: "+kind+" shop/"+name)
		require.True(t, actions.IsPermanent(err))
		require.Zero(t, writesTo(s, "deployments"))
	}
	s := shop(t)
	s.Remove("Secret", "shop", "key-1")
	s.Remove("Secret", "shop", "registry")
	_, err := undo(t, digestAt(t, "1")).Plan(t.Context(), envOf(t, s))
	require.ErrorContains(t, err, "Secret shop/key-1, Secret shop/registry")
	unread := undo(t, digestAt(t, "1"), ", secrets_unread: true")
	s.Only(unread.Access()...)
	_, err = unread.Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	for _, call := range s.Calls() {
		require.False(t, call.Resource == "secrets" && call.Verb == "list")
	}
}

// A pace at which the goal's template would replace no pod is refused, and a halt's is not taken for it.
func TestUndoPaces(t *testing.T) {
	for _, c := range []struct{ kind, name, manifest, strategy, why string }{
		{statefulSet, "db", inOrder, `{type: OnDelete}`, "its update strategy is OnDelete: a template replaces no pod"},
		{statefulSet, "db", inOrder, `{type: RollingUpdate, rollingUpdate: {partition: 2}}`, "its partition is 2: the pods below it stay at db-other, which is not the goal db-1"},
		{daemonSet, "agent", onNodes, `{type: OnDelete}`, "its update strategy is OnDelete: a template replaces no pod"},
	} {
		s := clustertest.New(t)
		s.Add(c.manifest)
		observed(s, c.kind, c.name)
		goal := keep(t, s, c.kind, c.name)
		s.Change(c.kind, "shop", c.name, func(o map[string]any) {
			strategy, err := decodeYAML(c.strategy)
			require.NoError(t, err)
			_ = unstructured.SetNestedField(o, strategy, "spec", "updateStrategy")
			_ = unstructured.SetNestedField(o, "db-other", "status", "currentRevision")
		})
		u := do(t, &Undo{}, fmt.Sprintf("{kind: %s, namespace: shop, name: %s, to: %q}", c.kind, c.name, goal))
		_, err := u.Plan(t.Context(), envOf(t, s))
		require.ErrorContains(t, err, c.why)
		require.True(t, actions.IsPermanent(err))
	}
}

// A partition of the user's own is left as it is where the pods below it have the goal's template.
func TestUndoAbovePartition(t *testing.T) {
	s := clustertest.New(t)
	s.Add(inOrder)
	observed(s, statefulSet, "db")
	goal := keep(t, s, statefulSet, "db")
	_, err := undoDB(t, goal).Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.Equal(t, int64(1), rollout{obj: s.Get(statefulSet, "shop", "db")}.pace().partition())
}

// An image that no template pins is known by the pods that run it. They may be gone once the template is back.
func TestUndoByAnImageThatRanOnce(t *testing.T) {
	s := still(t)
	deploy(s, "2", "")
	running := "sha256:" + strings.Repeat("cd", 32)
	s.Add(fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: api-1-x, namespace: shop, labels: {app: api, pod-template-hash: "1"},
		ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: api-1, uid: %q, controller: true}]}, spec: {containers: [{name: app, image: x}]},
		status: {containerStatuses: [{name: app, imageID: "registry.example/api@%s"}]}}`, s.Get("ReplicaSet", "shop", "api-1").GetUID(), running))
	u := undo(t, running)
	_, err := u.Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	s.Remove("Pod", "shop", "api-1-x")
	require.NoError(t, u.Verify(t.Context(), envOf(t, s)))
	require.ErrorIs(t, undo(t, running).Verify(t.Context(), envOf(t, s)), actions.ErrNotDone)
}

// keep adds the revision of before of a StatefulSet or DaemonSet, and gives its digest.
func keep(t testing.TB, s *clustertest.Server, kind, name string) string {
	t.Helper()
	of := s.Get(kind, "shop", name)
	template, _, _ := unstructured.NestedMap(of.Object, "spec", "template")
	containers := template["spec"].(map[string]any)["containers"].([]any)
	containers[0].(map[string]any)["image"] = "registry.example/" + name + ":1"
	digest := (rollout{obj: &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"template": template}}}}).digest()
	template["$patch"] = "replace"
	revision := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": int64(1),
		"metadata": map[string]any{"name": name + "-1", "namespace": "shop", "labels": map[string]any{"app": name, revisionLabel: "1"},
			"ownerReferences": []any{map[string]any{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": string(of.GetUID()), "controller": true}}},
		"data": map[string]any{"spec": map[string]any{"template": template}}}}
	raw, err := revision.MarshalJSON()
	require.NoError(t, err)
	s.Add(string(raw))
	return digest
}

// What a halt wrote to the strategy goes back in the same write as the template, whole.
func TestUndoRestoresStrategies(t *testing.T) {
	for _, c := range []struct{ kind, name, manifest string }{{statefulSet, "db", inOrder}, {daemonSet, "agent", onNodes}} {
		s := clustertest.New(t)
		s.Add(c.manifest)
		observed(s, c.kind, c.name)
		goal := keep(t, s, c.kind, c.name)
		before, _, _ := unstructured.NestedMap(s.Get(c.kind, "shop", c.name).Object, "spec", "updateStrategy")
		ref := fmt.Sprintf("kind: %s, namespace: shop, name: %s", c.kind, c.name)
		_, err := do(t, &Halt{}, "{"+ref+"}").Run(t.Context(), envOf(t, s))
		require.NoError(t, err)
		u := do(t, &Undo{}, fmt.Sprintf("{%s, to: %q}", ref, goal))
		_, err = u.Run(t.Context(), envOf(t, s))
		require.NoError(t, err)
		r := rollout{u.ref(), s.Get(c.kind, "shop", c.name)}
		require.Equal(t, goal, r.digest())
		require.True(t, r.pace().same(pace{Strategy: before}))
		require.NotContains(t, r.obj.GetAnnotations(), haltedKey)
		require.NotContains(t, r.template(), "$patch")
		require.NoError(t, do(t, &Undo{}, fmt.Sprintf("{%s, to: %q}", ref, goal)).Verify(t.Context(), envOf(t, s)))
	}
}

// Who applies the object is named: an undo of the template alone leaves their record as it is.
func TestUndoNamesAppliers(t *testing.T) {
	s := shop(t)
	s.Change(deployment, "shop", "api", func(o map[string]any) {
		_ = unstructured.SetNestedField(o, "{}", "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")
		_ = unstructured.SetNestedField(o, "shop", "metadata", "annotations", "meta.helm.sh/release-name")
	})
	change, err := undo(t, digestAt(t, "1")).Plan(t.Context(), envOf(t, s))
	require.NoError(t, err)
	diff := strings.Join(change.Diff, "\n")
	require.Contains(t, diff, "= Deployment shop/api is applied by kubectl apply: ")
	require.Contains(t, diff, "= Deployment shop/api is applied by Helm (release shop): ")
	require.Contains(t, diff, "prefer manifest/revert")
}

// What would put it back must be paused when the write comes.
func TestUndoUnderGitOps(t *testing.T) {
	s := shop(t)
	s.Add(application)
	owned(s)
	one, env := digestAt(t, "1"), envOf(t, s)
	_, err := undo(t, one).Plan(t.Context(), env)
	require.ErrorContains(t, err, "under: argocd/argocd/shop")
	_, err = undo(t, one).Run(t.Context(), env)
	require.Error(t, err)
	named := undo(t, one, ", under: argocd/argocd/shop")
	_, err = named.Plan(t.Context(), env)
	require.NoError(t, err)
	_, err = named.Run(t.Context(), env)
	require.ErrorContains(t, err, "nothing is written while it is not paused")
	require.Empty(t, s.Writes())
}

// The rights that the step says it needs suffice, and one verb less is named.
func TestUndoRights(t *testing.T) {
	one := digestAt(t, "1")
	s := shop(t)
	s.Only(undo(t, one).Access()...)
	require.NoError(t, undo(t, one).Ready(t.Context(), envOf(t, s)))
	_, err := undo(t, one).Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	for resource, verb := range map[string]string{"deployments": "patch", "replicasets": "list", "pods": "list", "secrets": "get", "configmaps": "get"} {
		s := shop(t)
		s.Forbid(verb, resource)
		require.ErrorContains(t, undo(t, one).Ready(t.Context(), envOf(t, s)), verb+" "+resource)
		_, err := undo(t, one).Run(t.Context(), envOf(t, s))
		require.ErrorContains(t, err, "the right to "+verb+" "+resource)
		require.True(t, actions.IsPermanent(err))
		require.Zero(t, len(s.Writes()))
	}
}
