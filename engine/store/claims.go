package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"astern.dev/astern/engine/incident"
)

// holds says whether the fence still stands: the stream holds the pool with this token, and the place has not expired.
func (w *writer) holds(stream string, f *incident.Fence) error {
	if f == nil {
		return nil
	}
	var there int
	err := w.scan(`SELECT 1 FROM claims WHERE pool = ? AND holder = ? AND token = ? AND (until IS NULL OR until > ?)`,
		[]any{f.Pool, stream, f.Token, w.now().UnixNano()}, &there)
	if errors.Is(err, sql.ErrNoRows) {
		held, _, err := w.places(f.Pool, w.now())
		if err != nil {
			return err
		}
		return fmt.Errorf("token %d of %s is no longer held: %w", f.Token, f.Pool, claimed(f.Pool, held))
	}
	if err != nil {
		return fmt.Errorf("read the fence %s: %w", f.Pool, err)
	}
	return nil
}

// claim releases and then takes, and returns the tokens of what was taken or kept.
func (w *writer) claim(stream string, release []string, take []incident.Claim) (map[string]int64, error) {
	for _, pool := range release {
		if _, err := w.exec(`DELETE FROM claims WHERE pool = ? AND holder = ?`, pool, stream); err != nil {
			return nil, fmt.Errorf("release %s: %w", pool, err)
		}
	}
	if len(take) == 0 {
		return nil, nil
	}
	tokens := make(map[string]int64, len(take))
	for _, c := range take {
		token, err := w.takePlace(stream, c)
		if err != nil {
			return nil, err
		}
		tokens[c.Pool] = token
	}
	return tokens, nil
}

// takePlace keeps the place that the stream holds, or gives it the lowest free one.
func (w *writer) takePlace(stream string, c incident.Claim) (int64, error) {
	now := w.now()
	held, expired, err := w.places(c.Pool, now)
	if err != nil {
		return 0, err
	}
	if expired { // they are free, and go first, so that the primary key alone decides who gets a place
		if _, err := w.exec(`DELETE FROM claims WHERE pool = ? AND until <= ?`, c.Pool, now.UnixNano()); err != nil {
			return 0, fmt.Errorf("free the expired places of %s: %w", c.Pool, err)
		}
	}
	until, _ := nanos(c.Until) // prepareWrite looked at it
	used := map[int]bool{}
	for _, p := range held {
		if p.Holder == stream {
			return p.Token, w.prolong(c.Pool, stream, until)
		}
		used[p.number] = true
	}
	if len(held) >= c.Limit {
		return 0, claimed(c.Pool, held)
	}
	place := 0
	for used[place] {
		place++
	}
	return w.insertPlace(c.Pool, place, stream, now.UnixNano(), until)
}

func (w *writer) prolong(pool, stream string, until sql.NullInt64) error {
	if _, err := w.exec(`UPDATE claims SET until = ? WHERE pool = ? AND holder = ?`, until, pool, stream); err != nil {
		return fmt.Errorf("keep %s: %w", pool, err)
	}
	return nil
}

func (w *writer) insertPlace(pool string, place int, stream string, now int64, until sql.NullInt64) (token int64, err error) {
	// One counter for all pools, and it only grows: it is no part of what compaction or a release removes.
	if err = w.scan(`UPDATE counters SET value = value + 1 WHERE name = 'token' RETURNING value`, nil, &token); err == nil {
		_, err = w.exec(`INSERT INTO claims (pool, place, holder, token, since, until) VALUES (?, ?, ?, ?, ?, ?)`, pool, place, stream, token, now, until)
	}
	if err != nil {
		return 0, fmt.Errorf("take place %d of %s: %w", place, pool, err)
	}
	return token, nil
}

// numbered is a place with its number in the pool.
type numbered struct {
	incident.Place
	number int
}

const placeColumns = `SELECT pool, place, holder, token, since, until FROM claims `

// places lists the places of a pool that are held at a time, by number, and says whether there are expired ones.
func (w *writer) places(pool string, now time.Time) (held []numbered, expired bool, err error) {
	rows, err := w.query(placeColumns+`WHERE pool = ? ORDER BY place`, pool)
	if err != nil {
		return nil, false, fmt.Errorf("read the places of %s: %w", pool, err)
	}
	defer rows.Close()
	for rows.Next() {
		p, err := scanPlace(rows)
		if err != nil {
			return nil, false, err
		}
		if p.Until.IsZero() || p.Until.After(now) {
			held = append(held, p)
		} else {
			expired = true
		}
	}
	return held, expired, rows.Err()
}

func scanPlace(rows *sql.Rows) (numbered, error) {
	var p numbered
	var since, until sql.NullInt64
	if err := rows.Scan(&p.Pool, &p.number, &p.Holder, &p.Token, &since, &until); err != nil {
		return numbered{}, fmt.Errorf("read a place: %w", err)
	}
	p.Since, p.Until = fromNanos(since), fromNanos(until)
	return p, nil
}

func claimed(pool string, held []numbered) *incident.ClaimedError {
	e := &incident.ClaimedError{Pool: pool}
	for _, p := range held {
		e.By = append(e.By, p.Place)
	}
	return e
}

// Claims implements engine.Store.
func (s *SQLite) Claims(ctx context.Context, prefix string, now time.Time) ([]incident.Place, error) {
	rows, err := s.ask(ctx, placeColumns+`WHERE pool >= ? AND (until IS NULL OR until > ?) ORDER BY pool, place`, prefix, now.UnixNano())
	if err != nil {
		return nil, fmt.Errorf("list the claims of %q: %w", prefix, unavailable(err))
	}
	defer rows.Close()
	var found []incident.Place
	for rows.Next() {
		p, err := scanPlace(rows)
		if err != nil {
			return nil, unavailable(err)
		}
		if !strings.HasPrefix(p.Pool, prefix) {
			break // pools come in order: those with the prefix are the first
		}
		found = append(found, p.Place)
	}
	return found, unavailable(rows.Err())
}
