package engine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// The straight way: from a delivery to a closed incident.

func TestAutoRollsBackOnce(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Errors", "api")
	r.advance(4*time.Minute + 59*time.Second)
	r.phase("api", incident.Pending)
	require.Empty(t, r.world.did())

	r.advance(time.Second)
	i := r.phase("api", incident.Verifying)
	require.Equal(t, []string{"api-1/switch=blue", "api-1/drain=drained-green"}, r.world.did())
	require.Equal(t, "v42", i.Plan.From.Version)
	require.Equal(t, "v41", i.Plan.To.Version)

	r.world.good()
	r.advance(6 * time.Minute)
	r.phase("api", incident.Succeeded)
	target, err := r.engine.Target(t.Context(), "api")
	require.NoError(t, err)
	require.Equal(t, "v41", target.Current.Version)
	require.Equal(t, incident.Bad, target.Releases[1].Verdict, "the version left is quarantined (S14)")
}

func TestEverybodyHearsTheStory(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Errors", "api")
	r.advance(5 * time.Minute)
	r.world.good()
	r.advance(10 * time.Minute)
	last := r.world.told[len(r.world.told)-1]
	require.True(t, last.Final && last.Good)
	require.Equal(t, "api (production): rolled back and healthy, v42 -> v41", last.Title)
	seen := map[string]int{}
	for _, m := range r.world.told {
		for _, news := range m.News {
			seen[news]++
		}
	}
	for news, n := range seen {
		require.Equal(t, 1, n, "told more than once: %s", news)
	}
}

func TestObserveActsOnNothingAndSaysNothing(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Observes", "api")
	r.advance(time.Hour)
	i := r.phase("api", incident.Pending)
	require.Equal(t, incident.Watch, i.Rules[0].Judgement.Verdict)
	require.Contains(t, i.Rules[0].Judgement.Reason, "observe: it would have")
	require.Empty(t, r.world.did())
	require.Empty(t, r.world.told)
}

func TestSuggestTellsThePlanAndOffersNothing(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Suggests", "api")
	r.advance(time.Minute)
	i := r.phase("api", incident.Pending)
	require.Nil(t, i.Offer)
	require.NotEmpty(t, r.world.told)
	require.Empty(t, r.world.did())
}

func TestUnarmedOnlyObserves(t *testing.T) {
	r := newRig(t)
	r.releases("api")
	r.watchdog()
	r.fire("Errors", "api")
	r.advance(10 * time.Minute)
	require.Empty(t, r.world.did(), "S19: a first start is unarmed")
	require.NoError(t, r.engine.Arm(t.Context(), sre, "now"))
	r.watchdog()
	r.advance(time.Minute)
	require.NotEmpty(t, r.world.did(), "arming judges what is open again")
}

func TestARestoredBackupIsUnarmed(t *testing.T) {
	r := newRig(t).ready()
	r.advance(2 * time.Minute)
	r.restart()
	status, err := r.engine.Status(t.Context())
	require.NoError(t, err)
	require.True(t, status.Armed, "a restart is no restore")

	r.barks = false
	r.advance(61 * time.Minute) // what was written last is an hour old
	r.restart()
	status, err = r.engine.Status(t.Context())
	require.NoError(t, err)
	require.False(t, status.Armed)
	r.watchdog()
	r.fire("Hole", "api")
	r.advance(time.Minute)
	require.Empty(t, r.world.did(), "S19: it observes until a person arms it")
}

func TestApproveRunsTheApprovedPlan(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Asks", "api")
	r.advance(time.Minute)
	i := r.phase("api", incident.AwaitingApproval)
	require.Empty(t, r.world.did())
	require.NoError(t, r.engine.Approve(t.Context(), sre, i.ID, i.Offer.Plan[:12], "seen"))
	r.settle()
	r.phase("api", incident.Verifying)
	require.Len(t, r.world.did(), 2)
}

func TestApprovalOfAPlanThatDriftedIsVoid(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Asks", "api")
	r.advance(time.Minute)
	i := r.phase("api", incident.AwaitingApproval)
	r.world.mu.Lock()
	r.world.state = "red" // somebody changed what the plan found
	r.world.mu.Unlock()
	require.NoError(t, r.engine.Approve(t.Context(), sre, i.ID, i.Offer.Plan, ""))
	r.settle()
	again := r.phase("api", incident.AwaitingApproval)
	require.NotEqual(t, i.Offer.Plan, again.Offer.Plan)
	require.Contains(t, again.Reason, "the plan changed after sre approved it")
	require.Empty(t, r.world.did())
}

func TestRejectEndsItAndTheAlertStartsNothingAgain(t *testing.T) {
	r := newRig(t).ready()
	began := r.now()
	r.fire("Asks", "api")
	r.advance(time.Minute)
	i := r.incident("api")
	require.NoError(t, r.engine.Reject(t.Context(), sre, i.ID, "known"))
	r.settle()
	r.phase("api", incident.Rejected)
	d := r.deliver(notification("firing", labels("Asks", "api"), began))
	require.Equal(t, "repeated", d[0].Kind)
	r.advance(time.Hour)
	require.Equal(t, 1, r.count("api"))
}

func TestAPersonsRollbackNeedsNoAlert(t *testing.T) {
	r := newRig(t)
	r.releases("api") // neither armed, nor a Watchdog
	preview, err := r.engine.Preview(t.Context(), "api")
	require.NoError(t, err)
	id, err := r.engine.Rollback(t.Context(), sre, "api", "by hand", preview.Plan.Hash[:12])
	require.NoError(t, err)
	require.Equal(t, "api-1", id)
	r.settle()
	require.Len(t, r.world.did(), 2)
	r.world.good()
	r.advance(6 * time.Minute)
	r.phase("api", incident.Succeeded)
}

// A plan that names its incident is previewed with the name it will get, so that what a person looked at is what is done.
func TestAPlanThatNamesItsIncidentIsPreviewedAsItWillBe(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.files.procedures = replace(r.files.procedures, `"drained-${release.current.vars.track}"`, `"drained-for-${incident.id}"`)
	}).ready()
	ask := func(id string) {
		t.Helper()
		preview, err := r.engine.Preview(t.Context(), "api")
		require.NoError(t, err)
		require.Contains(t, string(preview.Plan.Steps[2].With), "drained-for-"+id)
		requested, err := r.engine.Rollback(t.Context(), sre, "api", "by hand", preview.Plan.Hash)
		require.NoError(t, err)
		require.Equal(t, id, requested)
		r.settle()
		r.phase("api", incident.Verifying)
		r.world.good()
		r.advance(10 * time.Minute)
		r.phase("api", incident.Succeeded)
	}
	ask("api-1")
	require.Contains(t, r.world.did(), "api-1/drain=drained-for-api-1")
	r.advance(2 * time.Hour)
	r.world.bad()
	require.NoError(t, r.engine.RecordRelease(t.Context(), sre, "api", incident.Release{Version: "v43", At: r.now(), Vars: map[string]string{"track": "green"}}))
	r.fire("Asks", "api")
	r.settle()
	ask("api-2") // it joins the one that is open
}

func TestTwoRulesOneIncident(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Errors", "api")
	r.fire("Hole", "api")
	r.advance(10 * time.Minute)
	require.Equal(t, 1, r.count("api"))
	require.Len(t, r.world.did(), 2, "S2: one procedure, however many rules")
	require.Len(t, r.incident("api").Rules, 2)
}

func TestDueAutoRuleTakesTheLeadFromAnUnansweredApproval(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Asks", "api")
	r.advance(2 * time.Minute)
	r.phase("api", incident.AwaitingApproval)
	r.fire("Errors", "api")
	r.advance(5 * time.Minute)
	i := r.phase("api", incident.Verifying)
	require.Equal(t, "Errors", i.Lead)
}

func TestFailedStepIsRetriedThenFails(t *testing.T) {
	r := newRig(t).ready()
	r.world.fail["switch"] = []error{errors.New("refused"), errors.New("refused"), errors.New("refused"), errors.New("refused")}
	r.fire("Errors", "api")
	r.advance(6 * time.Minute)
	i := r.phase("api", incident.Failed)
	require.Equal(t, 3, i.Steps[1].Attempt)
	require.Empty(t, r.world.did())
	require.True(t, r.world.told[len(r.world.told)-1].Urgent, "people are called")
}

func TestVerificationThatNeverHoldsFails(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Errors", "api")
	r.advance(time.Hour)
	i := r.phase("api", incident.Failed)
	require.Contains(t, i.Reason, "not healthy")
	require.Len(t, r.world.did(), 2, "S23: no second automatic attempt")
}

func TestRestartAnywhereLosesNothing(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Errors", "api")
	r.advance(3 * time.Minute)
	r.restart()
	r.advance(2 * time.Minute)
	r.phase("api", incident.Verifying)
	r.restart()
	r.world.good()
	r.advance(10 * time.Minute)
	r.phase("api", incident.Succeeded)
	require.Len(t, r.world.did(), 2)
}

func TestLateAndReorderedDeliveries(t *testing.T) {
	r := newRig(t).ready()
	began := r.now()
	r.fire("Errors", "api")
	r.advance(time.Minute)
	r.resolve("Errors", "api", began)
	r.settle()
	r.phase("api", incident.Cancelled)
	d := r.deliver(notification("firing", labels("Errors", "api"), began)) // a peer's copy, too late
	require.Equal(t, "late", d[0].Kind)
	r.advance(time.Hour)
	require.Equal(t, 1, r.count("api"))
	r.watchdog()
	r.fire("Errors", "api")
	require.Equal(t, 2, r.count("api"), "a new start is a new episode")
}

func TestACompactedPastIsNoObstacle(t *testing.T) {
	r := newRig(t).ready()
	began := r.now()
	r.fire("Errors", "api")
	r.advance(time.Minute)
	r.resolve("Errors", "api", began)
	r.settle()
	r.phase("api", incident.Cancelled)
	r.advance(48 * time.Hour)
	removed, err := r.store.Compact(t.Context(), r.now().Add(-time.Hour))
	require.NoError(t, err)
	require.Equal(t, 1, removed)
	_, _, err = r.engine.Incident(t.Context(), "api-1")
	require.ErrorIs(t, err, engine.ErrNotFound)
	r.restart()
	r.fire("Errors", "api")
	require.Equal(t, "api-2", r.incident("api").ID, "numbers are not used again")
}

func TestSameNotificationFromThreePeers(t *testing.T) {
	r := newRig(t).ready()
	began := r.now()
	for range 3 {
		r.deliver(notification("firing", labels("Errors", "api"), began))
	}
	require.Equal(t, 1, r.count("api"))
	_, events, err := r.engine.Incident(t.Context(), "api-1")
	require.NoError(t, err)
	require.Len(t, events, 2, "repeats are coalesced")
}

func TestAlertsAboutAsternNeverMatch(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.files.rules = strings.Replace(r.files.rules, `alert.labels.alertname == "Hole"`, `alert.labels.service == "api"`, 1)
	}).ready()
	d := r.deliver(notification("firing", labels("AsternDown", "api"), r.now()))
	require.Equal(t, "own", d[0].Kind)
	require.Zero(t, r.count("api"))
}

func TestAnAlertThatChoosesNoTargetIsSaid(t *testing.T) {
	r := newRig(t).ready()
	d := r.deliver(notification("firing", labels("Errors", "nobody"), r.now()))
	require.Equal(t, "no_target", d[0].Kind)
	require.NotEmpty(t, d[0].Reason)
}
