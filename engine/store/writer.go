package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"time"
)

// writer is the one connection that writes. Only the committer's goroutine uses it.
type writer struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	now   func() time.Time
	opts  Options

	// tips are the ends of histories as committed, so that an append need not read. This process is the only writer
	// (the lock), and the primary key of events refuses whoever is not.
	tips map[string]tip
	// batch is what the running transaction adds, and own what the running job adds to that.
	batch, own effects
	commits    atomic.Int64
	aged       time.Time // when the ledger was last held to its age
}

// tip is the end of a history.
type tip struct {
	version   int
	hash      string
	compacted bool
}

// effects are what becomes true outside the database when a transaction commits, and what is done once in it.
type effects struct {
	tips      map[string]tip
	events    int // added, less removed
	delivered bool
}

// tipCache bounds the tips held in memory; beyond it they are read again.
const tipCache = 20_000

// transactionLost says that SQLite itself gave the transaction up, so that no further job may run in it.
type transactionLost struct{ cause error }

func (e *transactionLost) Error() string { return "the transaction was given up: " + e.cause.Error() }
func (e *transactionLost) Unwrap() error { return e.cause }

func newWriter(conn *sql.Conn, opts Options) *writer {
	return &writer{conn: conn, stmts: map[string]*sql.Stmt{}, now: opts.Now, opts: opts, tips: map[string]tip{},
		batch: effects{tips: map[string]tip{}}, own: effects{tips: map[string]tip{}}}
}

// prepared gives the statement for a text of this package, compiled once for the connection's life.
func (w *writer) prepared(text string) (*sql.Stmt, error) {
	if s, ok := w.stmts[text]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, err
	}
	w.stmts[text] = s
	return s, nil
}

// exec runs a statement. No context is given to SQLite on purpose: a job that began is finished with its transaction.
func (w *writer) exec(text string, args ...any) (sql.Result, error) {
	s, err := w.prepared(text)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(context.Background(), args...)
}

func (w *writer) query(text string, args ...any) (*sql.Rows, error) {
	s, err := w.prepared(text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(context.Background(), args...)
}

// scan reads the first row into dest; no row is sql.ErrNoRows.
func (w *writer) scan(text string, args []any, dest ...any) error {
	s, err := w.prepared(text)
	if err != nil {
		return err
	}
	return s.QueryRowContext(context.Background(), args...).Scan(dest...)
}

func (w *writer) begin() error {
	w.batch.reset()
	_, err := w.exec(`BEGIN IMMEDIATE`)
	return err
}

// try runs one job in a savepoint. Its error leaves the transaction as it was before the job.
func (w *writer) try(run func(*writer) error) error {
	w.own.reset()
	if _, err := w.exec(`SAVEPOINT job`); err != nil {
		return &transactionLost{err}
	}
	if err := run(w); err != nil {
		if _, lost := w.exec(`ROLLBACK TO job`); lost != nil {
			return &transactionLost{err}
		}
		if _, lost := w.exec(`RELEASE job`); lost != nil {
			return &transactionLost{lost}
		}
		return unavailable(err)
	}
	if _, err := w.exec(`RELEASE job`); err != nil {
		return &transactionLost{err}
	}
	w.batch.add(&w.own)
	return nil
}

// commit ends the transaction; only then its effects are true.
func (w *writer) commit() error {
	if err := w.settle(); err != nil {
		return err
	}
	if _, err := w.exec(`COMMIT`); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	w.commits.Add(1)
	if len(w.tips)+len(w.batch.tips) > tipCache {
		clear(w.tips)
	}
	for stream, t := range w.batch.tips {
		w.tips[stream] = t
	}
	return nil
}

// settle does once a transaction what every job would have to do.
func (w *writer) settle() error {
	if w.batch.events != 0 {
		if _, err := w.exec(`UPDATE counters SET value = value + ? WHERE name = 'events'`, w.batch.events); err != nil {
			return fmt.Errorf("count events: %w", err)
		}
	}
	if w.batch.delivered {
		return w.prune()
	}
	return nil
}

// rollback leaves no transaction behind. SQLite may have rolled back by itself, so its complaint says nothing.
func (w *writer) rollback() {
	clear(w.tips)
	_, _ = w.exec(`ROLLBACK`)
}

func (e *effects) reset() {
	clear(e.tips)
	e.events, e.delivered = 0, false
}

func (e *effects) add(more *effects) {
	for stream, t := range more.tips {
		e.tips[stream] = t
	}
	e.events += more.events
	e.delivered = e.delivered || more.delivered
}

// close gives the statements and the connection back.
func (w *writer) close() error {
	for _, s := range w.stmts {
		_ = s.Close() // the connection goes with them
	}
	return w.conn.Close()
}
