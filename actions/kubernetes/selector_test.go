package kubernetes

import (
	"encoding/json"
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

// trackAt is the Deployment of one colour; its pods open a port named http.
func trackAt(colour, image string, replicas int) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: api-%[1]s, namespace: shop}
spec:
  replicas: %[3]d
  selector: {matchLabels: {app: api, track: %[1]s}}
  template:
    metadata: {labels: {app: api, track: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 30
      containers: [{name: app, image: %[2]q, ports: [{name: http, containerPort: 8080}]}]
`, colour, image, replicas)
}

const serviceOfGreen = `
{apiVersion: v1, kind: Service, metadata: {name: api, namespace: shop}, spec: {selector: {app: api, track: green, canary: "no"}, ports: [{port: 80, targetPort: http}]}}
`

// colours is an API server with a Service that green serves, three of three ready; blue has as many.
func colours(t testing.TB) *clustertest.Server {
	t.Helper()
	s := clustertest.New(t)
	s.Controllers()
	s.Add(strings.Join([]string{trackAt("blue", "registry.example/api:1", 3), trackAt("green", "registry.example/api:2", 3), serviceOfGreen}, "\n---\n"))
	labelled(s, "api-green", "canary", "no")
	return s
}

// labelled adds a label to the template of a Deployment.
func labelled(s *clustertest.Server, name, label, value string) {
	s.Change(deployment, "shop", name, func(o map[string]any) {
		_ = unstructured.SetNestedField(o, value, "spec", "template", "metadata", "labels", label)
	})
}

func scaledAt(s *clustertest.Server, name string, replicas int64) {
	s.Change(deployment, "shop", name, func(o map[string]any) { _ = unstructured.SetNestedField(o, replicas, "spec", "replicas") })
}

// chosen is the selector of the Service now.
func chosen(s *clustertest.Server) string {
	return selectorText(selectorOf(s.Get("Service", "shop", "api")))
}

func changeService(s *clustertest.Server, value any, path ...string) {
	s.Change("Service", "shop", "api", func(o map[string]any) { _ = unstructured.SetNestedField(o, value, path...) })
}

func newSelector() actions.Action { return &ServiceSelector{} }

const toBlueSide = `{namespace: shop, service: api, selector: {app: api, track: blue}}`

func switchOf(t testing.TB, parameters string) *ServiceSelector {
	t.Helper()
	action, err := actiontest.Decode(newSelector, parameters)
	require.NoError(t, err)
	require.NoError(t, action.Validate())
	return action.(*ServiceSelector)
}

func TestServiceSelector(t *testing.T) {
	world := func(t *testing.T) *actiontest.World { return worldOf(t, colours(t)) }
	actiontest.Run(t, newSelector,
		actiontest.Case{Name: "to blue", YAML: toBlueSide, World: world, Temporary: []int{429, 500, 503}, Permanent: []int{403}},
		actiontest.Case{Name: "there already", YAML: `{namespace: shop, service: api, selector: {app: api, track: green, canary: "no"}}`, World: world, Temporary: []int{500}, Permanent: []int{403}},
	)
}

func TestASwitchIsOneWrite(t *testing.T) {
	s := colours(t)
	a, env := switchOf(t, toBlueSide), envOf(t, s)
	env.Installation = "west"
	change, err := a.Plan(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, "selector of Service shop/api: -canary, track green -> blue (3 pods ready, 3 needed)", change.Summary)
	require.Contains(t, change.Diff, `~ Service shop/api spec.selector.track: "green" -> "blue"`)
	require.Contains(t, change.Diff, `- Service shop/api spec.selector.canary: "no"`)
	require.Contains(t, strings.Join(change.Diff, "\n"), "= now: api-green-")
	require.Contains(t, strings.Join(change.Diff, "\n"), "ready, registry.example/api@sha256:")
	require.ErrorIs(t, a.Verify(t.Context(), env), actions.ErrNotDone)

	did, err := a.Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, "app=api,track=blue", chosen(s), "the whole map is replaced")
	before := map[string]string{"app": "api", "track": "green", "canary": "no"}
	require.Equal(t, SelectorOutputs{Previous: before, Ready: 3}, did.Outputs)
	require.Equal(t, []string{"create leases shop/astern-service-api", "patch services shop/api"}, s.Writes())
	require.NoError(t, a.Verify(t.Context(), env))

	again, err := switchOf(t, toBlueSide).Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, before, again.Outputs.(SelectorOutputs).Previous, "a second attempt still knows what was before")
	require.Len(t, s.Writes(), 2)
	require.NoError(t, a.Repair(t.Context(), env))
	require.Equal(t, "app=api,track=blue", chosen(s), "traffic never goes back")
}

// What must not be switched is refused in Plan, in Run and when readiness is asked, and nothing is written.
func TestASwitchIsRefused(t *testing.T) {
	for why, c := range map[string]struct {
		prepare    func(s *clustertest.Server)
		parameters string
		permanent  bool
	}{
		"no pod in shop has the labels app=api,track=blue":                       {prepare: func(s *clustertest.Server) { scaledAt(s, "api-blue", 0) }},
		"2 of 2 pods with the labels app=api,track=blue are ready, 3 are needed": {prepare: func(s *clustertest.Server) { scaledAt(s, "api-blue", 2) }},
		"0 of 3 pods with the labels app=api,track=blue are ready, 3 are needed": {prepare: func(s *clustertest.Server) {
			s.Remove(deployment, "shop", "api-blue")
			for _, rs := range s.All("ReplicaSet", "shop", "track=blue") {
				s.Remove("ReplicaSet", "shop", rs.GetName())
			}
			for _, pod := range s.All("Pod", "shop", "track=blue") {
				s.Remove("Pod", "shop", pod.GetName())
			}
			s.Add(trackAt("blue", "registry.example/api:broken", 3))
		}},
		// The bad version has lost its pods: what it should have counts.
		"1 of 1 pods with the labels app=api,track=blue are ready, 3 are needed": {prepare: func(s *clustertest.Server) {
			scaledAt(s, "api-blue", 1)
			for _, pod := range s.All("Pod", "shop", "track=green") {
				s.Change("Pod", "shop", pod.GetName(), func(o map[string]any) {
					_ = unstructured.SetNestedSlice(o, []any{map[string]any{"type": "Ready", "status": "False"}}, "status", "conditions")
				})
			}
		}},
		// Pods that end or have ended carry nothing, whatever they say of themselves.
		"2 of 2 pods with the labels app=api,track=blue are ready, 3 are needed ": {prepare: func(s *clustertest.Server) {
			graceful(s, "api-blue", 30)
			s.EndPods("shop")
			scaledAt(s, "api-blue", 2)
			require.Len(t, s.All("Pod", "shop", "track=blue"), 3)
			s.Add(`{apiVersion: v1, kind: Pod, metadata: {name: evicted, namespace: shop, labels: {app: api, track: blue}}, spec: {containers: [{name: app, image: a}]}, status: {phase: Failed, conditions: [{type: Ready, status: "True"}]}}`)
		}},
		"3 of 3 pods with the labels app=api,track=blue are ready, 4 are needed": {parameters: `{namespace: shop, service: api, selector: {app: api, track: blue}, ready: 4}`},
		"does not run the expected version":                                      {parameters: `{namespace: shop, service: api, selector: {app: api, track: blue}, template: "sha256:` + strings.Repeat("0", 64) + `"}`},
		"run 2 versions (templates":                                              {parameters: `{namespace: shop, service: api, selector: {app: api}}`},
		`has no port named "grpc", which the Service leads to; it has http`: {permanent: true, prepare: func(s *clustertest.Server) {
			changeService(s, []any{map[string]any{"port": int64(80), "targetPort": "grpc"}}, "spec", "ports")
		}},
		"is an ExternalName": {permanent: true, prepare: func(s *clustertest.Server) { changeService(s, "ExternalName", "spec", "type") }},
		"has no selector: somebody else writes its endpoints": {permanent: true, prepare: func(s *clustertest.Server) {
			s.Change("Service", "shop", "api", func(o map[string]any) { unstructured.RemoveNestedField(o, "spec", "selector") })
		}},
	} {
		t.Run(why, func(t *testing.T) {
			s := colours(t)
			if c.prepare != nil {
				c.prepare(s)
			}
			if c.parameters == "" {
				c.parameters = toBlueSide
			}
			env := envOf(t, s)
			_, planned := switchOf(t, c.parameters).Plan(t.Context(), env)
			_, ran := switchOf(t, c.parameters).Run(t.Context(), env)
			for _, err := range []error{planned, ran, switchOf(t, c.parameters).Ready(t.Context(), env)} {
				require.ErrorContains(t, err, strings.TrimSpace(why))
				require.Equal(t, c.permanent, actions.IsPermanent(err), "%v", err)
			}
			require.Empty(t, s.Writes())
		})
	}
}

func TestASwitchTakesItsCapacityFromTheServingSide(t *testing.T) {
	require.Equal(t, 3, side{pods: []sidePod{{ready: true}, {ready: true}, {ready: true}, {ready: true}}, replicas: 3}.capacity(), "while a version rolls out there are more")
	s := colours(t)
	s.Change(deployment, "shop", "api-green", func(o map[string]any) { // a fourth pod comes and does not get ready
		_ = unstructured.SetNestedSlice(o, []any{map[string]any{"name": "app", "image": "registry.example/api:3-broken"}}, "spec", "template", "spec", "containers")
	})
	require.Len(t, s.All("Pod", "shop", "track=green"), 4)
	_, err := switchOf(t, toBlueSide).Plan(t.Context(), envOf(t, s))
	require.NoError(t, err, "the pod that a stuck rollout has too many is no capacity")
	s.Change(deployment, "shop", "api-green", func(o map[string]any) { _ = unstructured.SetNestedField(o, int64(5), "spec", "replicas") })
	_, err = switchOf(t, toBlueSide).Plan(t.Context(), envOf(t, s))
	require.ErrorContains(t, err, "5 are needed")
	_, err = switchOf(t, `{namespace: shop, service: api, selector: {app: api, track: blue}, ready: 3}`).Plan(t.Context(), envOf(t, s))
	require.NoError(t, err)
}

func TestASwitchByTemplate(t *testing.T) {
	s := colours(t)
	digest, err := cluster.TemplateDigest(s.Get("ReplicaSet", "shop", s.All("ReplicaSet", "shop", "track=blue")[0].GetName()).Object["spec"].(map[string]any)["template"].(map[string]any))
	require.NoError(t, err)
	parameters := fmt.Sprintf(`{namespace: shop, service: api, selector: {app: api, track: blue}, template: %q}`, digest)
	_, err = switchOf(t, parameters).Run(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.Equal(t, "app=api,track=blue", chosen(s))
}

// Somebody who is faster wins: what he wrote stands, and no second write is made.
func TestASwitchThatIsOvertaken(t *testing.T) {
	for name, c := range map[string]struct {
		rival func(s *clustertest.Server)
		left  string
		why   string
	}{
		"another selector": {func(s *clustertest.Server) {
			changeService(s, map[string]any{"app": "api", "track": "red"}, "spec", "selector")
		}, "app=api,track=red", "somebody else has switched it to app=api,track=red"},
		"another Service of the name": {func(s *clustertest.Server) {
			s.Remove("Service", "shop", "api")
			s.Add(strings.Replace(serviceOfGreen, "green", "red", 1))
		}, "app=api,canary=no,track=red", "somebody else has switched it"},
	} {
		t.Run(name, func(t *testing.T) {
			s := colours(t)
			a, env := switchOf(t, toBlueSide), envOf(t, s)
			_, err := a.Plan(t.Context(), env)
			require.NoError(t, err)
			done := false
			s.Before(func(call clustertest.Call) *clustertest.Fault {
				if call.Verb == "patch" && call.Resource == "services" && !done {
					done = true
					c.rival(s)
				}
				return nil
			})
			_, err = a.Run(t.Context(), env)
			require.ErrorContains(t, err, c.why)
			require.True(t, actions.IsPermanent(err))
			require.Equal(t, c.left, chosen(s))
			require.Empty(t, s.Writes())
		})
	}
}

// What moves the Service without touching its traffic is written over: labels, status, annotations of others.
func TestASwitchSurvivesWhatDoesNotConcernIt(t *testing.T) {
	s := colours(t)
	a, env := switchOf(t, toBlueSide), envOf(t, s)
	change, err := a.Plan(t.Context(), env)
	require.NoError(t, err)
	times := 0
	s.Before(func(call clustertest.Call) *clustertest.Fault {
		if call.Verb == "patch" && times < 2 {
			times++
			changeService(s, fmt.Sprint(times), "metadata", "annotations", "checked")
		}
		return nil
	})
	again, err := a.Plan(t.Context(), env)
	require.ErrorIs(t, err, cluster.ErrMoved, "the dry run is fenced, too")
	require.Empty(t, again.Found)
	_, err = a.Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, "app=api,track=blue", chosen(s))
	require.Equal(t, "2", s.Get("Service", "shop", "api").GetAnnotations()["checked"])
	require.NotEmpty(t, change.Found)
}

func TestWhatASwitchFinds(t *testing.T) {
	s := colours(t)
	found := func() string {
		change, err := switchOf(t, toBlueSide).Plan(t.Context(), envOf(t, s))
		require.NoError(t, err)
		return change.Found
	}
	first := found()
	changeService(s, "x", "metadata", "annotations", "note")
	scaledAt(s, "api-blue", 5)
	s.Remove("Pod", "shop", s.All("Pod", "shop", "track=green")[0].GetName())
	require.Equal(t, first, found(), "pods come and go, a Service's resourceVersion moves")
	changeService(s, []any{map[string]any{"port": int64(81), "targetPort": "http"}}, "spec", "ports")
	ports := found()
	require.NotEqual(t, first, ports)
	changeService(s, map[string]any{"app": "api", "track": "green"}, "spec", "selector")
	selector := found()
	require.NotEqual(t, ports, selector)
	s.Remove("Service", "shop", "api")
	s.Add(`{apiVersion: v1, kind: Service, metadata: {name: api, namespace: shop}, spec: {selector: {app: api, track: green}, ports: [{port: 81, targetPort: http}]}}`)
	require.NotEqual(t, selector, found(), "another object of the name")
}

// The write is not the effect: endpoints of the other side, or too few of this one, are not done.
func TestASwitchIsDoneWhenTheEndpointsFollowed(t *testing.T) {
	const pod = `{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: shop, uid: %[1]s, labels: {app: api, track: %s}}, spec: {containers: [{name: app, image: a}]}, status: {phase: Running, conditions: [{type: Ready, status: %q}]}}`
	world := strings.Join([]string{
		`{apiVersion: v1, kind: Service, metadata: {name: api, namespace: shop}, spec: {selector: {app: api, track: blue}, ports: [{port: 80}]}}`,
		fmt.Sprintf(pod, "blue-1", "blue", "True"), fmt.Sprintf(pod, "blue-2", "blue", "True"), fmt.Sprintf(pod, "blue-3", "blue", "False"), fmt.Sprintf(pod, "green-1", "green", "True"),
	}, "\n---\n")
	slice := func(name string, endpoints ...string) string {
		return fmt.Sprintf(`{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: %s, namespace: shop, labels: {kubernetes.io/service-name: api}}, addressType: IPv4, endpoints: [%s]}`, name, strings.Join(endpoints, ", "))
	}
	at := func(uid, conditions string) string {
		return fmt.Sprintf(`{addresses: [10.0.0.1], conditions: {%s}, targetRef: {kind: Pod, name: %s, uid: %[2]s}}`, conditions, uid)
	}
	for name, c := range map[string]struct {
		slices []string
		why    string
	}{
		"followed":                    {[]string{slice("a", at("blue-1", "ready: true"), at("blue-2", "ready: true"))}, ""},
		"nothing said means ready":    {[]string{slice("a", at("blue-1", ""), at("blue-2", "serving: true"))}, ""},
		"in two slices":               {[]string{slice("a", at("blue-1", "")), slice("b", at("blue-2", ""))}, ""},
		"twice in two slices":         {[]string{slice("a", at("blue-1", "")), slice("b", at("blue-1", ""))}, "serves from 1 pod of the new side, 2 are needed"},
		"not yet":                     {[]string{slice("a", at("blue-1", "ready: true"))}, "serves from 1 pod of the new side, 2 are needed"},
		"none":                        {nil, "serves from 0 pods of the new side"},
		"the old side in another":     {[]string{slice("a", at("blue-1", ""), at("blue-2", "")), slice("b", at("green-1", ""))}, "still serves from 1 pod of another side"},
		"the old side ends":           {[]string{slice("a", at("blue-1", ""), at("blue-2", ""), at("green-1", "ready: false, serving: true, terminating: true"))}, ""},
		"ends, yet called ready":      {[]string{slice("a", at("blue-1", ""), at("blue-2", ""), at("green-1", "ready: true, terminating: true"))}, ""},
		"an address that is no pod":   {[]string{slice("a", at("blue-1", ""), at("blue-2", ""), `{addresses: [192.0.2.1]}`)}, "still serves from 1 pod of another side"},
		"not ready, yet called ready": {[]string{slice("a", at("blue-1", ""), at("blue-3", "ready: true"))}, "serves from 1 pod of the new side"},
	} {
		t.Run(name, func(t *testing.T) {
			s := clustertest.New(t)
			s.Add(strings.Join(append([]string{world}, c.slices...), "\n---\n"))
			a := switchOf(t, `{namespace: shop, service: api, selector: {app: api, track: blue}, ready: 2}`)
			err := a.Verify(t.Context(), envOf(t, s))
			if c.why == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, actions.ErrNotDone)
			require.ErrorContains(t, err, c.why)
		})
	}
}

// After a crash the effect is known from what the switch itself wrote down: how many pods it needed.
func TestASwitchIsVerifiedAfterACrash(t *testing.T) {
	s := colours(t)
	env := envOf(t, s)
	_, err := switchOf(t, toBlueSide).Run(t.Context(), env)
	require.NoError(t, err)
	var record switchRecord
	require.NoError(t, json.Unmarshal([]byte(s.Get("Service", "shop", "api").GetAnnotations()[switchedKey]), &record))
	require.Equal(t, switchRecord{env.Key, map[string]string{"app": "api", "track": "green", "canary": "no"}, 3}, record)
	scaledAt(s, "api-blue", 2)
	err = switchOf(t, toBlueSide).Verify(t.Context(), env)
	require.ErrorContains(t, err, "serves from 2 pods of the new side, 3 are needed")
	env.Key = "another"
	require.NoError(t, switchOf(t, toBlueSide).Verify(t.Context(), env), "another step's floor is not this one's")
}

func TestASwitchWhoseAnswerGetsLost(t *testing.T) {
	s := colours(t)
	s.Before(func(call clustertest.Call) *clustertest.Fault {
		if call.Verb == "patch" && !call.DryRun {
			return &clustertest.Fault{CutAfter: true}
		}
		return nil
	})
	a, env := switchOf(t, toBlueSide), envOf(t, s)
	_, err := a.Run(t.Context(), env)
	require.True(t, actions.IsDoubtful(err), "%v", err)
	require.NoError(t, a.Verify(t.Context(), env))
}

// Somebody who takes the traffic away while the step waits is not waited for.
func TestASwitchThatIsTakenBackMeanwhile(t *testing.T) {
	s := colours(t)
	s.Before(func(call clustertest.Call) *clustertest.Fault {
		if call.Verb == "list" && call.Resource == "endpointslices" {
			changeService(s, map[string]any{"app": "api", "track": "green"}, "spec", "selector")
		}
		return nil
	})
	a, env := switchOf(t, toBlueSide), envOf(t, s)
	_, err := a.Run(t.Context(), env)
	require.ErrorContains(t, err, "app=api,track=green, not app=api,track=blue")
	require.True(t, actions.IsPermanent(err))
	require.Len(t, s.Writes(), 1)
	err = a.Verify(t.Context(), env)
	require.ErrorIs(t, err, actions.ErrNotDone)
	require.ErrorContains(t, err, "app=api,track=green, not app=api,track=blue")
}

func TestASwitchUnderAnOwner(t *testing.T) {
	s := colours(t)
	owned := map[string]any{"argocd.argoproj.io/tracking-id": "shop:/Service:shop/api"}
	changeService(s, owned, "metadata", "annotations")
	s.Add(`{apiVersion: v1, kind: Namespace, metadata: {name: argocd}}` + "\n---\n" +
		`{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: shop, namespace: argocd}, spec: {destination: {namespace: shop}, syncPolicy: {automated: {selfHeal: true}}}, status: {resources: [{kind: Service, version: v1, namespace: shop, name: api}]}}`)
	_, err := switchOf(t, toBlueSide).Plan(t.Context(), envOf(t, s))
	require.ErrorContains(t, err, "argocd/pause")
	_, err = switchOf(t, toBlueSide).Run(t.Context(), envOf(t, s))
	require.ErrorContains(t, err, "argocd/pause")
	under := `{namespace: shop, service: api, selector: {app: api, track: blue}, under: argocd/argocd/shop}`
	_, err = switchOf(t, under).Plan(t.Context(), envOf(t, s))
	require.NoError(t, err)
	_, err = switchOf(t, under).Run(t.Context(), envOf(t, s))
	require.ErrorContains(t, err, "not paused")
	require.Empty(t, s.Writes())
}

// What the action says it needs is enough, and each right that is missing is named.
func TestTheRightsOfASwitch(t *testing.T) {
	rights := switchOf(t, toBlueSide).Access()
	s := colours(t)
	s.Only(rights...)
	env := envOf(t, s)
	env.Installation = "west"
	require.NoError(t, switchOf(t, toBlueSide).Ready(t.Context(), env))
	_, err := switchOf(t, toBlueSide).Plan(t.Context(), env)
	require.NoError(t, err)
	_, err = switchOf(t, toBlueSide).Run(t.Context(), env)
	require.NoError(t, err)
	for _, right := range []struct{ verb, resource string }{{"patch", "services"}, {"list", "pods"}, {"list", "endpointslices"}} {
		s := colours(t)
		s.Forbid(right.verb, right.resource)
		_, err := switchOf(t, toBlueSide).Run(t.Context(), envOf(t, s))
		require.ErrorContains(t, err, right.verb+" "+right.resource)
		require.ErrorContains(t, switchOf(t, toBlueSide).Ready(t.Context(), envOf(t, s)), right.verb+" "+right.resource)
	}
}

func TestSelectorsThatAreRefused(t *testing.T) {
	valid := func() *ServiceSelector {
		return &ServiceSelector{Namespace: "shop", Service: "api", Selector: map[string]string{"app": "api"}}
	}
	require.NoError(t, valid().Validate())
	many := map[string]string{}
	for n := range maxLabels + 1 {
		many[fmt.Sprint("l", n)] = "x"
	}
	for why, break_ := range map[string]func(s *ServiceSelector){
		"selector: is required":     func(s *ServiceSelector) { s.Selector = map[string]string{} },
		"more than 16 labels":       func(s *ServiceSelector) { s.Selector = many },
		"no value of the label":     func(s *ServiceSelector) { s.Selector["track"] = "" },
		"ready: must not":           func(s *ServiceSelector) { s.Floor = -1 },
		"template: ":                func(s *ServiceSelector) { s.Template = "v41" },
		"under: ":                   func(s *ServiceSelector) { s.Under = "argo" },
		"namespace: is required":    func(s *ServiceSelector) { s.Namespace = "" },
		"service: is required":      func(s *ServiceSelector) { s.Service = "" },
		`"api/../x" is no name`:     func(s *ServiceSelector) { s.Service = "api/../x" },
		"is no name of a label":     func(s *ServiceSelector) { s.Selector["a b"] = "x" },
		`"kube-system/x" is no nam`: func(s *ServiceSelector) { s.Namespace = "kube-system/x" },
	} {
		s := valid()
		break_(s)
		require.ErrorContains(t, s.Validate(), why)
	}
	for _, hostile := range actiontest.Hostile() {
		s := valid()
		s.Selector["track"] = hostile
		if s.Validate() == nil {
			require.Regexp(t, `^[A-Za-z0-9][A-Za-z0-9._-]*$`, hostile)
		}
		s = valid()
		s.Service = hostile
		if s.Validate() == nil {
			require.Regexp(t, `^[a-z0-9][a-z0-9.-]*$`, hostile)
		}
	}
}
