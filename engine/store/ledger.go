package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"astern.dev/astern/engine/incident"
)

// maxBody bounds what is kept of a notification's text.
const maxBody = 64 << 10

// Deliver implements engine.Store. The line gets its number from the store; of the body at most 64 KiB are kept.
func (s *SQLite) Deliver(ctx context.Context, d incident.Delivery) error {
	err := s.deliver(ctx, d)
	if err != nil {
		return fmt.Errorf("store a delivery of %s: %w", d.Source, err)
	}
	return nil
}

func (s *SQLite) deliver(ctx context.Context, d incident.Delivery) error {
	l, err := prepareLine(d)
	if err != nil {
		return err
	}
	return s.queue.do(ctx, l.insert)
}

// line is a delivery as its row holds it.
type line struct {
	at     sql.NullInt64
	config string
	entry  string
	body   []byte
}

func prepareLine(d incident.Delivery) (line, error) {
	at, err := nanos(d.At)
	if err != nil {
		return line{}, err
	}
	d.ID, d.At = 0, utc(d.At)
	entry, err := json.Marshal(d)
	if err != nil {
		return line{}, fmt.Errorf("encode: %w", err)
	}
	return line{at, d.Config, string(entry), pack(d.Body[:min(len(d.Body), maxBody)])}, nil
}

func (l line) insert(w *writer) error {
	w.own.delivered = true
	_, err := w.exec(`INSERT INTO deliveries (at, config, entry, body) VALUES (?, ?, ?, ?)`, l.at, l.config, l.entry, l.body)
	return err
}

// pruneEvery is how often the ledger is held to its age: looking costs more than a line.
const pruneEvery = time.Minute

// prune holds the ledger to its bounds. Lines come in about the order of their times, so that only the oldest are looked at.
func (w *writer) prune() error {
	_, err := w.exec(`DELETE FROM deliveries WHERE id <= (SELECT max(id) FROM deliveries) - ?`, w.opts.LedgerRows)
	if now := w.now(); err == nil && now.Sub(w.aged) >= pruneEvery {
		w.aged = now
		_, err = w.exec(`DELETE FROM deliveries WHERE id < (SELECT min(id) FROM deliveries) + 1000 AND at < ?`, now.Add(-w.opts.LedgerAge).UnixNano())
	}
	if err != nil {
		return fmt.Errorf("bound the ledger: %w", err)
	}
	return nil
}

// Deliveries implements engine.Store; a limit of 0 is 100.
func (s *SQLite) Deliveries(ctx context.Context, limit int) ([]incident.Delivery, error) {
	if limit <= 0 {
		limit = 100
	}
	return s.deliveries(ctx, `SELECT id, entry, body FROM deliveries ORDER BY id DESC LIMIT ?`, limit)
}

func (s *SQLite) deliveries(ctx context.Context, query string, args ...any) ([]incident.Delivery, error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", unavailable(err))
	}
	defer rows.Close()
	var found []incident.Delivery
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return nil, fmt.Errorf("read the ledger: %w", unavailable(err))
		}
		found = append(found, d)
	}
	return found, unavailable(rows.Err())
}

func scanDelivery(rows *sql.Rows) (incident.Delivery, error) {
	var d incident.Delivery
	var id int64
	var entry, body []byte
	if err := rows.Scan(&id, &entry, &body); err != nil {
		return d, err
	}
	if err := json.Unmarshal(entry, &d); err != nil {
		return d, fmt.Errorf("line %d: %w", id, err)
	}
	text, err := unpack(body)
	if err != nil {
		return d, fmt.Errorf("line %d: %w", id, err)
	}
	d.ID, d.Body = id, text
	return d, nil
}
