package engine

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"astern.dev/astern/engine/incident"
)

// A wall clock that was set makes every age wrong: of evidence, of a rollout, of a cooldown. It is held against a clock
// that only counts (S30).

const (
	// clockJump is how far the wall clock may leave the counting one between two looks.
	clockJump = 30 * time.Second
	// clockRest is how long a jump holds: by then deliveries and the Watchdog have come under the new time.
	clockRest = 5 * time.Minute
)

type clockwork struct {
	count func() time.Duration

	mu     sync.Mutex
	wall   time.Time
	passed time.Duration
	by     time.Duration
	jumped time.Time // under the new time
}

// look compares the clocks and says whether the wall clock jumped since the last look.
func (c *clockwork) look(wall time.Time) (by time.Duration, jumped bool) {
	if c.count == nil {
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	passed := c.count()
	by = wall.Sub(c.wall) - (passed - c.passed)
	jumped = !c.wall.IsZero() && by.Abs() > clockJump
	c.wall, c.passed = wall, passed
	if jumped {
		c.by, c.jumped = by, wall
	}
	return by, jumped
}

func (c *clockwork) last() (by time.Duration, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by, c.jumped
}

func (e *Engine) watchClock() {
	if by, jumped := e.clock.look(e.now()); jumped {
		e.log.Warn("the clock of this machine jumped: no automatic action begins for a while", zap.Duration("by", by), zap.Duration("rest", clockRest))
	}
}

// guardClock keeps S30: after a jump of the wall clock no automatic action begins until evidence has come under the new time.
func (e *Engine) guardClock(_ context.Context, q question) incident.Finding {
	e.watchClock()
	by, at := e.clock.last()
	if until := at.Add(clockRest); !at.IsZero() && q.now.Before(until) {
		f := finding("clock", "S30", incident.Hold, "the clock of this machine jumped by %s at %s: waiting until %s", short(by.Abs()), stamp(at), stamp(until))
		f.RetryAt = until
		return *f
	}
	return pass("clock", "S30", "the clock runs evenly")
}
