package discover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/cluster/clustertest"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
)

func at(minutes int) time.Time { return midnight.Add(time.Duration(minutes) * time.Minute) }

// Times of a cluster come from another clock, and some are guesses: whatever they say, a release that is news comes after
// what is known.
func TestTimesAreInOrder(t *testing.T) {
	shows := func(version string, began, ended int, proven bool) cluster.Release {
		return cluster.Release{Version: version, Vars: map[string]string{"template": "sha256:" + version}, Began: at(began), At: at(ended), Proven: proven}
	}
	known := func(version string, ended int) *incident.Release {
		return &incident.Release{Version: version, Vars: map[string]string{"template": "sha256:" + version}, At: at(ended)}
	}
	rolling := func(version string, began int) *incident.Release {
		r := known(version, began)
		r.Began = at(began)
		return r
	}
	for _, c := range []struct {
		name    string
		shows   cluster.Release
		rolling bool
		known   engine.TargetStatus
		want    time.Time
	}{
		{"what was read counts", shows("v2", 10, 12, true), false, engine.TargetStatus{}, at(12)},
		{"a guess on a first sight may be too late: the begin is not", shows("v2", 10, 12, false), false, engine.TargetStatus{}, at(10)},
		{"a guess counts where something is known", shows("v2", 10, 12, false), false, engine.TargetStatus{Current: known("v1", 5)}, at(12)},
		{"a clock ahead says now", shows("v2", 10, 99, true), false, engine.TargetStatus{}, at(30)},
		{"no time says now", cluster.Release{Version: "v2"}, false, engine.TargetStatus{}, at(30)},
		{"news come after what is known", shows("v2", 1, 2, true), false, engine.TargetStatus{Current: known("v1", 5)}, at(30)},
		{"news come after what is known, also to a clock behind", shows("v2", 1, 2, true), false, engine.TargetStatus{Current: known("v1", 31)}, at(31).Add(time.Millisecond)},
		{"what is known already keeps its time", shows("v1", 1, 2, true), false, engine.TargetStatus{Current: known("v1", 5)}, at(2)},
		{"a rollout begins after what is known", shows("v2", 1, 1, true), true, engine.TargetStatus{Current: known("v1", 5)}, at(30)},
		{"a rollout that was told ends after it began", shows("v2", 1, 2, true), false, engine.TargetStatus{Current: known("v1", 0), Rolling: rolling("v2", 9)}, at(30)},
		{"another one in its place comes after it", shows("v3", 1, 2, true), false, engine.TargetStatus{Current: known("v1", 0), Rolling: rolling("v2", 9)}, at(30)},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Observe("kubernetes/prod", at(30), cluster.Running{UID: "u", Release: c.shows, Rolling: c.rolling, Past: []cluster.Release{shows("v0", 0, 0, true)}}, c.known)
			require.Equal(t, c.want, o.Release.At)
			require.False(t, o.Release.Began.After(o.Release.At))
			require.Equal(t, "v0", o.Past[0].Version)
			require.Equal(t, at(30), o.At)
			require.Equal(t, c.rolling, o.Rolling)

			// Whatever it says, it is told once.
			history := incident.TargetHistory{Rolling: c.known.Rolling}
			if c.known.Current != nil {
				history.Releases = []incident.Release{*c.known.Current}
			}
			for _, f := range history.Observed(o) {
				history = incident.ApplyTarget(history, incident.Event{Version: history.Version + 1, By: o.Source, At: o.At, Fact: f})
			}
			require.Empty(t, history.Observed(o))
		})
	}
}

// A watch that lags behind must not tell news: after a rollback the old sight would look as if somebody had undone it.
func TestAnOldSightIsNoNews(t *testing.T) {
	api := clustertest.New(t)
	api.Add(deployed("v41", 1))
	c := &cluster.Connection{Kubeconfig: api.Kubeconfig(t)}
	opened, err := c.Open((&net.Dialer{}).DialContext)
	require.NoError(t, err)
	now := midnight.Add(24 * time.Hour)
	h := newHistories()
	s := newSite(Options{Engine: h, Log: zap.NewNop(), Now: func() time.Time { return now }}, Site{Name: "prod", Cluster: opened.(*cluster.Cluster)})
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan struct{}, 1)
	v := &view{View: s.Cluster.View("shop", cluster.ReadKinds("Deployment"), time.Now, func() { poke(seen) })}
	s.views["shop"] = v
	ended := make(chan struct{})
	go func() { defer close(ended); v.Run(ctx) }()
	told := &told{workload: plan.Workload{Kind: "Deployment", Namespace: "shop", Name: "api"}}
	for errors.Is(lastError(v.Running(ref(told.workload))), cluster.ErrNotRead) {
		<-seen
	}
	cancel() // from here on the view is blind
	<-ended

	require.NoError(t, s.tell(t.Context(), "api", told))
	require.Equal(t, []string{"released v41"}, h.told("api"))
	first := told.was
	now = now.Add(time.Second)
	require.NoError(t, s.tell(t.Context(), "api", told))
	require.Equal(t, first, told.was, "told again it is as old as it was")
	now = now.Add(enrichEvery)
	require.NoError(t, s.tell(t.Context(), "api", told))
	require.Equal(t, now, told.was.At, "the API server was asked whether it still is so")

	_, err = s.Cluster.MergePatch(t.Context(), ref(told.workload), map[string]any{"metadata": map[string]any{"labels": map[string]any{"x": "y"}}}, cluster.PatchOptions{})
	require.NoError(t, err)
	now = now.Add(enrichEvery)
	require.ErrorIs(t, s.tell(t.Context(), "api", told), errLags)
	require.NotEqual(t, now, told.was.At)

	// What cannot be asked is told when that lasts.
	api.Status(503)
	require.Error(t, s.tell(t.Context(), "api", told))
	require.Empty(t, h.problems["api"])
	now = now.Add(cluster.Patience)
	require.NoError(t, s.tell(t.Context(), "api", told))
	require.Contains(t, h.problems["api"], "get Deployment shop/api")
	require.Equal(t, []string{"released v41"}, h.told("api"))
}

func lastError(_ cluster.Running, err error) error { return err }

// deployed is a Deployment whose rollout has ended, as its controller leaves it.
func deployed(version string, revision int) string {
	template := `{metadata: {labels: {app: api}}, spec: {containers: [{name: app, image: "registry.example/api:` + version + `"}]}}`
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop, uid: u-api, generation: 1, creationTimestamp: "2026-11-23T00:00:00Z"}
spec: {replicas: 1, selector: {matchLabels: {app: api}}, template: %[1]s}
status: {observedGeneration: 1, replicas: 1, updatedReplicas: 1, availableReplicas: 1,
  conditions: [{type: Progressing, status: "True", reason: NewReplicaSetAvailable, lastUpdateTime: "2026-11-23T00:00:02Z", lastTransitionTime: "2026-11-23T00:00:00Z"}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: api-1, namespace: shop, uid: u-api-1, creationTimestamp: "2026-11-23T00:00:00Z", annotations: {deployment.kubernetes.io/revision: "%[2]d"},
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: api, uid: u-api, controller: true}]}
spec: {replicas: 1, selector: {matchLabels: {app: api}}, template: %[1]s}
status: {replicas: 1}
`, template, revision)
}
