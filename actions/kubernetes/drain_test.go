package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/cluster/clustertest"
)

const drainGreen = `{kind: Deployment, namespace: shop, name: api-green, service: api, within: 1s}`

// left is the world of colours after the switch: blue serves, green has three pods that nobody asks.
func left(t testing.TB) *clustertest.Server {
	t.Helper()
	s := colours(t)
	changeService(s, map[string]any{"app": "api", "track": "blue"}, "spec", "selector")
	return s
}

func newDrain() actions.Action { return &Drain{} }

func drainOf(t testing.TB, parameters string) *Drain {
	t.Helper()
	action, err := actiontest.Decode(newDrain, parameters)
	require.NoError(t, err)
	require.NoError(t, action.Validate())
	d := action.(*Drain)
	d.period = 20 * time.Millisecond
	return d
}

func replicasOf(s *clustertest.Server, name string) int64 {
	n, _, _ := unstructured.NestedInt64(s.Get(deployment, "shop", name).Object, "spec", "replicas")
	return n
}

// graceful makes pods of green end when the test says so, with a grace period of their own.
func graceful(s *clustertest.Server, name string, seconds int64) {
	s.Change(deployment, "shop", name, func(o map[string]any) {
		_ = unstructured.SetNestedField(o, "true", "spec", "template", "metadata", "annotations", "clustertest/lingers")
		_ = unstructured.SetNestedField(o, seconds, "spec", "template", "spec", "terminationGracePeriodSeconds")
	})
}

func TestDrain(t *testing.T) {
	world := func(t *testing.T) *actiontest.World { return worldOf(t, left(t)) }
	actiontest.Run(t, newDrain,
		actiontest.Case{Name: "green", YAML: drainGreen, World: world, Temporary: []int{429, 500, 503}, Permanent: []int{403}},
		actiontest.Case{Name: "a StatefulSet", YAML: `{kind: StatefulSet, namespace: shop, name: db-green, service: api, within: 1s}`, Temporary: []int{500}, Permanent: []int{403},
			World: func(t *testing.T) *actiontest.World {
				s := left(t)
				s.Add(greenSet)
				return worldOf(t, s)
			}},
	)
}

const greenSet = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db-green, namespace: shop}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: app, image: "registry.example/db:1"}]}}
`

func TestADrainEndsThePods(t *testing.T) {
	s := left(t)
	graceful(s, "api-green", 30)
	s.EndPods("shop")
	d, env := drainOf(t, drainGreen), envOf(t, s)
	change, err := d.Plan(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, "drain Deployment shop/api-green: 3 pods end within 30s", change.Summary)
	require.Equal(t, "~ Deployment shop/api-green spec.replicas: 3 -> 0", change.Diff[0])
	require.Contains(t, change.Diff, "= pods get 30s to end once they are told to")
	require.Contains(t, strings.Join(change.Diff, "\n"), "= pod api-green-")
	require.ErrorIs(t, d.Verify(t.Context(), env), actions.ErrNotDone)

	var told []string
	env.Progress = func(line string) {
		told = append(told, line)
		require.ErrorContains(t, drainOf(t, drainGreen).Verify(t.Context(), env), "3 pods left", "its own count is 0, yet the pods are there")
		s.EndPods("shop")
	}
	did, err := d.Run(t.Context(), env)
	require.NoError(t, err)
	require.Len(t, told, 1)
	require.Equal(t, DrainOutputs{Replicas: 3}, did.Outputs)
	require.Equal(t, []string{"patch deployments/scale shop/api-green"}, s.Writes())
	require.Zero(t, replicasOf(s, "api-green"))
	require.NoError(t, d.Verify(t.Context(), env))
}

// A drain that would harm who is served is refused, and nothing is written.
func TestADrainIsRefused(t *testing.T) {
	add := func(text string) func(*clustertest.Server) { return func(s *clustertest.Server) { s.Add(text) } }
	const budget = `{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: api, namespace: shop}, spec: {%s: %s, selector: {matchLabels: {app: api}}}}`
	for why, c := range map[string]struct {
		prepare func(s *clustertest.Server)
		// late: it is refused when it runs, not in the plan.
		late, permanent bool
	}{
		"still chooses its pods (app=api,track=green)": {late: true, prepare: func(s *clustertest.Server) {
			changeService(s, map[string]any{"app": "api", "track": "green"}, "spec", "selector")
		}},
		"its endpoints have not followed the switch yet": {late: true, prepare: func(s *clustertest.Server) {
			pod := s.All("Pod", "shop", "track=green")[0]
			s.Add(fmt.Sprintf(`{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: lagging, namespace: shop, labels: {kubernetes.io/service-name: api}}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1], targetRef: {kind: Pod, name: %s, uid: %s}}]}`, pod.GetName(), pod.GetUID()))
		}},
		"leads to no other pod":                        {late: true, prepare: func(s *clustertest.Server) { scaledAt(s, "api-blue", 0) }},
		"Service shop/admin would lose its last ready": {prepare: add(`{apiVersion: v1, kind: Service, metadata: {name: admin, namespace: shop}, spec: {selector: {track: green}}}`)},
		"wants 4 healthy pods, 3 of 3 others are left": {prepare: add(fmt.Sprintf(budget, "minAvailable", "4"))},
		"wants 3 healthy pods, 2 of 3 others are left": {prepare: func(s *clustertest.Server) {
			s.Add(fmt.Sprintf(budget, "minAvailable", `"80%"`))
			unready(s, "track=blue")
		}},
		"wants 3 healthy pods, 2 of 3 others are left ": {prepare: func(s *clustertest.Server) {
			s.Add(fmt.Sprintf(budget, "maxUnavailable", "0"))
			unready(s, "track=blue")
		}},
		`"api" not found`:       {permanent: false, prepare: func(s *clustertest.Server) { s.Remove("Service", "shop", "api") }},
		`"api-green" not found`: {permanent: true, prepare: func(s *clustertest.Server) { s.Remove(deployment, "shop", "api-green") }},
	} {
		t.Run(why, func(t *testing.T) {
			s := left(t)
			c.prepare(s)
			env := envOf(t, s)
			_, planned := drainOf(t, drainGreen).Plan(t.Context(), env)
			_, ran := drainOf(t, drainGreen).Run(t.Context(), env)
			refused := []error{planned, ran}
			if c.late {
				require.NoError(t, planned)
				refused = refused[1:]
			}
			for _, err := range refused {
				require.ErrorContains(t, err, strings.TrimSpace(why))
				require.Equal(t, c.permanent, actions.IsPermanent(err), "%v", err)
			}
			require.Empty(t, s.Writes())
			require.NotContains(t, s.State(), "deletionTimestamp")
		})
	}
}

// unready makes one of the pods unready.
func unready(s *clustertest.Server, selector string) {
	s.Change("Pod", "shop", s.All("Pod", "shop", selector)[0].GetName(), func(o map[string]any) {
		_ = unstructured.SetNestedSlice(o, []any{map[string]any{"type": "Ready", "status": "False"}}, "status", "conditions")
	})
}

// Who only seems to count on the pods is shown, and does not stop the drain.
func TestADrainShowsWhoCountsOnThePods(t *testing.T) {
	for line, manifest := range map[string]string{
		"= Service shop/preview is for these pods: it is left with 0 pods":                                         `{apiVersion: v1, kind: Service, metadata: {name: preview, namespace: shop}, spec: {selector: {track: green}}}`,
		"= Service shop/all chooses these pods, too: it is left with 3 pods":                                       `{apiVersion: v1, kind: Service, metadata: {name: all, namespace: shop}, spec: {selector: {app: api}}}`,
		"= PodDisruptionBudget shop/api is kept: 3 of 3 other pods are healthy, it wants 3":                        `{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: api, namespace: shop}, spec: {minAvailable: 3, selector: {matchLabels: {app: api}}}}`,
		"= PodDisruptionBudget shop/green protects these pods alone, which serve nothing; scaling does not ask it": `{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: green, namespace: shop}, spec: {minAvailable: 3, selector: {matchLabels: {track: green}}}}`,
		"= HorizontalPodAutoscaler shop/green (1 to 9 replicas) rests while there are 0":                           `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: green, namespace: shop}, spec: {maxReplicas: 9, scaleTargetRef: {kind: Deployment, name: api-green}}}`,
		"= before that, established connections have 1m10s more: the pods' own time is shorter than 1m40s":         "",
		"= pods get 30s to end once they are told to, their preStop hook included (sleep 15s)":                     "preStop",
	} {
		s := left(t)
		switch manifest {
		case "":
		case "preStop":
			s.Change(deployment, "shop", "api-green", func(o map[string]any) {
				_ = unstructured.SetNestedSlice(o, []any{map[string]any{"name": "app", "image": "a", "ports": []any{map[string]any{"name": "http", "containerPort": int64(8080)}},
					"lifecycle": map[string]any{"preStop": map[string]any{"sleep": map[string]any{"seconds": int64(15)}}}}}, "spec", "template", "spec", "containers")
			})
		default:
			s.Add(manifest)
		}
		change, err := drainOf(t, `{kind: Deployment, namespace: shop, name: api-green, service: api, preview: [preview], within: 1m40s}`).Plan(t.Context(), envOf(t, s))
		require.NoError(t, err, line)
		require.Contains(t, change.Diff, line)
	}
}

func TestVolumesOutliveADrain(t *testing.T) {
	s := left(t)
	s.Add(strings.Replace(greenSet, "replicas: 2", "replicas: 2\n  persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}", 1))
	_, err := drainOf(t, `{kind: StatefulSet, namespace: shop, name: db-green, service: api}`).Run(t.Context(), envOf(t, s))
	require.ErrorContains(t, err, "its volumes would be deleted")
	require.True(t, actions.IsPermanent(err))
	require.Empty(t, s.Writes())
}

func TestADrainUnderAnOwner(t *testing.T) {
	s := left(t)
	s.Change(deployment, "shop", "api-green", func(o map[string]any) {
		_ = unstructured.SetNestedField(o, "shop:apps/Deployment:shop/api-green", "metadata", "annotations", "argocd.argoproj.io/tracking-id")
	})
	s.Add(`{apiVersion: v1, kind: Namespace, metadata: {name: argocd}}` + "\n---\n" +
		`{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: shop, namespace: argocd}, spec: {destination: {namespace: shop}, syncPolicy: {automated: {selfHeal: true}}}, status: {resources: [{group: apps, kind: Deployment, version: v1, namespace: shop, name: api-green}]}}`)
	_, err := drainOf(t, drainGreen).Plan(t.Context(), envOf(t, s))
	require.ErrorContains(t, err, "argocd/pause")
	under := drainOf(t, strings.Replace(drainGreen, "}", ", under: argocd/argocd/shop}", 1))
	_, err = under.Plan(t.Context(), envOf(t, s))
	require.NoError(t, err)
	_, err = under.Run(t.Context(), envOf(t, s))
	require.ErrorContains(t, err, "not paused")
	require.Empty(t, s.Writes())
}

// Two installations of astern do not drain one side at once.
func TestADrainThatAnotherInstallationHas(t *testing.T) {
	s := left(t)
	east, west := envOf(t, s), envOf(t, s)
	east.Installation, west.Installation = "east", "west"
	graceful(s, "api-green", 30)
	s.EndPods("shop")
	east.Progress = func(string) {
		_, err := drainOf(t, drainGreen).Run(t.Context(), west)
		require.ErrorContains(t, err, `claimed by the installation "east"`)
		s.EndPods("shop")
	}
	_, err := drainOf(t, drainGreen).Run(t.Context(), east)
	require.NoError(t, err)
}

// A 0 that the controller has not seen ends no pod.
func TestADrainThatTheControllerHasNotSeen(t *testing.T) {
	s := clustertest.New(t)
	s.Add(strings.Replace(trackAt("green", "a", 0), "spec:", "status: {observedGeneration: 0}\nspec:", 1))
	err := drainOf(t, drainGreen).Verify(t.Context(), envOf(t, s))
	require.ErrorContains(t, err, "has not seen the 0 replicas")
	require.ErrorIs(t, err, actions.ErrNotDone)
}

// A StatefulSet ends its pods one after the other.
func TestADrainOfAStatefulSetTakesLonger(t *testing.T) {
	s := left(t)
	s.Add(greenSet)
	parameters := `{kind: StatefulSet, namespace: shop, name: db-green, service: api}`
	change, err := drainOf(t, parameters).Plan(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.Equal(t, "drain StatefulSet shop/db-green: 2 pods end within 1m0s", change.Summary)
	s.Change(statefulSet, "shop", "db-green", func(o map[string]any) { _ = unstructured.SetNestedField(o, "Parallel", "spec", "podManagementPolicy") })
	change, err = drainOf(t, parameters).Plan(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.Equal(t, "drain StatefulSet shop/db-green: 2 pods end within 30s", change.Summary)
}

// Between the last reading and the write the world may move: what was read is written to, or nothing.
func TestADrainThatIsOvertaken(t *testing.T) {
	for name, c := range map[string]struct {
		rival func(s *clustertest.Server)
		why   string
	}{
		"another version": {func(s *clustertest.Server) { labelled(s, "api-green", "version", "3") }, "another version was put into it"},
		"another object": {func(s *clustertest.Server) {
			s.Remove(deployment, "shop", "api-green")
			s.Add(trackAt("green", "registry.example/api:9", 3))
		}, "it was replaced"},
		"the traffic comes back": {func(s *clustertest.Server) {
			changeService(s, map[string]any{"app": "api", "track": "green"}, "spec", "selector")
			s.Change(deployment, "shop", "api-green", func(o map[string]any) { _ = unstructured.SetNestedField(o, "x", "metadata", "labels", "note") })
		}, "still chooses its pods"},
	} {
		t.Run(name, func(t *testing.T) {
			s := left(t)
			d, env := drainOf(t, drainGreen), envOf(t, s)
			_, err := d.Plan(t.Context(), env)
			require.NoError(t, err)
			done := false
			s.Before(func(call clustertest.Call) *clustertest.Fault {
				if call.Resource == "deployments/scale" && !done {
					done = true
					c.rival(s)
				}
				return nil
			})
			_, err = d.Run(t.Context(), env)
			require.ErrorContains(t, err, c.why)
			require.Empty(t, s.Writes())
		})
	}
}

func TestWhatADrainFinds(t *testing.T) {
	s := left(t)
	found := func() string {
		change, err := drainOf(t, drainGreen).Plan(t.Context(), envOf(t, s))
		require.NoError(t, err)
		return change.Found
	}
	first := found()
	changeService(s, map[string]any{"app": "api", "track": "green"}, "spec", "selector")
	scaledAt(s, "api-green", 5)
	s.Change(deployment, "shop", "api-green", func(o map[string]any) { _ = unstructured.SetNestedField(o, "x", "metadata", "annotations", "note") })
	require.Equal(t, first, found(), "an earlier step switches, an autoscaler scales")
	labelled(s, "api-green", "version", "3")
	version := found()
	require.NotEqual(t, first, version, "another version")
	same := s.Get(deployment, "shop", "api-green").Object
	s.Remove(deployment, "shop", "api-green")
	unstructured.RemoveNestedField(same, "metadata", "uid")
	raw, err := json.Marshal(same)
	require.NoError(t, err)
	s.Add(string(raw))
	require.NotEqual(t, version, found(), "another object of the name")
}

// Connections have the whole time even where the pods' own is shorter: the rest goes by before the pods are told to end.
func TestADrainGivesConnectionsTheirTime(t *testing.T) {
	s := left(t)
	graceful(s, "api-green", 10)
	s.EndPods("shop")
	d, env := drainOf(t, `{kind: Deployment, namespace: shop, name: api-green, service: api, within: 30s}`), envOf(t, s)
	began := env.Now()
	now := began
	env.Now = func() time.Time { return now }
	ctx, cancel := context.WithCancel(t.Context())
	env.Progress = func(line string) {
		require.Equal(t, "Deployment shop/api-green: established connections have 20s before its pods are told to end", line)
		require.EqualValues(t, 3, replicasOf(s, "api-green"))
		cancel()
	}
	_, err := d.Run(ctx, env)
	require.ErrorIs(t, err, context.Canceled)
	require.EqualValues(t, 3, replicasOf(s, "api-green"), "time has not gone by")

	env.Progress = func(line string) {
		now = now.Add(20 * time.Second)
		s.EndPods("shop")
	}
	_, err = d.Run(t.Context(), env)
	require.NoError(t, err)
	require.Zero(t, replicasOf(s, "api-green"))
}

// A pod that does not end is said, by name, when its time is over.
func TestADrainThatDoesNotEnd(t *testing.T) {
	s := left(t)
	graceful(s, "api-green", 30)
	s.EndPods("shop")
	d, env := drainOf(t, drainGreen), envOf(t, s)
	now := env.Now()
	env.Now = func() time.Time { return now }
	env.Progress = func(string) { now = now.Add(31 * time.Second) }
	_, err := d.Run(t.Context(), env)
	require.ErrorContains(t, err, "3 pods left (api-green-")
	require.ErrorContains(t, err, "their time is over")
	require.False(t, actions.IsPermanent(err))
	s.EndPods("shop")
	did, err := drainOf(t, drainGreen).Run(t.Context(), env)
	require.NoError(t, err)
	require.Len(t, s.Writes(), 1, "a second attempt goes on waiting")
	require.Zero(t, did.Outputs.(DrainOutputs).Replicas)
}

func TestTheRightsOfADrain(t *testing.T) {
	rights := drainOf(t, drainGreen).Access()
	s := left(t)
	s.Only(rights...)
	env := envOf(t, s)
	env.Installation = "west"
	require.NoError(t, drainOf(t, drainGreen).Ready(t.Context(), env))
	_, err := drainOf(t, drainGreen).Plan(t.Context(), env)
	require.NoError(t, err)
	_, err = drainOf(t, drainGreen).Run(t.Context(), env)
	require.NoError(t, err)
	for _, right := range []struct{ verb, resource, says string }{
		{"patch", "deployments/scale", "deployments/scale"}, {"list", "horizontalpodautoscalers", "horizontalpodautoscalers"}, {"list", "poddisruptionbudgets", "poddisruptionbudgets"},
	} {
		s := left(t)
		s.Forbid(right.verb, right.resource)
		_, err := drainOf(t, drainGreen).Run(t.Context(), envOf(t, s))
		require.ErrorContains(t, err, right.verb+" "+right.says)
		require.ErrorContains(t, drainOf(t, drainGreen).Ready(t.Context(), envOf(t, s)), right.verb+" "+right.says)
		require.Empty(t, s.Writes())
	}
}

func TestDrainsThatAreRefused(t *testing.T) {
	for why, d := range map[string]Drain{
		"kind: is required":           {Namespace: "shop", Object: "api", Service: "api"},
		"cannot be scaled to 0":       {Kind: daemonSet, Namespace: "shop", Object: "api", Service: "api"},
		"namespace: is required":      {Kind: deployment, Object: "api", Service: "api"},
		"name: is required":           {Kind: deployment, Namespace: "shop", Service: "api"},
		"service: is required":        {Kind: deployment, Namespace: "shop", Object: "api"},
		"within: must not be":         {Kind: deployment, Namespace: "shop", Object: "api", Service: "api", Within: -1},
		`preview[0]: "a b" is no nam`: {Kind: deployment, Namespace: "shop", Object: "api", Service: "api", Preview: []string{"a b"}},
		"under: ":                     {Kind: deployment, Namespace: "shop", Object: "api", Service: "api", Under: "x"},
	} {
		require.ErrorContains(t, d.Validate(), why)
	}
	for _, hostile := range actiontest.Hostile() {
		for _, d := range []Drain{{Kind: deployment, Namespace: "shop", Object: hostile, Service: "api"}, {Kind: deployment, Namespace: hostile, Object: "api", Service: "api"}} {
			if d.Validate() == nil {
				require.Regexp(t, `^[a-z0-9][a-z0-9.-]*$`, hostile)
			}
		}
	}
}
