package simulate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// Now is the time that passes; the wall clock that the engine reads may be off it by a jump.
func (w *World) Now() time.Time { return w.clock.now() }

func (w *World) now() time.Time { return w.clock.now().Add(w.offset) }

// Jump sets the wall clock that the engine reads forward or back (S30).
func (w *World) Jump(by time.Duration) { w.offset += by }

// At puts an act of the outside world on the agenda. Its error ends the run.
func (w *World) At(at time.Time, do func(ctx context.Context) error) {
	w.clock.put(&due{at: at, turn: outside, do: func() {
		if err := do(w.ctx); err != nil {
			w.failed = errors.Join(w.failed, err)
		}
	}})
}

// Watchdog lets the Watchdog alert come each minute, or ends it.
func (w *World) Watchdog(alive bool) { w.barks = alive }

const watchdogEvery = time.Minute

// restless is how many things may happen in one moment before the engine is held to never come to rest.
const restless = 100_000

// Run lets virtual time pass and does all that falls due on the way, that of the last moment included.
func (w *World) Run(ctx context.Context, until time.Time) error {
	moment, busy := w.Now(), 0
	for w.failed == nil && ctx.Err() == nil {
		if !w.one(until) {
			w.clock.forward(until)
			return nil
		}
		if now := w.Now(); now.After(moment) {
			moment, busy = now, 0
		}
		if busy++; busy > restless {
			return fmt.Errorf("astern does not come to rest at %s", moment.Format(time.RFC3339))
		}
	}
	return errors.Join(w.failed, ctx.Err())
}

// one does the next thing; false when nothing is due until then.
func (w *World) one(until time.Time) bool {
	at, some := w.clock.soonest()
	if !some || at.After(until) {
		if w.idle {
			return false // nothing can happen: the minutes between are all alike
		}
		at = until
	}
	switch {
	case !w.idle && !w.tick.After(at):
		w.clock.forward(w.tick)
		w.tick = w.tick.Add(engine.ReconcileEvery)
		w.idle = w.engine.ReconcileTick(w.ctx)
		return true
	case !w.due(until):
		return false
	}
	w.engine.ReconcileWaiting(w.ctx)
	w.clock.rouse()
	return true
}

// due does what the agenda says comes next.
func (w *World) due(until time.Time) bool {
	at, ok := w.clock.soonest()
	if !ok || at.After(until) {
		return false
	}
	w.clock.forward(at)
	w.bark()
	d, ok := w.clock.next(until)
	if ok {
		d.do()
		w.wokenUp()
	}
	return ok
}

// wokenUp begins the minutes anew after a time in which nothing could happen.
func (w *World) wokenUp() {
	if w.idle {
		w.idle = false
		for !w.tick.After(w.Now()) {
			w.tick = w.tick.Add(engine.ReconcileEvery)
		}
	}
}

// bark delivers the Watchdog when it last came a minute ago or longer: whatever happens now finds it as fresh as it would
// be, and minutes in which nothing happens cost nothing.
func (w *World) bark() {
	if !w.barks || w.Now().Sub(w.barked) < watchdogEvery {
		return
	}
	w.barked = w.Now()
	_, err := w.Deliver(w.ctx, engine.Notification{Source: w.Source(), Receiver: Receiver, Status: "firing", GroupKey: "{}:{alertname=\"Watchdog\"}",
		Alerts: []engine.Delivered{{Alert: incident.Alert{Status: "firing", Labels: map[string]string{"alertname": "Watchdog"}, StartsAt: w.opts.Start}}}})
	if err != nil {
		w.failed = errors.Join(w.failed, err)
	}
}

// Deliver brings a notification to astern's door.
func (w *World) Deliver(ctx context.Context, n engine.Notification) (engine.Receipt, error) {
	return w.engine.Receive(ctx, n)
}

// wake puts work on the agenda; a task is never worked on twice at a time.
func (w *World) wake(t task, at time.Time) {
	if now := w.now(); at.Before(now) {
		at = now
	}
	at = at.Add(-w.offset)
	e := w.engine
	w.clock.wish(t, at, func() {
		if e != w.engine || !w.clock.begin(t, at) {
			return
		}
		w.clock.act(func() { w.perform(e, t) })
	})
}

func (w *World) perform(e *engine.Engine, t task) {
	next := e.Perform(w.ctx, t.stream, t.lane)
	if e != w.engine {
		return // the process is gone
	}
	after, wished := w.clock.end(t)
	if !next.IsZero() && (!wished || next.Before(after)) {
		after, wished = next, true
	}
	if wished {
		w.wake(t, after)
	}
}
