package discover

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
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
