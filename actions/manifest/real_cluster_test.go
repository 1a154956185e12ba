//go:build cluster

package manifest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/tools/controlplane"
	"astern.dev/astern/tools/neighbours"
)

func TestMain(m *testing.M) { controlplane.Main(m) }

// shop is a namespace of a real control plane and the history of what runs in it.
type shop struct {
	*history
	control   *controlplane.ControlPlane
	cluster   *cluster.Cluster
	namespace string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	control := controlplane.Shared(t)
	return &shop{newHistory(t), control, open(t, control.Kubeconfig), control.Namespace(t)}
}

func (s *shop) env() actions.Env {
	env := actiontest.Env(&actiontest.World{Connections: map[string]any{"kubernetes": s.cluster, "git": s.opened}})
	env.Installation = "blue-1"
	return env
}

func (s *shop) revert(change func(*Revert)) *Revert {
	r := &Revert{Path: "deploy", Commit: s.good, Namespace: s.namespace}
	if change != nil {
		change(r)
	}
	return r
}

func (s *shop) kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := s.control.Kubectl(t.Context(), stdin, append([]string{"--namespace=" + s.namespace}, args...)...)
	require.NoError(t, err)
	return out
}

func (s *shop) serverSide(t *testing.T, manager, manifests string) {
	t.Helper()
	s.kubectl(t, manifests, "apply", "--server-side", "--field-manager="+manager, "-f", "-")
}

func (s *shop) plan(t *testing.T, change func(*Revert)) actions.Change {
	t.Helper()
	planned, err := s.revert(change).Plan(t.Context(), s.env())
	require.NoError(t, err)
	return planned
}

func (s *shop) runs(t *testing.T, change func(*Revert)) actions.Result {
	t.Helper()
	did, err := s.revert(change).Run(t.Context(), s.env())
	require.NoError(t, err)
	require.NoError(t, s.revert(change).Verify(t.Context(), s.env()))
	return did
}

func (s *shop) refuses(t *testing.T, why string, change func(*Revert)) {
	t.Helper()
	_, err := s.revert(change).Plan(t.Context(), s.env())
	require.ErrorContains(t, err, why)
	_, err = s.revert(change).Run(t.Context(), s.env())
	require.ErrorContains(t, err, why)
}

func (s *shop) get(t *testing.T, kind, name string) *unstructured.Unstructured {
	t.Helper()
	obj, err := s.cluster.Get(t.Context(), cluster.Ref{Kind: kind, Namespace: s.namespace, Name: name})
	require.NoError(t, err)
	return obj
}

// runsOnly says what the pods of the Deployment are made of.
func (s *shop) runsOnly(t *testing.T, digest string, containers int) {
	t.Helper()
	spec := cluster.Below(templateOf(s.get(t, "Deployment", "api")), "spec")
	require.Len(t, spec["containers"], containers)
	require.Contains(t, fmt.Sprint(spec), digest)
	require.NotContains(t, fmt.Sprint(spec), "FAST")
}

// what the bad version adds: a variable in the container that stays, a container, a setting, another image and port.
const (
	goodDeployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: api, labels: {app: api}}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
      - name: api
        image: registry.test/api@sha256:1111111111111111111111111111111111111111111111111111111111111111
        ports: [{containerPort: 8080}]
        env: [{name: LEVEL, value: info}]
`
	goodConfig  = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: api}\ndata: {LEVEL: info}\n"
	goodService = "apiVersion: v1\nkind: Service\nmetadata: {name: api}\nspec: {selector: {app: api}, ports: [{port: 80, targetPort: 8080}]}\n"
	goodSet     = goodDeployment + "---\n" + goodConfig + "---\n" + goodService
)

var badSet = strings.NewReplacer("1111111111111111", "2222222222222222", "[{name: LEVEL, value: info}]", `[{name: FAST, value: "yes"}, {name: LEVEL, value: debug}]`,
	"      containers:\n", "      terminationGracePeriodSeconds: 7\n      containers:\n      - {name: extra, image: registry.test/extra:1}\n",
	"{LEVEL: info}", "{LEVEL: debug, MORE: x}", "{port: 80, targetPort: 8080}", "{name: http, port: 80, targetPort: 8080}, {name: more, port: 81}",
	"  replicas: 2", "  minReadySeconds: 1\n  replicas: 2").Replace(goodSet)

func (s *shop) commits(t *testing.T) {
	s.good = s.origin.Commit(t, "good set", map[string]string{"deploy/app.yaml": goodSet})
	s.bad = s.origin.Commit(t, "bad set", map[string]string{"deploy/app.yaml": badSet})
}

// The bad version was applied on the server's side: what it added goes, what others hold stays, and nothing is taken silently.
func TestClusterServerSide(t *testing.T) {
	s := newShop(t)
	s.commits(t)
	s.serverSide(t, "kubectl", goodSet)
	s.serverSide(t, "kubectl", badSet)

	planned := s.plan(t, nil)
	text := strings.Join(planned.Diff, "\n")
	for _, part := range []string{"containers[extra]", "env[FAST]", `env[LEVEL].value: "debug" -> "info"`, "data.MORE", "spec.minReadySeconds", "terminationGracePeriodSeconds: 7 -> 30", "spec.ports[1]"} {
		require.Contains(t, text, part)
	}
	require.NotContains(t, text, "managedFields")

	s.kubectl(t, "", "set", "env", "deployment/api", "LEVEL=trace", "--field-manager=kubectl-set")
	s.refuses(t, `.spec.template.spec.containers[name="api"].env[name="LEVEL"].value belongs to kubectl-set`, nil)
	s.serverSide(t, "injector", `{apiVersion: apps/v1, kind: Deployment, metadata: {name: api}, spec: {template: {spec: {containers: [{name: api, env: [{name: INJECTED, value: "1"}]}]}}}}`)
	force := func(m *Revert) { m.Manager, m.Force = "kubectl", []string{"kubectl-set"} }
	require.Contains(t, strings.Join(s.plan(t, force).Diff, "\n"), "spec.template.spec.containers[api].env[INJECTED] stays: it is injector's")

	s.kubectl(t, "", "scale", "deployment/api", "--replicas=5")
	require.Contains(t, strings.Join(s.plan(t, force).Diff, "\n"), "spec.replicas stays 5, the manifest says 2: it is left to kubectl (scale)")
	did := s.runs(t, force)
	require.Equal(t, 3, did.Outputs.(Outputs).Changed)
	s.runsOnly(t, "1111111111111111", 1)
	deployment := s.get(t, "Deployment", "api")
	require.Contains(t, fmt.Sprint(deployment.Object), "INJECTED")
	require.EqualValues(t, 5, cluster.Below(deployment.Object, "spec")["replicas"])
	require.Equal(t, map[string]any{"LEVEL": "info"}, s.get(t, "ConfigMap", "api").Object["data"])
	require.Len(t, cluster.Below(s.get(t, "Service", "api").Object, "spec")["ports"], 1)
	version := deployment.GetResourceVersion()
	s.runs(t, force)
	require.NoError(t, s.control.RolledOut(t.Context(), s.namespace, "deployment/api"))
	require.Equal(t, deployment.GetGeneration(), s.get(t, "Deployment", "api").GetGeneration(), "the same key again writes nothing (it was %s)", version)
}

// The bad version was applied on the client's side, as CI does with `kubectl apply`: its fields are taken over, and what it
// added goes. The next client-side apply goes on as if nothing had been.
func TestClusterClientSide(t *testing.T) {
	s := newShop(t)
	s.commits(t)
	s.kubectl(t, goodSet, "apply", "-f", "-")
	s.kubectl(t, badSet, "apply", "-f", "-")
	planned := s.plan(t, nil)
	text := strings.Join(planned.Diff, "\n")
	require.Contains(t, planned.Summary, "as kubectl: 3 of 3 objects change")
	for _, part := range []string{"what kubectl-client-side-apply wrote by update becomes kubectl's", "containers[extra]", "env[FAST]", "data.MORE", "spec.minReadySeconds"} {
		require.Contains(t, text, part)
	}
	require.NotContains(t, text, "strategy", "what the server fills in is no difference")
	s.runs(t, nil)
	s.runsOnly(t, "1111111111111111", 1)
	require.Equal(t, map[string]any{"LEVEL": "info"}, s.get(t, "ConfigMap", "api").Object["data"])
	require.Len(t, cluster.Below(s.get(t, "Service", "api").Object, "spec")["ports"], 1)
	var record map[string]any
	require.NoError(t, json.Unmarshal([]byte(s.get(t, "ConfigMap", "api").GetAnnotations()[lastApplied]), &record))
	require.Equal(t, map[string]any{"LEVEL": "info"}, record["data"], "the record is that of the good version")
	require.NotContains(t, record["metadata"], "resourceVersion")

	third := strings.ReplaceAll(badSet, "2222222222222222", "3333333333333333")
	s.kubectl(t, third, "apply", "-f", "-")
	require.Contains(t, fmt.Sprint(s.get(t, "Deployment", "api").Object), "333333")
	s.runs(t, nil)
	s.runsOnly(t, "1111111111111111", 1)
	s.kubectl(t, strings.ReplaceAll(goodSet, "[{name: LEVEL, value: info}]", "[]"), "apply", "-f", "-")
	require.NotContains(t, fmt.Sprint(cluster.Below(templateOf(s.get(t, "Deployment", "api")), "spec")), "LEVEL", "the next apply takes away what the good version had")
}

// Helm of old and other clients write by update under their own name and leave no record.
func TestClusterByUpdate(t *testing.T) {
	s := newShop(t)
	s.commits(t)
	s.kubectl(t, goodSet, "create", "--field-manager=helm", "-f", "-")
	s.kubectl(t, "", "set", "env", "deployment/api", "FAST=yes", "--field-manager=helm")
	s.kubectl(t, "", "annotate", "deployment/api", "note=kept")
	require.Contains(t, s.plan(t, nil).Summary, "as helm: 1 of 3 objects change")
	s.runs(t, nil)
	s.runsOnly(t, "1111111111111111", 1)
	require.Equal(t, "kept", s.get(t, "Deployment", "api").GetAnnotations()["note"])
	require.EqualValues(t, 2, cluster.Below(s.get(t, "Deployment", "api").Object, "spec")["replicas"])
}

// An autoscaler's number stays, also where the deployer holds the field and leaving it out would make it 1.
func TestClusterAutoscaled(t *testing.T) {
	s := newShop(t)
	s.commits(t)
	s.serverSide(t, "ci", strings.Replace(badSet, "replicas: 2", "replicas: 4", 1))
	s.kubectl(t, "", "autoscale", "deployment/api", "--min=2", "--max=9", "--cpu=80%")
	s.runs(t, nil)
	require.EqualValues(t, 4, cluster.Below(s.get(t, "Deployment", "api").Object, "spec")["replicas"])
	none := s.origin.Commit(t, "no replicas", map[string]string{"deploy/app.yaml": strings.Replace(goodSet, "  replicas: 2\n", "", 1)})
	s.runs(t, func(m *Revert) { m.Commit = none })
	require.EqualValues(t, 4, cluster.Below(s.get(t, "Deployment", "api").Object, "spec")["replicas"])
}

// One object that the server refuses stops all, before anything is written.
func TestClusterAllOrNothing(t *testing.T) {
	s := newShop(t)
	s.commits(t)
	s.serverSide(t, "ci", badSet)
	to := func(name, text string) func(*Revert) {
		commit := s.origin.Commit(t, name, map[string]string{"deploy/app.yaml": text})
		return func(m *Revert) { m.Commit = commit }
	}
	s.refuses(t, "field is immutable", to("selector", strings.ReplaceAll(goodSet, "{app: api}", "{app: old}")))
	s.refuses(t, "nonsense", to("unknown field", strings.Replace(goodSet, "  replicas: 2", "  nonsense: 2", 1)))
	s.refuses(t, "ConfigMap "+s.namespace+"/gone (for Deployment "+s.namespace+"/api)",
		to("skew", strings.Replace(goodSet, "        ports:", "        envFrom: [{configMapRef: {name: gone}}]\n        ports:", 1)))
	s.serverSide(t, "ci", "{apiVersion: v1, kind: Secret, metadata: {name: token}, immutable: true, stringData: {token: hush-hush-1}}")
	secret := to("secret", "{apiVersion: v1, kind: Secret, metadata: {name: token}, immutable: true, stringData: {token: hush-hush-2}}")
	s.refuses(t, "its text is left out", func(m *Revert) { secret(m); m.Kinds = []string{"Secret"} })
	s.serverSide(t, "ci", "{apiVersion: v1, kind: Secret, metadata: {name: texts}, stringData: {a: one, b: two}}")
	texts := to("texts", "{apiVersion: v1, kind: Secret, metadata: {name: texts}, stringData: {a: three}}")
	planned := s.plan(t, func(m *Revert) { texts(m); m.Kinds = []string{"Secret"} })
	require.Contains(t, strings.Join(planned.Diff, "\n"), "data.b stays: it was applied as stringData")
	require.NotContains(t, fmt.Sprint(planned), "three")
	require.NotContains(t, fmt.Sprint(planned), "dGhyZWU")
	s.refuses(t, "was not applied by astern but by ci", func(m *Revert) { m.Manager = "astern" })
	require.Equal(t, map[string]any{"LEVEL": "debug", "MORE": "x"}, s.get(t, "ConfigMap", "api").Object["data"])
}

// The API server dies between two objects and comes back: the error says what is applied, and another attempt goes on.
func TestClusterServerDies(t *testing.T) {
	s := newShop(t)
	s.commits(t)
	s.serverSide(t, "ci", badSet)
	env := s.env()
	env.Progress = func(line string) {
		if strings.Contains(line, "Deployment") {
			s.control.KillAPIServer()
		}
	}
	_, err := s.revert(nil).Run(t.Context(), env)
	require.ErrorContains(t, err, "half applied: ConfigMap "+s.namespace+"/api is as the commit has it, Deployment "+s.namespace+"/api, Service "+s.namespace+"/api is not")
	require.False(t, actions.IsPermanent(err), "%v", err)
	require.NoError(t, s.control.StartAPIServer(context.WithoutCancel(t.Context())))
	require.ErrorIs(t, s.revert(nil).Verify(t.Context(), s.env()), actions.ErrNotDone)
	s.runs(t, nil)
	s.runsOnly(t, "1111111111111111", 1)
}

// The rights that Access names are enough.
func TestClusterRights(t *testing.T) {
	s := newShop(t)
	s.commits(t)
	s.kubectl(t, badSet, "apply", "-f", "-")
	var rules []any
	for _, a := range s.revert(nil).Access() {
		rules = append(rules, map[string]any{"apiGroups": []any{a.Group}, "resources": []any{a.Resource}, "verbs": a.Verbs})
	}
	role, err := json.Marshal(map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": map[string]any{"name": "astern"}, "rules": rules})
	require.NoError(t, err)
	s.kubectl(t, string(role), "apply", "-f", "-")
	kubeconfig, err := s.control.KubeconfigFor(t.Context(), s.namespace, "astern")
	require.NoError(t, err)
	s.kubectl(t, "", "create", "rolebinding", "astern", "--role=astern", "--serviceaccount="+s.namespace+":astern")
	s.cluster = open(t, kubeconfig)
	require.NoError(t, s.revert(nil).Ready(t.Context(), s.env()))
	s.runs(t, nil)
}

const chart = `
-- chart/Chart.yaml --
{apiVersion: v2, name: shop, version: 1.0.0}
-- chart/values.yaml --
image: registry.test/api:1
-- chart/templates/api.yaml --
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}, annotations: {kube: "{{ .Capabilities.KubeVersion.Version }}", has: "{{ .Capabilities.APIVersions.Has "team.test/v1" }}"}}
spec:
  selector: {matchLabels: {app: api}}
  template: {metadata: {labels: {app: api}}, spec: {containers: [{name: api, image: "{{ .Values.image }}"}]}}
-- chart/templates/hook.yaml --
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {"helm.sh/hook": pre-upgrade}}
-- chart/crds/crd.yaml --
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a.b}}
-- envs/prod.yaml --
image: registry.test/api:7
-- lots/Chart.yaml --
{apiVersion: v2, name: lots, version: 1.0.0}
-- lots/templates/a.yaml --
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: "{{ randAlphaNum 20 }}"}}
-- needs/Chart.yaml --
{apiVersion: v2, name: needs, version: 1.0.0, dependencies: [{name: redis, version: 1.x, repository: "https://charts.test"}]}
-- needs/templates/a.yaml --
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
-- broken/Chart.yaml --
{apiVersion: v2, name: broken, version: 1.0.0}
-- broken/templates/a.yaml --
{{ required "a name is needed" .Values.name }}
-- looks/Chart.yaml --
{apiVersion: v2, name: looks, version: 1.0.0}
-- looks/templates/a.yaml --
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {home: "{{ env "HOME" }}"}}
`

func TestClusterHelmTemplate(t *testing.T) {
	program, err := neighbours.Find(t.Context(), "helm", t.Output())
	require.NoError(t, err)
	t.Setenv("PATH", filepath.Dir(program.Path)+string(os.PathListSeparator)+os.Getenv("PATH"))
	render := func(change func(*Revert)) ([]*unstructured.Unstructured, error) {
		r := &Revert{Path: "chart", Commit: "0123456789", Namespace: "shop", Helm: &Helm{Release: "api"}}
		change(r)
		require.NoError(t, r.Validate())
		found, how, err := r.render(t.Context(), repo(unpacked(chart)))
		if err == nil {
			require.Equal(t, helm, how)
		}
		return found, err
	}
	found, err := render(func(r *Revert) {
		r.Helm.Values, r.Helm.KubeVersion, r.Helm.APIVersions = []string{"envs/prod.yaml"}, "1.33.2", []string{"team.test/v1"}
	})
	require.NoError(t, err)
	require.Equal(t, []string{"Deployment/shop/api"}, names(found), "neither hooks nor CRDs")
	require.Contains(t, fmt.Sprint(found[0].Object), "registry.test/api:7")
	require.Equal(t, map[string]string{"kube": "v1.33.2", "has": "true"}, found[0].GetAnnotations())
	found, err = render(func(r *Revert) { r.Path, r.Helm.Chart = "envs", "chart" })
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(found[0].Object), "registry.test/api:1")
	for path, why := range map[string]string{
		"lots": "renders something else each time", "needs": "commit the charts directory", "broken": "a name is needed",
		"envs": "has no Chart.yaml", "looks": `function "env" not defined`,
	} {
		_, err = render(func(r *Revert) { r.Path, r.Render = path, helm })
		require.ErrorContains(t, err, why)
		require.NotContains(t, err.Error(), os.TempDir(), path)
	}
	_, err = render(func(r *Revert) { r.Helm.Values = []string{"envs/none.yaml"} })
	require.ErrorContains(t, err, "there is no envs/none.yaml")
	t.Setenv("PATH", "/nonexistent")
	_, err = render(func(*Revert) {})
	require.ErrorContains(t, err, "there is no helm program on the PATH")
}
