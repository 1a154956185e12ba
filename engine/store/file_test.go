package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/store"
)

func yield() { runtime.Gosched() }

// beside opens the file as another program would, past the lock.
func beside(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func run(t *testing.T, db *sql.DB, text string, args ...any) {
	t.Helper()
	_, err := db.Exec(text, args...)
	require.NoError(t, err)
}

func refusal(t *testing.T, path string) string {
	t.Helper()
	s, err := store.OpenSQLite(t.Context(), path, store.Options{})
	if s != nil {
		require.NoError(t, s.Close())
	}
	require.Error(t, err)
	require.Contains(t, err.Error(), path, "the message names the file")
	return err.Error()
}

func TestOneProcessPerFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "astern.db")
	s := openAt(t, path, store.Options{})
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+path)
	said, err := child.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(said), path+".lock")
	require.Contains(t, string(said), "another process")
	require.Contains(t, refusal(t, path), path+".lock", "nor twice in one process")

	require.NoError(t, s.Close())
	require.NoError(t, openAt(t, path, store.Options{}).Healthy(t.Context()), "the lock goes with Close")
}

func TestANewerFileIsRefusedUntouched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "astern.db")
	s := openAt(t, path, store.Options{})
	steps, err := store.Migrations()
	require.NoError(t, err)
	newer := append(steps, `CREATE TABLE later (x)`, `DROP TABLE events`)
	require.NoError(t, s.Migrate(t.Context(), newer))
	require.NoError(t, s.Close())
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, refusal(t, path), "a newer astern wrote it (schema 4, this one knows up to 2)")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(before, after))
}

func TestAnOlderFileIsBroughtForwardWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "astern.db")
	s := openAt(t, path, store.Options{})
	_, err := s.Append(t.Context(), opening("a"))
	require.NoError(t, err)
	steps, err := store.Migrations()
	require.NoError(t, err)
	broken := append(append([]string{}, steps...), `CREATE TABLE further (x)`, `CREATE TABLE last (x); INSERT INTO nowhere VALUES (1)`)
	require.ErrorContains(t, s.Migrate(t.Context(), broken), "from schema 3 to 4")
	require.NoError(t, s.Close())
	var tables int
	require.NoError(t, beside(t, path).QueryRow(`SELECT count(*) FROM sqlite_schema WHERE name IN ('further', 'last')`).Scan(&tables))
	require.Zero(t, tables, "a step that fails takes back those before it")

	s = openAt(t, path, store.Options{})
	good := append(append([]string{}, steps...), `CREATE TABLE further (x)`, `CREATE TABLE last (x)`)
	require.NoError(t, s.Migrate(t.Context(), good))
	require.NoError(t, s.Migrate(t.Context(), good), "once")
	events, err := s.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Len(t, events, 1)
}

// The ledger of the first form comes over line by line; each line's configuration gets its own column.
func TestALedgerOfTheFirstFormComesOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "astern.db")
	steps, err := store.Migrations()
	require.NoError(t, err)
	db := beside(t, path)
	run(t, db, `CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL); INSERT INTO schema_version VALUES (1, 0);`+steps[0])
	run(t, db, `INSERT INTO deliveries (at, entry, body) VALUES (?1, '{"source":"am","config":"c1"}', 'b1'), (?1, '{"source":"am"}', NULL)`, time.Now().UnixNano())
	s := openAt(t, path, store.Options{})
	require.NoError(t, s.Deliver(t.Context(), incident.Delivery{Source: "am", Config: "c2"}))
	lines, err := s.Deliveries(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, lines, 3)
	require.Equal(t, []int64{3, 2, 1}, []int64{lines[0].ID, lines[1].ID, lines[2].ID})
	require.Equal(t, "b1", string(lines[2].Body))
	spoken, err := s.Ask(t.Context(), `SELECT count(*) FROM deliveries WHERE config = 'c1' OR config = 'c2'`)
	require.NoError(t, err)
	require.EqualValues(t, 2, spoken)
}

func TestFilesThatAreNoDatabase(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, filepath.Join(dir, "good.db"), store.Options{})
	_, err := s.Append(t.Context(), opening("a"))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	good, err := os.ReadFile(filepath.Join(dir, "good.db"))
	require.NoError(t, err)
	damaged := bytes.Clone(good)
	for i := 100; i < 4096; i++ {
		damaged[i] = 0xa5
	}
	for name, content := range map[string][]byte{
		"no database":        bytes.Repeat([]byte("I am a letter.\n"), 500),
		"damaged":            damaged,
		"damaged: cut short": good[:4096+100],
	} {
		path := filepath.Join(dir, "bad.db")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		said := refusal(t, path)
		require.Contains(t, said, "restore a backup", name)
		left, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, left), "%s: it is left as it was", name)
	}

	foreign := filepath.Join(dir, "foreign.db")
	run(t, beside(t, foreign), `CREATE TABLE theirs (x)`)
	require.Contains(t, refusal(t, foreign), "another program")
	refusal(t, dir)
	require.Contains(t, refusal(t, filepath.Join(dir, "nowhere", "astern.db")), "create it first")
}

func TestOddFileNamesAndPrivacy(t *testing.T) {
	for _, name := range []string{"a b.db", "what?x=1&mode=memory.db", "100%25.db", "#é.db", "file:x.db"} {
		path := filepath.Join(t.TempDir(), name)
		s := openAt(t, path, store.Options{})
		_, err := s.Append(t.Context(), opening("a"))
		require.NoError(t, err)
		for _, suffix := range []string{"", "-wal", ".lock"} {
			info, err := os.Stat(path + suffix)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "only its owner reads %s", name+suffix)
		}
	}
}

// What is acknowledged must be on the disk: a write-ahead log, synced by every commit.
func TestDurabilitySettings(t *testing.T) {
	s := openTemp(t, store.Options{})
	full, err := s.Ask(t.Context(), `PRAGMA synchronous`)
	require.NoError(t, err)
	require.EqualValues(t, 2, full)
	wal, err := s.Ask(t.Context(), `SELECT journal_mode = 'wal' FROM pragma_journal_mode`)
	require.NoError(t, err)
	require.EqualValues(t, 1, wal)
}

// Another program holds the file: unavailable for as long, and not longer.
func TestBusyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "astern.db")
	s := openAt(t, path, store.Options{Busy: time.Millisecond})
	conn, err := beside(t, path).Conn(t.Context())
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), `BEGIN IMMEDIATE`)
	require.NoError(t, err)
	_, err = s.Append(t.Context(), opening("a"))
	require.ErrorIs(t, err, incident.ErrUnavailable)
	require.ErrorContains(t, err, "another program")
	_, err = conn.ExecContext(context.Background(), `ROLLBACK`)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	_, err = s.Append(t.Context(), opening("a"))
	require.NoError(t, err)
}

// Retention gives room back to the disk.
func TestCompactionShrinksTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "astern.db")
	s := openAt(t, path, store.Options{})
	for _, stream := range []string{"a", "b", "c"} {
		a := opening(stream)
		a.Head.Phase, a.Head.Live, a.Head.EndedAt = incident.Succeeded, false, a.Head.OpenedAt
		for range 200 {
			a.Events = append(a.Events, a.Events[0])
		}
		_, err := s.Append(t.Context(), a)
		require.NoError(t, err)
	}
	before, err := s.Ask(t.Context(), `PRAGMA page_count`)
	require.NoError(t, err)
	removed, err := s.Compact(t.Context(), time.Now())
	require.NoError(t, err)
	require.Equal(t, 3, removed)
	after, err := s.Ask(t.Context(), `PRAGMA page_count`)
	require.NoError(t, err)
	require.Less(t, after, before/2)
}
