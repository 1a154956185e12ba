package engine_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// A clock that was set holds what is automatic for five minutes; then evidence has come under the new time (S30).
func TestAJumpOfTheClockHolds(t *testing.T) {
	for _, jump := range []time.Duration{31 * time.Second, -time.Hour} {
		var skew time.Duration // how far the wall clock left the counting one
		r := newRig(t, func(r *rig) {
			r.opts = func(o *engine.Options) {
				o.Elapsed = func() time.Duration { return r.now().Sub(start) - skew }
			}
		}).ready()
		r.fire("Errors", "api")
		r.advance(4 * time.Minute)
		r.engine.ReconcileTick(t.Context())
		skew = jump
		r.advance(time.Minute)
		i := r.phase("api", incident.Held)
		require.Contains(t, i.Reason, "the clock of this machine jumped")
		r.advance(5*time.Minute - time.Second)
		r.phase("api", incident.Held)
		r.advance(time.Second)
		r.phase("api", incident.Verifying)
	}
}

func TestASteadyOrSlowlySetClockHoldsNothing(t *testing.T) {
	var skew time.Duration
	r := newRig(t, func(r *rig) {
		r.opts = func(o *engine.Options) {
			o.Elapsed = func() time.Duration { return r.now().Sub(start) - skew }
		}
	}).ready()
	r.fire("Errors", "api")
	for range 5 {
		skew += 20 * time.Second
		r.engine.ReconcileTick(t.Context())
		r.advance(time.Minute)
	}
	r.phase("api", incident.Verifying)
}
