package kubernetes

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/cluster/clustertest"
)

func TestHalt(t *testing.T) {
	actiontest.Run(t, func() actions.Action { return &Halt{} },
		actiontest.Case{
			Name: "a rollout in progress", YAML: "{" + apiRef + "}",
			World:     func(t *testing.T) *actiontest.World { return worldOf(t, shop(t)) },
			Temporary: []int{401, 429, 500, 503}, Permanent: []int{400, 403, 404, 422},
		},
		actiontest.Case{
			Name: "nothing rolls", YAML: "{" + apiRef + "}",
			World:     func(t *testing.T) *actiontest.World { s := shop(t); deploy(s, "1", ""); return worldOf(t, s) },
			Temporary: []int{429, 500, 503}, Permanent: []int{403, 404},
		})
}

// What a halt writes is one flag and a note of how it was; the plan shows the flag.
func TestHaltPauses(t *testing.T) {
	s := shop(t)
	env := envOf(t, s)
	change, err := halt(t).Plan(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, "halt Deployment shop/api: 1 of 3 pods have the new template", change.Summary)
	require.Equal(t, []string{"+ Deployment shop/api spec.paused: true"}, change.Diff)
	require.ErrorIs(t, halt(t).Verify(t.Context(), env), actions.ErrNotDone)
	did, err := halt(t).Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, HaltOutputs{Halted: true}, did.Outputs)
	require.Equal(t, "halted Deployment shop/api: 1 of 3 pods have the new template; `kubectl -n shop rollout resume deployment/api` lets it go on", did.Summary)
	require.True(t, paused(s))
	require.NoError(t, halt(t).Verify(t.Context(), env))
	again, err := halt(t).Plan(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, change.Found, again.Found, "what the step itself writes is no surprise")
	require.Equal(t, "halt Deployment shop/api: it is halted by an earlier step", again.Summary)
}

// Where nothing rolls there is nothing to halt, and no paused Deployment is left behind.
func TestHaltOfNothing(t *testing.T) {
	s := shop(t)
	deploy(s, "1", "")
	change, err := halt(t).Plan(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.Equal(t, "halt Deployment shop/api: nothing rolls: 3 of 3 pods have its template", change.Summary)
	did, err := halt(t).Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.Equal(t, HaltOutputs{}, did.Outputs)
	require.False(t, paused(s))
	require.Zero(t, writesTo(s, "deployments"))
}

// A person's pause is theirs: nothing is written, and undo does not end it unasked.
func TestPausedByAPerson(t *testing.T) {
	s := shop(t)
	pause(s, true)
	env := envOf(t, s)
	did, err := halt(t).Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, HaltOutputs{Paused: true}, did.Outputs)
	require.Equal(t, "halt Deployment shop/api: it is halted already, not by astern", did.Summary)
	require.Zero(t, writesTo(s, "deployments"))

	one := digestAt(t, "1")
	for _, err := range []error{second(undo(t, one).Plan(t.Context(), env)), second(undo(t, one).Run(t.Context(), env)), undo(t, one).Ready(t.Context(), env)} {
		require.ErrorContains(t, err, "it is paused, and not by astern: somebody has it in hand")
		require.True(t, actions.IsPermanent(err))
	}
	require.Zero(t, writesTo(s, "deployments"))
	require.True(t, paused(s))

	change, err := undo(t, one, ", resume: true").Plan(t.Context(), env)
	require.NoError(t, err)
	require.Contains(t, strings.Join(change.Diff, "\n"), "spec.paused: true")
	_, err = undo(t, one, ", resume: true").Run(t.Context(), env)
	require.NoError(t, err)
	require.False(t, paused(s))
}

func second[T any](_ T, err error) error { return err }

// A status that moves all the time keeps nobody from halting; another template does.
func TestHaltRaces(t *testing.T) {
	s := shop(t)
	moves := 3
	s.Before(func(c clustertest.Call) *clustertest.Fault {
		if c.Verb == "patch" && c.Resource == "deployments" && moves > 0 {
			moves--
			s.Change(deployment, "shop", "api", func(o map[string]any) { _ = unstructured.SetNestedField(o, int64(moves), "status", "collisionCount") })
		}
		return nil
	})
	_, err := halt(t).Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.True(t, paused(s))

	for _, when := range []string{"get", "patch"} { // between plan and run, and between reading and writing
		s = shop(t)
		h, env := halt(t), envOf(t, s)
		_, err = h.Plan(t.Context(), env)
		require.NoError(t, err)
		deployed := false
		s.Before(func(c clustertest.Call) *clustertest.Fault {
			if c.Verb == when && c.Resource == "deployments" && !deployed {
				deployed = true
				deploy(s, "3-broken", "")
			}
			return nil
		})
		_, err = h.Run(t.Context(), env)
		require.ErrorContains(t, err, "another template was set since the plan was made")
		require.True(t, actions.IsPermanent(err))
		require.False(t, paused(s))
	}
}

// The record of a halt follows a template that was set while it was halted, and never becomes its own before-image.
func TestHaltAgain(t *testing.T) {
	s := shop(t)
	env := envOf(t, s)
	_, err := halt(t).Run(t.Context(), env)
	require.NoError(t, err)
	deploy(s, "3-broken", "")
	did, err := halt(t).Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, HaltOutputs{Halted: true}, did.Outputs)
	_, err = undo(t, digestAt(t, "1")).Run(t.Context(), env)
	require.NoError(t, err)
	require.False(t, paused(s))
	require.NotContains(t, s.Get(deployment, "shop", "api").GetAnnotations(), haltedKey)
}

const inOrder = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop, generation: 4}
spec:
  replicas: 3
  selector: {matchLabels: {app: db}}
  serviceName: db
  updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 1, maxUnavailable: 1}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: db, image: "registry.example/db:2"}]}}
status: {observedGeneration: 4, replicas: 3, readyReplicas: 2, currentReplicas: 2, updatedReplicas: 1, currentRevision: db-1, updateRevision: db-2}
`

const onNodes = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: shop, generation: 2}
spec:
  selector: {matchLabels: {app: agent}}
  updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 1, maxSurge: 0}}
  template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: agent, image: "registry.example/agent:2"}]}}
status: {observedGeneration: 2, desiredNumberScheduled: 3, currentNumberScheduled: 3, updatedNumberScheduled: 1, numberReady: 2}
`

// observed makes the controller see at once what is written.
func observed(s *clustertest.Server, kind, name string) {
	s.Before(func(c clustertest.Call) *clustertest.Fault {
		if c.Verb == "get" && c.Name == name {
			s.Change(kind, "shop", name, func(o map[string]any) {
				generation, _, _ := unstructured.NestedInt64(o, "metadata", "generation")
				_ = unstructured.SetNestedField(o, generation, "status", "observedGeneration")
			})
		}
		return nil
	})
}

// Each kind is halted by what certainly halts it, and the strategy of before is kept whole.
func TestHaltStrategies(t *testing.T) {
	for _, c := range []struct {
		kind, name, manifest, diff string
		outputs                    HaltOutputs
	}{
		{statefulSet, "db", inOrder, "~ StatefulSet shop/db spec.updateStrategy.rollingUpdate.partition: 1 -> 2147483647", HaltOutputs{Strategy: rollingUpdate, Partition: 1, Halted: true}},
		{daemonSet, "agent", onNodes, `~ DaemonSet shop/agent spec.updateStrategy.type: "RollingUpdate" -> "OnDelete"`, HaltOutputs{Strategy: rollingUpdate, Halted: true}},
	} {
		s := clustertest.New(t)
		s.Add(c.manifest)
		observed(s, c.kind, c.name)
		before, _, _ := unstructured.NestedMap(s.Get(c.kind, "shop", c.name).Object, "spec", "updateStrategy")
		parameters := "{kind: " + c.kind + ", namespace: shop, name: " + c.name + "}"
		change, err := do(t, &Halt{}, parameters).Plan(t.Context(), envOf(t, s))
		require.NoError(t, err)
		require.Contains(t, change.Diff, c.diff)
		did, err := do(t, &Halt{}, parameters).Run(t.Context(), envOf(t, s))
		require.NoError(t, err)
		require.Equal(t, c.outputs, did.Outputs)
		r := rollout{do(t, &Halt{}, parameters).ref(), s.Get(c.kind, "shop", c.name)}
		record, ours := r.halted()
		require.True(t, ours)
		require.True(t, r.halts(r.pace()))
		require.True(t, record.Was.same(pace{Strategy: before}), "%v", record.Was)
		require.True(t, r.usual().same(record.Was))
		did, err = do(t, &Halt{}, parameters).Run(t.Context(), envOf(t, s))
		require.NoError(t, err)
		c.outputs.Halted = false
		require.Equal(t, c.outputs, did.Outputs, "the second time says the same of before")
		require.Equal(t, 1, writesTo(s, map[string]string{statefulSet: "statefulsets", daemonSet: "daemonsets"}[c.kind]))
	}
}

// What would undo the halt must be paused by then, or nothing is written.
func TestHaltUnderGitOps(t *testing.T) {
	s := shop(t)
	s.Add(application)
	owned(s)
	env := envOf(t, s)
	_, err := halt(t).Plan(t.Context(), env)
	require.ErrorContains(t, err, "under: argocd/argocd/shop")
	named := halt(t, ", under: argocd/argocd/shop")
	_, err = named.Plan(t.Context(), env)
	require.NoError(t, err, "an earlier step pauses it")
	_, err = named.Run(t.Context(), env)
	require.ErrorContains(t, err, "nothing is written while it is not paused")
	require.True(t, actions.IsPermanent(err))
	require.Empty(t, s.Writes())
	s.Change("Application", "argocd", "shop", func(o map[string]any) { unstructured.RemoveNestedField(o, "spec", "syncPolicy") })
	_, err = halt(t, ", under: argocd/argocd/shop").Run(t.Context(), env)
	require.NoError(t, err)
	require.True(t, paused(s))
}

const application = `
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: argocd}
spec: {source: {repoURL: "https://git.example/shop", path: ., targetRevision: main}, destination: {namespace: shop}, syncPolicy: {automated: {selfHeal: true}}}
`

func owned(s *clustertest.Server) {
	s.Change(deployment, "shop", "api", func(o map[string]any) {
		_ = unstructured.SetNestedField(o, "shop:apps/Deployment:shop/api", "metadata", "annotations", "argocd.argoproj.io/tracking-id")
	})
}

// Two installations that share a Deployment find each other before the first write.
func TestHaltClaims(t *testing.T) {
	s := shop(t)
	first, other := envOf(t, s), envOf(t, s)
	first.Installation, other.Installation = "one", "other"
	_, err := halt(t).Run(t.Context(), first)
	require.NoError(t, err)
	require.Len(t, s.All("Lease", "shop", ""), 1)
	_, err = undo(t, digestAt(t, "1")).Run(t.Context(), other)
	require.ErrorContains(t, err, `claimed by the installation "one"`)
	require.True(t, paused(s))
}

func TestHaltRights(t *testing.T) {
	s := shop(t)
	s.Only(halt(t).Access()...)
	require.NoError(t, halt(t).Ready(t.Context(), envOf(t, s)))
	_, err := halt(t).Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	s.Forbid("patch", "deployments")
	require.ErrorContains(t, halt(t).Ready(t.Context(), envOf(t, s)), "patch deployments.apps api in namespace shop")
}

func TestRolloutNames(t *testing.T) {
	for parameters, why := range map[string]string{
		"{kind: Pod, namespace: shop, name: api}":                         "kind: \"Pod\" rolls out nothing",
		"{kind: Deployment, namespace: ../kube, name: api}":               "namespace:",
		"{kind: Deployment, namespace: shop, name: a/b}":                  "name:",
		"{kind: Deployment, namespace: shop, name: api, under: somebody}": "under:",
	} {
		action, err := actiontest.Decode(func() actions.Action { return &Halt{} }, parameters)
		require.NoError(t, err)
		require.ErrorContains(t, action.Validate(), why)
	}
	for _, hostile := range actiontest.Hostile() {
		if len(validation.IsDNS1123Subdomain(hostile)) > 0 {
			require.Error(t, (&Halt{Kind: deployment, Namespace: "shop", Object: hostile}).Validate(), "%q", hostile)
		}
		require.Error(t, (&Undo{Kind: deployment, Namespace: hostile, Object: "api", To: "sha256:" + hostile}).Validate(), "%q", hostile)
	}
}
