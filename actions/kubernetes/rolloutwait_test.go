package kubernetes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/cluster/clustertest"
)

func TestRolloutWait(t *testing.T) {
	actiontest.Run(t, func() actions.Action { return &RolloutWait{every: time.Millisecond} }, actiontest.Case{
		Name: "rolled out", YAML: fmt.Sprintf("{%s, to: %q, within: 50ms, grace: 10ms}", apiRef, digestAt(t, "1")),
		World:     func(t *testing.T) *actiontest.World { s := shop(t); deploy(s, "1", ""); return worldOf(t, s) },
		Temporary: []int{401, 429, 500, 503}, Permanent: []int{400, 403, 404},
	})
}

func wait(t testing.TB, more string) *RolloutWait {
	w := do(t, &RolloutWait{}, "{"+apiRef+more+"}")
	w.every = time.Millisecond
	return w
}

// clock is a time that moves a second with each look at it.
func clock() func() time.Time {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return func() time.Time { now = now.Add(time.Second); return now }
}

// looks gives what a wait says while the world changes after each line of it.
func looks(t testing.TB, s *clustertest.Server, w *RolloutWait, change ...func()) ([]string, actions.Result, error) {
	t.Helper()
	env := envOf(t, s)
	env.Now = clock()
	var lines []string
	env.Progress = func(line string) {
		lines = append(lines, line)
		if len(change) > 0 {
			change[0]()
			change = change[1:]
		}
	}
	did, err := w.Run(t.Context(), env)
	return lines, did, err
}

// The wait follows a rollout to its end, and pods that still end are not the end.
func TestRolloutWaitFollows(t *testing.T) {
	s := shop(t)
	for _, version := range []string{"1", "3"} {
		deploy(s, version, "")
		s.Change(deployment, "shop", "api", func(o map[string]any) {
			_ = unstructured.SetNestedField(o, "true", "spec", "template", "metadata", "annotations", "clustertest/lingers")
		})
	}
	require.ErrorIs(t, wait(t, "").Verify(t.Context(), envOf(t, s)), actions.ErrNotDone)
	lines, did, err := looks(t, s, wait(t, ", grace: 1h"), func() { s.EndPods("shop") })
	require.NoError(t, err)
	require.Equal(t, []string{"3 of 3 pods updated, 3 ready, 3 ending", "3 of 3 pods updated, 3 ready"}, lines)
	require.Equal(t, "Deployment shop/api is rolled out: 3 of 3 pods updated, 3 ready", did.Summary)
	require.Equal(t, RolloutWaitOutputs{rollout{obj: s.Get(deployment, "shop", "api")}.digest(), 3}, did.Outputs)
	require.NoError(t, wait(t, "").Verify(t.Context(), envOf(t, s)))
	change, err := wait(t, "").Plan(t.Context(), envOf(t, s))
	require.NoError(t, err)
	require.False(t, change.Changes)
	require.Equal(t, "wait 10m0s at most until Deployment shop/api is rolled out; now 3 of 3 pods updated, 3 ready", change.Summary)
}

// Each of these ends the wait at once or after the grace, and says why.
func TestRolloutWaitFails(t *testing.T) {
	one := digestAt(t, "1")
	for name, c := range map[string]struct {
		more   string
		change func(s *clustertest.Server)
		why    string
		passes bool // whether another attempt may help
	}{
		"a pod that crashes":   {", grace: 5s", nil, "(last 1 of 3 pods updated, 0 ready, 3 of another version; pod api-", false},
		"out of time":          {", grace: 1h, within: 20s", nil, "it is not rolled out in time", true},
		"another version":      {", grace: 1h, to: \"" + one + "\"", nil, "not the one to wait for", false},
		"a deploy meanwhile":   {", grace: 1h", func(s *clustertest.Server) { deploy(s, "3-broken", "") }, "another template was set meanwhile", false},
		"a pause":              {", grace: 1h", func(s *clustertest.Server) { pause(s, true) }, "it is halted; kubernetes", false},
		"made anew":            {", grace: 1h", func(s *clustertest.Server) { s.Remove(deployment, "shop", "api"); s.Add(apiAt("2-broken")) }, "it was deleted and made anew meanwhile", false},
		"deleted":              {", grace: 1h", func(s *clustertest.Server) { s.Remove(deployment, "shop", "api") }, "not found", false},
		"its deadline":         {", grace: 1h", func(s *clustertest.Server) { exceeded(s, time.Hour) }, "its progress deadline is exceeded", false},
		"a quota that is full": {", grace: 5s", func(s *clustertest.Server) { refused(s) }, "no pod can be made: exceeded quota: compute", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := frozen(t, shop(t))
			if c.change == nil {
				c.change = func(*clustertest.Server) {}
			}
			_, _, err := looks(t, s, wait(t, c.more), func() { c.change(s) })
			require.ErrorContains(t, err, c.why)
			require.Equal(t, c.passes, !actions.IsPermanent(err))
			require.Zero(t, len(s.Writes()))
		})
	}
}

func exceeded(s *clustertest.Server, after time.Duration) {
	at := time.Now().Add(after).UTC().Format(time.RFC3339)
	condition(s, map[string]any{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "lastUpdateTime": at})
}

func refused(s *clustertest.Server) {
	condition(s, map[string]any{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: compute"})
}

func condition(s *clustertest.Server, is map[string]any) {
	s.Change(deployment, "shop", "api", func(o map[string]any) { _ = unstructured.SetNestedSlice(o, []any{is}, "status", "conditions") })
}

// frozen is the same world with controllers that do nothing more.
func frozen(t testing.TB, s *clustertest.Server) *clustertest.Server {
	t.Helper()
	still := clustertest.New(t)
	for _, kind := range []string{"ServiceAccount", "Secret", "ConfigMap", deployment, "ReplicaSet", "Pod"} {
		for _, o := range s.All(kind, "shop", "") {
			o.SetManagedFields(nil)
			raw, err := o.MarshalJSON()
			require.NoError(t, err)
			still.Add(string(raw))
		}
	}
	return still
}

// The deadline that passed for the version before stands in the status for a while after the undo; it is not this rollout's.
func TestRolloutWaitKnowsAnOldDeadline(t *testing.T) {
	for after, old := range map[time.Duration]bool{-time.Minute: true, 0: true, 11 * time.Minute: false} {
		s := frozen(t, shop(t))
		s.Change(deployment, "shop", "api", func(o map[string]any) {
			_ = unstructured.SetNestedField(o, int64(600), "spec", "progressDeadlineSeconds")
		})
		exceeded(s, after)
		s.Change(deployment, "shop", "api", func(o map[string]any) {
			generation, _, _ := unstructured.NestedInt64(o, "metadata", "generation")
			_ = unstructured.SetNestedField(o, generation, "status", "observedGeneration")
		})
		_, _, err := looks(t, s, wait(t, ", grace: 1h, within: 5s"))
		require.Equal(t, old, !actions.IsPermanent(err), "%s after the template: %v", after, err)
	}
}

// An API server that is away for a while ends nothing but the time; a pod that no node takes now may be taken by one that comes.
func TestRolloutWaitBears(t *testing.T) {
	s := shop(t)
	deploy(s, "1", "")
	away := 3
	s.Before(func(clustertest.Call) *clustertest.Fault {
		if away--; away >= 0 {
			return &clustertest.Fault{Status: 503}
		}
		return nil
	})
	_, _, err := looks(t, s, wait(t, ""))
	require.NoError(t, err)

	s = frozen(t, shop(t))
	for _, pod := range s.All("Pod", "shop", "") {
		s.Change("Pod", "shop", pod.GetName(), func(o map[string]any) {
			o["status"] = map[string]any{"phase": "Pending", "conditions": []any{map[string]any{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}}}
		})
	}
	_, _, err = looks(t, s, wait(t, ", grace: 5s, within: 20s"))
	require.ErrorContains(t, err, "Unschedulable: 0/3 nodes are available")
	require.False(t, actions.IsPermanent(err))
}

// A pod that crashes is up between two crashes: its grace goes on.
func TestRolloutWaitGrace(t *testing.T) {
	pod := func(ready bool, waiting string) stage {
		o := unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "api-1", "uid": "u", "labels": map[string]any{hashLabel: "h"}},
			"status": map[string]any{"containerStatuses": []any{map[string]any{"name": "app", "state": map[string]any{"waiting": map[string]any{"reason": waiting}}}}}}}
		p := readRolloutPod(o)
		p.ready = ready
		r := rollout{obj: &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{}, "spec": map[string]any{"template": map[string]any{"spec": map[string]any{}}}}}}
		return stage{rollout: r, revisions: []revision{{hash: "h", digest: r.digest()}}, all: []rolloutPod{p}}
	}
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	p := patience{until: at(1000), grace: 30 * time.Second, since: map[string]time.Time{}}
	require.NoError(t, p.over(pod(false, "CrashLoopBackOff"), at(0)))
	require.NoError(t, p.over(pod(false, ""), at(20)))
	require.Error(t, p.over(pod(false, "CrashLoopBackOff"), at(31)))
	require.NoError(t, p.over(pod(true, ""), at(40)))
	require.NoError(t, p.over(pod(false, "CrashLoopBackOff"), at(50)), "it was ready")
}

// It is rolled out when the controller says so of what it has seen, every pod has the template and is ready, and none is ending;
// pods below a partition are not its.
func TestRolledOut(t *testing.T) {
	set := func(partition, observed int64) rollout {
		return rollout{cluster.Ref{Kind: statefulSet, Namespace: "shop", Name: "db"}, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apps/v1", "kind": statefulSet, "metadata": map[string]any{"generation": int64(2)},
			"spec": map[string]any{"replicas": int64(2), "template": map[string]any{"spec": map[string]any{}},
				"updateStrategy": map[string]any{"type": rollingUpdate, "rollingUpdate": map[string]any{"partition": partition}}},
			"status": map[string]any{"observedGeneration": observed, "replicas": int64(2), "readyReplicas": int64(2), "currentReplicas": int64(2), "updatedReplicas": int64(2),
				"currentRevision": "db-1", "updateRevision": "db-1"}}}}
	}
	pod := func(name, hash string, ready, going bool) rolloutPod {
		return rolloutPod{name: name, hash: hash, ready: ready, going: going}
	}
	zero := pod("db-0", "db-1", true, false)
	never := set(0, 0)
	unstructured.RemoveNestedField(never.obj.Object, "status", "observedGeneration")
	for name, c := range map[string]struct {
		of   rollout
		pods []rolloutPod
		done bool
	}{
		"rolled out":          {set(0, 2), []rolloutPod{zero, pod("db-1", "db-1", true, false)}, true},
		"never seen":          {never, []rolloutPod{zero, pod("db-1", "db-1", true, false)}, false},
		"one more, not ready": {set(0, 2), []rolloutPod{zero, pod("db-1", "db-1", true, false), pod("db-2", "db-1", false, false)}, false},
		"not seen":            {set(0, 1), []rolloutPod{zero, pod("db-1", "db-1", true, false)}, false},
		"one is ending":       {set(0, 2), []rolloutPod{zero, pod("db-1", "db-1", true, false), pod("db-2", "db-1", true, true)}, false},
		"one is not ready":    {set(0, 2), []rolloutPod{zero, pod("db-1", "db-1", false, false)}, false},
		"one is missing":      {set(0, 2), []rolloutPod{zero}, false},
		"one is old":          {set(0, 2), []rolloutPod{zero, pod("db-1", "db-1", true, false), pod("db-2", "db-0", true, false)}, false},
		"one is below":        {set(1, 2), []rolloutPod{pod("db-0", "db-0", true, false), pod("db-1", "db-1", true, false)}, true},
		"not below partition": {set(1, 2), []rolloutPod{zero, pod("db-1", "db-0", true, false)}, false},
	} {
		s := stage{c.of, []revision{{hash: "db-1", digest: c.of.digest()}, {hash: "db-0", digest: "sha256:other"}}, c.pods}
		require.Equal(t, c.done, s.done(), "%s: %s", name, s.line())
	}
}

// What a node says of a pod is one short line.
func TestShortLine(t *testing.T) {
	require.Equal(t, "a b c", shortLine("a\n b\r\n\tc"))
	require.LessOrEqual(t, len(shortLine(strings.Repeat("ü", 1000))), maxWords+len("…"))
}

func TestRolloutWaitRights(t *testing.T) {
	s := shop(t)
	deploy(s, "1", "")
	s.Only(wait(t, "").Access()...)
	require.NoError(t, wait(t, "").Ready(t.Context(), envOf(t, s)))
	_, _, err := looks(t, s, wait(t, ""))
	require.NoError(t, err)
	s.Forbid("list", "pods")
	require.ErrorContains(t, wait(t, "").Ready(t.Context(), envOf(t, s)), "list pods")
}
