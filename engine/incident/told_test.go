package incident_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// What CI tells before, after, or without the cluster.

func revised(r incident.Release, revision int) incident.Release {
	r.Vars["revision"] = fmt.Sprint(revision)
	return r
}

// then is the history with what CI told at a time.
func then(h incident.TargetHistory, at time.Duration, f incident.Fact) incident.TargetHistory {
	e := incident.NewEvent(epoch.Add(at), "ci", "", f)
	e.Version = h.Version + 1
	return incident.ApplyTarget(h, e)
}

// Whoever reads a cluster puts times in order: what is told again looks newer than what was told meanwhile.
func TestWhatTheClusterDoesNotShowYetIsNoMoveBack(t *testing.T) {
	v2 := func(at time.Duration) incident.Release { return revised(shown("v2", templateB, at), 2) }
	for name, told := range map[string]incident.Fact{
		"begun":    began("v3"),
		"recorded": release("v3"),
	} {
		for as, show := range map[string]func(incident.Release, ...incident.Release) incident.Observation{"runs": seen, "rolls": rolling} {
			t.Run(name+" while another "+as, func(t *testing.T) {
				h := after(t, incident.TargetHistory{}, seen(revised(shown("v1", templateA, -time.Hour), 1)), show(v2(0)))
				h = then(h, time.Minute, told)
				h = after(t, h, show(v2(0)), show(v2(2*time.Minute)))
				suspect, _ := h.Suspect()
				require.Equal(t, "v3", suspect.Version)
				require.Empty(t, suspect.Reason)
				h = after(t, h, rolling(revised(shown("v3", templateC, 3*time.Minute), 3)))
				suspect, _ = h.Suspect()
				require.Equal(t, "v3", suspect.Version)
				require.Equal(t, templateC, suspect.Vars[incident.TemplateVar])
				require.Equal(t, incident.Unknown, suspect.Verdict)
				require.False(t, h.CameBack())
				h = after(t, h, rolling(revised(shown("v2", templateB, 4*time.Minute), 4)))
				suspect, _ = h.Suspect()
				require.Equal(t, "v2", suspect.Version, "once it was shown, a move back is one")
			})
		}
	}
}

func TestAMoveBackThatNobodySawIsTold(t *testing.T) {
	h := after(t, incident.TargetHistory{}, seen(revised(shown("v1", templateA, -time.Hour), 1)))
	h = then(h, time.Minute, release("v2"))
	h = after(t, h, seen(revised(shown("v1", templateA, 2*time.Minute), 3)))
	current, _ := h.Current()
	require.Equal(t, "v1", current.Version, "another revision: somebody rolled it out again")
	require.Equal(t, incident.Bad, h.Releases[1].Verdict)
}

func TestAfterARollbackNothingIsWaitedFor(t *testing.T) {
	h := targetOf(release("v1"))
	h = after(t, h, seen(revised(shown("v2", templateB, time.Minute), 2)))
	h = then(h, 2*time.Minute, moved("v2", "v1", 2*time.Minute))
	h = after(t, h, seen(revised(shown("v2", templateB, 3*time.Minute), 2)))
	current, _ := h.Current()
	require.Equal(t, "v2", current.Version, "a Service that is switched back shows the same revision")
}

func TestARolloutThatNeverEndedIsNoDestination(t *testing.T) {
	h := targetOf(release("v1"), began("v2"), began("v3"))
	to, why := h.Destination()
	require.Empty(t, why)
	require.Equal(t, "v1", to.Release.Version)
	require.Equal(t, 1, to.Back)
	h = then(h, 10*time.Minute, incident.ReleaseSeen{Version: "v2", Vars: map[string]string{"revision": "2"}})
	to, _ = h.Destination()
	require.Equal(t, "v1", to.Release.Version)
	h = then(h, 11*time.Minute, incident.ReleaseRecorded{Release: incident.Release{Version: "v2", At: epoch.Add(90 * time.Second)}})
	to, _ = h.Destination()
	require.Equal(t, "v2", to.Release.Version, "it was told later that it had ended")

	_, why = targetOf(began("v2"), began("v3")).Destination()
	require.Contains(t, why, "the rollout of v2 never ended")
}

func TestWhatWasJudgedWhileItRolledStaysJudged(t *testing.T) {
	for _, v := range []incident.Standing{incident.Bad, incident.Denied, incident.Good} {
		h := targetOf(release("v1"), began("v2"), incident.ReleaseJudged{Version: "v2", Verdict: v, Reason: "leaks"}, release("v2"))
		current, _ := h.Current()
		require.Equal(t, v, current.Verdict)
		require.Equal(t, "leaks", current.Reason, "and why")
	}
}

func TestAVersionThatComesBackSaysWhyItIsBad(t *testing.T) {
	h := targetOf(release("v1"), release("v2"), incident.ReleaseJudged{Version: "v2", Verdict: incident.Bad, Reason: "leaks"}, release("v1"), began("v2"))
	no, why := h.Quarantined(incident.Release{Version: "v2"})
	require.True(t, no)
	require.Equal(t, "v2 is bad: leaks", why)
}

func TestWhatWasToldOfADigestStays(t *testing.T) {
	h := then(incident.TargetHistory{}, 0, incident.RolloutBegan{Release: incident.Release{Version: "v1", Digest: "sha256:index", Commit: "8841cafe"}})
	h = after(t, h, rolling(shown("v1", templateA, 0)))
	ended := shown("v1", templateA, time.Minute)
	ended.Digest, ended.Commit = "sha256:platform", "ffffffff"
	h = after(t, h, seen(ended))
	require.Equal(t, "sha256:index", h.Releases[0].Digest)
	require.Equal(t, "8841cafe", h.Releases[0].Commit)
}

func TestNoUIDIsNoOtherObject(t *testing.T) {
	o := seen(shown("v1", templateA, 0))
	h := after(t, incident.TargetHistory{}, o)
	o.UID = ""
	require.Empty(t, h.Observed(o))
}

func TestWhatRanBeforeIsReadThoughCIToldOfTheFirst(t *testing.T) {
	h := targetOf(release("v2"))
	h = after(t, h, seen(shown("v2", templateB, time.Minute), shown("v1", templateA, -time.Hour)))
	require.Equal(t, []string{"v1", "v2"}, versions(h))
	to, why := h.Destination()
	require.Empty(t, why)
	require.Equal(t, templateA, to.Release.Vars[incident.TemplateVar])
}

func TestANameUsedAgainIsTheContentItNamesNow(t *testing.T) {
	first, second := shown("latest", templateA, 0), shown("latest", templateB, time.Minute)
	first.Digest, second.Digest = "sha256:aaaa0000", "sha256:bbbb0000"
	h := after(t, incident.TargetHistory{}, seen(first), rolling(second))
	for name, digest := range map[string]string{"without a digest": "", "with its digest": "sha256:bbbb0000"} {
		t.Run(name, func(t *testing.T) {
			r := h.Told(incident.Release{Version: "latest", Digest: digest})
			require.Equal(t, "latest+bbbbbbbb", r.Version)
			ended := then(h, 2*time.Minute, incident.ReleaseRecorded{Release: r})
			require.Equal(t, []string{"latest", "latest+bbbbbbbb"}, versions(ended))
			require.Equal(t, incident.Unknown, ended.Releases[1].Verdict)
		})
	}
	r := h.Told(incident.Release{Version: "latest", Digest: "sha256:cccccccc0000"})
	require.Equal(t, "latest+cccccccc", r.Version, "a third content is neither")
	r = h.Told(incident.Release{Version: "latest", Digest: "sha256:aaaa0000"})
	require.Equal(t, "latest", r.Version, "the first again is a move back")
}

func TestABuildsNumberIsNoDigest(t *testing.T) {
	h := after(t, targetOf(release("v1")), seen(shown("v1+7", templateB, time.Minute)))
	require.Equal(t, "v1", h.Told(incident.Release{Version: "v1"}).Version)
}

// A person undoes v2 while the pipeline of the next one has just begun.
func TestAMoveBackLeavesWhatTheClusterShowed(t *testing.T) {
	for name, show := range map[string]func(incident.Release, ...incident.Release) incident.Observation{"as it began": rolling, "when it ended": seen} {
		t.Run(name, func(t *testing.T) {
			h := after(t, incident.TargetHistory{}, seen(shown("v2", templateB, 0), shown("v1", templateA, -time.Hour)))
			h = then(h, time.Minute, began("v3"))
			h = after(t, h, show(shown("v1", templateA, 2*time.Minute)), seen(shown("v1", templateA, 3*time.Minute)))
			bad, _ := h.Quarantined(incident.Release{Version: "v2"})
			require.True(t, bad)
			bad, _ = h.Quarantined(incident.Release{Version: "v3"})
			require.False(t, bad, "it never ran")
			h = after(t, h, rolling(shown("v3", templateC, 4*time.Minute)))
			require.Equal(t, incident.Unknown, h.Rolling.Verdict)
			to, why := h.Destination()
			require.Empty(t, why)
			require.Equal(t, "v1", to.Release.Version)
		})
	}
}

// Two who undo each other fill the history; what it says stays short.
func TestAFightStaysBounded(t *testing.T) {
	h := after(t, incident.TargetHistory{}, seen(shown("v1", templateA, 0)))
	for n := range 120 {
		at := time.Duration(n) * time.Minute
		h = after(t, h, rolling(shown("v2", templateB, at+time.Second)), seen(shown("v2", templateB, at+2*time.Second)), seen(shown("v1", templateA, at+30*time.Second)))
	}
	h = after(t, h, rolling(shown("v2", templateB, 3*time.Hour)))
	require.Len(t, h.Releases, 100)
	require.Equal(t, incident.Bad, h.Rolling.Verdict)
	require.True(t, h.CameBack())
	to, why := h.Destination()
	require.Empty(t, why)
	require.Equal(t, "v1", to.Release.Version)
	h = after(t, h, seen(shown("v1", templateA, 4*time.Hour)))
	_, why = h.Destination()
	require.Equal(t, "no good release before v1 is known: v2 is bad", why)
}

func TestWhatCIToldIsNotReadTwice(t *testing.T) {
	h := after(t, targetOf(release("v1"), release("v2")), seen(shown("v2", templateB, time.Minute), shown("v1", templateA, -time.Hour)))
	require.Equal(t, []string{"v1", "v2"}, versions(h))
	require.Equal(t, epoch, h.Releases[0].At)
	require.Equal(t, templateA, h.Releases[0].Vars[incident.TemplateVar])
}
