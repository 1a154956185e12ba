package store_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/store"
)

func openAt(t *testing.T, path string, o store.Options) *store.SQLite {
	t.Helper()
	s, err := store.OpenSQLite(t.Context(), path, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func openTemp(t *testing.T, o store.Options) *store.SQLite {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "astern.db"), o)
}

// filler appends to its own history until the store says no, and knows what was acknowledged.
type filler struct {
	stream string
	stored []incident.Event
}

func (f *filler) append(t *testing.T, s *store.SQLite) error {
	a := opening(f.stream)
	a.After = len(f.stored)
	a.Events[0] = incident.NewEvent(a.Events[0].At, "sre-1", "", incident.Requested{Reason: strings.Repeat("x", 1500)})
	done, err := s.Append(t.Context(), a)
	f.stored = append(f.stored, done.Events...)
	return err
}

func (f *filler) until(t *testing.T, s *store.SQLite) (err error) {
	for err == nil {
		err = f.append(t, s)
	}
	return err
}

// fill lets all write side by side until the store is full for each, and then the first until not even one more fits.
func fill(t *testing.T, s *store.SQLite, all []*filler) {
	var writers sync.WaitGroup
	errs := make([]error, len(all))
	for i, f := range all {
		writers.Go(func() { errs[i] = f.until(t, s) })
	}
	writers.Wait()
	for _, err := range append(errs, all[0].until(t, s)) {
		require.ErrorIs(t, err, incident.ErrUnavailable)
	}
}

func requireStored(t *testing.T, s *store.SQLite, all []*filler) {
	for _, f := range all {
		events, err := s.Load(t.Context(), f.stream)
		require.NoError(t, err, "reading works while the disk is full")
		require.Equal(t, f.stored, events, "what was acknowledged is there, and nothing else")
	}
}

// The disk is full at 50 levels: the answer is "unavailable", nothing is lost, and it works again by itself.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "astern.db")
	s := openAt(t, path, store.Options{})
	var all []*filler
	for i := range 6 {
		all = append(all, &filler{stream: fmt.Sprint("s", i)})
	}
	for level := 1; level <= 50; level++ {
		pages, err := s.Ask(t.Context(), `PRAGMA page_count`)
		require.NoError(t, err)
		require.NoError(t, s.Exec(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, int(pages)+level)))
		fill(t, s, all)
		require.ErrorIs(t, s.Healthy(t.Context()), incident.ErrUnavailable)
		requireStored(t, s, all)

		require.NoError(t, s.Exec(t.Context(), `PRAGMA max_page_count = 1000000`))
		require.NoError(t, s.Healthy(t.Context()), "works again without reopening")
		for _, f := range all {
			require.NoError(t, f.append(t, s))
		}
	}
	require.NoError(t, s.Close())
	requireStored(t, openAt(t, path, store.Options{}), all)
}
