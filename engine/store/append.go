package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"astern.dev/astern/engine/incident"
)

// Append implements engine.Store. Appends that wait at the same time share a transaction.
func (s *SQLite) Append(ctx context.Context, a incident.Append) (incident.Appended, error) {
	w, err := prepareWrite(a)
	if err == nil {
		err = s.queue.do(ctx, w.run)
	}
	if err != nil {
		return incident.Appended{}, fmt.Errorf("append to %s after version %d: %w", a.Stream, a.After, err)
	}
	return w.done, nil
}

// write is one Append made ready in its caller's goroutine, so that the committer only does what needs the database.
type write struct {
	incident.Append
	facts [][]byte
	lines []line
	head  *headRow
	done  incident.Appended
}

// headRow is a head as its row holds it.
type headRow struct {
	target        string
	open, live    bool
	opened, ended sql.NullInt64
	head          string
}

func prepareWrite(a incident.Append) (*write, error) {
	if a.Stream == "" {
		return nil, errors.New("it names no stream")
	}
	w := &write{Append: a, facts: make([][]byte, len(a.Events))}
	w.done.Events = append([]incident.Event(nil), a.Events...)
	for i := range w.done.Events {
		e := &w.done.Events[i]
		raw, err := encodeEvent(*e)
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", i+1, err)
		}
		e.At, w.facts[i] = utc(e.At), raw
	}
	for _, c := range a.Take {
		if _, err := nanos(c.Until); err != nil {
			return nil, fmt.Errorf("claim %s: %w", c.Pool, err)
		}
	}
	for _, d := range a.Lines {
		l, err := prepareLine(d)
		if err != nil {
			return nil, fmt.Errorf("the ledger line of %s: %w", d.Source, err)
		}
		w.lines = append(w.lines, l)
	}
	return w, w.prepareHead()
}

// encodeEvent gives the fact as it is stored. What would not come back equal is refused before it costs anything.
func encodeEvent(e incident.Event) ([]byte, error) {
	if e.Fact == nil {
		return nil, errors.New("it carries no fact")
	}
	if form := incident.NewEvent(e.At, e.By, e.Config, e.Fact); form.Type != e.Type || form.Schema != e.Schema {
		return nil, fmt.Errorf("it says %s (schema %d) and carries %s (schema %d)", e.Type, e.Schema, form.Type, form.Schema)
	}
	if _, err := nanos(e.At); err != nil {
		return nil, err
	}
	return incident.EncodeFact(e.Fact)
}

func (w *write) prepareHead() error {
	if w.Head == nil {
		return nil
	}
	h := *w.Head
	h.OpenedAt, h.EndedAt, h.UpdatedAt = utc(h.OpenedAt), utc(h.EndedAt), utc(h.UpdatedAt)
	opened, err := nanos(h.OpenedAt)
	if err != nil {
		return fmt.Errorf("head: %w", err)
	}
	ended, err := nanos(h.EndedAt)
	if err != nil {
		return fmt.Errorf("head: %w", err)
	}
	raw, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode head: %w", err)
	}
	w.head = &headRow{target: h.Target, open: !h.Phase.Final(), live: h.Live, opened: opened, ended: ended, head: string(raw)}
	return nil
}

// run is the job: fence, version, claims, events, ledger lines, head. Nothing of it stays when any of it fails.
func (w *write) run(db *writer) error {
	if err := db.holds(w.Stream, w.Fence); err != nil {
		return err
	}
	end, err := db.tipOf(w.Stream, w.After)
	switch {
	case err != nil:
		return err
	case end.compacted:
		return incident.ErrCompacted
	case end.version != w.After:
		return fmt.Errorf("%w: it is at version %d", incident.ErrConflict, end.version)
	}
	if w.done.Tokens, err = db.claim(w.Stream, w.Release, w.Take); err != nil {
		return err
	}
	for i := range w.done.Events {
		if end, err = db.insertEvent(w.Stream, end, &w.done.Events[i], w.facts[i]); err != nil {
			return err
		}
	}
	for _, l := range w.lines {
		if err := l.insert(db); err != nil {
			return fmt.Errorf("store the ledger line: %w", err)
		}
	}
	db.own.tips[w.Stream] = end
	db.own.events += len(w.done.Events)
	return db.putHead(w.Stream, end, w.head)
}

// tipOf is the end of the history as this transaction sees it. For the first write of a history (after 0) the head alone
// is asked: if events are there without a head, the primary key refuses version 1.
func (w *writer) tipOf(stream string, after int) (tip, error) {
	if t, ok := w.batch.tips[stream]; ok {
		return t, nil
	}
	if t, ok := w.tips[stream]; ok {
		return t, nil
	}
	var t tip
	err := sql.ErrNoRows
	if after != 0 {
		err = w.scan(`SELECT version, hash FROM events WHERE stream = ? ORDER BY version DESC LIMIT 1`, []any{stream}, &t.version, &t.hash)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = w.scan(`SELECT version, hash, compacted_at IS NOT NULL FROM heads WHERE stream = ?`, []any{stream}, &t.version, &t.hash, &t.compacted)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return tip{}, fmt.Errorf("read the end of the history: %w", err)
	}
	return t, nil
}

// insertEvent stores the fact as the next of its history, fills its version and hash, and returns the new end.
func (w *writer) insertEvent(stream string, end tip, e *incident.Event, fact []byte) (tip, error) {
	e.Version = end.version + 1
	e.Hash = incident.Chain(end.hash, stream, *e, fact)
	at, _ := nanos(e.At) // prepareWrite looked at it
	_, err := w.exec(`INSERT INTO events (stream, version, type, schema, at, told_by, config, fact, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		stream, e.Version, e.Type, e.Schema, at, e.By, e.Config, string(fact), e.Hash)
	if isSQLite(err, sqlite3.SQLITE_CONSTRAINT) {
		delete(w.tips, stream) // someone wrote past the lock
		return tip{}, fmt.Errorf("%w: version %d is there already", incident.ErrConflict, e.Version)
	}
	if err != nil {
		return tip{}, fmt.Errorf("store event %d: %w", e.Version, err)
	}
	return tip{version: e.Version, hash: e.Hash}, nil
}

func (w *writer) putHead(stream string, end tip, h *headRow) error {
	if h == nil {
		return nil
	}
	_, err := w.exec(`INSERT INTO heads (stream, target, open, live, opened_at, ended_at, head, version, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (stream) DO UPDATE SET target = excluded.target, open = excluded.open, live = excluded.live, opened_at = excluded.opened_at,
		ended_at = excluded.ended_at, head = excluded.head, version = excluded.version, hash = excluded.hash`,
		stream, h.target, h.open, h.live, h.opened, h.ended, h.head, end.version, end.hash)
	if err != nil {
		return fmt.Errorf("store the head: %w", err)
	}
	return nil
}

// nanos is how a time is stored: UTC nanoseconds, NULL for the zero time. What would not come back equal is refused.
func nanos(t time.Time) (sql.NullInt64, error) {
	if t.IsZero() {
		return sql.NullInt64{}, nil
	}
	n := t.UnixNano()
	if !time.Unix(0, n).Equal(t) {
		return sql.NullInt64{}, fmt.Errorf("the time %s cannot be stored: it lies outside %s to %s", t.UTC().Format(time.RFC3339), edge(math.MinInt64), edge(math.MaxInt64))
	}
	return sql.NullInt64{Int64: n, Valid: true}, nil
}

func edge(n int64) string { return time.Unix(0, n).UTC().Format(time.RFC3339) }

// fromNanos is the other way.
func fromNanos(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.Unix(0, n.Int64).UTC()
}

// utc is the time as it will be read back: in UTC, without the process's own clock reading.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.Round(0).UTC()
}
