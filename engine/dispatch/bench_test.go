package dispatch_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/dispatch"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/store"
)

// BenchmarkCommitToWork measures from the answer of a durable append to the beginning of the work it wakes.
func BenchmarkCommitToWork(b *testing.B) {
	s, err := store.OpenSQLite(context.Background(), filepath.Join(b.TempDir(), "bench.db"), store.Options{})
	require.NoError(b, err)
	begun := make(chan time.Time)
	d := dispatch.NewLocal(func(context.Context, string, incident.Lane) time.Time {
		begun <- time.Now()
		return time.Time{}
	}, dispatch.Options{})
	var commit, latency []time.Duration
	for i := range b.N * 2000 {
		at, stream := time.Now(), fmt.Sprintf("incident/%08d", i)
		_, err := s.Append(context.Background(), incident.Append{Stream: stream,
			Events: []incident.Event{incident.NewEvent(at, "astern", "", incident.Opened{ID: stream, Target: "checkout"})}})
		require.NoError(b, err)
		committed := time.Now()
		d.Wake(stream, incident.ProcedureLane, committed)
		latency = append(latency, (<-begun).Sub(committed))
		commit = append(commit, committed.Sub(at))
	}
	fmt.Println()
	report("append-to-commit", commit)
	report("commit-to-work", latency)
	b.ReportMetric(0, "ns/op")
	require.NoError(b, d.Close())
	require.NoError(b, s.Close())
}

func report(name string, all []time.Duration) {
	slices.Sort(all)
	for _, p := range []int{50, 99} {
		fmt.Printf("ratio %s-p%d-ms %.3f\n", name, p, all[(len(all)-1)*p/100].Seconds()*1000)
	}
}
