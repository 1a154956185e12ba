package simulate

import (
	"context"
	"slices"
	"sync"
	"time"

	"astern.dev/astern/engine/incident"
)

// task is a lane of a stream; it is worked on by one call at a time.
type task struct {
	stream string
	lane   incident.Lane
}

func (t task) before(o task) bool {
	return t.stream < o.stream || t.stream == o.stream && t.lane > o.lane
}

// clock is virtual time and who acts when: one at a time, in the order things fall due. A call that waits for virtual time
// to pass hands the turn back and goes on when its time has come, as if it had a thread of its own.
type clock struct {
	mu       sync.Mutex
	at       time.Time
	agenda   agenda
	wishes   map[task]time.Time // tasks that wait in the agenda
	busy     map[task]bool      // tasks whose call has not ended
	after    map[task]time.Time // wishes for busy tasks
	sleepers []*sleeper
	turn     chan struct{} // whoever acts gives it back when it ends or sleeps
}

type sleeper struct {
	ctx   context.Context
	alarm *due
	up    chan struct{}
}

func newClock(at time.Time) *clock {
	return &clock{at: at, wishes: map[task]time.Time{}, busy: map[task]bool{}, after: map[task]time.Time{}, turn: make(chan struct{})}
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) put(d *due) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agenda.put(d)
}

// forward sets the clock; it never goes back.
func (c *clock) forward(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if to.After(c.at) {
		c.at = to
	}
}

func (c *clock) soonest() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.agenda.soonest()
}

func (c *clock) next(until time.Time) (*due, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.agenda.next(until)
}

// wish asks for work on a task; an earlier wish wins.
func (c *clock) wish(t task, at time.Time, work func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[t] {
		if have, ok := c.after[t]; !ok || at.Before(have) {
			c.after[t] = at
		}
		return
	}
	if have, ok := c.wishes[t]; ok && !at.Before(have) {
		return
	}
	c.wishes[t] = at
	c.agenda.put(&due{at: at, turn: working, key: t, do: work})
}

// begin says whether a task that came up is still wished: an earlier call may have done its work.
func (c *clock) begin(t task, at time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.wishes[t]; !ok || !have.Equal(at) {
		return false
	}
	delete(c.wishes, t)
	c.busy[t] = true
	return true
}

// end notes that a task's call is over and gives what was wished for afterwards.
func (c *clock) end(t task) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.after[t]
	delete(c.after, t)
	delete(c.busy, t)
	return at, ok
}

// act lets do act, and comes back when it has ended or sleeps.
func (c *clock) act(do func()) {
	go func() {
		do()
		c.turn <- struct{}{}
	}()
	<-c.turn
}

// sleep lets virtual time pass for the caller while others act. The context's error ends it early.
func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	s := &sleeper{ctx: ctx, up: make(chan struct{})}
	c.mu.Lock()
	s.alarm = &due{at: c.at.Add(d), turn: waking, do: func() { c.wake(s) }}
	c.sleepers = append(c.sleepers, s)
	c.agenda.put(s.alarm)
	c.mu.Unlock()
	c.turn <- struct{}{}
	<-s.up
	return ctx.Err()
}

// wake gives the turn to a sleeper and comes back when it has ended or sleeps again.
func (c *clock) wake(s *sleeper) {
	c.mu.Lock()
	at := slices.Index(c.sleepers, s)
	if at >= 0 {
		c.sleepers = slices.Delete(c.sleepers, at, at+1)
	}
	c.mu.Unlock()
	if at < 0 {
		return
	}
	close(s.up)
	<-c.turn
}

// rouse wakes the sleepers whose context has ended: somebody aborted what they do, or the process died.
func (c *clock) rouse() {
	for {
		c.mu.Lock()
		at := slices.IndexFunc(c.sleepers, func(s *sleeper) bool { return s.ctx.Err() != nil })
		var s *sleeper
		if at >= 0 {
			s = c.sleepers[at]
		}
		c.mu.Unlock()
		if s == nil {
			return
		}
		c.wake(s)
	}
}

// forget drops all work: the process that wished it is gone.
func (c *clock) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wishes, c.busy, c.after = map[task]time.Time{}, map[task]bool{}, map[task]time.Time{}
}
