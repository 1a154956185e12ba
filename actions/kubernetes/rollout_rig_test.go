package kubernetes

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/cluster/clustertest"
)

// apiAt is Deployment shop/api at a version: each has an image, a setting and a key of its own.
func apiAt(version string) string {
	name, _, _ := strings.Cut(version, "@")
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop, annotations: {astern.dev/version: %[1]q}}
spec:
  replicas: 3
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      serviceAccountName: api
      imagePullSecrets: [{name: registry}]
      containers:
      - name: app
        image: registry.example/api:%[1]s
        args: ["--password=hunter2-%[1]s"]
        env:
        - {name: DATABASE, value: "postgres://api:hunter2-%[1]s@db/shop"}
        - {name: SETTING, valueFrom: {configMapKeyRef: {name: api-%[2]s, key: setting}}}
        envFrom: [{secretRef: {name: key-%[2]s}}, {configMapRef: {name: not-there, optional: true}}]
`, version, name)
}

const apiNeeds = `
{apiVersion: v1, kind: ServiceAccount, metadata: {name: api, namespace: shop}}
---
{apiVersion: v1, kind: Secret, metadata: {name: registry, namespace: shop}}
---
{apiVersion: v1, kind: Secret, metadata: {name: key-1, namespace: shop}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: api-1, namespace: shop}}
`

const hidden = "hunter2"

// digestAt is the digest of the template of apiAt.
func digestAt(t testing.TB, version string) string {
	t.Helper()
	s := clustertest.New(t)
	s.Add(apiAt(version))
	digest, err := cluster.TemplateDigest(templateOf(s))
	require.NoError(t, err)
	return digest
}

func templateOf(s *clustertest.Server) map[string]any {
	template, _, _ := unstructured.NestedMap(s.Get(deployment, "shop", "api").Object, "spec", "template")
	return template
}

// shop is an API server with Deployment shop/api, which ran version 1, was restarted, and now has one pod of a version that
// does not get ready.
func shop(t testing.TB) *clustertest.Server {
	t.Helper()
	s := clustertest.New(t)
	s.Add(apiNeeds)
	s.Controllers()
	s.Add(apiAt("1"))
	deploy(s, "1", "restarted")
	deploy(s, "2-broken", "")
	return s
}

// deploy sets the template of a version as somebody with kubectl does.
func deploy(s *clustertest.Server, version, restarted string) {
	other, err := decodeYAML(apiAt(version))
	if err != nil {
		panic(err)
	}
	s.Change(deployment, "shop", "api", func(o map[string]any) {
		template, _, _ := unstructured.NestedMap(other, "spec", "template")
		if restarted != "" {
			_ = unstructured.SetNestedField(template, restarted, "metadata", "annotations", "kubectl.kubernetes.io/restartedAt")
		}
		_ = unstructured.SetNestedMap(o, template, "spec", "template")
		_ = unstructured.SetNestedField(o, version, "metadata", "annotations", "astern.dev/version")
	})
}

func worldOf(t testing.TB, s *clustertest.Server) *actiontest.World {
	t.Helper()
	return &actiontest.World{
		Connections: map[string]any{"kubernetes": connected(t, s.Kubeconfig(t))},
		State:       s.State, Canary: clustertest.Canary, Stall: s.Stall, Status: s.Status,
		Break: map[string]func(){"rights": func() { s.Only() }, "errors": func() { s.Status(500) }},
	}
}

func connected(t testing.TB, kubeconfig string) *cluster.Cluster {
	t.Helper()
	connection := cluster.Connection{Kubeconfig: kubeconfig}
	opened, err := connection.Open(client.NewDialer([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}))
	require.NoError(t, err)
	return opened.(*cluster.Cluster)
}

func envOf(t testing.TB, s *clustertest.Server) actions.Env { return actiontest.Env(worldOf(t, s)) }

func do[A actions.Action](t testing.TB, action A, parameters string) A {
	t.Helper()
	_, err := actiontest.Decode(func() actions.Action { return action }, parameters)
	require.NoError(t, err)
	require.NoError(t, action.Validate())
	return action
}

const apiRef = `kind: Deployment, namespace: shop, name: api`

func halt(t testing.TB, more ...string) *Halt {
	return do(t, &Halt{}, "{"+apiRef+strings.Join(more, "")+"}")
}

func undo(t testing.TB, to string, more ...string) *Undo {
	return do(t, &Undo{}, fmt.Sprintf("{%s, to: %q%s}", apiRef, to, strings.Join(more, "")))
}

// writesTo counts what was written to objects of a resource, dry runs left out.
func writesTo(s *clustertest.Server, resource string) int {
	n := 0
	for _, call := range s.Calls() {
		if call.Resource == resource && !call.DryRun && call.Verb != "get" && call.Verb != "list" {
			n++
		}
	}
	return n
}

func paused(s *clustertest.Server) bool {
	yes, _, _ := unstructured.NestedBool(s.Get(deployment, "shop", "api").Object, "spec", "paused")
	return yes
}

func pause(s *clustertest.Server, yes bool) {
	s.Change(deployment, "shop", "api", func(o map[string]any) { _ = unstructured.SetNestedField(o, yes, "spec", "paused") })
}

func decodeYAML(text string) (map[string]any, error) {
	var fields map[string]any
	return fields, yaml.Unmarshal([]byte(text), &fields)
}
