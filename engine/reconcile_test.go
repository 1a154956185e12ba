package engine_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

func TestALostDeliveryIsFoundByReconciliation(t *testing.T) {
	r := newRig(t).ready()
	r.deliver(notification("firing", labels("Nothing", "api"), r.now())) // the receiver's name is known from any delivery
	r.world.list(labels("Hole", "api"), r.now())                         // fires, and its webhook never came
	r.engine.ReconcileNow(t.Context())
	r.advance(20 * time.Second)
	r.phase("api", incident.Verifying)
}

func TestReconciliationStartsNothingThatIsSilencedOrGoesElsewhere(t *testing.T) {
	r := newRig(t).ready()
	r.world.list(labels("Hole", "api"), r.now())
	r.world.silence(labels("Hole", "api"))
	r.engine.ReconcileNow(t.Context())
	require.Zero(t, r.count("api"), "silenced")

	quiet := newRig(t)
	quiet.releases("api")
	quiet.world.list(labels("Hole", "api"), quiet.now())
	quiet.engine.ReconcileNow(t.Context())
	require.Zero(t, quiet.count("api"), "nobody knows that this route leads here")
}

func TestALateAlertThatFiresReopensItsEpisode(t *testing.T) {
	r := newRig(t).ready()
	began := r.now()
	r.fire("Errors", "api")
	r.fire("Asks", "api") // keeps the incident open
	r.advance(30 * time.Second)
	r.resolve("Errors", "api", began)
	r.advance(10 * time.Second)
	d := r.deliver(notification("firing", labels("Errors", "api"), began))
	require.Equal(t, "late", d[0].Kind)
	require.NoError(t, r.engine.LookUpLate(t.Context()))
	require.True(t, r.incident("api").Rules[0].Since.IsZero(), "Alertmanager does not list it: it stays closed")

	r.world.list(labels("Errors", "api"), began)
	r.advance(16 * time.Second)
	r.deliver(notification("firing", labels("Errors", "api"), began))
	require.NoError(t, r.engine.LookUpLate(t.Context()))
	require.Equal(t, began, r.incident("api").Rules[0].Since, "found again, with its old start")
}

func TestReconciliationIsAFreshWordThatItFires(t *testing.T) {
	r := newRig(t).ready()
	require.NoError(t, r.engine.Stop(t.Context(), sre, "all", "first"))
	r.fire("Hole", "api")
	r.advance(6 * time.Minute) // no delivery says it again
	r.engine.ReconcileNow(t.Context())
	require.NoError(t, r.engine.Resume(t.Context(), sre, "all", "on"))
	r.advance(6 * time.Second)
	r.phase("api", incident.Verifying)
}

func TestATruncatedNotificationIsReadWhole(t *testing.T) {
	r := newRig(t).ready()
	r.world.list(labels("Hole", "web"), r.now())
	r.releases("web")
	n := notification("firing", labels("Errors", "api"), r.now())
	n.Truncated = 1
	r.deliver(n)
	r.engine.ReconcileNow(t.Context())
	require.Equal(t, 1, r.count("web"), "the alert that was cut off")
}
