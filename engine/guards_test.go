package engine_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// Each test here fails when its guard is taken out.

func held(t *testing.T, r *rig, guard, reason string) {
	t.Helper()
	i := r.phase("api", incident.Held)
	require.Contains(t, i.Reason, reason)
	for _, f := range i.Findings {
		if f.Guard == guard && f.Verdict != incident.Go {
			require.Empty(t, r.world.did())
			return
		}
	}
	require.Fail(t, "no finding of guard "+guard, "%+v", i.Findings)
}

func asked(t *testing.T, r *rig, guard string) {
	t.Helper()
	i := r.phase("api", incident.AwaitingApproval)
	for _, f := range i.Findings {
		if f.Guard == guard && f.Verdict == incident.Ask {
			require.Empty(t, r.world.did())
			return
		}
	}
	require.Fail(t, "no finding of guard "+guard, "%+v", i.Findings)
}

func TestS6StaleEvidenceWithoutAMetricHolds(t *testing.T) {
	r := newRig(t).ready()
	require.NoError(t, r.engine.Stop(t.Context(), sre, "all", "first"))
	r.fire("Hole", "api")
	r.advance(6 * time.Minute)
	require.NoError(t, r.engine.Resume(t.Context(), sre, "all", "on"))
	r.settle()
	held(t, r, "fresh", "nobody has said for")
}

func TestS7Confirmation(t *testing.T) {
	q := `errors{service="api"}`
	for name, c := range map[string]struct {
		bend  func(*rig)
		phase incident.Phase
	}{
		"holds":            {func(*rig) {}, incident.Verifying},
		"does not hold":    {func(r *rig) { r.world.set(q, "0.002") }, incident.Pending},
		"traffic floor":    {func(r *rig) { r.world.set(`requests{service="api"}`, "0.1") }, incident.Pending},
		"empty":            {func(r *rig) { r.world.set(q, "") }, incident.Held},
		"not a number":     {func(r *rig) { r.world.set(q, "NaN") }, incident.Held},
		"several series":   {func(r *rig) { r.world.series[q] = 2 }, incident.Held},
		"Prometheus down":  {func(r *rig) { r.world.promDown = true }, incident.Held},
		"a gap":            {func(r *rig) { r.world.values[q] = gapAt(r, 3*time.Minute) }, incident.Held},
		"a dip is no rest": {func(r *rig) { r.world.values[q] = dipAt(r, 3*time.Minute) }, incident.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).ready()
			c.bend(r)
			r.fire("Errors", "api")
			r.advance(5 * time.Minute)
			r.watchdog()
			r.advance(31 * time.Second) // three questions, ten seconds apart
			i := r.phase("api", c.phase)
			if c.phase == incident.Verifying {
				require.Len(t, r.world.did(), 2)
				return
			}
			require.Empty(t, r.world.did())
			require.Contains(t, i.Reason, "query ")
			require.Equal(t, c.phase == incident.Held, len(r.world.told) > 0, "people hear of an unknown, not of a plain no")
		})
	}
}

func gapAt(r *rig, after time.Duration) func(time.Time) string {
	return shape(r, after, "")
}

func dipAt(r *rig, after time.Duration) func(time.Time) string {
	return shape(r, after, "0.001")
}

func shape(r *rig, after time.Duration, there string) func(time.Time) string {
	from := r.now().Add(after)
	return func(at time.Time) string {
		if at.After(from) && at.Before(from.Add(20*time.Second)) {
			return there
		}
		return "0.03"
	}
}

func TestS8DeadWatchdogHolds(t *testing.T) {
	r := newRig(t).ready()
	r.barks = false
	r.fire("Errors", "api")
	r.advance(5 * time.Minute) // the last Watchdog is five minutes old
	held(t, r, "watchdog", "the last Watchdog alert")
	r.watchdog()
	r.advance(31 * time.Second)
	require.Len(t, r.world.did(), 2, "it goes on when the Watchdog barks again")
}

func TestS8MassEvent(t *testing.T) {
	names := []string{"one", "two", "three", "four", "five"}
	r := newRig(t, func(r *rig) { r.files.targets = targetsOf(names...) })
	require.NoError(t, r.engine.Arm(t.Context(), sre, "test"))
	r.releases(names...)
	r.watchdog()
	for _, name := range names {
		r.fire("Hole", name) // without `for`: settles first, so that all are seen
	}
	r.advance(20 * time.Second)
	require.Empty(t, r.world.did(), "it is infrastructure, not five deploys")
	incidents := map[string]bool{}
	for _, m := range r.world.told {
		incidents[m.Incident] = true
	}
	require.Len(t, incidents, 1, "one mass-event notice")
	r.watchdog()
	for _, name := range names {
		r.fire("Hole", name)
	}
	require.NoError(t, r.engine.ReleaseMassEvent(t.Context(), sre, "seen"))
	r.advance(2 * time.Minute)
	require.NotEmpty(t, r.world.did())
}

func TestS9OneSlotForAnEnvironment(t *testing.T) {
	r := newRig(t).ready()
	r.releases("web")
	r.world.onRun = func(step string) {
		if step != "switch" || r.count("web") > 0 {
			return
		}
		r.fire("Hole", "web") // a second incident in the middle of the first one's change
	}
	r.fire("Errors", "api")
	r.advance(4 * time.Minute)
	r.watchdog()
	r.advance(time.Minute)
	r.phase("api", incident.Verifying)
	r.watchdog()
	r.fire("Hole", "web")
	r.advance(time.Minute)
	require.Len(t, r.world.did(), 4, "the slot is free while the first one verifies")
}

func TestS9BudgetAsks(t *testing.T) {
	r := newRig(t).ready()
	r.releases("web", "pay")
	cfg := r.configuration(r.files)
	cfg.Settings.Guards, _ = incident.GuardsFrom(map[string]any{"max_per_hour": "1"})
	require.NoError(t, r.engine.Reload(t.Context(), cfg))
	r.fire("Hole", "web")
	r.advance(20 * time.Second)
	r.phase("web", incident.Verifying)
	r.watchdog()
	r.fire("Hole", "pay")
	r.advance(20 * time.Second)
	i := r.phase("pay", incident.AwaitingApproval)
	require.Contains(t, i.Reason, "1 of 1 automatic rollbacks used")
	require.NoError(t, r.engine.Approve(t.Context(), sre, i.ID, i.Offer.Plan, ""))
	r.settle()
	r.phase("pay", incident.Verifying)
}

func TestS10CooldownAsks(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	r.world.good()
	r.advance(6 * time.Minute)
	r.phase("api", incident.Succeeded)
	require.NoError(t, r.engine.RecordRelease(t.Context(), sre, "api", incident.Release{Version: "v43", At: r.now(), Vars: map[string]string{"track": "green"}}))
	r.advance(time.Minute)
	r.watchdog()
	r.resolve("Hole", "api", start)
	r.advance(time.Second)
	r.fire("Hole", "api") // a new episode inside the cooldown asks; it is never silent
	r.advance(20 * time.Second)
	i := r.phase("api", incident.AwaitingApproval)
	require.Contains(t, i.Reason, "cooldown until")
	require.Len(t, r.world.did(), 2)
}

func TestS10DecayingAlertStartsNothing(t *testing.T) {
	r := newRig(t).ready()
	began := r.now()
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	r.world.good()
	r.advance(6 * time.Minute)
	r.phase("api", incident.Succeeded)
	for range 5 {
		r.advance(time.Minute)
		r.deliver(notification("firing", labels("Hole", "api"), began))
	}
	require.Equal(t, 1, r.count("api"))
	require.Len(t, r.world.did(), 2)
}

func TestS13NoRecentChangeAsks(t *testing.T) {
	r := newRig(t).ready()
	require.NoError(t, r.engine.RecordRelease(t.Context(), sre, "api", incident.Release{Version: "v42", At: r.now().Add(-2 * time.Hour), Vars: map[string]string{"track": "green"}}))
	r.fire("Errors", "api")
	r.advance(3 * time.Minute)
	r.watchdog()
	r.advance(2 * time.Minute)
	asked(t, r, "recent_change")
}

func TestS13RolloutAfterTheAlertAsks(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Errors", "api")
	r.advance(time.Minute)
	require.NoError(t, r.engine.RecordRelease(t.Context(), sre, "api", incident.Release{Version: "v43", At: r.now(), Vars: map[string]string{"track": "red"}}))
	r.advance(2 * time.Minute)
	r.watchdog()
	r.advance(2 * time.Minute)
	asked(t, r, "recent_change")
}

func TestS14NoWayBackHolds(t *testing.T) {
	r := newRig(t).ready()
	require.NoError(t, r.engine.DenyRelease(t.Context(), sre, "api", "v41", "leaked"))
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	held(t, r, "destination", "v41 is denied")
}

func TestS14DeniedSinceThePlanStops(t *testing.T) {
	r := newRig(t).ready()
	r.world.onRun = func(step string) {
		if step == "look" {
			require.NoError(t, r.engine.DenyRelease(t.Context(), sre, "api", "v41", "leaked"))
		}
	}
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	i := r.phase("api", incident.Superseded)
	require.Contains(t, i.Reason, "v41 is denied")
	require.Empty(t, r.world.did())
}

func TestS4RacingDeploySupersedes(t *testing.T) {
	r := newRig(t).ready()
	r.world.onRun = func(step string) {
		if step == "look" {
			require.NoError(t, r.engine.RecordRelease(t.Context(), sre, "api", incident.Release{Version: "v43", At: r.now()}))
		}
	}
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	i := r.phase("api", incident.Superseded)
	require.Contains(t, i.Reason, "v43 runs now")
	require.Empty(t, r.world.did())
}

func TestS4ChangedWorldSupersedes(t *testing.T) {
	r := newRig(t).ready()
	r.world.onRun = func(step string) {
		if step == "look" {
			r.world.mu.Lock()
			r.world.state = "red"
			r.world.mu.Unlock()
		}
	}
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	i := r.phase("api", incident.Superseded)
	require.Contains(t, i.Reason, "finds something else than the plan did")
	require.Empty(t, r.world.did())
}

func TestS19StopHoldsBetweenSteps(t *testing.T) {
	r := newRig(t).ready()
	r.world.onRun = func(step string) {
		if step == "switch" {
			require.NoError(t, r.engine.Stop(t.Context(), sre, "target/api", "wait"))
		}
	}
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	i := r.phase("api", incident.Held)
	require.Contains(t, i.Reason, "stopped for target/api by sre")
	require.Len(t, r.world.did(), 1, "no step starts after the stop")
	r.restart()
	r.advance(time.Minute)
	r.phase("api", incident.Held)
	require.NoError(t, r.engine.Resume(t.Context(), sre, "target/api", "on"))
	r.advance(5 * time.Second)
	require.Len(t, r.world.did(), 2)
}

func TestS20CeilingCounts(t *testing.T) {
	r := newRig(t).ready()
	cfg := r.configuration(r.files)
	cfg.Settings.Modes = map[string]incident.Mode{"production": incident.Approve}
	require.NoError(t, r.engine.Reload(t.Context(), cfg))
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	r.phase("api", incident.AwaitingApproval)
}

func TestS33SilenceHoldsTheNextChangingStep(t *testing.T) {
	r := newRig(t).ready()
	r.world.onRun = func(step string) {
		if step == "switch" {
			r.world.silence(labels("Hole", "api"))
		}
	}
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	i := r.phase("api", incident.Held)
	require.Contains(t, i.Reason, "a person silenced Hole")
	require.Len(t, r.world.did(), 1)
}

func TestS33UnreadableAlertmanagerHolds(t *testing.T) {
	r := newRig(t).ready()
	r.world.amDown = true
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	held(t, r, "silenced", "cannot be read")
	require.NotEmpty(t, r.world.told, "and people are called")
}

func TestS33HoldOfAPerson(t *testing.T) {
	r := newRig(t).ready()
	require.NoError(t, r.engine.Hold(t.Context(), sre, "api", "I have it", time.Hour))
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	held(t, r, "hold", "sre holds this target")
	require.NoError(t, r.engine.Hold(t.Context(), sre, "api", "", 0))
	r.advance(time.Minute)
	require.Len(t, r.world.did(), 2)
}

func TestS32ADeadChannelDelaysNothing(t *testing.T) {
	r := newRig(t).ready()
	for range 100 {
		r.world.tellErr = append(r.world.tellErr, errDown)
	}
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	require.Len(t, r.world.did(), 2)
	r.advance(2 * time.Minute)
	n := r.incident("api").Notices[0]
	require.False(t, n.OverdueAt.IsZero(), "what is not told in time is called overdue")
}
