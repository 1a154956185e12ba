package flux

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/cluster/clustertest"
)

const (
	good = "1111111111111111111111111111111111111111"
	bad  = "2222222222222222222222222222222222222222"
	next = "3333333333333333333333333333333333333333"

	source = `{apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, metadata: {name: config, namespace: flux-system}, spec: {url: "https://git.example/config", interval: 1m, ref: {branch: main}}}`
	shop   = `{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: shop, namespace: flux-system}, spec: {interval: 10m, prune: true, path: shop, sourceRef: {kind: GitRepository, name: config}}}`
	chart  = `{apiVersion: helm.toolkit.fluxcd.io/v2, kind: HelmRelease, metadata: {name: api, namespace: flux-system}, spec: {interval: 10m, chart: {spec: {chart: api, version: 1.4.0, sourceRef: {kind: HelmRepository, name: charts}}}}}`
	robot  = `{apiVersion: image.toolkit.fluxcd.io/v1, kind: ImageUpdateAutomation, metadata: {name: tags, namespace: flux-system}, spec: {interval: 1m, sourceRef: {kind: GitRepository, name: config}}}`
)

var (
	theShop   = cluster.Ref{Kind: "Kustomization", Namespace: "flux-system", Name: "shop"}
	theSource = cluster.Ref{Kind: "GitRepository", Namespace: "flux-system", Name: "config"}
	theChart  = cluster.Ref{Kind: "HelmRelease", Namespace: "flux-system", Name: "api"}
)

func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

// rig is an API server with Flux's stand-in, which acts whenever an object of Flux is read.
type rig struct {
	*clustertest.Server
	standIn *standIn
	cluster *cluster.Cluster
}

// begin has the Kustomization shop at the bad revision, which the branch has.
func begin(t *testing.T, manifests ...string) *rig {
	t.Helper()
	r := &rig{Server: clustertest.New(t), standIn: &standIn{head: bad}}
	r.Add("{apiVersion: v1, kind: Namespace, metadata: {name: flux-system}}\n---\n" + source)
	if len(manifests) == 0 {
		manifests = []string{shop}
	}
	for _, m := range manifests {
		r.Add(m)
	}
	c := &cluster.Connection{Kubeconfig: r.Kubeconfig(t)}
	require.NoError(t, c.Validate())
	opened, err := c.Open((&net.Dialer{}).DialContext)
	require.NoError(t, err)
	r.cluster = opened.(*cluster.Cluster)
	r.settle()
	r.Before(func(c clustertest.Call) *clustertest.Fault {
		if strings.HasSuffix(c.Group, ".toolkit.fluxcd.io") && c.Verb == "get" {
			r.reconcile()
		}
		return nil
	})
	return r
}

func (r *rig) reconcile() {
	for _, ref := range []cluster.Ref{theSource, theShop, theChart, {Kind: "ImageUpdateAutomation", Namespace: "flux-system", Name: "tags"}} {
		if r.Get(ref.Kind, ref.Namespace, ref.Name) == nil {
			continue
		}
		available := "none"
		if src := r.Get("GitRepository", "flux-system", "config"); src != nil {
			available = get(src.Object, "status", "artifact", "revision")
		}
		if ref == theChart {
			available = get(r.Get(ref.Kind, ref.Namespace, ref.Name).Object, "spec", "chart", "spec", "version")
		}
		r.Change(ref.Kind, ref.Namespace, ref.Name, func(o map[string]any) { r.standIn.step(o, available) })
	}
}

func (r *rig) settle() {
	for range 8 {
		r.reconcile()
	}
}

func (r *rig) change(ref cluster.Ref, change func(map[string]any)) {
	r.Change(ref.Kind, ref.Namespace, ref.Name, change)
}

func (r *rig) the(t *testing.T, ref cluster.Ref) fluxed {
	t.Helper()
	full, _ := cluster.FluxObject(ref.Kind, ref.Namespace, ref.Name)
	before := r.standIn.deaf
	r.standIn.deaf = true // a look of the test's own moves nothing
	defer func() { r.standIn.deaf = before }()
	f, err := read(t.Context(), r.cluster, full)
	require.NoError(t, err)
	return f
}

func (r *rig) env() actions.Env { return actiontest.Env(r.world()) }

func (r *rig) as(incident string) actions.Env {
	env := r.env()
	env.Incident, env.Key = incident, incident+"/step-1"
	return env
}

func (r *rig) world() *actiontest.World {
	return &actiontest.World{
		Connections: map[string]any{"kubernetes": r.cluster}, State: r.State, Canary: clustertest.Canary, Stall: r.Stall, Status: r.Status,
		Break: map[string]func(){
			"the API answers 500": func() { r.Status(500) },
			"the API answers 403": func() { r.Status(403) },
			"it cuts connections": func() { r.Before(func(clustertest.Call) *clustertest.Fault { return &clustertest.Fault{Cut: true} }) },
			"the object is gone":  func() { r.Remove("Kustomization", "flux-system", "shop") },
		},
	}
}

func decode[A actions.Action](t *testing.T, action A, parameters string) A {
	t.Helper()
	decoded, err := actiontest.Decode(func() actions.Action { return action }, parameters)
	require.NoError(t, err)
	require.NoError(t, decoded.Validate())
	return action
}

const it = `kind: Kustomization, namespace: flux-system, name: shop`

func suspend(t *testing.T, more string) *Suspend { return decode(t, &Suspend{}, "{"+it+more+"}") }
func resume(t *testing.T, more string) *Resume   { return decode(t, &Resume{}, "{"+it+more+"}") }
func reconcile(t *testing.T, more string) *Reconcile {
	return decode(t, &Reconcile{}, "{"+it+more+"}")
}

func fetch(t *testing.T, revision string) *Reconcile {
	return decode(t, &Reconcile{}, `{kind: GitRepository, namespace: flux-system, name: config, revision: "`+revision+`"}`)
}

func must[R any](r R, err error) func(*testing.T) R {
	return func(t *testing.T) R { t.Helper(); require.NoError(t, err); return r }
}

func TestContract(t *testing.T) {
	with := func(prepare func(*testing.T, *rig)) func(*testing.T) *actiontest.World {
		return func(t *testing.T) *actiontest.World {
			r := begin(t)
			prepare(t, r)
			r.settle()
			return r.world()
		}
	}
	temporary, permanent := []int{500, 503, 429}, []int{400, 403, 422}
	actiontest.Run(t, func() actions.Action { return &Suspend{} },
		actiontest.Case{Name: "a Kustomization", YAML: "{" + it + "}", World: with(func(*testing.T, *rig) {}), Temporary: temporary, Permanent: permanent})
	actiontest.Run(t, func() actions.Action { return &Reconcile{} },
		actiontest.Case{Name: "a Kustomization", YAML: "{" + it + ", revision: " + good + "}", Temporary: temporary, Permanent: permanent,
			World: with(func(t *testing.T, r *rig) {
				r.standIn.head = good
				must(fetch(t, good).Run(t.Context(), r.as("another")))(t)
			})})
	actiontest.Run(t, func() actions.Action { return &Resume{} },
		actiontest.Case{Name: "a Kustomization", YAML: "{" + it + ", not: " + bad + ", watch: 1ms}", Temporary: temporary, Permanent: permanent,
			World: with(func(t *testing.T, r *rig) {
				r.standIn.head = good
				must(fetch(t, good).Run(t.Context(), r.as("another")))(t)
				r.settle()
				must(suspend(t, "").Run(t.Context(), r.env()))(t)
			})})
}

// What a stranger wrote into a label goes nowhere but into a refusal.
func TestHostileInput(t *testing.T) {
	for _, text := range actiontest.Hostile() {
		for name, action := range map[string]actions.Action{
			"kind": &Suspend{Kind: text, Namespace: "flux-system", Object: "shop"}, "namespace": &Suspend{Kind: "Kustomization", Namespace: text, Object: "shop"},
			"name": &Suspend{Kind: "Kustomization", Namespace: "flux-system", Object: text}, "under": &Suspend{Kind: "Kustomization", Namespace: "flux-system", Object: "shop", Under: text},
			"revision": &Reconcile{Kind: "Kustomization", Namespace: "flux-system", Object: "shop", Revision: text},
			"not":      &Resume{Kind: "Kustomization", Namespace: "flux-system", Object: "shop", Not: text},
			"resume":   &Resume{Kind: "Kustomization", Namespace: text, Object: text},
		} {
			optional := name == "revision" || name == "not" || name == "under"
			if optional && (text == "" || commit.MatchString(text)) || !optional && name != "kind" && cluster.CheckName("", text) == nil {
				continue
			}
			err := action.Validate()
			require.Error(t, err, "%s %q", name, text)
			require.Less(t, len(err.Error()), 2000)
		}
	}
	for _, moves := range []string{"main", "HEAD", "main@sha1:" + good, ">=1.0.0", "12345"} {
		require.ErrorContains(t, (&Reconcile{Kind: "Kustomization", Namespace: "a", Object: "b", Revision: moves}).Validate(), "may move", moves)
	}
	require.ErrorContains(t, (&Reconcile{Kind: "Kustomization", Namespace: "a", Object: "b", Force: true}).Validate(), "for a HelmRelease alone")
	require.ErrorContains(t, (&Resume{Kind: "ImageUpdateAutomation", Namespace: "a", Object: "b", Not: good}).Validate(), "is at no revision")
	require.ErrorContains(t, (&Suspend{Kind: "Bucket", Namespace: "a", Object: "b"}).Validate(), "is not Kustomization, HelmRelease")
}

// A bad revision that was rendered to nothing is no leave to resume.
func TestResumeWantsToKnowTheBadRevision(t *testing.T) {
	none := actions.Duration(0)
	require.ErrorContains(t, (&Resume{Kind: "Kustomization", Namespace: "a", Object: "b", Revision: good}).Validate(), "not: without the bad revision")
	require.NoError(t, (&Resume{Kind: "Kustomization", Namespace: "a", Object: "b", Watch: &none}).Validate())
	require.NoError(t, (&Resume{Kind: "ImageUpdateAutomation", Namespace: "a", Object: "b"}).Validate())
}

func TestRevisions(t *testing.T) {
	for _, same := range [][2]string{{"main@sha1:" + good, good}, {"main@sha1:" + good, good[:7]}, {"refs/heads/main@sha1:" + good, good}, {"main/" + good, good},
		{"1.4.0", "1.4.0"}, {"1.4.0+" + good[:12], "1.4.0"}, {"1.4.0+" + good[:12], good}, {"6.1.0@sha256:" + good, good}, {"6.1.0@sha256:" + good, "6.1.0"}, {"v1.2.3", "v1.2.3"}} {
		require.True(t, is(same[0], same[1]), same)
	}
	for _, other := range [][2]string{{"main@sha1:" + good, bad}, {"", good}, {"main@sha1:" + good, ""}, {"1.4.0", "1.4"}, {"1.4.0", "1.4.1"}, {"1111111", "1.1.1"}, {"main", "main@sha1"}} {
		require.False(t, is(other[0], other[1]), other)
	}
}

// Each action works with the rights it names, and one less is an error that names it.
func TestAccess(t *testing.T) {
	for name, of := range map[string]func(*testing.T) actions.Action{
		"suspend":   func(t *testing.T) actions.Action { return suspend(t, "") },
		"reconcile": func(t *testing.T) actions.Action { return reconcile(t, ", revision: "+bad) },
		"resume":    func(t *testing.T) actions.Action { return resume(t, ", not: "+good+", watch: 1ms") },
	} {
		t.Run(name, func(t *testing.T) {
			r := begin(t)
			action := of(t)
			r.Only(action.(actions.Accessor).Access()...)
			env := r.env()
			env.Installation = "one"
			require.NoError(t, action.(actions.Readier).Ready(t.Context(), env))
			must(action.Plan(t.Context(), env))(t)
			must(action.Run(t.Context(), env))(t)
			r.Forbid("patch", "kustomizations")
			require.ErrorContains(t, action.(actions.Readier).Ready(t.Context(), env), "patch kustomizations.kustomize.toolkit.fluxcd.io shop")
			env.Installation = "two"
			_, err := action.Run(t.Context(), env)
			require.ErrorContains(t, err, `claimed by the installation "one"`)
		})
	}
}

// cut ends the context as soon as the action tells of something.
func cut(t *testing.T, env *actions.Env, of string) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	env.Progress = func(line string) {
		if strings.Contains(line, of) {
			cancel()
		}
	}
	return ctx
}
