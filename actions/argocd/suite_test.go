package argocd

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

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

	shopProject = `
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: shop, namespace: argocd}
spec: {destinations: [{namespace: shop, server: "https://kubernetes.default.svc"}], syncWindows: [{kind: deny, schedule: "0 3 * * *", duration: 10m, applications: [other]}]}
`
	shop = `
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: argocd}
spec:
  project: shop
  source: {repoURL: "https://git.example/config", path: shop, targetRevision: main}
  destination: {namespace: shop, server: "https://kubernetes.default.svc"}
  syncPolicy: {automated: {prune: true, selfHeal: true}, syncOptions: [ServerSideApply=true]}
`
)

// rig is an API server with Argo CD's stand-in, which acts whenever an Application is read.
type rig struct {
	*clustertest.Server
	standIn *standIn
	cluster *cluster.Cluster
}

// begin has the Application shop at the bad revision, which the branch has, after it was at the good one.
func begin(t *testing.T, manifests ...string) *rig {
	t.Helper()
	s := clustertest.New(t)
	r := &rig{Server: s, standIn: &standIn{head: good, now: time.Now}}
	s.Add("{apiVersion: v1, kind: Namespace, metadata: {name: argocd}}\n---\n" + shopProject)
	if len(manifests) == 0 {
		manifests = []string{shop}
	}
	for _, m := range manifests {
		s.Add(m)
	}
	c := &cluster.Connection{Kubeconfig: s.Kubeconfig(t)}
	require.NoError(t, c.Validate())
	opened, err := c.Open((&net.Dialer{}).DialContext)
	require.NoError(t, err)
	r.cluster = opened.(*cluster.Cluster)
	r.settle()
	r.standIn.head = bad
	r.change(func(o map[string]any) { set(o, "normal", "metadata", "annotations", refreshKey) })
	r.settle()
	s.Before(func(c clustertest.Call) *clustertest.Fault {
		if c.Resource == "applications" && c.Verb == "get" && c.Name == "shop" {
			r.reconcile()
		}
		return nil
	})
	return r
}

func (r *rig) reconcile() {
	if r.Get("Application", "argocd", "shop") == nil {
		return
	}
	r.standIn.windows = cluster.Windows(r.Get("AppProject", "argocd", "shop"))
	r.change(r.standIn.step)
}

func (r *rig) settle() {
	for range 8 {
		r.reconcile()
	}
}

func (r *rig) change(change func(map[string]any)) { r.Change("Application", "argocd", "shop", change) }

func (r *rig) app(t *testing.T) application {
	t.Helper()
	app, err := parse(r.Get("Application", "argocd", "shop"))
	require.NoError(t, err)
	return app
}

func (r *rig) automated(t *testing.T) map[string]any { return r.app(t).Spec.SyncPolicy.Automated }

func (r *rig) env() actions.Env { return actiontest.Env(r.world(nil)) }

// as is the env of another incident.
func (r *rig) as(incident string) actions.Env {
	env := r.env()
	env.Incident, env.Key = incident, incident+"/step-1"
	return env
}

func (r *rig) world(t *testing.T) *actiontest.World {
	return &actiontest.World{
		Connections: map[string]any{"kubernetes": r.cluster}, State: r.State, Canary: clustertest.Canary,
		Stall: r.Stall, Status: r.Status,
		Break: map[string]func(){
			"the API answers 500":     func() { r.Status(500) },
			"the API answers 403":     func() { r.Status(403) },
			"it cuts connections":     func() { r.Before(func(clustertest.Call) *clustertest.Fault { return &clustertest.Fault{Cut: true} }) },
			"the Application is gone": func() { r.Remove("Application", "argocd", "shop") },
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

const app = `namespace: argocd, application: shop`

func pause(t *testing.T, more string) *Pause { return decode(t, &Pause{}, "{"+app+more+"}") }

func syncTo(t *testing.T, revision, more string) *Sync {
	return decode(t, &Sync{}, "{"+app+", revision: "+`"`+revision+`"`+more+"}")
}

func resume(t *testing.T, more string) *Resume { return decode(t, &Resume{}, "{"+app+more+"}") }

func must[R any](r R, err error) func(*testing.T) R {
	return func(t *testing.T) R { t.Helper(); require.NoError(t, err); return r }
}

func TestContract(t *testing.T) {
	with := func(prepare func(*testing.T, *rig)) func(*testing.T) *actiontest.World {
		return func(t *testing.T) *actiontest.World {
			r := begin(t)
			prepare(t, r)
			r.settle()
			return r.world(t)
		}
	}
	temporary, permanent := []int{500, 503, 429}, []int{400, 403, 422}
	actiontest.Run(t, func() actions.Action { return &Pause{} },
		actiontest.Case{Name: "policy", YAML: "{" + app + "}", World: with(func(*testing.T, *rig) {}), Temporary: temporary, Permanent: permanent},
		actiontest.Case{Name: "window", YAML: "{" + app + ", window: {project: shop, for: 2h}}", World: with(func(*testing.T, *rig) {}), Temporary: temporary, Permanent: permanent},
	)
	paused := func(t *testing.T, r *rig) { must(pause(t, "").Run(t.Context(), r.env()))(t) }
	actiontest.Run(t, func() actions.Action { return &Sync{} },
		actiontest.Case{Name: "hooks", YAML: "{" + app + ", revision: " + good + `, hooks: true, prune: true}`, World: with(paused), Temporary: temporary, Permanent: permanent},
		actiontest.Case{Name: "history", YAML: "{" + app + ", revision: " + good + `, history: true}`, World: with(paused), Temporary: temporary, Permanent: permanent})
	actiontest.Run(t, func() actions.Action { return &Resume{} },
		actiontest.Case{Name: "policy", YAML: "{" + app + ", not: " + bad + ", watch: 1ms}", Temporary: temporary, Permanent: permanent,
			World: with(func(t *testing.T, r *rig) {
				paused(t, r)
				must(syncTo(t, good, "").Run(t.Context(), r.env()))(t)
				r.standIn.head = good
				r.change(func(o map[string]any) { set(o, "now", "metadata", "annotations", refreshKey) })
			})})
}

// What a stranger wrote into a label goes nowhere but into a refusal.
func TestHostileInput(t *testing.T) {
	for _, text := range actiontest.Hostile() {
		for name, action := range map[string]actions.Action{
			"namespace": &Pause{Namespace: text, Application: "shop"}, "application": &Pause{Namespace: "argocd", Application: text},
			"window": &Pause{Namespace: "argocd", Application: "shop", Window: &Window{Project: text, For: actions.Duration(time.Hour)}},
			"sync":   &Sync{Namespace: text, Application: text, Revision: good}, "revision": &Sync{Namespace: "argocd", Application: "shop", Revision: text},
			"not": &Resume{Namespace: "argocd", Application: "shop", Not: text}, "resume": &Resume{Namespace: text, Application: "shop"},
		} {
			if text == "" && name == "not" || harmless(name, text) {
				continue
			}
			err := action.Validate()
			require.Error(t, err, "%s %q", name, text)
			require.Less(t, len(err.Error()), 2000)
		}
	}
	for _, moves := range []string{"main", "HEAD", "v1.*", ">=1.0.0", "1.2", "refs/heads/main", "12345"} {
		require.ErrorContains(t, (&Sync{Namespace: "argocd", Application: "shop", Revision: moves}).Validate(), "may move", moves)
	}
	for _, stays := range []string{good, good[:7], "1.2.3", "v1.2.3-rc.1+build.5"} {
		require.NoError(t, (&Sync{Namespace: "argocd", Application: "shop", Revision: stays}).Validate())
	}
}

// A bad revision that was rendered to nothing is no leave to resume.
func TestResumeWantsToKnowTheBadRevision(t *testing.T) {
	minute, none, long := actions.Duration(time.Minute), actions.Duration(0), actions.Duration(2*time.Hour)
	for _, watch := range []*actions.Duration{nil, &minute} {
		require.ErrorContains(t, (&Resume{Namespace: "argocd", Application: "shop", Revision: good, Watch: watch}).Validate(), "not: without the bad revision")
	}
	require.NoError(t, (&Resume{Namespace: "argocd", Application: "shop", Watch: &none}).Validate())
	require.ErrorContains(t, (&Resume{Namespace: "argocd", Application: "shop", Not: bad, Watch: &long}).Validate(), "watch: must be")
}

// harmless says that the text is a name, or a commit, whatever else it may look like.
func harmless(field, text string) bool {
	if field == "revision" || field == "not" {
		return commit.MatchString(text)
	}
	return cluster.CheckName("", text) == nil
}

// Each action works with the rights it names, and one less is an error that names it.
func TestAccess(t *testing.T) {
	window := ", window: {project: shop, for: 2h}"
	for name, of := range map[string]func(*testing.T) actions.Action{
		"pause": func(t *testing.T) actions.Action { return pause(t, "") }, "window": func(t *testing.T) actions.Action { return pause(t, window) },
		"sync":   func(t *testing.T) actions.Action { return syncTo(t, good, "") },
		"resume": func(t *testing.T) actions.Action { return resume(t, ", not: "+good+", watch: 1ms") },
	} {
		t.Run(name, func(t *testing.T) {
			r := begin(t)
			if name == "sync" {
				must(pause(t, "").Run(t.Context(), r.env()))(t)
			}
			action := of(t)
			rights := action.(actions.Accessor).Access()
			r.Only(rights...)
			env := r.env()
			env.Installation = "one"
			require.NoError(t, action.(actions.Readier).Ready(t.Context(), env))
			must(action.Run(t.Context(), env))(t)
			r.Forbid("patch", "applications")
			err := action.(actions.Readier).Ready(t.Context(), env)
			require.ErrorContains(t, err, "patch applications.argoproj.io shop")
		})
	}
}

func TestAnotherInstallationIsRefused(t *testing.T) {
	r := begin(t)
	env := r.env()
	env.Installation = "one"
	must(pause(t, "").Run(t.Context(), env))(t)
	env.Installation = "two"
	for _, action := range []actions.Action{pause(t, ""), syncTo(t, good, ""), resume(t, ", watch: 0s")} {
		_, err := action.Run(t.Context(), env)
		require.ErrorContains(t, err, `claimed by the installation "one"`)
		require.True(t, actions.IsPermanent(err))
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
