package engine_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// What CI tells of targets, in its own order and by its own clock.

func TestATimeALittleAheadPutsNothingOutOfOrder(t *testing.T) {
	r := newRig(t).armed()
	ci := engine.Person{Name: "ci"}
	require.NoError(t, r.engine.BeginRelease(t.Context(), ci, "api", incident.Release{Version: "v43", At: r.now().Add(50 * time.Second)}))
	r.advance(10 * time.Second)
	require.NoError(t, r.engine.RecordRelease(t.Context(), ci, "api", incident.Release{Version: "v43"}))
	target, err := r.engine.Target(t.Context(), "api")
	require.NoError(t, err)
	require.Nil(t, target.Rolling)
	require.Equal(t, "v43", target.Current.Version)
	require.NoError(t, r.engine.RecordRelease(t.Context(), ci, "api", incident.Release{Version: "v44", At: r.now().Add(50 * time.Second)}))
	r.advance(10 * time.Second)
	require.NoError(t, r.engine.RecordRelease(t.Context(), ci, "api", incident.Release{Version: "v45"}))
	target, err = r.engine.Target(t.Context(), "api")
	require.NoError(t, err)
	require.Equal(t, "v45", target.Current.Version)
}

func TestARolloutThatNobodyEndsIsNoCulpritForEver(t *testing.T) {
	r := newRig(t).ready()
	require.NoError(t, r.engine.BeginRelease(t.Context(), engine.Person{Name: "ci"}, "api", incident.Release{Version: "v43", At: r.now().Add(-2 * time.Hour), Vars: map[string]string{"track": "red"}}))
	r.fire("Errors", "api")
	r.advance(5 * time.Minute)
	i := r.phase("api", incident.AwaitingApproval)
	require.Contains(t, i.Reason, "the rollout of v43 was told to begin 2h0m0s before the alert began, and nobody told of its end")
}

func TestARolloutThatTheClusterDoesNotShowProvesNothing(t *testing.T) {
	r := watched(t)
	require.NoError(t, r.engine.BeginRelease(t.Context(), engine.Person{Name: "ci"}, "api", incident.Release{Version: "v43"}))
	r.fire("Errors", "api")
	r.runs("api", v42(), 5*time.Minute)
	i := r.phase("api", incident.Held)
	require.Contains(t, i.Reason, "ci told of v43, and Deployment shop/api does not show it")
	require.Empty(t, r.world.did())
}

func TestAVersionIsDeniedWhileItRolls(t *testing.T) {
	r := watched(t)
	r.observe("api", true, showing("v43", "red", r.now()))
	require.NoError(t, r.engine.DenyRelease(t.Context(), engine.Person{Name: "sre"}, "api", "v43", "leaked"))
	r.observe("api", false, showing("v43", "red", r.now()))
	require.ErrorContains(t, r.engine.ReleaseAllowed(t.Context(), "api", incident.Release{Version: "v43"}), "v43 is denied: leaked")
}

// A pipeline that waited for its deploy ends well when the deploy was rolled back, and says that it runs.
func TestALateWordOfCIBringsNothingBack(t *testing.T) {
	r := watched(t)
	ci := engine.Person{Name: "ci"}
	r.fire("Errors", "api")
	r.runs("api", v42(), 5*time.Minute)
	r.phase("api", incident.Verifying)
	r.world.good()
	r.observe("api", false, showing("v41", "blue", r.now()))
	require.ErrorContains(t, r.engine.RecordRelease(t.Context(), ci, "api", incident.Release{Version: "v42"}), "v42 is bad: left by the rollback of api-1; its cluster shows another version")
	r.advance(time.Minute)
	target, err := r.engine.Target(t.Context(), "api")
	require.NoError(t, err)
	require.Equal(t, "v41", target.Current.Version)
	require.Empty(t, target.Troubles)
	r.phase("api", incident.Verifying)
}

func TestALateWordOfAnOvertakenVersionFillsIn(t *testing.T) {
	r := watched(t)
	r.observe("api", false, showing("v43", "red", r.now()))
	require.NoError(t, r.engine.RecordRelease(t.Context(), engine.Person{Name: "ci"}, "api", incident.Release{Version: "v42", Commit: "8841cafe"}))
	r.observe("api", false, showing("v43", "red", start))
	target, err := r.engine.Target(t.Context(), "api")
	require.NoError(t, err)
	require.Len(t, target.Releases, 3)
	require.Equal(t, "v43", target.Current.Version)
	require.Equal(t, "8841cafe", target.Previous.Commit)
	require.Equal(t, incident.Unknown, target.Previous.Verdict)
}

func TestAnotherContentOfTheNameSupersedes(t *testing.T) {
	r := watched(t)
	now := v42()
	now.Digest = "sha256:aaaa0000"
	r.world.onRun = func(step string) {
		if step == "switch" {
			require.NoError(t, r.engine.RecordRelease(t.Context(), engine.Person{Name: "ci"}, "api", incident.Release{Version: "v42", Digest: "sha256:bbbb0000"}))
		}
	}
	r.observe("api", false, now)
	r.fire("Errors", "api")
	r.runs("api", now, 5*time.Minute)
	require.Contains(t, r.phase("api", incident.Superseded).Reason, "somebody moved it")
	require.Equal(t, []string{"api-1/switch=blue"}, r.world.did())
}
