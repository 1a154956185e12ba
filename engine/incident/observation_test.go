package incident_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

const (
	templateA = "sha256:aaaaaaaaaaaa"
	templateB = "sha256:bbbbbbbbbbbb"
	templateC = "sha256:cccccccccccc"
)

func shown(version, template string, at time.Duration) incident.Release {
	return incident.Release{Version: version, At: epoch.Add(at), Vars: map[string]string{incident.TemplateVar: template}}
}

func seen(r incident.Release, past ...incident.Release) incident.Observation {
	return incident.Observation{Source: "kubernetes/prod", At: epoch.Add(time.Hour), UID: "u-1", Release: r, Past: past}
}

func rolling(r incident.Release, past ...incident.Release) incident.Observation {
	o := seen(r, past...)
	o.Rolling = true
	return o
}

// after is the history when these observations were taken in; each of them is taken in twice, and adds nothing then.
func after(t *testing.T, h incident.TargetHistory, all ...incident.Observation) incident.TargetHistory {
	for _, o := range all {
		for _, f := range h.Observed(o) {
			e := incident.NewEvent(o.At, o.Source, "", f)
			e.Version = h.Version + 1
			h = incident.ApplyTarget(h, e)
		}
		require.Empty(t, h.Observed(o), "seen twice, told once")
	}
	return h
}

func TestAClusterIsReadFromItsBeginning(t *testing.T) {
	h := after(t, incident.TargetHistory{}, seen(shown("v2", templateB, 30*time.Minute), shown("v1", templateA, 0)))
	require.Equal(t, []string{"v1", "v2"}, versions(h))
	require.Equal(t, "u-1", h.UID)
	to, why := h.Destination()
	require.Empty(t, why)
	require.Equal(t, templateA, to.Release.Vars[incident.TemplateVar])
	require.Equal(t, incident.Unknown, to.Release.Verdict, "what is read says nothing of how good it was")
}

func TestARolloutIsSeenToBeginAndToEnd(t *testing.T) {
	h := after(t, incident.TargetHistory{}, seen(shown("v1", templateA, 0)), rolling(shown("v2", templateB, 10*time.Minute)))
	require.Equal(t, "v2", h.Rolling.Version)
	h = after(t, h, seen(shown("v2", templateB, 12*time.Minute)))
	current, _ := h.Current()
	require.Equal(t, epoch.Add(10*time.Minute), current.Began)
	require.Equal(t, epoch.Add(12*time.Minute), current.At)
}

func TestContentKeepsTheNameItIsKnownBy(t *testing.T) {
	byCI := incident.ReleaseRecorded{Release: incident.Release{Version: "2026.11", Digest: "sha256:77ab"}}
	image := shown("77ab", templateA, time.Minute)
	image.Digest = "sha256:77ab"
	h := after(t, targetOf(byCI), seen(image))
	require.Equal(t, []string{"2026.11"}, versions(h))
	require.Equal(t, templateA, h.Releases[0].Vars[incident.TemplateVar], "what CI told is filled in")
	h = after(t, h, seen(shown("whatever", templateA, time.Minute)))
	require.Equal(t, []string{"2026.11"}, versions(h))
}

func TestOneNameForTwoContentsIsToldApart(t *testing.T) {
	h := after(t, incident.TargetHistory{}, seen(shown("latest", templateA, 0)), seen(shown("latest", templateB, time.Minute)))
	require.Equal(t, []string{"latest", "latest+bbbbbbbb"}, versions(h))
	h = after(t, h, seen(shown("latest", templateA, 2*time.Minute)))
	require.Equal(t, incident.Bad, h.Releases[1].Verdict, "and the way back is known by its content")
}

func TestAToldRolloutWaitsForTheClusterToShowIt(t *testing.T) {
	h := after(t, incident.TargetHistory{}, seen(shown("v1", templateA, -time.Hour)))
	h = incident.ApplyTarget(h, incident.NewEvent(epoch, "ci", "", incident.RolloutBegan{Release: incident.Release{Version: "v2", At: epoch}}))
	h = after(t, h, seen(shown("v1", templateA, -time.Hour)))
	require.NotNil(t, h.Rolling, "what runs still is no move back")
	h = after(t, h, seen(shown("v1", templateA, time.Minute)))
	require.Nil(t, h.Rolling, "a rollout of v1 that ended later is one")
	require.Equal(t, incident.Bad, h.Releases[1].Verdict)
}

func TestAnotherObjectOfTheSameNameIsSeen(t *testing.T) {
	o := seen(shown("v1", templateA, 0))
	h := after(t, incident.TargetHistory{}, o)
	o.UID = "u-2"
	require.Equal(t, []incident.Fact{incident.WorkloadSeen{UID: "u-2"}}, h.Observed(o))
}

func TestWhatCITellsOfContentThatIsSeenIsTheSameRelease(t *testing.T) {
	first := shown("77ab", templateC, 0)
	first.Digest = "sha256:77ab"
	h := after(t, incident.TargetHistory{}, seen(first))
	r := h.Told(incident.Release{Version: "2026.11", Digest: "sha256:77ab", Commit: "8841cafe", Verdict: incident.Good})
	require.Equal(t, "77ab", r.Version)
	require.Equal(t, templateC, r.Vars[incident.TemplateVar])
	require.Equal(t, "8841cafe", r.Commit)
}

func TestWhatIsQuarantinedIsNotAllowed(t *testing.T) {
	h := targetOf(incident.ReleaseRecorded{Release: incident.Release{Version: "v1", Digest: "sha256:77ab", Verdict: incident.Denied, Reason: "leaked"}}, release("v2"))
	for _, r := range []incident.Release{{Version: "v1"}, {Version: "v9", Digest: "sha256:77ab"}, {Digest: "sha256:77ab"}} {
		no, why := h.Quarantined(r)
		require.True(t, no, r)
		require.Equal(t, "v1 is denied: leaked", why)
	}
	no, _ := h.Quarantined(incident.Release{Version: "v2"})
	require.False(t, no)
	no, _ = h.Quarantined(incident.Release{Version: "v3", Digest: "sha256:88"})
	require.False(t, no)
}
