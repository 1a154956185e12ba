//go:build cluster

package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/tools/controlplane"
)

const (
	badImage  = "registry.example/app:2"
	badDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// workloads are one object of each kind that the policy looks at, with an image each.
var workloads = map[string]string{
	"Deployment":  `{apiVersion: apps/v1, kind: Deployment, metadata: {name: w, namespace: NS}, spec: {replicas: 1, selector: {matchLabels: {w: w}}, template: POD}}`,
	"StatefulSet": `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: w, namespace: NS}, spec: {replicas: 1, serviceName: w, selector: {matchLabels: {w: w}}, template: POD}}`,
	"DaemonSet":   `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: w, namespace: NS}, spec: {selector: {matchLabels: {w: w}}, template: POD}}`,
	"Job":         `{apiVersion: batch/v1, kind: Job, metadata: {name: w, namespace: NS}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: app, image: IMAGE}]}}}}`,
	"CronJob":     `{apiVersion: batch/v1, kind: CronJob, metadata: {name: w, namespace: NS}, spec: {schedule: "0 0 1 1 *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: app, image: IMAGE}]}}}}}}`,
}

const podTemplate = `{metadata: {labels: {w: w}}, spec: {initContainers: [{name: init, image: INIT}], containers: [{name: app, image: IMAGE}]}}`

// guarded is a namespace whose list the policy reads.
func guarded(t *testing.T) onCluster {
	t.Helper()
	c := realCluster(t, deployment)
	policy, err := os.ReadFile("quarantine_policy.yaml")
	require.NoError(t, err)
	text := strings.NewReplacer("name: astern-quarantine\n", "name: "+c.namespace+"\n", "policyName: astern-quarantine", "policyName: "+c.namespace,
		"paramRef: {name: astern-quarantine, namespace: astern,", "paramRef: {name: astern-quarantine, namespace: "+c.namespace+",").Replace(string(policy))
	require.NoError(t, c.Apply(t.Context(), text))
	t.Cleanup(func() {
		_, _ = c.Kubectl(context.Background(), "", "delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", c.namespace)
	})
	return c
}

// tries says what the server would make of an object, without storing it.
func (c onCluster) tries(object, image, initImage string) error {
	text := strings.NewReplacer("NS", c.namespace, "POD", podTemplate).Replace(object)
	_, err := c.Kubectl(c.t.Context(), strings.NewReplacer("IMAGE", fmt.Sprintf("%q", image), "INIT", fmt.Sprintf("%q", initImage)).Replace(text), "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-")
	return err
}

// counts waits until the list counts: policies and their parameters reach the API server's cache a moment later.
func (c onCluster) counts(object, image string, refused bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(c.t, controlplane.Await(ctx, fmt.Sprintf("refused %t: %s", refused, image), func(context.Context) error {
		err := c.tries(object, image, "init:1")
		if (err != nil) == refused {
			return nil
		}
		return errors.Join(err, errors.New("not yet"))
	}))
}

func (c onCluster) quarantine(more string, images ...string) {
	c.t.Helper()
	q := do(c.t, &Quarantine{}, fmt.Sprintf("{namespace: %s, images: [%s], reason: errors rose, %s}", c.namespace, `"`+strings.Join(images, `", "`)+`"`, more))
	_, err := q.Plan(c.t.Context(), c.env)
	require.NoError(c.t, err)
	_, err = q.Run(c.t.Context(), c.env)
	require.NoError(c.t, err)
	require.NoError(c.t, q.Verify(c.t.Context(), c.env))
}

// A quarantined image comes in by no kind of workload, as tag, as digest in whatever repository, or as init container; others do.
func TestClusterAQuarantinedImageIsNotDeployed(t *testing.T) {
	c := guarded(t)
	c.counts(workloads["Deployment"], badImage, false)
	c.quarantine("until: 7d", badImage, badDigest)
	c.counts(workloads["Deployment"], badImage, true)
	for kind, object := range workloads {
		for _, image := range []string{badImage, "mirror.example/app@" + badDigest, badImage + "@" + badDigest} {
			err := c.tries(object, image, "init:1")
			require.ErrorContains(t, err, image+" is quarantined: until 2", kind)
			require.ErrorContains(t, err, "by incident incident-1; key incident-1/step-2; reason errors rose", kind)
		}
		require.NoError(t, c.tries(object, "registry.example/app:1", "init:1"), kind)
		require.NoError(t, c.tries(object, "registry.example/app:21", "init:1"), kind)
	}
	require.ErrorContains(t, c.tries(workloads["Deployment"], "registry.example/app:1", badImage), "is quarantined")
	require.NoError(t, c.tries(`{apiVersion: v1, kind: Pod, metadata: {name: w, namespace: NS}, spec: {containers: [{name: app, image: IMAGE}]}}`, badImage, ""), "pods are made anew")

	c.quarantine("remove: true", badImage, badDigest)
	c.counts(workloads["Deployment"], badImage, false)
	require.NoError(t, c.tries(workloads["Deployment"], "registry.example/app@"+badDigest, "init:1"))
}

// What had the image before may be paused, scaled, annotated and changed; it may leave the image, and not come back to it.
func TestClusterWhatRunsAlreadyGoesOn(t *testing.T) {
	c := guarded(t)
	c.deploy("2", "replicas: 2,")
	c.kubectl("rollout", "status", "--timeout=60s", "deployment/app")
	c.apply(strings.NewReplacer("IMAGE", badImage, "name: w", "name: nightly").Replace(workloads["CronJob"]))
	c.quarantine("until: 7d", badImage)
	c.counts(workloads["Deployment"], badImage, true)

	_, err := do(t, &Halt{}, c.params("")).Plan(t.Context(), c.env)
	require.NoError(t, err)
	c.kubectl("rollout", "pause", "deployment/app")
	c.kubectl("rollout", "resume", "deployment/app")
	c.kubectl("scale", "--replicas=3", "deployment/app")
	c.kubectl("patch", "deployment/app", "-p", `{"spec":{"replicas":2}}`)
	c.kubectl("annotate", "deployment/app", "note=looked-at")
	c.kubectl("set", "env", "deployment/app", "DEBUG=1")
	c.kubectl("rollout", "restart", "deployment/app")
	c.kubectl("rollout", "status", "--timeout=60s", "deployment/app")
	c.kubectl("create", "job", "--from=cronjob/nightly", "by-the-cron-job")

	c.kubectl("set", "image", "deployment/app", "app=registry.example/app:1")
	of, err := cluster.Of(c.env)
	require.NoError(t, err)
	_, err = of.JSONPatch(t.Context(), c.ref(), []cluster.Op{{Op: "replace", Path: "/spec/template/spec/containers/0/image", Value: badImage}}, cluster.PatchOptions{DryRun: true})
	require.ErrorIs(t, err, cluster.ErrInvalid, "a refusal is not taken for a race")
	require.ErrorContains(t, err, badImage+" is quarantined")
	_, err = c.Kubectl(t.Context(), "", "--namespace="+c.namespace, "set", "image", "deployment/app", "app="+badImage)
	require.ErrorContains(t, err, badImage+" is quarantined")
}

// An entry that is over, that nobody can read, or a list that is gone, stops nothing; other entries still count.
func TestClusterOnlyEntriesThatLastCount(t *testing.T) {
	c := guarded(t)
	c.quarantine("until: 7d", badImage)
	c.counts(workloads["Job"], badImage, true)
	over := time.Now().Add(-time.Minute).UTC().Format(untilForm)
	for key, text := range map[string]string{
		"over": "until " + over + "\nimage registry.example/over:1\n", "garbage": "quarantine everything!", "empty": "",
		"endless": "until tomorrow\nimage registry.example/endless:1\n", "by-hand": "until 2999-01-01T00:00:00Z\nimage registry.example/by-hand:1\n",
	} {
		c.kubectl("patch", "configmap/astern-quarantine", "--type=merge", "-p", fmt.Sprintf(`{"data":{%q:%q}}`, key, text))
	}
	c.counts(workloads["Job"], "registry.example/by-hand:1", true)
	for _, image := range []string{"registry.example/over:1", "registry.example/endless:1", "registry.example/app:1"} {
		require.NoError(t, c.tries(workloads["Job"], image, ""), image)
	}
	require.ErrorContains(t, c.tries(workloads["Job"], badImage, ""), "is quarantined")
	c.kubectl("delete", "configmap/astern-quarantine")
	c.counts(workloads["Job"], badImage, false)
}

// The rights the action says it needs are enough, and they hold no right on the policy.
func TestClusterQuarantineNeedsNoMoreThanItSays(t *testing.T) {
	c := realCluster(t, deployment)
	file, err := c.KubeconfigFor(t.Context(), c.namespace, "keeper")
	require.NoError(t, err)
	env := envWith(t, file)
	q := do(t, &Quarantine{}, fmt.Sprintf(`{namespace: %s, images: [%q], reason: errors rose}`, c.namespace, badImage))
	require.ErrorContains(t, q.Ready(t.Context(), env), "rights are missing at the API server: get configmaps astern-quarantine in namespace "+c.namespace)
	var rules []string
	for _, a := range q.Access() {
		names := ""
		if a.Name != "" {
			names = fmt.Sprintf(", resourceNames: [%s]", a.Name)
		}
		rules = append(rules, fmt.Sprintf("{apiGroups: [%q], resources: [%s], verbs: [%s]%s}", a.Group, a.Resource, strings.Join(a.Verbs, ", "), names))
	}
	c.apply(`{apiVersion: v1, kind: List, items: [{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: keeper, namespace: NS}, rules: [` + strings.Join(rules, ", ") + `]},
		{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: keeper, namespace: NS}, subjects: [{kind: ServiceAccount, name: keeper, namespace: NS}],
		 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: keeper}}]}`)
	require.NoError(t, controlplane.Await(t.Context(), "the role", func(ctx context.Context) error { return q.Ready(ctx, env) }))
	_, err = q.Plan(t.Context(), env)
	require.NoError(t, err)
	_, err = q.Run(t.Context(), env)
	require.NoError(t, err)
	_, err = do(t, &Quarantine{}, fmt.Sprintf(`{namespace: %s, images: [%s], reason: errors rose}`, c.namespace, badDigest)).Run(t.Context(), env)
	require.NoError(t, err)
}
