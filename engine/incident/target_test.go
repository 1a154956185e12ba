package incident_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

func targetOf(told ...incident.Fact) incident.TargetHistory {
	var t incident.TargetHistory
	for n, f := range told {
		e := incident.NewEvent(epoch.Add(time.Duration(n)*time.Minute), "ci", "", f)
		e.Version = n + 1
		t = incident.ApplyTarget(t, e)
	}
	return t
}

func release(version string) incident.Fact {
	return incident.ReleaseRecorded{Release: incident.Release{Version: version}}
}

func moved(from, to string, at time.Duration) incident.Fact {
	return incident.RolledBack{Incident: "api-" + from, From: from, To: incident.Release{Version: to}, At: epoch.Add(at)}
}

func TestARollbackIsTheNewestRelease(t *testing.T) {
	h := targetOf(release("v1"), release("v2"), moved("v2", "v1", 2*time.Minute), moved("v2", "v1", 2*time.Minute))
	current, _ := h.Current()
	require.Equal(t, "v1", current.Version)
	require.Len(t, h.Releases, 3, "told twice, moved once")
	require.True(t, h.CameBack())
	_, why := h.Destination()
	require.Contains(t, why, "v2 is bad")
}

func TestWhatWasDeployedOverARollbackStays(t *testing.T) {
	h := targetOf(release("v1"), release("v2"), release("v3"), moved("v2", "v1", 3*time.Minute))
	current, _ := h.Current()
	require.Equal(t, "v3", current.Version)
	require.Equal(t, incident.Bad, h.Releases[1].Verdict, "the version left is quarantined all the same")
	require.False(t, h.CameBack())
}

func TestARolloutAfterARollbackIsARollout(t *testing.T) {
	h := targetOf(release("v1"), release("v2"), moved("v2", "v1", 2*time.Minute), release("v3"))
	require.False(t, h.CameBack())
}
