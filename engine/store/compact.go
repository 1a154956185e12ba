package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"
)

// compactChunk is how many histories one job removes, so that writes that wait behind it wait for milliseconds.
const compactChunk = 64

// Compact implements engine.Store. It removes the events of incidents that ended before the given time and have nothing
// left to do. What stays of each is its head, its last version and its last hash (Tip): a copy of the history kept
// elsewhere can still be proven to be the one that was here. The stream stays closed: Load and Append answer incident.ErrCompacted.
// A history whose end is not what the head remembers is evidence: it is left alone, and the error names it.
func (s *SQLite) Compact(ctx context.Context, before time.Time) (removed int, err error) {
	until, err := nanos(before)
	if err != nil {
		return 0, fmt.Errorf("compact histories: %w", err)
	}
	var broken []error
	from := position{ended: math.MinInt64}
	for {
		chunk := compaction{before: until, from: from}
		if err := s.queue.do(ctx, chunk.run); err != nil {
			return removed, fmt.Errorf("compact histories: %w", err)
		}
		removed += chunk.removed
		broken = append(broken, chunk.broken...)
		if from = chunk.next; from.stream == "" {
			break
		}
	}
	if err := s.queue.do(ctx, (*writer).tidy); err != nil {
		return removed, fmt.Errorf("compact the ledger: %w", err)
	}
	if err := s.forgetConfigurations(ctx); err != nil {
		return removed, fmt.Errorf("forget configurations: %w", err)
	}
	return removed, errors.Join(broken...)
}

// position is a place in the order in which ended incidents are looked at.
type position struct {
	ended  int64
	stream string
}

// compaction removes the next few histories after a position.
type compaction struct {
	before  sql.NullInt64
	from    position
	next    position // where to go on; no stream when there is nothing left
	removed int
	broken  []error
}

func (c *compaction) run(w *writer) error {
	found, err := c.find(w)
	if err != nil {
		return err
	}
	for _, p := range found {
		gone, err := w.removeHistory(p.stream)
		var chain *ChainError
		switch {
		case errors.As(err, &chain):
			c.broken = append(c.broken, err)
		case err != nil:
			return fmt.Errorf("remove the history of %s: %w", p.stream, err)
		default:
			c.removed++
			w.own.events -= gone
		}
	}
	if len(found) == compactChunk {
		c.next = found[len(found)-1]
	}
	return nil
}

func (c *compaction) find(w *writer) ([]position, error) {
	rows, err := w.query(`SELECT ended_at, stream FROM heads WHERE compacted_at IS NULL AND ended_at IS NOT NULL AND ended_at < ?
		AND open = 0 AND live = 0 AND (ended_at, stream) > (?, ?) ORDER BY ended_at, stream LIMIT ?`,
		c.before, c.from.ended, c.from.stream, compactChunk)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []position
	for rows.Next() {
		var p position
		if err := rows.Scan(&p.ended, &p.stream); err != nil {
			return nil, err
		}
		found = append(found, p)
	}
	return found, rows.Err()
}

// removeHistory removes the events of one stream once their end is what the head remembers, and says how many they were.
func (w *writer) removeHistory(stream string) (int, error) {
	var kept tip
	if err := w.scan(`SELECT version, hash FROM heads WHERE stream = ?`, []any{stream}, &kept.version, &kept.hash); err != nil {
		return 0, err
	}
	var fits bool
	err := w.scan(`SELECT count(*) = ?2 AND coalesce(max(version), 0) = ?2 AND max(version = ?2 AND hash = ?3) FROM events WHERE stream = ?1`,
		[]any{stream, kept.version, kept.hash}, &fits)
	if err != nil {
		return 0, err
	}
	if !fits {
		return 0, &ChainError{stream, kept.version, "the head knows another end; it was not compacted"}
	}
	if _, err := w.exec(`DELETE FROM events WHERE stream = ?`, stream); err != nil {
		return 0, err
	}
	kept.compacted = true
	w.own.tips[stream] = kept
	_, err = w.exec(`UPDATE heads SET compacted_at = ? WHERE stream = ?`, w.now().UnixNano(), stream)
	return kept.version, err
}

// tidy bounds the ledger, forgets claims that nobody can hold any more, and gives free pages back to the disk.
func (w *writer) tidy() error {
	if err := w.prune(); err != nil {
		return err
	}
	if _, err := w.exec(`DELETE FROM claims WHERE until <= ?`, w.now().UnixNano()); err != nil {
		return err
	}
	_, err := w.exec(`PRAGMA incremental_vacuum(20000)`)
	return err
}
