package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

const reloadRules = 40

// waiting are files with a rule for each of 40 targets, each waiting for ten minutes.
func waiting() files {
	f := defaultFiles
	var b strings.Builder
	names := []string{"api"}
	b.WriteString("groups:\n  - name: all\n    variables:\n      - {name: production, value: 'alert.labels.environment == \"production\"'}\n    rules:\n")
	for n := range reloadRules {
		names = append(names, fmt.Sprintf("t%02d", n))
		fmt.Fprintf(&b, "      - {rule: R%02d, when: 'alert.labels.alertname == \"A%02d\" && production', mode: suggest, for: 10m, do: rollback}\n", n, n)
	}
	f.rules, f.targets = b.String(), targetsOf(names...)
	return f
}

// judgedAt is when a target's rule was judged, each time.
func (r *rig) judgedAt(target string) (times []time.Duration) {
	_, events, err := r.engine.Incident(r.t.Context(), r.incident(target).ID)
	require.NoError(r.t, err)
	for _, e := range events {
		switch e.Fact.(type) {
		case incident.Judged:
			times = append(times, e.At.Sub(start))
		case incident.Reconfigured:
			times = append(times, -1)
		}
	}
	return times
}

func TestAReloadThatChangesOneRuleKeepsTheTimersOfTheOthers(t *testing.T) {
	const changed = 7
	r := newRig(t, func(r *rig) { r.files = waiting() }).ready()
	begun := func(n int) time.Duration { return time.Duration(n) * 5 * time.Second }
	for n := range reloadRules {
		r.advance(begun(n) - r.now().Sub(start))
		r.fire(fmt.Sprintf("A%02d", n), fmt.Sprintf("t%02d", n))
	}
	r.advance(7*time.Minute - r.now().Sub(start))
	due := map[string]time.Time{}
	for n := range reloadRules {
		target := fmt.Sprintf("t%02d", n)
		require.Empty(t, r.judgedAt(target))
		due[target] = r.incident(target).Rules[0].DueAt()
	}

	before := fmt.Sprintf("A%02d\" && production', mode: suggest, for: 10m", changed)
	require.Contains(t, r.files.rules, before)
	r.files.rules = strings.Replace(r.files.rules, before, strings.Replace(before, "10m", "12m", 1), 1)
	r.files.rules = strings.Replace(r.files.rules, "    rules:\n", "    rules:\n      - {rule: New, when: 'alert.labels.alertname == \"New\"', do: rollback}\n", 1) // all lines move
	require.NoError(t, r.engine.Reload(t.Context(), r.configuration(r.files)))
	r.settle()
	for n := range reloadRules {
		target := fmt.Sprintf("t%02d", n)
		if n == changed {
			require.Equal(t, []time.Duration{-1}, r.judgedAt(target), "it is told of the change")
			require.Equal(t, due[target].Add(2*time.Minute), r.incident(target).Rules[0].DueAt(), "counted from the alert's start")
			continue
		}
		require.Empty(t, r.judgedAt(target), "nothing is said of it")
		require.Equal(t, due[target], r.incident(target).Rules[0].DueAt())
	}

	r.advance(20*time.Minute - r.now().Sub(start))
	for n := range reloadRules {
		want := []time.Duration{begun(n) + 10*time.Minute}
		if n == changed {
			want = []time.Duration{-1, begun(n) + 12*time.Minute}
		}
		got := r.judgedAt(fmt.Sprintf("t%02d", n))
		require.Equal(t, want, got[:min(len(got), len(want))], "rule %d", n)
	}
}
