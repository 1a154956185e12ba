package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"astern.dev/astern/engine/incident"
)

// DeliveriesBefore implements engine.Store. The bodies stay where they are: a search reads many lines.
func (s *SQLite) DeliveriesBefore(ctx context.Context, at time.Time, before int64, limit int) ([]incident.Delivery, error) {
	last, err := nanos(at)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	return s.deliveries(ctx, `SELECT id, entry, NULL FROM deliveries WHERE at <= ? AND (? = 0 OR id < ?) ORDER BY id DESC LIMIT ?`, last, before, before, limit)
}

// DeliveryBody implements engine.Store.
func (s *SQLite) DeliveryBody(ctx context.Context, id int64) ([]byte, error) {
	var body []byte
	err := s.read.QueryRowContext(ctx, `SELECT body FROM deliveries WHERE id = ?`, id).Scan(&body)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read line %d of the ledger: %w", id, unavailable(err))
	}
	if body, err = unpack(body); err != nil {
		return nil, fmt.Errorf("read the body of delivery %d: %w", id, err)
	}
	return body, nil
}
