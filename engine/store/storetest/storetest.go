// Package storetest is the suite that every store must pass: what engine.Store promises, asked of a real database.
// It imports engine/incident and the errors of engine/store; only tests import it.
package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// Store is what the suite asks: engine.Store, and the tip that proves a compacted history.
type Store interface {
	Load(ctx context.Context, stream string) ([]incident.Event, error)
	Append(ctx context.Context, a incident.Append) (incident.Appended, error)
	Heads(ctx context.Context, f incident.HeadFilter) ([]incident.Head, error)
	Claims(ctx context.Context, prefix string, now time.Time) ([]incident.Place, error)
	Deliver(ctx context.Context, d incident.Delivery) error
	Deliveries(ctx context.Context, limit int) ([]incident.Delivery, error)
	DeliveriesBefore(ctx context.Context, at time.Time, before int64, limit int) ([]incident.Delivery, error)
	DeliveryBody(ctx context.Context, id int64) ([]byte, error)
	KeepConfiguration(ctx context.Context, digest string, at time.Time, body []byte) error
	Configuration(ctx context.Context, digest string) (body []byte, at time.Time, err error)
	Compact(ctx context.Context, before time.Time) (removed int, err error)
	Tip(ctx context.Context, stream string) (version int, hash string, err error)
	Healthy(ctx context.Context) error
	Close() error
}

// Settings are what a test asks of the store it opens; zero values are the store's defaults.
type Settings struct {
	Now        func() time.Time
	LedgerRows int
	LedgerAge  time.Duration
}

// Open opens one database. Called again after Close it opens the same one: that is a restart.
type Open func(t *testing.T, s Settings) Store

// Run asks everything of stores that fresh makes: each call names a new, empty database.
func Run(t *testing.T, fresh func(t *testing.T) Open) {
	for _, part := range []struct {
		name string
		ask  func(*testing.T, *kit)
	}{
		{"every fact comes back equal", everyFact},
		{"an unknown history is empty", unknownStream},
		{"events are numbered and chained", numberedAndChained},
		{"odd names and times come back equal", oddNames},
		{"what cannot be stored is refused", refusedForms},
		{"a rival writer is a conflict", conflicts},
		{"a refusal leaves nothing behind", refusalLeavesNothing},
		{"writers of one history take turns", takeTurns},
		{"refused writes do not spoil others of their batch", mixedBatch},
		{"two streams race for one slot", races},
		{"a caller that went away stores nothing", goneCaller},
		{"places of a pool", poolPlaces},
		{"a place kept, prolonged and expired", keptPlace},
		{"claims of one write are all or none", allOrNone},
		{"release", release},
		{"the fence", fence},
		{"claims are listed by prefix", claimList},
		{"heads are listed", headList},
		{"the ledger", ledger},
		{"the ledger is read backwards", deliveriesBackwards},
		{"the ledger is bounded by rows", ledgerRows},
		{"the ledger is bounded by age", ledgerAge},
		{"lines of the ledger go with their write", ledgerLines},
		{"configurations are kept", configurations},
		{"configurations that nothing speaks of are forgotten", forgottenConfigurations},
		{"the newest configuration is never forgotten", newestConfiguration},
		{"a restart changes nothing", restart},
		{"compaction", compaction},
		{"compaction of many", compactMany},
		{"health", healthy},
		{"a closed store", closed},
	} {
		t.Run(part.name, func(t *testing.T) {
			k := &kit{t: t, clock: NewClock(), place: fresh(t)}
			k.reopen(Settings{})
			part.ask(t, k)
			require.NoError(t, k.Close())
		})
	}
}

// kit is one open store with the clock it lives by.
type kit struct {
	Store
	t     *testing.T
	clock *Clock
	place Open
}

// reopen closes the store, if it is open, and opens the same database.
func (k *kit) reopen(s Settings) {
	k.t.Helper()
	if k.Store != nil {
		require.NoError(k.t, k.Close())
	}
	s.Now = k.clock.Now
	k.Store = k.place(k.t, s)
}

// Clock is a clock that goes when a test says so. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at a time with nanoseconds, so that what cuts them off is noticed.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 11, 22, 10, 0, 0, 123456789, time.UTC)}
}

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Pass lets time pass.
func (c *Clock) Pass(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// event is a small fact told now.
func (k *kit) event(reason string) incident.Event {
	return incident.NewEvent(k.clock.Now(), "sre-1", "sha256:c0ffee", incident.Requested{Reason: reason})
}

// write appends one event, and takes what is given.
func (k *kit) write(stream string, after int, take ...incident.Claim) (incident.Appended, error) {
	return k.Append(k.t.Context(), incident.Append{Stream: stream, After: after, Take: take,
		Events: []incident.Event{k.event(fmt.Sprint("after ", after))}})
}

func (k *kit) mustWrite(stream string, after int, take ...incident.Claim) incident.Appended {
	k.t.Helper()
	done, err := k.write(stream, after, take...)
	require.NoError(k.t, err)
	return done
}

func (k *kit) mustLoad(stream string) []incident.Event {
	k.t.Helper()
	events, err := k.Load(k.t.Context(), stream)
	require.NoError(k.t, err)
	return events
}

// held lists the holders of the pools with this prefix, in the order of their places.
func (k *kit) held(prefix string) []string {
	k.t.Helper()
	places, err := k.Claims(k.t.Context(), prefix, k.clock.Now())
	require.NoError(k.t, err)
	holders := []string{}
	for _, p := range places {
		holders = append(holders, p.Holder)
	}
	return holders
}

// refusedClaim requires that err says that the pool has no free place, and returns who holds it.
func (k *kit) refusedClaim(err error, pool string) []incident.Place {
	k.t.Helper()
	var claimed *incident.ClaimedError
	require.ErrorAs(k.t, err, &claimed)
	require.Equal(k.t, pool, claimed.Pool)
	return claimed.By
}
