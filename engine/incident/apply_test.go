package incident_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// Whoever holds an incident keeps what it was: an episode that ends, or is told by a second rule, is another one then.
func TestAnEarlierIncidentKeepsItsEpisodes(t *testing.T) {
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	seen := func(rule string) incident.AlertsSeen {
		return incident.AlertsSeen{Rule: rule, Alerts: []incident.Seen{{ID: "a", Source: "am", StartsAt: at}}}
	}
	var all []incident.Incident
	var now incident.Incident
	for n, f := range []incident.Fact{
		incident.Opened{ID: "api-1", Target: "api"}, seen("R"), seen("Q"),
		incident.AlertsEnded{Alerts: []incident.AlertEnd{{ID: "a", EndsAt: at.Add(time.Minute)}}}, seen("R"),
	} {
		e := incident.NewEvent(at, "am", "config", f)
		e.Version = n + 1
		now = incident.Apply(now, e)
		all = append(all, now)
	}
	for n, want := range []struct {
		rules []string
		open  bool
	}{{nil, true}, {[]string{"R"}, true}, {[]string{"R", "Q"}, true}, {[]string{"R", "Q"}, false}, {[]string{"R", "Q"}, true}} {
		ep := all[n].Episodes["a"]
		require.Equal(t, want.open, ep.Open(), "after %d facts", n+1)
		if n > 0 {
			require.Equal(t, want.rules, ep.Rules, "after %d facts", n+1)
		}
	}
}
