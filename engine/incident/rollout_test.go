package incident_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

func began(version string) incident.Fact {
	return incident.RolloutBegan{Release: incident.Release{Version: version}}
}

func TestARolloutThatGoesOnIsTheSuspect(t *testing.T) {
	h := targetOf(release("v1"), release("v2"), began("v3"))
	suspect, _ := h.Suspect()
	require.Equal(t, "v3", suspect.Version)
	current, _ := h.Current()
	require.Equal(t, "v2", current.Version, "its rollout has not ended")
	to, why := h.Destination()
	require.Empty(t, why)
	require.Equal(t, "v2", to.Release.Version)
	require.Equal(t, time.Minute, to.Ran, "v2 ran from its own end to the beginning of v3")
	require.False(t, h.CameBack())
}

func TestARolloutThatEndsIsARelease(t *testing.T) {
	h := targetOf(release("v1"), began("v2"), began("v2"), release("v2"))
	require.Nil(t, h.Rolling)
	current, _ := h.Current()
	require.Equal(t, "v2", current.Version)
	require.Equal(t, epoch.Add(time.Minute), current.Began, "its first word counts")
	require.Equal(t, epoch.Add(3*time.Minute), current.At)
}

func TestARolloutThatIsReplacedNeverEnds(t *testing.T) {
	h := targetOf(release("v1"), began("v2"), began("v3"))
	require.Equal(t, []string{"v1", "v2"}, versions(h))
	suspect, _ := h.Suspect()
	require.Equal(t, "v3", suspect.Version)
	require.Equal(t, incident.Unknown, h.Releases[1].Verdict, "a newer version says nothing of the one before")
}

func TestAnOldReleaseToldLateLeavesTheRolloutAlone(t *testing.T) {
	h := targetOf(release("v1"), began("v2"), incident.ReleaseRecorded{Release: incident.Release{Version: "v0", At: epoch.Add(-time.Hour)}})
	require.NotNil(t, h.Rolling)
	require.Equal(t, []string{"v0", "v1"}, versions(h))
}

func TestAMoveBackQuarantinesWhatWasLeft(t *testing.T) {
	for name, h := range map[string]incident.TargetHistory{
		"when it ended":           targetOf(release("v1"), release("v2"), release("v1")),
		"when it began":           targetOf(release("v1"), release("v2"), began("v1")),
		"out of a rollout":        targetOf(release("v1"), began("v2"), release("v1")),
		"out of one, as it began": targetOf(release("v1"), began("v2"), began("v1")),
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, incident.Bad, h.Releases[1].Verdict)
			require.Contains(t, h.Releases[1].Reason, "left when ci moved back to v1")
			require.True(t, h.CameBack(), "it is no new rollout")
			_, why := h.Destination()
			require.Contains(t, why, "v2 is bad")
		})
	}
}

func TestGoingOnToABadVersionSaysNothingOfTheOneLeft(t *testing.T) {
	h := targetOf(release("v1"), release("v2"), moved("v2", "v1", 2*time.Minute), release("v2"))
	to, why := h.Destination()
	require.Empty(t, why)
	require.Equal(t, "v1", to.Release.Version)
	require.True(t, h.CameBack())
}

func TestADeniedVersionStaysDenied(t *testing.T) {
	h := targetOf(release("v1"), release("v2"), incident.ReleaseJudged{Version: "v2", Verdict: incident.Denied}, release("v1"))
	require.Equal(t, incident.Denied, h.Releases[1].Verdict)
}

func TestARollbackOutOfARolloutQuarantinesIt(t *testing.T) {
	h := targetOf(release("v1"), began("v2"), moved("v2", "v1", 2*time.Minute))
	require.Nil(t, h.Rolling)
	require.Equal(t, []string{"v1", "v2", "v1"}, versions(h))
	require.Equal(t, incident.Bad, h.Releases[1].Verdict)
	require.True(t, h.CameBack())
}

func TestTheSameContentIsNoDestination(t *testing.T) {
	content := func(version, template string) incident.Fact {
		return incident.ReleaseRecorded{Release: incident.Release{Version: version, Vars: map[string]string{incident.TemplateVar: template}}}
	}
	h := targetOf(content("v1", "sha256:a"), content("v2", "sha256:b"), content("v2-again", "sha256:b"))
	to, why := h.Destination()
	require.Empty(t, why)
	require.Equal(t, "v1", to.Release.Version)
}

func versions(h incident.TargetHistory) []string {
	var all []string
	for _, r := range h.Releases {
		all = append(all, r.Version)
	}
	return all
}
