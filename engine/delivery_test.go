package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// What a notification leads to and its line in the ledger are one commit, and say the same.

func (r *rig) commits() int64 {
	r.t.Helper()
	stats, err := r.store.Stats(r.t.Context())
	require.NoError(r.t, err)
	return stats.Commits
}

// newest is the newest line of the ledger.
func (r *rig) newest() incident.Delivery {
	r.t.Helper()
	lines, err := r.store.Deliveries(r.t.Context(), 1)
	require.NoError(r.t, err)
	require.Len(r.t, lines, 1)
	return lines[0]
}

// told delivers and requires that the ledger says what was answered.
func (r *rig) told(n engine.Notification) (kinds []string, commits int64) {
	r.t.Helper()
	before, last := r.commits(), int64(0)
	if lines, err := r.store.Deliveries(r.t.Context(), 1); err == nil && len(lines) > 0 {
		last = lines[0].ID
	}
	decided := r.deliver(n)
	line := r.newest()
	require.Equal(r.t, last+1, line.ID, "one line")
	require.Equal(r.t, decided, line.Decisions)
	require.Equal(r.t, len(n.Alerts), line.Alerts)
	counts := map[string]int{}
	for _, d := range decided {
		counts[d.Kind]++
		kinds = append(kinds, d.Kind)
	}
	require.Equal(r.t, counts, line.Counts)
	require.Equal(r.t, "config", line.Config)
	return kinds, r.commits() - before
}

func merged(notifications ...engine.Notification) engine.Notification {
	all := notifications[0]
	for _, n := range notifications[1:] {
		all.Alerts = append(all.Alerts, n.Alerts...)
	}
	return all
}

func TestANotificationIsOneCommit(t *testing.T) {
	r := newRig(t)
	r.releases("api")
	fires := func(service, instance string) engine.Notification {
		l := labels("Hole", service)
		l["instance"] = instance
		return notification("firing", l, start)
	}
	ends := fires("api", "a")
	ends.Alerts[0].Alert.Status, ends.Status = "resolved", "resolved"
	stranger := notification("firing", map[string]string{"alertname": "Nobody"}, start)
	for n, step := range []struct {
		what   engine.Notification
		passes time.Duration
		want   []string
		most   int64
	}{
		{fires("api", "a"), 0, []string{"opened"}, 1},
		{fires("api", "b"), 0, []string{"joined"}, 1},
		{fires("api", "b"), time.Second, []string{"repeated"}, 1}, // nothing new: the line alone
		{fires("api", "b"), time.Minute, []string{"repeated"}, 1}, // seen again: a fact
		{stranger, 0, []string{"unmatched"}, 1},
		{ends, 0, []string{"ended"}, 1},
		{ends, 0, []string{"ended"}, 1}, // twice: no fact
		{merged(stranger, fires("api", "c")), 0, []string{"unmatched", "joined"}, 1},
		{merged(ends, fires("api", "d")), 0, []string{"ended", "joined"}, 2},
		{merged(fires("api", "f"), notification("firing", labels("Asks", "api"), start)), 0, []string{"joined", "joined"}, 2}, // two rules, one line
		{merged(fires("api", "e"), fires("web", "a"), fires("pay", "a")), 0, []string{"joined", "opened", "opened"}, 3},
	} {
		r.mu.Lock()
		r.at = r.at.Add(step.passes)
		r.mu.Unlock()
		kinds, commits := r.told(step.what)
		require.Equal(t, step.want, kinds, "step %d", n)
		require.LessOrEqual(t, commits, step.most, "step %d", n)
	}
	require.Equal(t, 1, r.count("web"))
	require.Equal(t, 1, r.count("pay"))
}

// A rival writer is first, so that it is decided again: the ledger has what was decided at last.
func TestTheLedgerSaysWhatWasDecidedAtLast(t *testing.T) {
	r := newRig(t)
	r.releases("api")
	r.told(notification("firing", labels("Hole", "api"), start))
	second := labels("Hole", "api")
	second["instance"] = "b"
	rival := func() {
		events, err := r.store.Load(t.Context(), "incident/api-1")
		require.NoError(t, err)
		first := events[1].Fact.(incident.AlertsSeen)
		first.Alerts = []incident.Seen{{ID: engine.AlertID("am", second), Source: "am", StartsAt: start}}
		head := incident.HeadOf(incident.Replay(events))
		_, err = r.store.Append(t.Context(), incident.Append{Stream: "incident/api-1", After: len(events), Head: head,
			Events: []incident.Event{incident.NewEvent(r.now(), "am", "config", first)}})
		require.NoError(t, err)
	}
	r.onHook("append", rival)
	kinds, _ := r.told(notification("firing", second, start))
	require.Equal(t, []string{"repeated"}, kinds)
	i := r.incident("api")
	require.Len(t, i.Episodes, 2)
}

// onHook does something once, at the next passing of a point.
func (r *rig) onHook(point string, do func()) {
	r.t.Helper()
	r.restartWith(func(o *engine.Options) {
		done := false
		o.Hook = func(at string) {
			if at == point && !done {
				done = true
				do()
			}
		}
	})
}

func (r *rig) restartWith(opts func(*engine.Options)) {
	r.t.Helper()
	r.opts = opts
	r.restart()
}

// Nobody is answered before both are durable: a store that takes nothing gets the sender a "try again", and no line.
func TestAStoreThatTakesNothingAnswersNobody(t *testing.T) {
	for name, n := range map[string]engine.Notification{
		"matched":   notification("firing", labels("Hole", "api"), start),
		"unmatched": notification("firing", map[string]string{"alertname": "Nobody"}, start),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			require.NoError(t, r.store.Close())
			_, err := r.engine.Receive(t.Context(), n)
			require.Error(t, err)
			r.restart()
			lines, err := r.store.Deliveries(t.Context(), 10)
			require.NoError(t, err)
			require.Empty(t, lines)
			require.Zero(t, r.count("api"))
		})
	}
}

// Notifications that come together for one target each get their line, also those that add nothing.
func TestNotificationsThatComeTogetherEachHaveTheirLine(t *testing.T) {
	r := newRig(t)
	r.releases("api")
	r.told(notification("firing", labels("Hole", "api"), start))
	const many = 60
	errs := make(chan error, many)
	for n := range many {
		go func() {
			l := labels("Hole", "api")
			l["instance"] = fmt.Sprint(n / 3)
			_, err := r.engine.Receive(t.Context(), notification("firing", l, start))
			errs <- err
		}()
	}
	for range many {
		require.NoError(t, <-errs)
	}
	lines, err := r.store.Deliveries(t.Context(), 1000)
	require.NoError(t, err)
	require.Len(t, lines, many+1)
	counts := map[string]int{}
	for _, l := range lines {
		for kind, n := range l.Counts {
			counts[kind] += n
		}
	}
	require.Equal(t, map[string]int{"opened": 1, "joined": many / 3, "repeated": many / 3 * 2}, counts)
	require.Len(t, r.incident("api").Episodes, many/3+1)
}

// What belongs to an incident that has ended, or was removed by retention, adds no fact: the line is kept all the same.
func TestWhatComesAfterTheEndIsInTheLedger(t *testing.T) {
	r := newRig(t).ready()
	began := r.now()
	r.fire("Asks", "api")
	r.advance(2 * time.Minute)
	i := r.phase("api", incident.AwaitingApproval)
	require.NoError(t, r.engine.Reject(t.Context(), sre, i.ID, "no"))
	r.advance(time.Minute)
	r.phase("api", incident.Rejected)
	kinds, _ := r.told(notification("firing", labels("Asks", "api"), began))
	require.Equal(t, []string{"repeated"}, kinds)
	removed, err := r.store.Compact(t.Context(), r.now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, 1, removed)
	r.resolve("Asks", "api", began)
	lines, err := r.engine.Deliveries(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "resolved", lines[0].Status)
}
