package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"astern.dev/astern/engine/incident"
)

// KeepConfiguration implements engine.Store. Kept again, it is the newest again; its body and first time stay.
func (s *SQLite) KeepConfiguration(ctx context.Context, digest string, at time.Time, body []byte) error {
	when, err := nanos(utc(at))
	if err == nil && digest == "" {
		err = errors.New("it has no digest")
	}
	if err == nil {
		err = s.queue.do(ctx, func(w *writer) error {
			_, err := w.exec(`INSERT INTO configurations (digest, at, turn, body) VALUES (?1, ?2, (SELECT coalesce(max(turn), 0) + 1 FROM configurations), ?3)
				ON CONFLICT (digest) DO UPDATE SET turn = excluded.turn WHERE turn < excluded.turn - 1`, digest, when, append([]byte{}, body...))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("keep configuration %s: %w", digest, err)
	}
	return nil
}

// Configuration implements engine.Store.
func (s *SQLite) Configuration(ctx context.Context, digest string) (body []byte, at time.Time, err error) {
	var when sql.NullInt64
	err = s.read.QueryRowContext(ctx, `SELECT body, at FROM configurations WHERE digest = ?`, digest).Scan(&body, &when)
	if errors.Is(err, sql.ErrNoRows) {
		err = incident.ErrNotFound
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read configuration %s: %w", digest, unavailable(err))
	}
	return body, fromNanos(when), nil
}

// NewestConfiguration is what was in force last; incident.ErrNotFound when none was kept.
func (s *SQLite) NewestConfiguration(ctx context.Context) ([]byte, error) {
	var body []byte
	err := s.read.QueryRowContext(ctx, `SELECT body FROM configurations ORDER BY turn DESC LIMIT 1`).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		err = incident.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration that was in force last: %w", unavailable(err))
	}
	return body, nil
}

// forgetConfigurations removes those that no ledger line and no event speaks of any more. The reading is long and stands
// outside the queue: what comes in force meanwhile gets a later turn and is not touched. Nor are the newest and the one
// before it: what was judged by that may still be on its way to the disk.
func (s *SQLite) forgetConfigurations(ctx context.Context) error {
	var before int
	err := s.read.QueryRowContext(ctx, `SELECT turn FROM configurations ORDER BY turn DESC LIMIT 1 OFFSET 1`).Scan(&before)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return unavailable(err)
	}
	gone, err := s.unspokenOf(ctx, before)
	if err != nil || len(gone) == 0 {
		return unavailable(err)
	}
	return s.queue.do(ctx, func(w *writer) error {
		for _, digest := range gone {
			if _, err := w.exec(`DELETE FROM configurations WHERE digest = ? AND turn < ?`, digest, before); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *SQLite) unspokenOf(ctx context.Context, before int) (gone []string, err error) {
	rows, err := s.read.QueryContext(ctx, `SELECT digest FROM configurations WHERE turn < ?
		EXCEPT SELECT DISTINCT config FROM events EXCEPT SELECT DISTINCT config FROM deliveries`, before)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var digest string
		if err := rows.Scan(&digest); err != nil {
			return nil, err
		}
		gone = append(gone, digest)
	}
	return gone, rows.Err()
}
