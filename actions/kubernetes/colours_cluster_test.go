//go:build cluster

package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/tools/controlplane"
)

// coloured is a namespace of a real control plane in which green serves Service api, and blue stands by.
type coloured struct {
	*controlplane.ControlPlane
	t         *testing.T
	namespace string
}

func realColours(t *testing.T) coloured {
	t.Helper()
	plane := controlplane.Shared(t)
	c := coloured{plane, t, plane.Namespace(t)}
	for _, colour := range []string{"blue", "green"} {
		c.apply(fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: api-%[1]s, namespace: NS}, spec: {replicas: 3, selector: {matchLabels: {app: api, track: %[1]s}},
  template: {metadata: {labels: {app: api, track: %[1]s}, annotations: {%[2]s: 1s}}, spec: {terminationGracePeriodSeconds: 5, containers: [{name: app, image: "registry.example/api:%[1]s", ports: [{name: http, containerPort: 8080}]}]}}}}`, colour, controlplane.EndsAfter))
	}
	c.apply(`{apiVersion: v1, kind: Service, metadata: {name: api, namespace: NS}, spec: {selector: {app: api, track: green}, ports: [{port: 80, targetPort: http}]}}`)
	for _, colour := range []string{"blue", "green"} {
		require.NoError(t, plane.RolledOut(t.Context(), c.namespace, "deployment/api-"+colour))
	}
	c.await("green serves", func() bool { return c.serving() == "green green green" })
	return c
}

func (c coloured) apply(yaml string) {
	c.t.Helper()
	require.NoError(c.t, c.Apply(c.t.Context(), strings.ReplaceAll(yaml, "NS", c.namespace)))
}

func (c coloured) kubectl(args ...string) string {
	c.t.Helper()
	out, err := c.Kubectl(c.t.Context(), "", append([]string{"--namespace=" + c.namespace}, args...)...)
	require.NoError(c.t, err)
	return strings.TrimSpace(out)
}

func (c coloured) await(what string, is func() bool) {
	c.t.Helper()
	require.Eventually(c.t, is, 30*time.Second, 50*time.Millisecond, what)
}

// serving is the colour of each ready endpoint.
func (c coloured) serving() string {
	ready, err := c.Endpoints(c.t.Context(), c.namespace, "api")
	require.NoError(c.t, err)
	var colours []string
	for _, pod := range ready {
		colours = append(colours, strings.Split(pod, "-")[1])
	}
	return strings.Join(colours, " ")
}

// env is what the engine gives to actions, with the rights of an administrator, or of those alone that are listed.
func (c coloured) env(rights ...actions.Access) actions.Env {
	c.t.Helper()
	kubeconfig := c.Kubeconfig
	if len(rights) > 0 {
		kubeconfig = c.account(rights)
	}
	env := actiontest.Env(&actiontest.World{Connections: map[string]any{"kubernetes": connected(c.t, kubeconfig)}})
	env.Installation = "west"
	return env
}

// account is a service account with these rights and no others.
func (c coloured) account(rights []actions.Access) string {
	c.t.Helper()
	var rules []map[string]any
	for _, a := range rights {
		rule := map[string]any{"apiGroups": []string{a.Group}, "resources": []string{strings.TrimSuffix(a.Resource+"/"+a.Subresource, "/")}, "verbs": a.Verbs}
		if a.Name != "" {
			rule["resourceNames"] = []string{a.Name}
		}
		rules = append(rules, rule)
	}
	raw, err := json.Marshal(rules)
	require.NoError(c.t, err)
	c.apply(fmt.Sprintf(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: astern, namespace: NS}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: astern, namespace: NS}, rules: %s}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: astern, namespace: NS}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: astern}, subjects: [{kind: ServiceAccount, name: astern, namespace: NS}]}`, raw))
	kubeconfig, err := c.KubeconfigFor(c.t.Context(), c.namespace, "astern")
	require.NoError(c.t, err)
	return kubeconfig
}

func (c coloured) toBlue() string {
	return fmt.Sprintf(`{namespace: %s, service: api, selector: {app: api, track: blue}}`, c.namespace)
}

func (c coloured) drainGreen() *Drain {
	d := drainOf(c.t, fmt.Sprintf(`{kind: Deployment, namespace: %s, name: api-green, service: api, within: 5s}`, c.namespace))
	d.period = time.Second
	return d
}

// The traffic goes over, the old pods end gracefully, with exactly the rights that the steps say they need.
func TestClusterSwitchAndDrain(t *testing.T) {
	c := realColours(t)
	c.apply(`{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: green, namespace: NS}, spec: {minAvailable: 3, selector: {matchLabels: {track: green}}}}`)
	c.apply(`{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: all, namespace: NS}, spec: {minAvailable: 3, selector: {matchLabels: {app: api}}}}`)
	c.apply(`{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: green, namespace: NS}, spec: {minReplicas: 3, maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api-green}, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}}`)
	a, d := switchOf(t, c.toBlue()), c.drainGreen()
	env := c.env(append(a.Access(), d.Access()...)...)
	require.NoError(t, a.Ready(t.Context(), env))
	require.NoError(t, d.Ready(t.Context(), env))
	_, err := d.Run(t.Context(), env)
	require.ErrorContains(t, err, "still chooses its pods")

	change, err := a.Plan(t.Context(), env)
	require.NoError(t, err)
	require.Contains(t, change.Diff, fmt.Sprintf(`~ Service %s/api spec.selector.track: "green" -> "blue"`, c.namespace))
	drain, err := d.Plan(t.Context(), env)
	require.NoError(t, err)
	require.Contains(t, drain.Diff, fmt.Sprintf("~ Deployment %s/api-green spec.replicas: 3 -> 0", c.namespace))
	require.Equal(t, "green green green", c.serving(), "a plan changes nothing")

	did, err := a.Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, SelectorOutputs{Previous: map[string]string{"app": "api", "track": "green"}, Ready: 3}, did.Outputs)
	require.Equal(t, "blue blue blue", c.serving())
	require.NoError(t, a.Verify(t.Context(), env))

	again, err := d.Plan(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, drain.Found, again.Found, "the switch is an earlier step of the same plan")
	env.Key = "incident-1/step-3"
	did, err = d.Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, DrainOutputs{Replicas: 3}, did.Outputs)
	require.Empty(t, c.kubectl("get", "pods", "--selector=track=green", "--output=name"))
	require.NoError(t, d.Verify(t.Context(), env))
	require.Equal(t, "blue blue blue", c.serving())
}

// Who is faster wins: nothing is written over him, and what the server says is understood.
func TestClusterASwitchIsFenced(t *testing.T) {
	c := realColours(t)
	a, env := switchOf(t, c.toBlue()), c.env()
	of, err := cluster.Of(env)
	require.NoError(t, err)
	read, err := a.look(t.Context(), of)
	require.NoError(t, err)
	_, err = a.Plan(t.Context(), env)
	require.NoError(t, err)
	c.kubectl("patch", "service", "api", "--type=merge", "--patch", `{"spec": {"selector": {"track": "blue", "colour": "none"}}}`)
	_, err = of.JSONPatch(t.Context(), a.ref(), read.ops(env), cluster.PatchOptions{})
	require.ErrorIs(t, err, cluster.ErrMoved)
	require.NotErrorIs(t, err, cluster.ErrInvalid)
	_, err = a.Run(t.Context(), env)
	require.ErrorContains(t, err, "somebody else has switched it to app=api,colour=none,track=blue")
	require.True(t, actions.IsPermanent(err))
	require.Equal(t, `{"app":"api","colour":"none","track":"blue"}`, c.kubectl("get", "service", "api", "--output=jsonpath={.spec.selector}"))
	require.NotContains(t, c.kubectl("get", "service", "api", "--output=json"), switchedKey)

	// The status of a Deployment moves all the time; it stops no drain. Another version does.
	c.kubectl("patch", "service", "api", "--type=merge", "--patch", `{"spec": {"selector": {"track": "blue", "colour": null}}}`)
	c.await("blue serves", func() bool { return c.serving() == "blue blue blue" })
	d := c.drainGreen()
	_, err = d.Plan(t.Context(), env)
	require.NoError(t, err)
	c.kubectl("set", "image", "deployment/api-green", "app=registry.example/api:hotfix")
	_, err = d.Run(t.Context(), env)
	require.ErrorContains(t, err, "another version was put into it")
	require.Equal(t, "3", c.kubectl("get", "deployment", "api-green", "--output=jsonpath={.spec.replicas}"))
}

// An autoscaler writes its old decision over a fresh 0, once; whoever does it again is left alone.
func TestClusterAnAutoscalerFights(t *testing.T) {
	c := realColours(t)
	c.apply(`{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: green, namespace: NS}, spec: {minReplicas: 3, maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api-green}, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}}`)
	_, err := switchOf(t, c.toBlue()).Run(t.Context(), c.env())
	require.NoError(t, err)
	fight := func(times int) error {
		env := c.env()
		env.Progress = func(line string) {
			if times > 0 && strings.Contains(line, "left (") {
				times--
				c.kubectl("scale", "deployment/api-green", "--replicas=5")
			}
		}
		_, err := c.drainGreen().Run(t.Context(), env)
		return err
	}
	require.NoError(t, fight(1))
	require.Equal(t, "0", c.kubectl("get", "deployment", "api-green", "--output=jsonpath={.spec.replicas}"))
	require.Empty(t, c.kubectl("get", "pods", "--selector=track=green", "--output=name"))
	c.kubectl("scale", "deployment/api-green", "--replicas=2")
	require.NoError(t, c.RolledOut(t.Context(), c.namespace, "deployment/api-green"))
	require.ErrorContains(t, fight(2), "somebody scaled it to 5 meanwhile: it is left at that")
}

// A Job runs in a namespace that takes restricted pods alone, completes, fails or hangs; its log comes from its node.
func TestClusterJob(t *testing.T) {
	plane := controlplane.Shared(t)
	c := coloured{plane, t, plane.Namespace(t)}
	c.kubectl("label", "namespace", c.namespace, "pod-security.kubernetes.io/enforce=restricted")
	j := jobOf(t, fmt.Sprintf(`{namespace: %s, name: smoke, image: "registry.example/smoke:1", args: ["--base", "http://api"], reads: true, within: 1m}`, c.namespace))
	env := c.env(j.Access()...)
	require.NoError(t, j.Ready(t.Context(), env))
	_, err := j.Plan(t.Context(), env)
	require.NoError(t, err)
	did, err := j.Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, controlplane.PodLog, did.Output)
	require.NoError(t, j.Verify(t.Context(), env))
	_, err = j.Run(t.Context(), env)
	require.NoError(t, err)
	require.Len(t, strings.Fields(c.kubectl("get", "jobs", "--output=name")), 1)

	for ends, why := range map[string]string{controlplane.JobFails: "failed: BackoffLimitExceeded: exit code 1, Error", controlplane.JobHangs: "failed: DeadlineExceeded"} {
		j.Within, env.Key = actions.Duration(3*time.Second), "incident-1/"+ends
		c.makeJob(j, env, ends)
		_, err = j.Run(t.Context(), env)
		require.ErrorContains(t, err, why)
		require.True(t, actions.IsPermanent(err))
		require.ErrorIs(t, j.Verify(t.Context(), env), actions.ErrNotDone)
	}
}

// makeJob makes the Job of a step beforehand, as an attempt before a crash did, and says how its pod ends.
func (c coloured) makeJob(j *Job, env actions.Env, ends string) {
	c.t.Helper()
	job := j.object(env)
	subLabels := job.Object["spec"].(map[string]any)["template"].(map[string]any)["metadata"].(map[string]any)["labels"].(map[string]any)
	subLabels[controlplane.JobLabel] = ends
	_, err := c.Client.Resource(schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}).Namespace(c.namespace).Create(context.Background(), job, metav1.CreateOptions{})
	require.NoError(c.t, err)
}

// The API server dies right after it stored the write: nobody knows, then the world is asked, and the next attempt goes on.
func TestClusterTheAPIServerDiesInASwitchAndInADrain(t *testing.T) {
	c := realColours(t)
	through := func() actions.Env {
		return actiontest.Env(&actiontest.World{Connections: map[string]any{"kubernetes": connected(t, newDoor(t, c.ControlPlane).kubeconfig)}})
	}
	for _, step := range []func() actions.Action{
		func() actions.Action { return switchOf(t, c.toBlue()) },
		func() actions.Action { return c.drainGreen() },
	} {
		env := through()
		_, err := step().Run(t.Context(), env)
		require.True(t, actions.IsDoubtful(err), "%v", err)
		require.NoError(t, c.StartAPIServer(t.Context()))
		after := c.kubectl("get", "service/api", "deployment/api-green", "--output=jsonpath={range .items[*]}{.spec.selector}{.spec.replicas}{.metadata.annotations}{end}")
		verified := step().(actions.Verifier).Verify(t.Context(), env)
		require.True(t, verified == nil || errors.Is(verified, actions.ErrNotDone), "%v", verified)
		_, err = step().Run(t.Context(), env)
		require.NoError(t, err)
		require.NoError(t, step().(actions.Verifier).Verify(t.Context(), env))
		require.Equal(t, after, c.kubectl("get", "service/api", "deployment/api-green", "--output=jsonpath={range .items[*]}{.spec.selector}{.spec.replicas}{.metadata.annotations}{end}"))
	}
	require.Equal(t, "blue blue blue", c.serving())
	require.Empty(t, c.kubectl("get", "pods", "--selector=track=green", "--output=name"))
}
