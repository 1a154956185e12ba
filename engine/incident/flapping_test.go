package incident_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

func TestComings(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 1, 12, minute, 0, 0, time.UTC) }
	open := time.Time{}
	type span struct {
		from, to time.Time
		rule     string
	}
	for name, c := range map[string]struct {
		spans []span
		want  int
	}{
		"none":                          {nil, 0},
		"one that fires":                {[]span{{at(10), open, "r"}}, 1},
		"a storm is one coming":         {[]span{{at(10), open, "r"}, {at(10), at(12), "r"}, {at(11), open, "r"}}, 1},
		"three after each other":        {[]span{{at(10), at(11), "r"}, {at(13), at(14), "r"}, {at(16), open, "r"}}, 3},
		"one inside a longer one":       {[]span{{at(10), at(20), "r"}, {at(12), at(13), "r"}, {at(15), at(16), "r"}}, 1},
		"another rule's do not count":   {[]span{{at(10), at(11), "r"}, {at(13), at(14), "other"}}, 1},
		"what came before the time":     {[]span{{at(1), at(2), "r"}, {at(4), at(20), "r"}, {at(22), open, "r"}}, 1},
		"one that ends as another does": {[]span{{at(10), at(12), "r"}, {at(12), at(13), "r"}}, 1},
		"beside one that fires on":      {[]span{{at(10), open, "r"}, {at(12), at(13), "r"}, {at(15), at(16), "r"}, {at(18), open, "r"}}, 1},
		"ends that nobody told":         {[]span{{at(10), open, "r"}, {at(13), open, "r"}, {at(16), open, "r"}}, 3},
		"ends told late":                {[]span{{at(10), open, "r"}, {at(13), at(14), "r"}, {at(16), open, "r"}}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var all []incident.Incident
			for n, s := range c.spans {
				all = append(all, incident.Incident{Episodes: map[string]*incident.Episode{
					alertOf(name, n): {Rules: []string{s.rule}, StartsAt: s.from, EndedAt: s.to},
				}})
			}
			require.Equal(t, c.want, incident.Comings("r", at(5), all...))
		})
	}
}

// alertOf is the same alert again where nobody tells its end, else one after another.
func alertOf(name string, n int) string {
	if strings.HasPrefix(name, "ends") {
		return "same"
	}
	return string(rune('a' + n))
}

func TestFlappingEndsByItselfOrByAPerson(t *testing.T) {
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	history := incident.ApplyTarget(incident.TargetHistory{}, incident.Event{Version: 1, At: start, Fact: incident.Flapped{Rule: "r", Times: 3, Within: time.Hour}})
	flaps := func(after time.Duration) bool {
		_, flaps := history.FlapsNow("r", start.Add(after))
		return flaps
	}
	require.True(t, flaps(0))
	require.True(t, flaps(24*time.Hour-time.Second))
	require.False(t, flaps(24*time.Hour))
	_, other := history.FlapsNow("other", start)
	require.False(t, other)

	history = incident.ApplyTarget(history, incident.Event{Version: 2, At: start.Add(time.Hour), Fact: incident.FlappingReset{Rule: "r"}})
	require.False(t, flaps(2*time.Hour))
	history = incident.ApplyTarget(history, incident.Event{Version: 3, At: start.Add(3 * time.Hour), Fact: incident.Flapped{Rule: "r"}})
	require.True(t, flaps(4*time.Hour))
}
