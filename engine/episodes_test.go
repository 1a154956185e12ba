package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// Episodes over several incidents, targets and losses.

func TestALostResolveMakesNobodyDeaf(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Asks", "api")
	r.advance(time.Minute)
	require.NoError(t, r.engine.Reject(t.Context(), sre, "api-1", "known"))
	r.advance(time.Hour) // it resolves, and nobody is told
	r.fire("Asks", "api")
	require.Equal(t, 2, r.count("api"), "a start after the incident's end is a new episode")

	require.NoError(t, r.engine.Reject(t.Context(), sre, "api-2", "known too"))
	r.advance(time.Hour)
	both := notification("firing", labels("Asks", "api"), r.now())
	old := labels("Asks", "api")
	old["pod"] = "one"
	both.Alerts = append(both.Alerts, notification("firing", old, start).Alerts...)
	r.deliver(both)
	require.Equal(t, 3, r.count("api"))
	require.Len(t, r.incident("api").Episodes, 2, "also beside an alert that fires for long")
}

func TestAnEndThatWasNoEndIsTakenUpAgain(t *testing.T) {
	r := newRig(t).ready()
	began := r.now()
	r.fire("Errors", "api")
	r.advance(time.Minute)
	r.deliver(notification("resolved", labels("Errors", "api"), began)) // the monitoring lost sight
	r.settle()
	r.phase("api", incident.Cancelled)
	d := r.deliver(notification("firing", labels("Errors", "api"), began)) // and found it again, with its old start
	require.Equal(t, "late", d[0].Kind)
	require.Equal(t, 1, r.count("api"))
	require.NoError(t, r.engine.LookUpLate(t.Context()))
	require.Equal(t, 2, r.count("api"), "Alertmanager shows it active")
	r.advance(5 * time.Minute)
	r.phase("api", incident.Verifying)
}

func TestALateAlertOfARejectedIncidentStartsNothing(t *testing.T) {
	r := newRig(t).ready()
	began := r.now()
	r.fire("Asks", "api")
	r.advance(time.Minute)
	require.NoError(t, r.engine.Reject(t.Context(), sre, "api-1", "known"))
	r.settle()
	r.deliver(notification("resolved", labels("Asks", "api"), began))
	r.deliver(notification("firing", labels("Asks", "api"), began))
	require.NoError(t, r.engine.LookUpLate(t.Context()))
	r.engine.ReconcileNow(t.Context())
	require.Equal(t, 1, r.count("api"))
}

func TestOneAlertOfTwoTargetsEndsInBoth(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.files.rules = replace(r.files.rules, `      - rule: Suggests`, `      - rule: AlsoWeb
        when: alert.labels.alertname == "Errors"
        target: '"web"'
        mode: approve
        for: 5m
        confirm: {waived: seen by eye}
        do: rollback
      - rule: Suggests`)
	}).ready()
	began := r.now()
	r.fire("Errors", "api")
	require.Equal(t, 1, r.count("api"))
	require.Equal(t, 1, r.count("web"))
	r.advance(time.Minute)
	r.resolve("Errors", "api", began)
	r.settle()
	r.phase("api", incident.Cancelled)
	r.phase("web", incident.Cancelled)
}

func TestAResolveIsHeardThoughItsRuleChanged(t *testing.T) {
	r := newRig(t).ready()
	began := r.now()
	r.fire("Errors", "api")
	r.files.rules = replace(r.files.rules, `alert.labels.alertname == "Errors"`, `alert.labels.alertname == "Faults"`)
	r.restart()
	r.resolve("Errors", "api", began)
	r.settle()
	r.phase("api", incident.Cancelled)
}

func TestEpisodesAreRememberedOverManyIncidents(t *testing.T) {
	r := newRig(t).ready()
	began := r.now()
	r.fire("Asks", "api")
	r.advance(time.Minute)
	require.NoError(t, r.engine.Reject(t.Context(), sre, "api-1", "known"))
	for n := range 20 {
		r.advance(time.Second)
		r.fire("Observes", "api")
		r.advance(time.Second)
		r.resolve("Observes", "api", r.now())
		r.advance(time.Second)
		require.Equal(t, n+2, r.count("api"))
	}
	d := r.deliver(notification("firing", labels("Asks", "api"), began))
	require.Equal(t, "repeated", d[0].Kind)
	require.Equal(t, 21, r.count("api"))
}

func TestTheWatchdogInTheListIsNoDelivery(t *testing.T) {
	r := newRig(t).ready()
	r.barks = false
	r.world.list(map[string]string{"alertname": "Watchdog"}, start)
	r.fire("Errors", "api")
	for range 6 {
		r.advance(time.Minute)
		r.engine.ReconcileNow(t.Context())
	}
	held(t, r, "watchdog", "the last Watchdog alert")
}

func TestAStartInTheFutureIsClampedByTheReconciler(t *testing.T) {
	r := newRig(t).ready()
	r.world.list(labels("Errors", "api"), r.now().Add(time.Hour))
	r.engine.ReconcileNow(t.Context())
	require.Equal(t, start, r.incident("api").Rules[0].Since)
}

func TestTheFirstRuleOfTheFilesLeads(t *testing.T) {
	for range 10 {
		r := newRig(t, func(r *rig) {
			r.files.rules = strings.ReplaceAll(r.files.rules, `alert.labels.alertname == "Hole"`, `alert.labels.alertname == "Errors"`)
		}).ready()
		r.fire("Errors", "api")
		require.Equal(t, "Errors", r.incident("api").Rules[0].Rule)
	}
}

func TestWhatIsOverLeavesMemory(t *testing.T) {
	r := newRig(t).ready()
	for n := range 30 {
		r.fire("Observes", "api")
		r.advance(time.Second)
		r.resolve("Observes", "api", r.now())
		r.advance(time.Second)
		require.Equal(t, n+1, r.count("api"))
	}
	for n := range 600 {
		require.ErrorContains(t, r.engine.Abort(t.Context(), sre, fmt.Sprint("nobody-", n), "x"), "not found")
	}
	require.Less(t, r.engine.Remembered(), 300)
}

func TestEpisodesOfWhatIsOverLeaveMemory(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Asks", "api")
	r.advance(time.Minute)
	require.Equal(t, 1, r.engine.RememberedEpisodes())
	require.NoError(t, r.engine.Reject(t.Context(), sre, "api-1", "known"))
	r.settle()
	require.Zero(t, r.engine.RememberedEpisodes(), "though nobody told that it resolved")
}

func TestAnIncidentRememberedAsOpenTooLateShutsNoDoor(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Asks", "api")
	late := r.incident("api")
	r.advance(time.Minute)
	require.NoError(t, r.engine.Reject(t.Context(), sre, "api-1", "known"))
	r.advance(time.Minute)
	r.engine.Remember(late)
	r.fire("Asks", "api")
	require.Equal(t, 2, r.count("api"))
}

func TestARequestDoesNotTakeOverWhatWasBegun(t *testing.T) {
	r := newRig(t).ready()
	r.world.onRun = func(step string) {
		if step == "switch" {
			r.world.silence(labels("Hole", "api"))
		}
	}
	r.fire("Hole", "api")
	r.advance(20 * time.Minute)
	r.world.list(labels("Hole", "api"), start)
	r.deliver(notification("firing", labels("Hole", "api"), start))
	r.advance(2 * time.Minute)
	r.phase("api", incident.AwaitingApproval)
	_, err := r.engine.Rollback(t.Context(), sre, "api", "now", "")
	require.ErrorContains(t, err, "is open for this target already")
}
