// Package store keeps histories in one database: an append-only, hash-chained log of events, the heads that lists show,
// the claims that span incidents, and the ledger of deliveries. It imports engine/incident alone and meets engine.Store;
// storetest is the suite that every store of this package must pass.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"astern.dev/astern/engine/incident"
)

// Options shape a store. The zero value of each is its default.
type Options struct {
	// Now is the clock that claims expire by and that the ledger ages by; default time.Now. It must be the engine's own clock.
	Now func() time.Time
	// Queue is how many writes may wait before further ones are refused with incident.ErrUnavailable; default 4096 (S29).
	Queue int
	// Batch is how many writes share one transaction at most; default 256. With 1 every write has its own.
	Batch int
	// LedgerRows and LedgerAge bound the ledger of deliveries; default 20,000 lines and 30 days.
	LedgerRows int
	LedgerAge  time.Duration
	// Busy is how long a write waits for another program that has the file open; default 5 s.
	Busy time.Duration
	// Readers is how many reads run side by side; default 4.
	Readers int
	// Volatile says that what was acknowledged need not survive a power loss, only the process: for simulations.
	Volatile bool
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, d := range []struct {
		value    *int
		fallback int
	}{{&o.Queue, 4096}, {&o.Batch, 256}, {&o.LedgerRows, 20_000}, {&o.Readers, 4}} {
		if *d.value <= 0 {
			*d.value = d.fallback
		}
	}
	if o.LedgerAge <= 0 {
		o.LedgerAge = 30 * 24 * time.Hour
	}
	if o.Busy <= 0 {
		o.Busy = 5 * time.Second
	}
	return o
}

// SQLite is a store in one file, for one process. It is safe for concurrent use.
// What was acknowledged is on the disk: WAL with synchronous=FULL, one fsync a transaction.
type SQLite struct {
	path  string
	opts  Options
	lock  *fileLock
	db    *sql.DB // the writer's, of one connection
	read  *sql.DB
	asked sync.Map // text -> *sql.Stmt of read: what is asked again and again is compiled once
	queue *queue
	hands *committer
	close sync.Once
}

// OpenSQLite opens or creates the database at path and brings it to the newest form. It holds a lock on path+".lock"
// until Close: a second process is refused, and so is a file that a newer version wrote or that is damaged.
func OpenSQLite(ctx context.Context, path string, opts Options) (*SQLite, error) {
	s := &SQLite{path: path, opts: opts.withDefaults()}
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, errors.Join(explain(err), s.release()))
	}
	go s.hands.run()
	return s, nil
}

// Close serves the writes that wait, refuses further ones, and gives the file and its lock back. A second call does nothing.
func (s *SQLite) Close() error {
	var err error
	s.close.Do(func() {
		s.queue.close()
		<-s.hands.done
		if err = s.release(); err != nil {
			err = fmt.Errorf("close database %s: %w", s.path, err)
		}
	})
	return err
}

// healthRoom is how much room the health check takes and gives back: so much that a full database cannot have it.
const healthRoom = 8 * 4096

// Healthy implements engine.Store: it stores some pages through the same queue as every write, reads them and removes them.
func (s *SQLite) Healthy(ctx context.Context) error {
	mark := s.opts.Now().UnixNano()
	err := s.queue.do(ctx, func(w *writer) error {
		var read int64
		if _, err := w.exec(`INSERT INTO health (id, mark, room) VALUES (1, ?, zeroblob(?))`, mark, healthRoom); err != nil {
			return err
		}
		if err := w.scan(`SELECT mark FROM health WHERE id = 1`, nil, &read); err != nil {
			return err
		}
		if read != mark {
			return fmt.Errorf("%w: it reads back something else than was written", incident.ErrUnavailable)
		}
		_, err := w.exec(`DELETE FROM health`)
		return err
	})
	if err != nil {
		return fmt.Errorf("write to database %s: %w", s.path, err)
	}
	return nil
}
