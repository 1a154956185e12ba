package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// many is one notification of many alerts of one cause.
func many(n int, starts time.Time) engine.Notification {
	out := notification("firing", labels("Errors", "api"), starts)
	for i := range n {
		l := labels("Errors", "api")
		l["instance"] = fmt.Sprint(i)
		out.Alerts = append(out.Alerts, notification("firing", l, starts).Alerts...)
	}
	return out
}

// A storm that goes on is not written down again and again: after the coalescing time one alert speaks for those that are
// known, and a new one among them is kept alone.
func TestAStormIsWrittenDownOnce(t *testing.T) {
	r := newRig(t).ready()
	seen := func() (alerts int) {
		_, events, err := r.engine.Incident(t.Context(), "api-1")
		require.NoError(t, err)
		for _, e := range events {
			if f, is := e.Fact.(incident.AlertsSeen); is {
				alerts += len(f.Alerts)
			}
		}
		return alerts
	}
	r.deliver(many(20, start))
	require.Equal(t, 21, seen())
	r.advance(time.Minute)
	r.deliver(many(20, start))
	require.Equal(t, 22, seen())
	require.Equal(t, r.now(), r.incident("api").Rules[0].SeenAt, "it was said again that it fires")
	r.advance(time.Minute)
	decided := r.deliver(many(21, start))
	require.Equal(t, 23, seen())
	require.Len(t, decided, 22, "each alert is told what it came to")
	require.Len(t, r.incident("api").Episodes, 22)
}
