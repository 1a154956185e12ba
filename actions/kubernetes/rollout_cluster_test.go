//go:build cluster

package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/tools/controlplane"
)

// onCluster is a namespace of a real control plane with one workload named app.
type onCluster struct {
	*controlplane.ControlPlane
	t               *testing.T
	kind, namespace string
	env             actions.Env
}

func realCluster(t *testing.T, kind string) onCluster {
	t.Helper()
	plane := controlplane.Shared(t)
	c := onCluster{ControlPlane: plane, t: t, kind: kind, namespace: plane.Namespace(t)}
	c.env = envWith(t, plane.Kubeconfig)
	c.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: app-1, namespace: NS}}")
	return c
}

func envWith(t *testing.T, kubeconfig string) actions.Env {
	return actiontest.Env(&actiontest.World{Connections: map[string]any{"kubernetes": connected(t, kubeconfig)}})
}

func (c onCluster) apply(yaml string) {
	c.t.Helper()
	require.NoError(c.t, c.Apply(c.t.Context(), strings.ReplaceAll(yaml, "NS", c.namespace)))
}

func (c onCluster) kubectl(args ...string) string {
	c.t.Helper()
	out, err := c.Kubectl(c.t.Context(), "", append([]string{"--namespace=" + c.namespace}, args...)...)
	require.NoError(c.t, err)
	return out
}

// deploy applies a version as a person does, and gives the digest of its template. A broken one crashes.
func (c onCluster) deploy(version, spec string) string {
	c.t.Helper()
	c.apply(c.manifest(version, spec))
	return c.read().digest()
}

func (c onCluster) manifest(version, spec string) string {
	state := ""
	if strings.Contains(version, "broken") {
		state = ", " + controlplane.StateLabel + ": " + controlplane.CrashLoop
	}
	return fmt.Sprintf(`{apiVersion: apps/v1, kind: %s, metadata: {name: app, namespace: NS, annotations: {astern.dev/version: %q}}, spec: {%s selector: {matchLabels: {app: app}},
		template: {metadata: {labels: {app: app%s}}, spec: {terminationGracePeriodSeconds: 1, containers: [{name: app, image: "registry.example/app:%[2]s",
		envFrom: [{configMapRef: {name: "app-%[5]s"}}], env: [{name: PASSWORD, value: hunter2-%[2]s}]}]}}}}`, c.kind, version, spec, state, version[:1])
}

func (c onCluster) ref() cluster.Ref {
	return cluster.Ref{Kind: c.kind, Namespace: c.namespace, Name: "app"}
}

func (c onCluster) read() rollout {
	c.t.Helper()
	of, err := cluster.Of(c.env)
	require.NoError(c.t, err)
	r, err := readRollout(c.t.Context(), of, c.ref())
	require.NoError(c.t, err)
	return r
}

func (c onCluster) params(more string) string {
	return fmt.Sprintf("{kind: %s, namespace: %s, name: app%s}", c.kind, c.namespace, more)
}

func (c onCluster) halt() *Halt { return do(c.t, &Halt{}, c.params("")) }

func (c onCluster) undo(to string) *Undo {
	return do(c.t, &Undo{}, c.params(fmt.Sprintf(", to: %q", to)))
}

func (c onCluster) wait() actions.Result {
	c.t.Helper()
	w := do(c.t, &RolloutWait{}, c.params(", within: 60s, grace: 5s"))
	w.every = 100 * time.Millisecond
	did, err := w.Run(c.t.Context(), c.env)
	require.NoError(c.t, err)
	require.NoError(c.t, do(c.t, &RolloutWait{}, c.params("")).Verify(c.t.Context(), c.env))
	return did
}

// until waits until the workload is as is wanted.
func (c onCluster) until(what string, is func(rollout) bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(c.t, controlplane.Await(ctx, what, func(context.Context) error {
		if is(c.read()) {
			return nil
		}
		return errors.New(c.kubectl("get", c.kind+"/app", "--output=yaml"))
	}))
}

func (c onCluster) exceededOnce() bool {
	return strings.Contains(c.kubectl("get", c.kind+"/app", "--output=jsonpath={.status.conditions[*].reason}"), "ProgressDeadlineExceeded")
}

// A broken version rolls; it is halted, undone past a restart, and waited for. What others own stays theirs.
func TestClusterDeployment(t *testing.T) {
	c := realCluster(t, deployment)
	one := c.deploy("1", "replicas: 4, progressDeadlineSeconds: 3,")
	c.wait()
	c.kubectl("rollout", "restart", "deployment/app")
	c.wait()
	c.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: app-2, namespace: NS}}")
	two := c.deploy("2-broken", "replicas: 4, progressDeadlineSeconds: 3,")
	c.until("the broken version rolls", func(r rollout) bool { return r.seen() && r.updated() > 0 })

	_, err := c.halt().Run(t.Context(), c.env)
	require.NoError(t, err)
	require.NoError(t, c.halt().Verify(t.Context(), c.env))
	split := func() string {
		return c.kubectl("get", "replicasets", "--sort-by=.metadata.name", "--output=jsonpath={range .items[*]}{.metadata.name}={.spec.replicas} {end}")
	}
	before := split()
	c.kubectl("scale", "deployment/app", "--replicas=5") // as an autoscaler does
	c.kubectl("delete", "pods", "--selector=app=app", "--wait=false")
	c.until("the pods are there again", func(r rollout) bool { return r.number("status", "readyReplicas") >= 3 })
	require.Len(t, strings.Fields(split()), len(strings.Fields(before)), "no further ReplicaSet")
	require.Less(t, c.read().updated(), c.read().replicas(), "the halted version takes over no more than scaling gives it")

	change, err := c.undo(one).Plan(t.Context(), c.env)
	require.NoError(t, err)
	diff := strings.Join(change.Diff, "\n")
	require.NotContains(t, diff, "hunter2")
	require.Contains(t, diff, "image: registry.example/app:2-broken@sha256:")
	require.Contains(t, diff, "- "+c.ref().String()+" spec.paused: true")
	require.Contains(t, diff, "is applied by kubectl (server-side): its next apply conflicts with astern")
	generation := int64(0)
	for n := range 2 {
		_, err = c.undo(one).Run(t.Context(), c.env)
		require.NoError(t, err)
		require.NoError(t, c.undo(one).Verify(t.Context(), c.env))
		if n == 0 {
			generation = c.read().obj.GetGeneration()
		}
	}
	did := c.wait()
	require.Equal(t, RolloutWaitOutputs{one, 5}, did.Outputs)
	r := c.read()
	require.Equal(t, one, r.digest())
	require.Equal(t, int64(5), r.replicas())
	require.False(t, r.pace().Paused)
	require.NotContains(t, r.obj.GetAnnotations(), haltedKey)
	require.Equal(t, "1", r.obj.GetAnnotations()["astern.dev/version"])
	require.LessOrEqual(t, r.obj.GetGeneration(), generation+1, "the second undo wrote nothing; the controller numbers the revision")
	require.Contains(t, c.kubectl("rollout", "history", "deployment/app"), "back to revision 2, template "+one)
	require.Len(t, strings.Fields(split()), 3, "the ReplicaSet that is kept is used again")

	_, err = c.Kubectl(t.Context(), strings.ReplaceAll(c.manifest("2-broken", ""), "NS", c.namespace), "apply", "--server-side", "--field-manager=kubectl", "--filename=-")
	require.ErrorContains(t, err, `conflicts with "astern" using apps/v1`, "what the plan warned of")

	// The deadline of a broken version passes, and stands in the status of the undo for a while.
	require.Equal(t, two, c.deploy("2-broken", "progressDeadlineSeconds: 1,"))
	c.until("the deadline", func(rollout) bool { return c.exceededOnce() })
	w := do(t, &RolloutWait{}, c.params(", within: 60s, grace: 50s"))
	_, err = w.Run(t.Context(), c.env)
	require.ErrorContains(t, err, "its progress deadline is exceeded")
	require.ErrorContains(t, err, "CrashLoopBackOff")
	_, err = c.undo(one).Run(t.Context(), c.env)
	require.NoError(t, err)
	c.wait()
}

// Without a way back, and when somebody deploys meanwhile, nothing is written.
func TestClusterUndoRefuses(t *testing.T) {
	c := realCluster(t, deployment)
	one := c.deploy("1", "replicas: 2,")
	c.wait()
	c.deploy("2-broken", "replicas: 2,")
	u := c.undo(one)
	_, err := u.Plan(t.Context(), c.env)
	require.NoError(t, err)
	three := c.deploy("3", "replicas: 2,")
	_, err = u.Run(t.Context(), c.env)
	require.ErrorContains(t, err, "no longer as the plan found it")
	require.True(t, actions.IsPermanent(err))
	require.Equal(t, three, c.read().digest())

	c.kubectl("delete", "configmap", "app-1")
	_, err = c.undo(one).Plan(t.Context(), c.env)
	require.ErrorContains(t, err, "needs what is gone: ConfigMap "+c.namespace+"/app-1")
	c.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: app-1, namespace: NS}}")
	c.kubectl("rollout", "pause", "deployment/app")
	_, err = c.undo(one).Run(t.Context(), c.env)
	require.ErrorContains(t, err, "somebody has it in hand")
	c.kubectl("rollout", "resume", "deployment/app")

	c.kubectl("patch", "deployment", "app", "--type=merge", `--patch={"spec":{"revisionHistoryLimit":0}}`)
	c.until("the history is gone", func(rollout) bool {
		return !strings.Contains(c.kubectl("get", "replicasets", "--output=jsonpath={.items[*].spec.template.spec.containers[*].image}"), "app:1")
	})
	_, err = c.undo(one).Run(t.Context(), c.env)
	require.ErrorContains(t, err, "is kept (revisionHistoryLimit, or it never ran here)")
	require.Equal(t, three, c.read().digest())
}

// An ordered StatefulSet waits for a broken pod for ever, whatever its template says, until the pod is deleted.
func TestClusterStatefulSet(t *testing.T) {
	c := realCluster(t, statefulSet)
	const spec = "replicas: 3, serviceName: app, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 0}},"
	one := c.deploy("1", spec)
	c.wait()
	c.deploy("2-broken", spec)
	c.until("the broken version rolls", func(r rollout) bool { return r.seen() && r.updated() == 1 })
	_, err := c.halt().Run(t.Context(), c.env)
	require.NoError(t, err)
	require.Equal(t, int64(2147483647), c.read().pace().partition())
	c.kubectl("delete", "pod", "app-2")
	c.until("what dies while halted comes back at the version before", func(r rollout) bool { return r.number("status", "readyReplicas") == 3 })

	_, err = c.undo(one).Run(t.Context(), c.env)
	require.NoError(t, err)
	c.wait()
	c.deploy("2-broken", spec)
	c.until("stuck", func(r rollout) bool {
		return r.seen() && r.updated() == 1 && r.number("status", "readyReplicas") == 2
	})
	did, err := c.undo(one).Run(t.Context(), c.env)
	require.NoError(t, err)
	require.Equal(t, []string{"app-2"}, did.Outputs.(UndoOutputs).Deleted)
	require.NoError(t, c.undo(one).Verify(t.Context(), c.env))
	require.Equal(t, RolloutWaitOutputs{one, 3}, c.wait().Outputs)
	require.Equal(t, int64(0), c.read().pace().partition())
}

func TestClusterDaemonSet(t *testing.T) {
	c := realCluster(t, daemonSet)
	one := c.deploy("1", "")
	c.wait()
	before := c.read().pace()
	c.deploy("2-broken", "")
	c.until("the broken version rolls", func(r rollout) bool { return r.seen() && r.updated() == 1 })
	_, err := c.halt().Run(t.Context(), c.env)
	require.NoError(t, err)
	require.Equal(t, onDelete, c.read().pace().strategy())
	for range 2 {
		_, err = c.undo(one).Run(t.Context(), c.env)
		require.NoError(t, err)
	}
	require.Equal(t, RolloutWaitOutputs{one, len(controlplane.Nodes)}, c.wait().Outputs)
	require.True(t, c.read().pace().same(before))
}

// The API server dies between the write and its answer: the doubt is settled by asking when it is back.
func TestClusterUndoInDoubt(t *testing.T) {
	c := realCluster(t, deployment)
	one := c.deploy("1", "replicas: 2,")
	c.wait()
	c.deploy("2-broken", "replicas: 2,")
	c.until("the broken version rolls", func(r rollout) bool { return r.seen() })
	door := newDoor(t, c.ControlPlane)
	env := envWith(t, door.kubeconfig)
	_, err := c.undo(one).Run(t.Context(), env)
	require.True(t, actions.IsDoubtful(err), "%v", err)
	require.True(t, door.killed.Load())
	require.NoError(t, c.StartAPIServer(t.Context()))
	require.NoError(t, c.undo(one).Verify(t.Context(), env), "it was written")
	generation := c.read().obj.GetGeneration()
	_, err = c.undo(one).Run(t.Context(), env)
	require.NoError(t, err)
	require.LessOrEqual(t, c.read().obj.GetGeneration(), generation+1)
	c.wait()
}

// The rights that the steps say they need suffice on a real API server.
func TestClusterRolloutRights(t *testing.T) {
	c := realCluster(t, deployment)
	one := c.deploy("1", "replicas: 2,")
	c.wait()
	c.deploy("2-broken", "replicas: 2,")
	c.until("the broken version rolls", func(r rollout) bool { return r.seen() })
	access := append(append(c.halt().Access(), c.undo(one).Access()...), do(t, &RolloutWait{}, c.params("")).Access()...)
	kubeconfig, err := c.KubeconfigFor(t.Context(), c.namespace, "astern")
	require.NoError(t, err)
	c.grant(access)
	env := envWith(t, kubeconfig)
	env.Installation = "one"
	require.NoError(t, controlplane.Await(t.Context(), "the role", func(ctx context.Context) error { return c.undo(one).Ready(ctx, env) }))
	_, err = c.halt().Run(t.Context(), env)
	require.NoError(t, err)
	_, err = c.undo(one).Run(t.Context(), env)
	require.NoError(t, err)
	c.env = env
	c.wait()
}

// grant writes the Role that an Access means.
func (c onCluster) grant(all []actions.Access) {
	var rules []string
	for _, a := range all {
		names := ""
		if a.Name != "" {
			names = fmt.Sprintf(", resourceNames: [%s]", a.Name)
		}
		rules = append(rules, fmt.Sprintf(`{apiGroups: [%q], resources: [%s], verbs: [%s]%s}`, a.Group, a.Resource, strings.Join(a.Verbs, ", "), names))
	}
	c.apply(fmt.Sprintf(`{apiVersion: v1, kind: List, items: [
		{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: astern, namespace: NS}, rules: [%s]},
		{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: astern, namespace: NS}, subjects: [{kind: ServiceAccount, name: astern, namespace: NS}],
		 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: astern}}]}`, strings.Join(rules, ", ")))
}
