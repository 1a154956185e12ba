package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/store"
)

// BenchmarkAccept measures durable appends: a group commit against a commit each, in one run.
func BenchmarkAccept(b *testing.B) {
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			var group, single time.Duration
			const share, each = 8, 4096 // both sides take turns in small rounds, so that they meet the same neighbours
			stores := []*store.SQLite{openBench(b, 0), openBench(b, 1)}
			for n := 0; n < b.N*each; n += writers * share {
				group += acceptRound(b, stores[0], writers, share, n)
				single += acceptRound(b, stores[1], writers, share, n)
			}
			written := float64(b.N * each)
			b.ReportMetric(written/group.Seconds(), "group/s")
			b.ReportMetric(written/single.Seconds(), "single/s")
			b.ReportMetric(0, "ns/op")
			name := ""
			if writers != 64 {
				name = fmt.Sprintf("-%d", writers)
			}
			fmt.Printf("\nratio append-group-vs-single-commit%s %.2f\n", name, single.Seconds()/group.Seconds())
		})
	}
}

func openBench(b *testing.B, batch int) *store.SQLite {
	s, err := store.OpenSQLite(context.Background(), filepath.Join(b.TempDir(), "bench.db"), store.Options{Batch: batch})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	return s
}

// acceptRound opens an incident a write, as a storm of matching notifications does.
func acceptRound(b *testing.B, s *store.SQLite, writers, share, round int) time.Duration {
	begun := time.Now()
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range share {
				_, err := s.Append(context.Background(), opening(fmt.Sprintf("incident/%08d-%03d-%02d", round, w, i)))
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	return time.Since(begun)
}

// opening is the first write of an incident: what happened and what lists show.
func opening(stream string) incident.Append {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	return incident.Append{
		Stream: stream,
		Events: []incident.Event{
			incident.NewEvent(at, "alertmanager", "sha256:0123456789abcdef", incident.Opened{ID: stream, Target: "checkout", Environment: "production"}),
		},
		Head: &incident.Head{ID: stream, Target: "checkout", Environment: "production", Phase: incident.Pending, OpenedAt: at, UpdatedAt: at, Live: true},
	}
}
