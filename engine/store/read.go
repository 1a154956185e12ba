package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"astern.dev/astern/engine/incident"
)

// Load implements engine.Store. A broken chain is a *ChainError; a history that retention removed is incident.ErrCompacted.
func (s *SQLite) Load(ctx context.Context, stream string) ([]incident.Event, error) {
	// One read transaction: a write between the two questions must not look like a broken history.
	tx, err := s.read.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", stream, unavailable(err))
	}
	defer tx.Rollback() //nolint:errcheck // a read leaves nothing behind
	events, err := loadEvents(ctx, tx, stream)
	if err == nil {
		err = checkTip(ctx, tx, stream, events)
	}
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", stream, unavailable(err))
	}
	return events, nil
}

// ask runs a reading whose text is one of a few, compiled once for each connection.
func (s *SQLite) ask(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	stmt, err := s.compiled(ctx, text)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

func (s *SQLite) compiled(ctx context.Context, text string) (*sql.Stmt, error) {
	if stmt, ok := s.asked.Load(text); ok {
		return stmt.(*sql.Stmt), nil
	}
	stmt, err := s.read.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if first, twice := s.asked.LoadOrStore(text, stmt); twice {
		return first.(*sql.Stmt), stmt.Close()
	}
	return stmt, nil
}

func loadEvents(ctx context.Context, tx *sql.Tx, stream string) ([]incident.Event, error) {
	rows, err := tx.QueryContext(ctx, `SELECT version, type, schema, at, told_by, config, fact, hash FROM events WHERE stream = ? ORDER BY version`, stream)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []incident.Event
	var prev string
	for rows.Next() {
		e, err := scanEvent(rows, stream, prev, len(events)+1)
		if err != nil {
			return nil, err
		}
		events, prev = append(events, e), e.Hash
	}
	return events, rows.Err()
}

// scanEvent reads one row and holds it to the chain: it must be the next version, and its hash must follow from prev.
func scanEvent(rows *sql.Rows, stream, prev string, version int) (incident.Event, error) {
	var e incident.Event
	var at sql.NullInt64
	var fact []byte
	if err := rows.Scan(&e.Version, &e.Type, &e.Schema, &at, &e.By, &e.Config, &fact, &e.Hash); err != nil {
		return e, err
	}
	e.At = fromNanos(at)
	if e.Version != version {
		return e, &ChainError{stream, version, fmt.Sprintf("the next event stored is number %d", e.Version)}
	}
	if incident.Chain(prev, stream, e, fact) != e.Hash {
		return e, &ChainError{stream, version, "its hash does not follow from what is stored"}
	}
	var err error
	if e.Fact, err = incident.DecodeFact(e.Type, e.Schema, fact); err != nil {
		return e, fmt.Errorf("version %d: %w", version, err)
	}
	return e, nil
}

// checkTip holds the events to the end that the head remembers, so that a history cut short is noticed.
func checkTip(ctx context.Context, tx *sql.Tx, stream string, events []incident.Event) error {
	t, found, err := tipIn(ctx, tx, stream)
	switch {
	case err != nil || !found:
		return err
	case t.compacted:
		return fmt.Errorf("%w: its %d events ended with hash %s", incident.ErrCompacted, t.version, t.hash)
	case t.version > len(events):
		return &ChainError{stream, len(events) + 1, fmt.Sprintf("the head knows %d events", t.version)}
	case t.version > 0 && events[t.version-1].Hash != t.hash:
		return &ChainError{stream, t.version, "the head knows another hash"}
	}
	return nil
}

func tipIn(ctx context.Context, tx *sql.Tx, stream string) (t tip, found bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT version, hash, compacted_at IS NOT NULL FROM heads WHERE stream = ?`, stream).Scan(&t.version, &t.hash, &t.compacted)
	if errors.Is(err, sql.ErrNoRows) {
		return t, false, nil
	}
	return t, err == nil, err
}

// Tip is the last version and hash of a history, compacted or not: a copy of the history kept elsewhere is proven by
// chaining it anew and arriving at this hash. An unknown stream is version 0.
func (s *SQLite) Tip(ctx context.Context, stream string) (version int, hash string, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT version, hash FROM (SELECT version, hash FROM events WHERE stream = ?1
		UNION ALL SELECT version, hash FROM heads WHERE stream = ?1) ORDER BY version DESC LIMIT 1`, stream).Scan(&version, &hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, "", fmt.Errorf("read the end of %s: %w", stream, unavailable(err))
	}
	return version, hash, nil
}

// Heads implements engine.Store.
func (s *SQLite) Heads(ctx context.Context, f incident.HeadFilter) ([]incident.Head, error) {
	query, args := headQuery(f)
	rows, err := s.ask(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list incidents: %w", unavailable(err))
	}
	defer rows.Close()
	var heads []incident.Head
	for rows.Next() {
		var raw []byte
		var h incident.Head
		if err := rows.Scan(&raw); err != nil {
			return nil, fmt.Errorf("list incidents: %w", unavailable(err))
		}
		if err := json.Unmarshal(raw, &h); err != nil {
			return nil, fmt.Errorf("list incidents: decode a head: %w", err)
		}
		heads = append(heads, h)
	}
	return heads, unavailable(rows.Err())
}

// headQuery writes the conditions as constants where a partial index asks for them.
func headQuery(f incident.HeadFilter) (query string, args []any) {
	query = `SELECT head FROM heads WHERE 1 = 1`
	if f.Target != "" {
		query, args = query+` AND target = ?`, append(args, f.Target)
	}
	if f.Live {
		query += ` AND live = 1`
	}
	if f.Open {
		query += ` AND open = 1`
	}
	if f.Ended {
		query += ` AND open = 0`
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	return query + ` ORDER BY opened_at DESC, stream DESC LIMIT ?`, append(args, limit)
}

// Stats is what there is to say about a store in figures.
type Stats struct {
	Events    int64 // stored now
	Open      int   // incidents not in a final phase
	Live      int   // incidents with something still to be done
	Queued    int   // writes waiting for their transaction
	Commits   int64 // transactions since the start
	FileBytes int64 // the database and its write-ahead log
}

// Stats answers for /metrics; it costs about as much as a small list.
func (s *SQLite) Stats(ctx context.Context) (Stats, error) {
	st := Stats{Queued: s.queue.len(), Commits: s.hands.writer.commits.Load()}
	err := s.read.QueryRowContext(ctx, `SELECT (SELECT value FROM counters WHERE name = 'events'),
		(SELECT count(*) FROM heads WHERE open = 1), (SELECT count(*) FROM heads WHERE live = 1)`).Scan(&st.Events, &st.Open, &st.Live)
	if err != nil {
		return st, fmt.Errorf("read the figures of database %s: %w", s.path, unavailable(err))
	}
	for _, name := range []string{s.path, s.path + "-wal"} {
		if info, err := os.Stat(name); err == nil {
			st.FileBytes += info.Size()
		}
	}
	return st, nil
}
