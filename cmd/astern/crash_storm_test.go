//go:build crash

package main_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/store"
)

const (
	stormAlerts  = 100_000
	stormGroup   = 100
	stormSenders = 64
	// stormMemory is the most memory that the server may ever hold, in MiB.
	stormMemory = 512
)

// TestCrashStorm sends 100,000 alerts of one cause, which Alertmanager lists all the while: one incident, one rollback, bounded
// memory, and another target's alert in the middle of it is decided as if nothing were.
func TestCrashStorm(t *testing.T) {
	r := newCrashRun(t, crashBuild(t, ""), 2)
	r.arm(t)
	for _, target := range r.targets {
		require.NoError(t, r.release(t.Context(), target, 1))
		require.NoError(t, r.release(t.Context(), target, 2))
	}
	starts := time.Now().UTC()
	for n := range stormAlerts {
		labels := stormLabels(n)
		r.world.lists(labels["instance"], crashAlert(labels, starts))
	}
	r.world.breaks("t00", crashAlert(stormLabels(0), starts))
	begun := time.Now()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(stormSenders + 1)
	for n := range stormAlerts / stormGroup {
		if n == stormAlerts/stormGroup/2 {
			group.Go(func() error { return r.amidStorm(ctx) })
		}
		group.Go(func() error { return r.stormGroup(ctx, n, starts) })
	}
	require.NoError(t, group.Wait(), r.life.tail)
	took := time.Since(begun)
	require.NoError(t, r.awaitEnd(t.Context(), "t00", 1))
	ended := time.Since(begun)
	memory := r.life.peakMemory(t)
	r.kill()
	figure("storm: %d alerts of one cause in %d notifications from %d senders in %s, rolled back after %s, at most %.0f MiB",
		stormAlerts, stormAlerts/stormGroup, stormSenders, took.Round(time.Millisecond), ended.Round(time.Millisecond), memory)
	r.auditStorm(t)
	require.LessOrEqual(t, memory, float64(stormMemory), "MiB at most")
}

func stormLabels(n int) map[string]string {
	return map[string]string{"alertname": "Errors", "service": "t00", "severity": "critical", "job": "storm", "instance": fmt.Sprintf("10.%d.%d.%d:9100", n>>16, n>>8&255, n&255)}
}

// stormGroup delivers one notification of the storm.
func (r *crashRun) stormGroup(ctx context.Context, group int, starts time.Time) error {
	alerts := make([]map[string]any, stormGroup)
	for n := range alerts {
		alerts[n] = map[string]any{"status": "firing", "labels": stormLabels(group*stormGroup + n), "annotations": map[string]string{"summary": "errors"},
			"startsAt": starts, "endsAt": time.Time{}, "fingerprint": fmt.Sprintf("%016x", group*stormGroup+n), "generatorURL": "http://prometheus/graph"}
	}
	return r.deliver(ctx, "t00", fmt.Sprintf("storm/%d", group), alerts...)
}

// amidStorm delivers another target's alert, and waits until its procedure has begun.
func (r *crashRun) amidStorm(ctx context.Context) error {
	labels := map[string]string{"alertname": "Errors", "service": "t01"}
	starts := time.Now().UTC()
	r.world.breaks("t01", crashAlert(labels, starts))
	alert := map[string]any{"status": "firing", "labels": labels, "annotations": map[string]string{}, "startsAt": starts, "endsAt": time.Time{}, "fingerprint": "f"}
	if err := r.deliver(ctx, "t01", "amid", alert); err != nil {
		return err
	}
	return r.awaitEnd(ctx, "t01", 1)
}

func (r *crashRun) auditStorm(t *testing.T) {
	s, err := store.OpenSQLite(t.Context(), filepath.Join(r.dir, "astern.db"), store.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	for _, target := range r.targets {
		heads, err := s.Heads(t.Context(), incident.HeadFilter{Target: target})
		require.NoError(t, err)
		require.Len(t, heads, 1)
	}
	require.Equal(t, 1, r.world.flipped("t00-1"), "exactly one rollback")
	events, err := s.Load(t.Context(), "incident/t00-1")
	require.NoError(t, err)
	require.Len(t, incident.Replay(events).Episodes, stormAlerts, "none of the storm's alerts is lost")

	events, err = s.Load(t.Context(), "incident/t01-1")
	require.NoError(t, err)
	other := incident.Replay(events)
	require.Equal(t, incident.Succeeded, other.Phase, other.Reason)
	decided := other.Rules[0].Judgement.At.Sub(other.Rules[0].Since) // it was sent at its start
	figure("storm: another target's alert in the middle of it was decided %s after it was sent", decided.Round(time.Millisecond))
	require.Less(t, decided, 10*time.Second)
}
