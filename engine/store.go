// Package engine is the hands: it takes alerts in, records facts, asks the guards, and performs what the judgement wishes.
package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"astern.dev/astern/engine/incident"
)

// Store keeps histories. Every method is safe for concurrent use. What Append returned nil for survives kill -9 and
// power loss. A full disk or a busy database is ErrUnavailable: nothing was stored and the caller may try again.
type Store interface {
	// Load reads a whole history in order and checks its hash chain. An unknown stream is an empty history.
	Load(ctx context.Context, stream string) ([]incident.Event, error)
	// Append writes events after version After of one stream and takes and releases claims, in one transaction.
	// It returns the stored events with their versions and hashes filled, and the tokens of the claims taken or kept.
	// A rival writer is ErrConflict; a full pool is a *ClaimedError; then nothing was stored.
	Append(ctx context.Context, a Append) (Appended, error)
	// Heads lists incidents, newest first.
	Heads(ctx context.Context, f HeadFilter) ([]Head, error)
	// Claims lists the places held in the pools whose name starts with prefix, expired ones left out at time now.
	Claims(ctx context.Context, prefix string, now time.Time) ([]Held, error)

	// Deliver stores one line of the ledger of deliveries; the ledger is bounded by age and size.
	Deliver(ctx context.Context, d Delivery) error
	// Deliveries reads the ledger, newest first.
	Deliveries(ctx context.Context, limit int) ([]Delivery, error)

	// Compact removes the histories of incidents that ended before the given time, and old ledger lines.
	// It keeps for each the head and the last hash.
	Compact(ctx context.Context, before time.Time) (removed int, err error)
	// Healthy writes and reads a row: it answers whether the store can accept now.
	Healthy(ctx context.Context) error
	Close() error
}

// Append is one write to one history.
type Append struct {
	Stream string
	After  int
	Events []incident.Event
	// Head is set for incident streams: what lists show, kept in the same transaction.
	Head *Head
	// Take and Release are claims of this stream. Release names pools; a pool that is not held is no error.
	Take    []incident.Claim
	Release []string
	// Fence, when not zero, is the token under which the outcome was reached: the lock must still be held with it (S3).
	Fence *Fence
}

// Fence names a claim that must still be held with this token.
type Fence struct {
	Pool  string
	Token int64
}

// Appended is what Append stored.
type Appended struct {
	Events []incident.Event
	Tokens map[string]int64 // by pool
}

// Head is one incident in a list.
type Head struct {
	ID          string         `json:"id"`
	Target      string         `json:"target"`
	Environment string         `json:"environment"`
	Phase       incident.Phase `json:"phase"`
	Reason      string         `json:"reason"`
	Rule        string         `json:"rule,omitempty"`
	From        string         `json:"from,omitempty"`
	To          string         `json:"to,omitempty"`
	OpenedAt    time.Time      `json:"opened_at"`
	EndedAt     time.Time      `json:"ended_at,omitzero"`
	UpdatedAt   time.Time      `json:"updated_at"`
	Next        string         `json:"next,omitempty"`
	// Live says that something is still to be done, notices included: the dispatcher wakes it after a start.
	Live bool `json:"live"`
}

// HeadFilter narrows a list; zero values do not narrow.
type HeadFilter struct {
	Target string
	Live   bool
	Open   bool // not in a final phase
	Ended  bool // in a final phase
	Limit  int  // 0 is 100
}

// Held is one place held in a pool.
type Held struct {
	Pool   string    `json:"pool"`
	Holder string    `json:"holder"` // the stream
	Token  int64     `json:"token"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"`
}

// Delivery is one line of the ledger: a notification, what was in it, and what each alert came to.
type Delivery struct {
	ID        int64          `json:"id"`
	At        time.Time      `json:"at"`
	Source    string         `json:"source"`
	Receiver  string         `json:"receiver,omitempty"`
	GroupKey  string         `json:"group_key,omitempty"`
	Status    string         `json:"status"`
	Truncated int            `json:"truncated,omitempty"`
	Alerts    int            `json:"alerts"`
	Decisions []Decision     `json:"decisions,omitempty"` // at most 100; the rest is in Counts
	Counts    map[string]int `json:"counts,omitempty"`    // decisions by kind
	Config    string         `json:"config,omitempty"`
	Body      []byte         `json:"-"` // the notification as it came, bounded to 64 KiB
}

// Decision is what one alert of a delivery came to.
type Decision struct {
	Alert    string            `json:"alert"`
	Labels   map[string]string `json:"labels,omitempty"`
	Status   string            `json:"status,omitempty"`
	Kind     string            `json:"kind"` // opened, joined, repeated, ended, late, unmatched, no_target, quarantined, watchdog, own
	Rule     string            `json:"rule,omitempty"`
	Target   string            `json:"target,omitempty"`
	Incident string            `json:"incident,omitempty"`
	Reason   string            `json:"reason,omitempty"`
}

// Errors a Store gives.
var (
	// ErrConflict: another writer was first. Load again.
	ErrConflict = errors.New("another writer was first")
	// ErrUnavailable: the store cannot accept now (disk full, database away, closing). Nothing was stored.
	ErrUnavailable = errors.New("the store cannot accept now")
)

// ClaimedError says that a pool has no free place.
type ClaimedError struct {
	Pool string
	By   []Held
}

func (e *ClaimedError) Error() string {
	if len(e.By) == 0 {
		return fmt.Sprintf("no free place in %s", e.Pool)
	}
	return fmt.Sprintf("no free place in %s: held by %s since %s", e.Pool, e.By[0].Holder, e.By[0].Since.UTC().Format(time.RFC3339))
}

// Dispatcher decides when an incident is worked on. A wake-up is a hint: it may come twice or late. It calls the work
// it was built with, one call at a time for each stream and lane; calls for different streams run side by side.
type Dispatcher interface {
	// Wake asks for work on the lane of the stream at the given time, or at once when it is past. An earlier wish wins.
	Wake(stream string, lane Lane, at time.Time)
}

// Lane separates what must not wait for each other: a hung Slack delays no rollback (S32).
type Lane string

// The lanes.
const (
	ProcedureLane Lane = "procedure"
	NoticeLane    Lane = "notices"
)

// Work is what a dispatcher calls. It returns when next to call for this stream and lane: zero is "not until woken".
type Work func(ctx context.Context, stream string, lane Lane) (next time.Time)
