package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/store"
)

// pile lets n writes wait behind an open transaction, and returns what lets them go and their errors.
func pile(t *testing.T, s *store.SQLite, n int) (release func(), wait func() error) {
	release = s.Occupy(t.Context())
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		all.Go(func() { _, errs[i] = s.Append(t.Context(), opening(fmt.Sprint("s", i))) })
	}
	for s.Queued() < n {
		yield()
	}
	return release, func() error { all.Wait(); return errors.Join(errs...) }
}

func commits(t *testing.T, s *store.SQLite) int64 {
	st, err := s.Stats(t.Context())
	require.NoError(t, err)
	return st.Commits
}

func TestWritesThatWaitShareATransaction(t *testing.T) {
	for batch, want := range map[int]int64{0: 2, 20: 4, 1: 51} { // one is that of the write they wait for
		s := openTemp(t, store.Options{Batch: batch})
		before := commits(t, s)
		release, wait := pile(t, s, 50)
		release()
		require.NoError(t, wait())
		require.Equal(t, want, commits(t, s)-before, "batches of %d", batch)
	}
}

// Nothing is acknowledged before COMMIT: a write that ran waits for the last one of its transaction.
func TestNothingIsAcknowledgedBeforeItsCommit(t *testing.T) {
	s := openTemp(t, store.Options{})
	first := s.Occupy(t.Context())
	answered := make(chan error, 1)
	go func() {
		_, err := s.Append(t.Context(), opening("a"))
		answered <- err
	}()
	for s.Queued() < 1 {
		yield()
	}
	second := make(chan func())
	go func() { second <- s.Occupy(t.Context()) }()
	for s.Queued() < 2 {
		yield()
	}
	first()
	release := <-second // the append ran before this one, in the same transaction
	require.Empty(t, answered)
	events, err := s.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Empty(t, events)
	release()
	require.NoError(t, <-answered)
	events, err = s.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Len(t, events, 1)
}

func TestTheQueueIsBounded(t *testing.T) {
	s := openTemp(t, store.Options{Queue: 3})
	release, wait := pile(t, s, 3)
	_, err := s.Append(t.Context(), opening("one too many"))
	require.ErrorIs(t, err, incident.ErrUnavailable)
	require.ErrorContains(t, err, "3 writes are waiting already")
	require.ErrorIs(t, s.Healthy(t.Context()), incident.ErrUnavailable)
	st, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, st.Queued)
	release()
	require.NoError(t, wait())
	_, err = s.Append(t.Context(), opening("one too many"))
	require.NoError(t, err)
}

// A caller that goes away while its write waits is let go at once, and nothing is stored for it.
func TestAContextThatEndsWhileQueued(t *testing.T) {
	s := openTemp(t, store.Options{})
	release := s.Occupy(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error)
	go func() {
		_, err := s.Append(ctx, opening("a"))
		answered <- err
	}()
	for s.Queued() < 1 {
		yield()
	}
	cancel()
	require.ErrorIs(t, <-answered, context.Canceled) // while the transaction before it is still open
	release()
	_, err := s.Append(t.Context(), opening("a"))
	require.NoError(t, err, "nothing was stored")
}

// Close serves what was let in.
func TestCloseServesWhatWaits(t *testing.T) {
	s := openTemp(t, store.Options{})
	release, wait := pile(t, s, 20)
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	for !s.Closing() {
		yield()
	}
	require.ErrorIs(t, s.Healthy(t.Context()), incident.ErrUnavailable)
	release()
	require.NoError(t, wait())
	require.NoError(t, <-closed)
}

func TestStats(t *testing.T) {
	s := openTemp(t, store.Options{})
	for i, phase := range []incident.Phase{incident.Pending, incident.Succeeded, incident.Failed} {
		a := opening(fmt.Sprint("s", i))
		a.Events = append(a.Events, a.Events[0])
		a.Head.Phase, a.Head.Live = phase, i == 2
		if phase.Final() {
			a.Head.EndedAt = a.Head.OpenedAt
		}
		_, err := s.Append(t.Context(), a)
		require.NoError(t, err)
		_, err = s.Append(t.Context(), a)
		require.ErrorIs(t, err, incident.ErrConflict)
	}
	st, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 6, st.Events)
	require.Equal(t, 1, st.Open)
	require.Equal(t, 1, st.Live)
	require.Zero(t, st.Queued)
	require.Greater(t, st.FileBytes, int64(10_000))
	_, err = s.Compact(t.Context(), opening("").Head.OpenedAt.AddDate(1, 0, 0))
	require.NoError(t, err)
	st, err = s.Stats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 4, st.Events)
}

// A transaction that fails at its end is taken back whole, and the next one is not caught in it.
func TestAFailedTransactionIsTakenBack(t *testing.T) {
	s := openTemp(t, store.Options{})
	require.NoError(t, s.Exec(t.Context(), `ALTER TABLE counters RENAME TO hidden`))
	release, wait := pile(t, s, 5)
	release()
	err := wait()
	require.ErrorIs(t, err, incident.ErrUnavailable)
	require.ErrorContains(t, err, "count events")
	require.NoError(t, s.Exec(t.Context(), `ALTER TABLE hidden RENAME TO counters`))
	for i := range 5 {
		_, err := s.Append(t.Context(), opening(fmt.Sprint("s", i)))
		require.NoError(t, err, "nothing of it was stored")
	}
}
