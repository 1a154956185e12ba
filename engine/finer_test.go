package engine_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// Guards in their finer points.

func TestS8AShareOfTheTargetsIsAMassEventToo(t *testing.T) {
	r := newRig(t).ready()
	names := []string{"api", "web", "pay"} // all three there are
	r.releases(names[1:]...)
	for _, name := range names {
		r.fire("Hole", name)
	}
	r.advance(time.Minute)
	require.Empty(t, r.world.did())
}

func TestS8ARuleWithoutForSettlesFirst(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Hole", "api")
	r.advance(14 * time.Second)
	require.Empty(t, r.world.did(), "others may fire at the same moment")
	r.advance(time.Second)
	require.Len(t, r.world.did(), 2)
}

func TestS7AWindowThatIsNoMultipleIsProvenWhole(t *testing.T) {
	for name, dip := range map[string]struct{ from, to time.Duration }{
		"its first seconds": {0, 5 * time.Second},
		"a short dip":       {12 * time.Second, 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(r *rig) { r.files.rules = replace(r.files.rules, "for: 5m", "for: 40s") }).ready()
			began := r.now()
			r.world.values[`errors{service="api"}`] = func(at time.Time) string {
				if after := at.Sub(began); after >= dip.from && after < dip.to {
					return "0.001"
				}
				return "0.03"
			}
			r.fire("Errors", "api")
			r.advance(40 * time.Second)
			require.Empty(t, r.world.did())
			r.advance(30 * time.Second)
			require.Len(t, r.world.did(), 2)
		})
	}
}

func TestS7AnUnknownIsAskedAgainBeforePeopleHearOfIt(t *testing.T) {
	r := newRig(t).ready()
	r.world.promDown = true
	r.fire("Errors", "api")
	r.advance(5*time.Minute + 19*time.Second)
	r.phase("api", incident.Pending)
	require.Empty(t, r.world.told)
	r.advance(time.Second)
	r.phase("api", incident.Held)
	require.NotEmpty(t, r.world.told)
}

func TestS14AYoungReleaseFurtherBackAsks(t *testing.T) {
	r := newRig(t)
	require.NoError(t, r.engine.Arm(t.Context(), sre, "test"))
	r.barks, r.bark = true, r.now()
	for _, rel := range []incident.Release{
		{Version: "v40", At: start.Add(-60 * time.Minute), Vars: map[string]string{"track": "red"}},
		{Version: "v41", At: start.Add(-50 * time.Minute), Verdict: incident.Bad, Vars: map[string]string{"track": "blue"}},
		{Version: "v42", At: start.Add(-20 * time.Minute), Vars: map[string]string{"track": "green"}},
	} {
		require.NoError(t, r.engine.RecordRelease(t.Context(), sre, "api", rel))
	}
	r.fire("Errors", "api")
	r.advance(5 * time.Minute)
	asked(t, r, "destination")
}

func TestS19TheStopFile(t *testing.T) {
	for name, path := range map[string]func(*testing.T) string{
		"is there": func(t *testing.T) string {
			file := filepath.Join(t.TempDir(), "stop")
			require.NoError(t, os.WriteFile(file, nil, 0o600))
			return file
		},
		"cannot be looked up": func(t *testing.T) string {
			file := filepath.Join(t.TempDir(), "stop")
			require.NoError(t, os.WriteFile(file, nil, 0o600))
			return filepath.Join(file, "below")
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := path(t)
			r := newRig(t, func(r *rig) { r.opts = func(o *engine.Options) { o.StopFile = file } }).ready()
			r.fire("Hole", "api")
			r.advance(time.Minute)
			held(t, r, "stop", "stopped")
		})
	}
}

func TestAnOpenDoorOnlyObserves(t *testing.T) {
	r := newRig(t).ready()
	r.opts = func(o *engine.Options) { o.Anonymous = true }
	r.restart() // armed before, and the door is open now
	r.watchdog()
	r.fire("Hole", "api")
	r.advance(time.Minute)
	require.Empty(t, r.world.did())
	require.Equal(t, incident.Watch, r.incident("api").Rules[0].Judgement.Verdict)
	require.Error(t, r.engine.Arm(t.Context(), sre, "again"))
}

func TestS33AnInhibitedAlertHolds(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Hole", "api")
	r.world.inhibit(labels("Hole", "api"))
	r.advance(20 * time.Second)
	held(t, r, "silenced", "is inhibited")
}

func TestS33TheHoldOfAnotherHoldsAPersonsRequestToo(t *testing.T) {
	r := newRig(t).ready()
	require.NoError(t, r.engine.Hold(t.Context(), engine.Person{Name: "other"}, "api", "mine", time.Hour))
	_, err := r.engine.Rollback(t.Context(), sre, "api", "by hand", "")
	require.NoError(t, err)
	r.settle()
	r.phase("api", incident.Held)
	require.Empty(t, r.world.did())
	own := newRig(t).ready()
	require.NoError(t, own.engine.Hold(t.Context(), sre, "api", "mine", time.Hour))
	_, err = own.engine.Rollback(t.Context(), sre, "api", "by hand", "")
	require.NoError(t, err)
	own.settle()
	require.Len(t, own.world.did(), 2, "one's own hold is no obstacle to oneself")
}

func TestS33NobodySilencesAPersonsRequest(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Observes", "api")
	r.world.mu.Lock()
	r.world.amDown = true
	r.world.mu.Unlock()
	_, err := r.engine.Rollback(t.Context(), sre, "api", "by hand", "")
	require.NoError(t, err)
	r.settle()
	require.Len(t, r.world.did(), 2)
}

func TestS9BudgetsAreCountedOncePerIncidentAndLevel(t *testing.T) {
	r := newRig(t).ready()
	r.releases("web", "pay")
	cfg := r.configuration(r.files)
	cfg.Settings.TeamGuards = map[string]incident.Guards{}
	cfg.Settings.TeamGuards["core"], _ = incident.GuardsFrom(map[string]any{"max_per_hour": 2})
	require.NoError(t, r.engine.Reload(t.Context(), cfg))
	_, err := r.engine.Rollback(t.Context(), sre, "pay", "a person's own is not counted", "")
	require.NoError(t, err)
	r.settle()
	r.fire("Hole", "api") // its two changes are one rollback
	r.advance(20 * time.Second)
	r.fire("Hole", "web")
	r.advance(20 * time.Second)
	require.Len(t, r.world.did(), 6)
	places, err := r.store.Claims(t.Context(), "hour/team/core", r.now())
	require.NoError(t, err)
	require.Len(t, places, 2)
}

func TestS3TheLockIsHeldFromTheFirstChangeToTheEnd(t *testing.T) {
	r := newRig(t).ready()
	held := func() int {
		places, err := r.store.Claims(t.Context(), "lock/api", r.now())
		require.NoError(t, err)
		return len(places)
	}
	r.world.onRun = func(step string) {
		require.Equal(t, map[string]int{"look": 0, "switch": 1, "drain": 1}[step], held(), step)
	}
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	require.Equal(t, 1, held(), "while it is verified")
	r.world.good()
	r.advance(10 * time.Minute)
	r.phase("api", incident.Succeeded)
	for _, pool := range []string{"lock/", "slot/", "open/"} {
		places, err := r.store.Claims(t.Context(), pool, r.now())
		require.NoError(t, err)
		require.Empty(t, places, pool)
	}
}

func TestS3AnOutcomeWithoutTheLockIsNotStored(t *testing.T) {
	r := newRig(t).ready()
	r.world.onRun = func(step string) {
		if step == "switch" { // the lock goes to somebody else in the middle of the step
			_, err := r.store.Append(t.Context(), incident.Append{Stream: "incident/api-1", After: r.incident("api").Version, Release: []string{"lock/api"}})
			require.NoError(t, err)
		}
	}
	r.fire("Hole", "api")
	r.at = r.at.Add(15 * time.Second)
	r.engine.Perform(t.Context(), "incident/api-1", incident.ProcedureLane)
	require.Equal(t, incident.Started, r.incident("api").Steps[1].State)
}

func TestS21APersonsRequestIsAYesToThePlanTheySaw(t *testing.T) {
	r := newRig(t).ready()
	_, err := r.engine.Rollback(t.Context(), sre, "api", "by hand", "")
	require.NoError(t, err)
	r.world.mu.Lock()
	r.world.state = "red" // the world moves before it is taken up
	r.world.mu.Unlock()
	r.settle()
	i := r.phase("api", incident.AwaitingApproval)
	require.Contains(t, i.Reason, "the plan changed since sre asked for it")
	require.NoError(t, r.engine.Approve(t.Context(), sre, i.ID, i.Offer.Plan, ""))
	r.settle()
	require.Len(t, r.world.did(), 2, "at once")
}

func TestS4ARequestThatRestedTooLongIsAskedForAgain(t *testing.T) {
	r := newRig(t).ready()
	r.world.onRun = func(step string) {
		if step == "switch" {
			require.NoError(t, r.engine.Stop(t.Context(), sre, "all", "wait"))
		}
	}
	_, err := r.engine.Rollback(t.Context(), sre, "api", "by hand", "")
	require.NoError(t, err)
	r.advance(20 * time.Minute)
	require.NoError(t, r.engine.Resume(t.Context(), sre, "all", "on"))
	r.settle()
	r.phase("api", incident.AwaitingApproval)
	require.Len(t, r.world.did(), 1)
}

func TestS22AStepEndsAtItsDeadline(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.files.procedures = replace(r.files.procedures, "timeout: 10s\n        retry: {attempts: 3, backoff: 2s}", "timeout: 1s")
	}).ready()
	r.world.until = "switch"
	r.fire("Hole", "api")
	r.advance(time.Minute)
	i := r.phase("api", incident.Failed)
	require.Contains(t, i.Reason, "deadline exceeded")
}

func TestS20TheTargetsOwnCeilingCounts(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.files.targets = replace(r.files.targets, "    environment: production\n", "    environment: production\n    mode: approve\n")
	}).ready()
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	r.phase("api", incident.AwaitingApproval)
}

func TestS12ABegunIncidentGoesNowhereElse(t *testing.T) {
	r := newRig(t).ready()
	require.NoError(t, r.engine.RecordRelease(t.Context(), sre, "api", incident.Release{Version: "v40", At: start.Add(-96 * time.Hour), Verdict: incident.Good, Vars: map[string]string{"track": "red"}}))
	r.world.onRun = func(step string) {
		if step == "switch" {
			r.world.silence(labels("Hole", "api"))
		}
	}
	r.fire("Hole", "api")
	r.advance(16 * time.Minute)
	r.phase("api", incident.Held)
	require.NoError(t, r.engine.DenyRelease(t.Context(), sre, "api", "v41", "leaked"))
	r.settle()
	i := r.phase("api", incident.Superseded)
	require.Contains(t, i.Reason, "it does not go on to v40")
}

func TestS22AnActionThatHeedsNoDeadlineHangsNothing(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.files.procedures = replace(r.files.procedures, "timeout: 10s\n        retry: {attempts: 3, backoff: 2s}", "timeout: 1s")
	}).ready()
	r.engine.Impatient()
	r.world.deaf = "switch"
	r.fire("Hole", "api")
	r.advance(time.Minute)
	i := r.phase("api", incident.Failed)
	require.Contains(t, i.Reason, "did not end by its deadline")
	require.Equal(t, 1, i.Steps[1].Attempt)
}

func TestS32WhatCannotBeToldForADayIsGivenUp(t *testing.T) {
	r := newRig(t).ready()
	r.barks = false
	for range 1000 {
		r.world.tellErr = append(r.world.tellErr, errDown)
	}
	r.fire("Hole", "api")
	r.advance(23 * time.Hour)
	require.False(t, r.incident("api").Notices[0].GivenUp)
	r.advance(2 * time.Hour)
	i := r.incident("api")
	require.True(t, i.Notices[0].GivenUp)
	require.False(t, incident.Live(i), "nothing is left to be done")
}

func TestS4ASecondAttemptFindsItsOwnHalfEffect(t *testing.T) {
	r := newRig(t).ready()
	tries := 0
	r.world.onRun = func(step string) {
		if step != "switch" {
			return
		}
		r.world.mu.Lock()
		defer r.world.mu.Unlock()
		if tries++; tries == 1 {
			r.world.state, r.world.fail["switch"] = "half", []error{errDown}
			return
		}
		r.world.state = "green"
	}
	r.fire("Hole", "api")
	r.advance(time.Minute)
	r.phase("api", incident.Verifying)
	require.Equal(t, 2, tries)
}

func TestS4AWorldThatCannotBeReadHolds(t *testing.T) {
	r := newRig(t).ready()
	r.world.onRun = func(step string) {
		if step == "look" {
			r.world.mu.Lock()
			r.world.planErr = errDown
			r.world.mu.Unlock()
		}
	}
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	held(t, r, "unchanged", "cannot be read")
}

func TestS9WhoFindsTheSlotTakenWaits(t *testing.T) {
	r := newRig(t).ready()
	r.releases("web")
	var met incident.Incident
	r.world.onRun = func(step string) {
		if step == "drain" && met.ID == "" {
			r.engine.Perform(t.Context(), "incident/web-1", incident.ProcedureLane)
			met = r.incident("web")
		}
	}
	r.fire("Hole", "api")
	r.fire("Hole", "web")
	r.advance(15 * time.Second)
	require.Equal(t, incident.Held, met.Phase)
	require.Contains(t, met.Reason, "no free place in slot/environment/production: held by incident/api-1")
	require.False(t, met.Touched)
}

func TestS9NothingIsHeldThatDoesNotChange(t *testing.T) {
	slots := func(r *rig) int {
		places, err := r.store.Claims(t.Context(), "slot/", r.now())
		require.NoError(t, err)
		return len(places)
	}
	silenced := newRig(t).ready()
	silenced.world.onRun = func(step string) {
		if step == "switch" {
			require.Equal(t, 1, slots(silenced))
			silenced.world.silence(labels("Hole", "api"))
		}
	}
	silenced.fire("Hole", "api")
	silenced.advance(20 * time.Second)
	silenced.phase("api", incident.Held)
	require.Zero(t, slots(silenced), "who is held holds no slot")

	failed := newRig(t).ready()
	failed.world.fail["drain"] = []error{actions.Permanent(errDown)}
	failed.fire("Hole", "api")
	failed.advance(20 * time.Second)
	failed.phase("api", incident.Failed)
	require.Zero(t, slots(failed), "who has ended holds no slot")
}
