package manifest

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/cluster/clustertest"
	"astern.dev/astern/actions/repository"
	"astern.dev/astern/actions/repository/repositorytest"
)

const (
	deployer = "deployer"
	goodApp  = `apiVersion: apps/v1
kind: Deployment
metadata: {name: api, labels: {app: api}}
spec:
  replicas: 3
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
      - {name: api, image: "registry.test/api@sha256:1111111111111111111111111111111111111111111111111111111111111111", envFrom: [{configMapRef: {name: api}}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: api}
data: {LEVEL: info}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec:
  selector: {app: api}
  ports: [{name: http, port: 80, protocol: TCP, targetPort: 8080}]
`
)

// badApp is the version to leave: another image, one more container and variable, another setting, an object more.
var badApp = strings.NewReplacer(
	"1111111111111111111111111111111111111111111111111111111111111111", "2222222222222222222222222222222222222222222222222222222222222222",
	"LEVEL: info", "LEVEL: debug, FAST: \"yes\"",
	"    spec:\n      containers:\n", "    spec:\n      hostNetwork: false\n      terminationGracePeriodSeconds: 5\n      containers:\n      - {name: extra, image: registry.test/extra:1}\n",
).Replace(goodApp) + "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: extra}, data: {a: b}}\n"

// history is a repository with a good commit and a bad one on it.
type history struct {
	origin    *repositorytest.Origin
	good, bad string
	opened    *repository.Repository
}

func newHistory(t *testing.T) *history {
	t.Helper()
	h := &history{origin: repositorytest.New(t)}
	h.good = h.origin.Commit(t, "good", map[string]string{"deploy/app.yaml": goodApp, "deploy/README.md": "good"})
	h.bad = h.origin.Commit(t, "bad", map[string]string{"deploy/app.yaml": badApp})
	c := &repository.Connection{URL: h.origin.Bare, AllowLocal: true, Cache: t.TempDir()}
	require.NoError(t, c.Validate())
	opened, err := c.Open(client.NewDialer(nil))
	require.NoError(t, err)
	h.opened = opened.(*repository.Repository)
	return h
}

// rig is a history beside the API of a cluster in which its bad commit runs.
type rig struct {
	*history
	api     *clustertest.Server
	cluster *cluster.Cluster
}

func (h *history) rig(t *testing.T) *rig {
	t.Helper()
	r := &rig{history: h, api: clustertest.New(t)}
	r.cluster = open(t, r.api.Kubeconfig(t))
	r.deploys(t, deployer, badApp)
	return r
}

func open(t *testing.T, kubeconfig string) *cluster.Cluster {
	t.Helper()
	c := &cluster.Connection{Kubeconfig: kubeconfig}
	require.NoError(t, c.Validate())
	opened, err := c.Open(client.NewDialer([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}))
	require.NoError(t, err)
	return opened.(*cluster.Cluster)
}

// deploys applies manifests as a deployer does.
func (r *rig) deploys(t *testing.T, manager, manifests string) {
	t.Helper()
	found, err := documents("test", []byte(manifests))
	require.NoError(t, err)
	for _, obj := range found {
		obj.SetNamespace("shop")
		_, err := r.cluster.Apply(t.Context(), obj, cluster.ApplyOptions{Manager: manager})
		require.NoError(t, err)
	}
}

func (r *rig) world() *actiontest.World {
	return &actiontest.World{
		Connections: map[string]any{"kubernetes": r.cluster, "git": r.opened}, State: r.api.State,
		Canary: clustertest.Canary, Stall: r.api.Stall, Status: r.api.Status,
		Break: map[string]func(){"it refuses": func() { r.api.Status(403) }, "it fails": func() { r.api.Status(500) }},
	}
}

func (r *rig) env() actions.Env {
	env := actiontest.Env(r.world())
	env.Installation = "blue-1"
	return env
}

func (r *rig) revert(change func(*Revert)) *Revert {
	revert := &Revert{Path: "deploy", Commit: r.good, Namespace: "shop"}
	if change != nil {
		change(revert)
	}
	return revert
}

func (r *rig) get(t *testing.T, kind, name string) *unstructured.Unstructured {
	t.Helper()
	obj := r.api.Get(kind, "shop", name)
	require.NotNil(t, obj, "%s %s", kind, name)
	return obj
}

func (r *rig) plan(t *testing.T, change func(*Revert)) actions.Change {
	t.Helper()
	planned, err := r.revert(change).Plan(t.Context(), r.env())
	require.NoError(t, err)
	return planned
}

// runs runs and verifies, as the engine does.
func (r *rig) runs(t *testing.T, change func(*Revert)) actions.Result {
	t.Helper()
	did, err := r.revert(change).Run(t.Context(), r.env())
	require.NoError(t, err)
	require.NoError(t, r.revert(change).Verify(t.Context(), r.env()))
	return did
}

func (r *rig) refuses(t *testing.T, why string, change func(*Revert)) {
	t.Helper()
	require.ErrorContains(t, r.refusal(t, change), why)
}

// refusal is the error with which nothing is planned and nothing is run.
func (r *rig) refusal(t *testing.T, change func(*Revert)) error {
	t.Helper()
	was := r.api.State()
	_, planned := r.revert(change).Plan(t.Context(), r.env())
	require.Error(t, planned)
	_, err := r.revert(change).Run(t.Context(), r.env())
	require.EqualError(t, err, planned.Error())
	require.Equal(t, was, r.api.State(), "nothing is written")
	return err
}
