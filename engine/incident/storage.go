package incident

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Append is one write to one history.
type Append struct {
	Stream string
	After  int
	Events []Event
	// Head is set for incident streams: what lists show, kept in the same transaction.
	Head *Head
	// Take and Release are claims of this stream. Release names pools; a pool that is not held is no error.
	Take    []Claim
	Release []string
	// Fence, when not zero, is the token under which the outcome was reached: the lock must still be held with it (S3).
	Fence *Fence
	// Lines are what the ledger says of the notifications that asked for this write: stored with it, or not at all. A
	// write may consist of them alone; then too it is refused when After is not the end of the history.
	Lines []Delivery
}

// Fence names a claim that must still be held with this token.
type Fence struct {
	Pool  string
	Token int64
}

// Appended is what Append stored.
type Appended struct {
	Events []Event
	Tokens map[string]int64 // by pool
}

// Head is one incident in a list.
type Head struct {
	ID          string    `json:"id"`
	Target      string    `json:"target"`
	Environment string    `json:"environment"`
	Phase       Phase     `json:"phase"`
	Reason      string    `json:"reason"`
	Rule        string    `json:"rule,omitempty"`
	From        string    `json:"from,omitempty"`
	To          string    `json:"to,omitempty"`
	OpenedAt    time.Time `json:"opened_at"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
	UpdatedAt   time.Time `json:"updated_at"`
	Next        string    `json:"next,omitempty"`
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

// Place is one place held in a pool.
type Place struct {
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
	// ErrCompacted: the history was removed after its incident ended; the head and the tip of the chain are still there.
	ErrCompacted = errors.New("the history was removed by retention")
	// ErrNotFound: there is no such thing, or it is no longer kept.
	ErrNotFound = errors.New("not found")
	// ErrUnavailable: the store cannot accept now (disk full, database away, closing). Nothing was stored.
	ErrUnavailable = errors.New("the store cannot accept now")
)

// ClaimedError says that a pool has no free place.
type ClaimedError struct {
	Pool string
	By   []Place
}

func (e *ClaimedError) Error() string {
	if len(e.By) == 0 {
		return fmt.Sprintf("no free place in %s", e.Pool)
	}
	return fmt.Sprintf("no free place in %s: held by %s since %s", e.Pool, e.By[0].Holder, e.By[0].Since.UTC().Format(time.RFC3339))
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
