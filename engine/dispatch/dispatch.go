// Package dispatch decides when an incident is worked on: in memory, for one process. It imports engine/incident alone and
// meets engine.Dispatcher; dispatchtest is the suite that every dispatcher must pass.
//
// The history is the queue: nothing here is stored. After a start the engine wakes every live incident again.
package dispatch

import (
	"container/heap"
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"astern.dev/astern/engine/incident"
)

// Options shape a dispatcher. The zero value of each is its default.
type Options struct {
	// Workers is how many calls run side by side on each lane; default 32. Every lane has workers of its own, so that
	// notices that hang never keep a procedure waiting (S32).
	Workers int
	// Now is the clock that wake-ups are compared with; default time.Now.
	Now func() time.Time
	// After calls f once d has passed; stop takes that back. Default time.AfterFunc.
	After func(d time.Duration, f func()) (stop func() bool)
	// Grace is how long Close waits for running work before it ends its context, and again after that; default 10 s.
	Grace time.Duration
	// Panicked is told of work that panicked; default nobody. It may be called from several goroutines at once.
	Panicked func(Panic)
	// Pause is how long a stream and lane rests after a panic, doubled with each further one in a row up to PauseLimit;
	// default 1 min, and 1 h.
	Pause, PauseLimit time.Duration
}

// Panic is what is known of work that panicked.
type Panic struct {
	Stream string
	Lane   incident.Lane
	Value  any
	Stack  []byte
	Next   time.Time // no call before then
}

func (o Options) withDefaults() Options {
	if o.Workers <= 0 {
		o.Workers = 32
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	if o.Panicked == nil {
		o.Panicked = func(Panic) {}
	}
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{{&o.Grace, 10 * time.Second}, {&o.Pause, time.Minute}, {&o.PauseLimit, time.Hour}} {
		if *d.value <= 0 {
			*d.value = d.fallback
		}
	}
	return o
}

// Local calls work when it is wished for: one call at a time for each stream and lane, the earliest wish first, and once
// more when a wish came while the work ran. It is safe for concurrent use and keeps no goroutine while nothing is to be done.
type Local struct {
	work   incident.Work
	opts   Options
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	tasks   map[key]*task
	times   times // the tasks that wait for their time
	lanes   map[incident.Lane]*pool
	stop    func() bool // of the timer for the earliest
	due     time.Time   // what that timer is set for
	closed  bool
	running map[*task]struct{}
	idle    chan struct{} // closed when closed and nothing runs
}

// NewLocal makes a dispatcher that calls work. It is ready for wake-ups at once; Close ends it.
func NewLocal(work incident.Work, opts Options) *Local {
	l := &Local{work: work, opts: opts.withDefaults(), tasks: map[key]*task{}, lanes: map[incident.Lane]*pool{},
		running: map[*task]struct{}{}, idle: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// Wake implements engine.Dispatcher. After Close it does nothing: the history knows what is to be done.
func (l *Local) Wake(stream string, lane incident.Lane, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	k := key{stream, lane}
	t := l.tasks[k]
	if t == nil {
		t = &task{key: k}
		l.tasks[k] = t
	}
	l.wish(t, at)
}

// wish notes that the task is wanted at a time. The caller holds the lock.
func (l *Local) wish(t *task, at time.Time) {
	switch t.state {
	case ready: // it runs before any other wish could come true
	case running:
		if !t.wished || at.Before(t.at) {
			t.wished, t.at = true, at
		}
	case waiting:
		if at.Before(t.at) {
			t.at = at
			heap.Fix(&l.times, t.index)
		}
	default:
		t.state, t.at = waiting, at
		heap.Push(&l.times, t)
	}
	l.release()
}

// release lets every task go whose time has come, and sets the timer for the next. The caller holds the lock.
func (l *Local) release() {
	now := l.opts.Now()
	for len(l.times) > 0 && !l.times[0].earliest().After(now) {
		t := heap.Pop(&l.times).(*task)
		t.state = ready
		l.pool(t.lane).add(l, t)
	}
	l.setTimer(now)
}

// longestSleep bounds the timer, so that a clock that was set, or a machine that slept, is noticed.
const longestSleep = 30 * time.Second

func (l *Local) setTimer(now time.Time) {
	if len(l.times) == 0 {
		return // a timer that is still set finds nothing to do
	}
	due := l.times[0].earliest()
	if limit := now.Add(longestSleep); due.After(limit) {
		due = limit
	}
	if l.stop != nil && !due.Before(l.due) {
		return
	}
	if l.stop != nil {
		l.stop()
	}
	l.due = due
	l.stop = l.opts.After(due.Sub(now), l.tick)
}

func (l *Local) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.stop = nil
	l.release()
}

// call runs the work of one task, and notes what is to come after it.
func (l *Local) call(t *task) {
	next, panicked := l.safely(t)
	l.mu.Lock()
	defer l.mu.Unlock()
	t.settle(next, panicked)
	delete(l.running, t)
	if !next.IsZero() && (!t.wished || next.Before(t.at)) {
		t.wished, t.at = true, next
	}
	wished := t.wished
	t.wished, t.state = false, resting
	switch {
	case l.closed:
		l.settleClose()
	case wished:
		l.wish(t, t.at)
	default:
		delete(l.tasks, t.key)
	}
}

// safely calls the work. A panic is no way to ask for another call at once: it rests first, whoever wakes it.
func (l *Local) safely(t *task) (next time.Time, panicked bool) {
	defer func() {
		if value := recover(); value != nil {
			next, panicked = l.opts.Now().Add(t.pause(l.opts)), true
			l.opts.Panicked(Panic{Stream: t.stream, Lane: t.lane, Value: value, Stack: debug.Stack(), Next: next})
		}
	}()
	return l.work(l.ctx, t.stream, t.lane), false
}

// Close lets nothing begin any more and waits for the work that runs; after Grace it ends that work's context and waits as
// long again. Work that still runs then is named in the error. A second call waits like the first.
func (l *Local) Close() error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		if l.stop != nil {
			l.stop()
		}
		l.settleClose()
	}
	l.mu.Unlock()
	defer l.cancel()
	if l.waitIdle() {
		return nil
	}
	l.cancel()
	if l.waitIdle() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for t := range l.running {
		return fmt.Errorf("close the dispatcher: %d calls do not end, among them %s of %s", len(l.running), t.lane, t.stream)
	}
	return nil
}

// settleClose says that nothing runs any more. The caller holds the lock, and nothing can begin.
func (l *Local) settleClose() {
	if len(l.running) == 0 {
		close(l.idle)
	}
}

// waitIdle waits for the running work, at most for the grace.
func (l *Local) waitIdle() bool {
	late := make(chan struct{})
	stop := l.opts.After(l.opts.Grace, func() { close(late) })
	defer stop()
	select {
	case <-l.idle:
		return true
	case <-late:
		return false
	}
}
