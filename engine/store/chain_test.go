package store_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/store"
)

// history stores three events of one incident that ended, and closes the store.
func history(t *testing.T, path string) {
	s, err := store.OpenSQLite(t.Context(), path, store.Options{})
	require.NoError(t, err)
	a := opening("a")
	a.Events = append(a.Events, a.Events[0], a.Events[0])
	a.Events[1].Fact, a.Events[1].Type = incident.Requested{Reason: "why"}, "Requested"
	a.Head.Phase, a.Head.Live, a.Head.EndedAt = incident.Succeeded, false, a.Head.OpenedAt
	_, err = s.Append(t.Context(), a)
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

// Whatever is changed in the file is noticed when the history is read, with its place, and is not compacted away.
func TestABrokenChainIsAnError(t *testing.T) {
	for change, version := range map[string]int{
		`UPDATE events SET fact = replace(fact, 'why', 'how') WHERE version = 2`:                                           2,
		`UPDATE events SET type = 'Disarmed' WHERE version = 2`:                                                            2,
		`UPDATE events SET schema = 2 WHERE version = 2`:                                                                   2,
		`UPDATE events SET at = at + 1 WHERE version = 2`:                                                                  2,
		`UPDATE events SET at = NULL WHERE version = 2`:                                                                    2,
		`UPDATE events SET told_by = 'sre-2' WHERE version = 2`:                                                            2,
		`UPDATE events SET config = '' WHERE version = 2`:                                                                  2,
		`UPDATE events SET hash = replace(hash, 'a', 'b') WHERE version = 1`:                                               1,
		`DELETE FROM events WHERE version = 1`:                                                                             1,
		`DELETE FROM events WHERE version = 2`:                                                                             2,
		`DELETE FROM events WHERE version = 3`:                                                                             3,
		`DELETE FROM events`:                                                                                               1,
		`UPDATE events SET version = version + 1 WHERE version = 3`:                                                        3,
		`UPDATE heads SET hash = (SELECT hash FROM events WHERE version = 2)`:                                              3,
		`INSERT INTO events SELECT stream, 4, type, schema, at, told_by, config, fact, hash FROM events WHERE version = 3`: 4,
	} {
		path := filepath.Join(t.TempDir(), "astern.db")
		history(t, path)
		run(t, beside(t, path), change)
		s := openAt(t, path, store.Options{})
		_, err := s.Load(t.Context(), "a")
		var broken *store.ChainError
		require.ErrorAs(t, err, &broken, change)
		require.Equal(t, "a", broken.Stream, change)
		require.Equal(t, version, broken.Version, change)
		require.ErrorContains(t, err, "the history of a is broken at version", change)
		if strings.HasPrefix(change, "DELETE") && version < 3 && !strings.HasSuffix(change, "events") {
			require.ErrorContains(t, err, fmt.Sprintf("the next event stored is number %d", version+1), change)
		}
	}
}

// A history whose end is not the one remembered is evidence: retention leaves it, says so, and removes the others.
func TestCompactionKeepsEvidence(t *testing.T) {
	for _, change := range []string{`DELETE FROM events WHERE version = 3`, `DELETE FROM events WHERE version = 2`,
		`UPDATE events SET hash = 'x' WHERE version = 3`, `DELETE FROM events`} {
		path := filepath.Join(t.TempDir(), "astern.db")
		history(t, path)
		db := beside(t, path)
		run(t, db, change)
		s := openAt(t, path, store.Options{})
		b := opening("b")
		b.Head.Phase, b.Head.Live, b.Head.EndedAt = incident.Succeeded, false, b.Head.OpenedAt.Add(time.Second)
		_, err := s.Append(t.Context(), b)
		require.NoError(t, err)
		var before, after int
		require.NoError(t, db.QueryRow(`SELECT count(*) FROM events WHERE stream = 'a'`).Scan(&before))
		removed, err := s.Compact(t.Context(), time.Now())
		var broken *store.ChainError
		require.ErrorAs(t, err, &broken, change)
		require.Equal(t, "a", broken.Stream)
		require.Equal(t, 1, removed, "the other one went")
		require.NoError(t, db.QueryRow(`SELECT count(*) FROM events WHERE stream = 'a'`).Scan(&after))
		require.Equal(t, before, after, change)
	}
}

// Someone wrote past the lock: the primary key refuses us, and then we see what they wrote.
func TestARivalPastTheLockIsAConflict(t *testing.T) {
	path := filepath.Join(t.TempDir(), "astern.db")
	s := openAt(t, path, store.Options{})
	first, err := s.Append(t.Context(), incident.Append{Stream: "a", Events: opening("a").Events})
	require.NoError(t, err)
	rival := first.Events[0]
	rival.Version = 2
	fact, err := incident.EncodeFact(rival.Fact)
	require.NoError(t, err)
	run(t, beside(t, path), `INSERT INTO events SELECT stream, 2, type, schema, at, told_by, config, fact, ? FROM events`,
		incident.Chain(first.Events[0].Hash, "a", rival, fact))
	_, err = s.Append(t.Context(), incident.Append{Stream: "a", After: 1, Events: opening("a").Events})
	require.ErrorIs(t, err, incident.ErrConflict)
	_, err = s.Append(t.Context(), incident.Append{Stream: "a", After: 2, Events: opening("a").Events})
	require.NoError(t, err)
	events, err := s.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Len(t, events, 3)
}
