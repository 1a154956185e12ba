// Package engine is the hands: it takes alerts in, records facts, asks the guards, and performs what the judgement wishes.
package engine

import (
	"context"
	"time"

	"astern.dev/astern/engine/incident"
)

// Store keeps histories. Every method is safe for concurrent use. What Append returned nil for survives kill -9 and
// power loss. A full disk or a busy database is incident.ErrUnavailable: nothing was stored and the caller may try again.
type Store interface {
	// Load reads a whole history in order and checks its hash chain. An unknown stream is an empty history.
	Load(ctx context.Context, stream string) ([]incident.Event, error)
	// Append writes events after version After of one stream and takes and releases claims, in one transaction.
	// Ledger lines given with them are stored in it, too. It returns the stored events with their versions and hashes filled, and the tokens of the claims taken or kept.
	// A rival writer is incident.ErrConflict; a full pool is an *incident.ClaimedError; then nothing was stored.
	Append(ctx context.Context, a incident.Append) (incident.Appended, error)
	// Heads lists incidents, newest first.
	Heads(ctx context.Context, f incident.HeadFilter) ([]incident.Head, error)
	// Claims lists the places held in the pools whose name starts with prefix, expired ones left out at time now.
	Claims(ctx context.Context, prefix string, now time.Time) ([]incident.Place, error)

	// Deliver stores one line of the ledger of deliveries; the ledger is bounded by age and size.
	Deliver(ctx context.Context, d incident.Delivery) error
	// Deliveries reads the ledger, newest first.
	Deliveries(ctx context.Context, limit int) ([]incident.Delivery, error)
	// DeliveriesBefore reads the ledger backwards, without bodies: lines up to a time, newest first, and only those older
	// than the line with the number before, when it is not 0.
	DeliveriesBefore(ctx context.Context, at time.Time, before int64, limit int) ([]incident.Delivery, error)
	// DeliveryBody is one line's notification as it came, as far as it was kept; nothing when the line is gone.
	DeliveryBody(ctx context.Context, id int64) ([]byte, error)

	// KeepConfiguration keeps what is in force from now on, by its digest. Kept again, its body and first time stay.
	KeepConfiguration(ctx context.Context, digest string, at time.Time, body []byte) error
	// Configuration is what was kept, and when it was first in force; incident.ErrNotFound when it is not kept.
	Configuration(ctx context.Context, digest string) (body []byte, at time.Time, err error)

	// Compact removes the histories of incidents that ended before the given time, old ledger lines, and configurations
	// that neither speaks of any more, never the newest two. It keeps for each history the head and the last hash.
	Compact(ctx context.Context, before time.Time) (removed int, err error)
	// Healthy writes and reads a row: it answers whether the store can accept now.
	Healthy(ctx context.Context) error
	Close() error
}

// Dispatcher decides when an incident is worked on. A wake-up is a hint: it may come twice or late. It calls the work
// it was built with, one call at a time for each stream and lane; calls for different streams run side by side.
type Dispatcher interface {
	// Wake asks for work on the lane of the stream at the given time, or at once when it is past. An earlier wish wins.
	Wake(stream string, lane incident.Lane, at time.Time)
}
