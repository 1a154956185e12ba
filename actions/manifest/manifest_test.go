package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/cluster/clustertest"
)

func TestRevert(t *testing.T) {
	h := newHistory(t)
	actiontest.Run(t, func() actions.Action { return &Revert{} },
		actiontest.Case{Name: "to the good commit", YAML: fmt.Sprintf(`{path: deploy, commit: %s, namespace: shop}`, h.good),
			World:     func(t *testing.T) *actiontest.World { return h.rig(t).world() },
			Env:       func(env *actions.Env) { env.Installation = "blue-1" },
			Temporary: []int{401, 429, 500, 503}, Permanent: []int{400, 403, 422}},
		actiontest.Case{Name: "it is so already", YAML: fmt.Sprintf(`{path: deploy/app.yaml, commit: %.12s, namespace: shop, manager: deployer, kinds: [Deployment, ConfigMap, Service]}`, h.bad),
			World:     func(t *testing.T) *actiontest.World { return h.rig(t).world() },
			Temporary: []int{500}, Permanent: []int{403}},
	)
}

func TestGoesBack(t *testing.T) {
	r := newHistory(t).rig(t)
	from := func(m *Revert) { m.From = r.bad }
	planned := r.plan(t, from)
	require.Equal(t, fmt.Sprintf("manifests of deploy at %.12s as deployer: 2 of 3 objects change", r.good), planned.Summary)
	for _, line := range []string{
		`~ ConfigMap shop/api data.LEVEL: "debug" -> "info"`, `- ConfigMap shop/api data.FAST: "yes"`, "= Service shop/api is so already",
		"- Deployment shop/api spec.template.spec.terminationGracePeriodSeconds: 5", "= ConfigMap shop/extra is in " + r.bad[:12] + " alone: it stays",
	} {
		require.Contains(t, planned.Diff, line)
	}
	require.Contains(t, strings.Join(planned.Diff, "\n"), "containers[extra]")
	writes := len(r.api.Writes())
	did := r.runs(t, from)
	require.Equal(t, Outputs{Commit: r.good, Objects: 3, Changed: 2, Rendered: did.Outputs.(Outputs).Rendered}, did.Outputs)
	require.Equal(t, []string{"create leases shop/astern-deployment-api", "patch configmaps shop/api", "patch deployments shop/api"}, r.api.Writes()[writes:],
		"the lease first, config before workloads")
	spec := cluster.Below(templateOf(r.get(t, "Deployment", "api")), "spec")
	require.Len(t, spec["containers"], 1, "the container that the bad version added is gone")
	require.NotContains(t, spec, "terminationGracePeriodSeconds")
	r.get(t, "ConfigMap", "extra")
	for _, call := range r.api.Calls() {
		require.False(t, strings.Contains(string(call.Body), `"force":true`))
	}

	writes = len(r.api.Writes())
	again := r.runs(t, from)
	require.Equal(t, 0, again.Outputs.(Outputs).Changed)
	require.Len(t, r.api.Writes(), writes)
}

func TestMakesAnew(t *testing.T) {
	r := newHistory(t).rig(t)
	r.api.Remove("ConfigMap", "shop", "api")
	require.Contains(t, r.plan(t, nil).Diff, "+ ConfigMap shop/api")
	r.runs(t, nil)
	require.Equal(t, "info", cluster.Below(r.get(t, "ConfigMap", "api").Object, "data")["LEVEL"])
}

func TestFoundIsAboutContent(t *testing.T) {
	r := newHistory(t).rig(t)
	found := r.plan(t, nil).Found
	same := func(why string) { require.Equal(t, found, r.plan(t, nil).Found, why) }
	moved := func(why string) {
		t.Helper()
		now := r.plan(t, nil).Found
		require.NotEqual(t, found, now, why)
		found = now
	}
	r.api.Change("Deployment", "shop", "api", func(c map[string]any) {
		setField(&unstructured.Unstructured{Object: c}, int64(1), "status", "replicas")
		setField(&unstructured.Unstructured{Object: c}, "7", "metadata", "annotations", "deployment.kubernetes.io/revision")
	})
	same("a status and a controller's annotation")
	r.halts(t)
	same("an earlier step halts it")
	r.api.Add(`{apiVersion: v1, kind: ConfigMap, metadata: {name: other, namespace: shop}}`)
	same("another object")
	r.api.Change("Deployment", "shop", "api", func(c map[string]any) {
		setField(&unstructured.Unstructured{Object: c}, int64(9), "spec", "minReadySeconds")
	})
	moved("a field of its spec")
	r.api.Change("ConfigMap", "shop", "api", func(c map[string]any) {
		setField(&unstructured.Unstructured{Object: c}, "warn", "data", "MORE")
	})
	moved("a setting")
	live := r.get(t, "Service", "api")
	r.api.Remove("Service", "shop", "api")
	moved("an object goes")
	live.SetUID("")
	live.SetManagedFields(nil)
	raw, err := live.MarshalJSON()
	require.NoError(t, err)
	r.api.Add(string(raw))
	moved("another object under the name")
	require.NotEqual(t, found, r.plan(t, func(m *Revert) { m.Commit = r.bad }).Found, "another commit")
}

func TestStopsWhenTheWorldMoved(t *testing.T) {
	r := newHistory(t).rig(t)
	revert := r.revert(nil)
	_, err := revert.Plan(t.Context(), r.env())
	require.NoError(t, err)
	r.deploys(t, deployer, strings.ReplaceAll(badApp, "2222222", "3333333"))
	was := r.api.State()
	_, err = revert.Run(t.Context(), r.env())
	require.ErrorContains(t, err, "no longer as the plan found them")
	require.True(t, actions.IsPermanent(err))
	require.Equal(t, was, r.api.State())

	racing := false
	r.api.Before(func(c clustertest.Call) *clustertest.Fault {
		if !racing && c.Verb == "patch" && c.Resource == "deployments" && !c.DryRun {
			racing = true
			r.api.Change("Deployment", "shop", "api", func(c map[string]any) {
				setField(&unstructured.Unstructured{Object: c}, int64(9), "spec", "minReadySeconds")
			})
		}
		return nil
	})
	_, err = r.revert(nil).Run(t.Context(), r.env())
	require.ErrorContains(t, err, "somebody changed it meanwhile")
	require.ErrorContains(t, err, "half applied: ConfigMap shop/api is as the commit has it, Deployment shop/api is not")
	require.True(t, actions.IsPermanent(err))
	require.EqualValues(t, 9, cluster.Below(r.get(t, "Deployment", "api").Object, "spec")["minReadySeconds"])
	require.Contains(t, fmt.Sprint(r.get(t, "Deployment", "api").Object), "33333")
}

func TestStopsWhenTheServerWouldDoSomethingElse(t *testing.T) {
	r := newHistory(t).rig(t)
	_, err := r.cluster.MergePatch(t.Context(), cluster.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "api"},
		map[string]any{"data": map[string]any{"LEVEL": "trace"}}, cluster.PatchOptions{Manager: "kubectl-edit"})
	require.NoError(t, err)
	adopted := false
	r.api.Before(func(c clustertest.Call) *clustertest.Fault {
		switch {
		case c.Verb != "patch" || c.Resource != "configmaps":
		case !c.DryRun:
			adopted = true
		case adopted:
			r.api.Change("ConfigMap", "shop", "api", func(c map[string]any) {
				setField(&unstructured.Unstructured{Object: c}, "x", "data", "NEW")
			})
		}
		return nil
	})
	_, err = r.revert(func(m *Revert) { m.Force = []string{"kubectl-edit"} }).Run(t.Context(), r.env())
	require.ErrorContains(t, err, `ConfigMap shop/api: the server would make something else of it than was planned, so it is not applied: + ConfigMap shop/api data.NEW: "x"`)
	require.True(t, actions.IsPermanent(err))
	require.Contains(t, r.get(t, "ConfigMap", "api").Object["data"], "FAST")
}

func TestReplicasAreNeverForced(t *testing.T) {
	r := newHistory(t).rig(t)
	scaled := false
	r.api.Before(func(c clustertest.Call) *clustertest.Fault {
		if !scaled && c.Verb == "patch" && c.Resource == "deployments" {
			scaled = true
			r.scales(t, 8)
		}
		return nil
	})
	_, err := r.revert(func(m *Revert) { m.Force = []string{"kube-controller-manager"} }).Plan(t.Context(), r.env())
	require.ErrorContains(t, err, ".spec.replicas belongs to kube-controller-manager")
}

func TestGoesOnWhenAStatusMoves(t *testing.T) {
	r := newHistory(t).rig(t)
	moves := 0
	r.api.Before(func(c clustertest.Call) *clustertest.Fault {
		if moves < 3 && c.Verb == "patch" && c.Resource == "deployments" && !c.DryRun {
			moves++
			r.api.Change("Deployment", "shop", "api", func(c map[string]any) {
				setField(&unstructured.Unstructured{Object: c}, int64(moves), "status", "observedGeneration")
			})
		}
		return nil
	})
	r.runs(t, nil)
	require.Equal(t, 3, moves)
}

func TestConverges(t *testing.T) {
	h := newHistory(t)
	for way, fault := range map[string]clustertest.Fault{"before": {Cut: true}, "after": {CutAfter: true}, "refused": {Status: 503}} {
		t.Run(way, func(t *testing.T) {
			r := h.rig(t)
			done := false
			r.api.Before(func(c clustertest.Call) *clustertest.Fault {
				if done || c.Verb != "patch" || c.Resource != "deployments" || c.DryRun {
					return nil
				}
				done = true
				return &fault
			})
			_, err := r.revert(nil).Run(t.Context(), r.env())
			require.ErrorContains(t, err, "half applied: ConfigMap shop/api is as the commit has it, Deployment shop/api is not")
			require.True(t, actions.IsDoubtful(err), "%v", err)
			err = r.revert(nil).Verify(t.Context(), r.env())
			if way == "after" {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, actions.ErrNotDone)
				require.ErrorContains(t, err, "Deployment shop/api")
			}
			r.runs(t, nil)
		})
	}
}

func TestWhatIsBeingDeletedIsLeft(t *testing.T) {
	r := newHistory(t).rig(t)
	r.api.Change("ConfigMap", "shop", "api", func(c map[string]any) {
		setField(&unstructured.Unstructured{Object: c}, "2026-01-01T00:00:00Z", "metadata", "deletionTimestamp")
	})
	err := r.refusal(t, nil)
	require.ErrorContains(t, err, "ConfigMap shop/api is being deleted")
	require.False(t, actions.IsPermanent(err))
}

func TestConfigSkew(t *testing.T) {
	r := newHistory(t).rig(t)
	skewed := r.origin.Commit(t, "skewed", map[string]string{"deploy/app.yaml": strings.Replace(goodApp, "envFrom: [{configMapRef: {name: api}}]",
		"envFrom: [{configMapRef: {name: old}}, {secretRef: {name: token}}, {secretRef: {name: maybe, optional: true}}]", 1)})
	to := func(m *Revert) { m.Commit = skewed }
	err := r.refusal(t, to)
	require.ErrorContains(t, err, "need what is gone: ConfigMap shop/old (for Deployment shop/api), Secret shop/token (for Deployment shop/api)")
	require.True(t, actions.IsPermanent(err))
	r.api.Add("{apiVersion: v1, kind: ConfigMap, metadata: {name: old, namespace: shop}}\n---\n{apiVersion: v1, kind: Secret, metadata: {name: token, namespace: shop}}")
	require.Contains(t, r.plan(t, to).Diff, "= ConfigMap shop/old is not among the manifests: Deployment shop/api will run with it as it is now")
	r.runs(t, to)
	r.api.Remove("Secret", "shop", "token")
	r.plan(t, func(m *Revert) { m.Commit, m.SecretsUnread = skewed, true })
}

func TestImmutableFieldStopsAll(t *testing.T) {
	r := newHistory(t).rig(t)
	other := r.origin.Commit(t, "selector", map[string]string{"deploy/app.yaml": strings.ReplaceAll(goodApp, "{app: api}", "{app: old}")})
	err := r.refusal(t, func(m *Revert) { m.Commit = other })
	require.ErrorContains(t, err, "Deployment shop/api")
	require.ErrorIs(t, err, cluster.ErrInvalid)
	require.ErrorContains(t, err, "must be made anew, which is a person's decision")
}

func TestSecretsAreNeverShown(t *testing.T) {
	r := newHistory(t).rig(t)
	secret := func(value string) string {
		return "{apiVersion: v1, kind: Secret, metadata: {name: s}, immutable: true, stringData: {key: " + value + "}}"
	}
	good := r.origin.Commit(t, "secret", map[string]string{"secret/s.yaml": secret("hush-hush-1")})
	to := func(m *Revert) { m.Path, m.Commit, m.Manager = "secret", good, deployer }
	r.refuses(t, "Secret is not among the kinds to write", to)
	listed := func(m *Revert) { to(m); m.Kinds = []string{"Secret"} }
	r.deploys(t, deployer, strings.Replace(secret("hush-hush-2"), "immutable: true, ", "", 1))
	planned := r.plan(t, listed)
	require.NotContains(t, fmt.Sprintf("%+v", planned), "hush")
	did := r.runs(t, listed)
	require.NotContains(t, fmt.Sprintf("%+v", did), "hush")
}

func TestReadyAndRights(t *testing.T) {
	r := newHistory(t).rig(t)
	require.NoError(t, r.revert(nil).Ready(t.Context(), r.env()))
	require.ErrorContains(t, r.revert(func(m *Revert) { m.Commit = "0123456789" }).Ready(t.Context(), r.env()), "the commit to go back to")
	require.ErrorContains(t, r.revert(func(m *Revert) { m.Path = "nowhere" }).Ready(t.Context(), r.env()), "nowhere")
	r.api.Only(r.revert(nil).Access()...)
	r.runs(t, nil)
	for _, access := range r.revert(nil).Access() {
		for _, verb := range access.Verbs {
			r := r.rig(t)
			r.api.Forbid(verb, access.Resource)
			err := r.revert(nil).Ready(t.Context(), r.env())
			require.ErrorContains(t, err, verb+" "+access.Resource)
		}
	}
}

func TestValidateRefusesWhatIsHostile(t *testing.T) {
	good := Revert{Path: "deploy", Commit: "0123456789", Namespace: "shop"}
	require.NoError(t, good.Validate())
	for _, hostile := range actiontest.Hostile() {
		for field, set := range map[string]func(*Revert){
			"commit": func(m *Revert) { m.Commit = hostile }, "namespace": func(m *Revert) { m.Namespace = hostile },
			"namespaces": func(m *Revert) { m.Namespaces = []string{hostile} }, "kinds": func(m *Revert) { m.Kinds = []string{hostile} },
			"helm.release":      func(m *Revert) { m.Helm = &Helm{Release: hostile} },
			"helm.kube_version": func(m *Revert) { m.Helm = &Helm{Release: "a", KubeVersion: hostile} },
		} {
			r := good
			set(&r)
			if hostile == "" && field == "helm.kube_version" || cluster.CheckNamespace(field, hostile) == nil { // null is a name, too
				continue
			}
			require.Error(t, r.Validate(), "%s: %q", field, hostile)
		}
	}
	for _, path := range []string{"", "/etc", "../a", "a/../../b", "a/./b", ".git/config", "a\x00b", "-f", `a\b`} {
		r := good
		r.Path = path
		require.Error(t, r.Validate(), "%q", path)
		r = good
		r.Helm = &Helm{Release: "a", Values: []string{path}}
		require.Error(t, r.Validate(), "values %q", path)
	}
	for why, set := range map[string]func(*Revert){
		"helm: is required with render: helm": func(m *Revert) { m.Render = helm },
		"does not go with render: plain":      func(m *Revert) { m.Render, m.Helm = plain, &Helm{Release: "a"} },
		"none of auto":                        func(m *Revert) { m.Render = "jsonnet" },
		"recurse: goes with plain":            func(m *Revert) { m.Render, m.Recurse = kustomize, true },
		"cannot be put back":                  func(m *Revert) { m.Kinds = []string{"Namespace"} },
		"among the kinds to write, too":       func(m *Revert) { m.Leave = []string{"Service"} },
		"is no field manager":                 func(m *Revert) { m.Force = []string{"a\nb"} },
		"under:":                              func(m *Revert) { m.Under = "argocd" },
	} {
		r := good
		set(&r)
		require.ErrorContains(t, r.Validate(), why)
	}
}
