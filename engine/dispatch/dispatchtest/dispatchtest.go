// Package dispatchtest is the suite that every dispatcher must pass: duplicate, late and concurrent wake-ups, one call at a
// time, lanes that do not wait for each other, closing. It imports engine/incident alone; only tests import it.
// It waits for what happens and never for time to pass, so that it serves a dispatcher with real clocks and tables, too.
package dispatchtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// Dispatcher is what the suite asks: engine.Dispatcher, and its end.
type Dispatcher interface {
	Wake(stream string, lane incident.Lane, at time.Time)
	Close() error
}

// Settings are what a test asks of the dispatcher it starts; zero values are the dispatcher's defaults.
type Settings struct {
	Workers int           // calls side by side on each lane
	Grace   time.Duration // how long Close waits before it ends the context of running work
}

// Start begins a dispatcher of its own that calls work.
type Start func(t *testing.T, s Settings, work incident.Work) Dispatcher

// Run asks everything of dispatchers that start makes.
func Run(t *testing.T, start Start) {
	for _, part := range []struct {
		name string
		ask  func(*testing.T, Start)
	}{
		{"a wake-up is answered", answered},
		{"late wake-ups", late},
		{"nothing begins before its time", notEarly},
		{"the earliest wish wins", earliestWins},
		{"what work returns is its next wish", next},
		{"a wake-up during work is worked on after it", duringWork},
		{"no wake-up is lost among many", noneLost},
		{"one call at a time for 10,000 streams", manyStreams},
		{"notices that hang do not keep procedures waiting", lanes(incident.NoticeLane, incident.ProcedureLane)},
		{"procedures that hang do not keep notices waiting", lanes(incident.ProcedureLane, incident.NoticeLane)},
		{"lanes of one stream are side by side", sideBySide},
		{"a panic is one stream's own", panics},
		{"close waits for running work", closeWaits},
		{"close ends the context of work that goes on", closeEnds},
		{"nothing begins after close", closed},
	} {
		t.Run(part.name, func(t *testing.T) { part.ask(t, start) })
	}
}

var past time.Time

const far = 24 * time.Hour

// call is one call of work.
type call struct {
	stream string
	lane   incident.Lane
}

// begin starts a dispatcher that is closed when the test ends.
func begin(t *testing.T, start Start, s Settings, work incident.Work) Dispatcher {
	t.Helper()
	d := start(t, s, work)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func answered(t *testing.T, start Start) {
	calls := make(chan call, 10)
	d := begin(t, start, Settings{}, func(ctx context.Context, stream string, lane incident.Lane) time.Time {
		if ctx.Err() == nil {
			calls <- call{stream, lane}
		}
		return past
	})
	for _, lane := range []incident.Lane{incident.ProcedureLane, incident.NoticeLane} {
		d.Wake("incident/a", lane, time.Now())
		require.Equal(t, call{"incident/a", lane}, <-calls)
	}
}

func late(t *testing.T, start Start) {
	calls := make(chan string, 10)
	d := begin(t, start, Settings{}, func(_ context.Context, stream string, _ incident.Lane) time.Time {
		calls <- stream
		return past
	})
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Now().Add(-far)} {
		d.Wake(at.String(), incident.ProcedureLane, at)
		require.Equal(t, at.String(), <-calls)
	}
}

func notEarly(t *testing.T, start Start) {
	calls := make(chan time.Time, 10)
	d := begin(t, start, Settings{}, func(context.Context, string, incident.Lane) time.Time {
		calls <- time.Now()
		return past
	})
	for range 5 {
		at := time.Now().Add(20 * time.Millisecond).Round(0)
		d.Wake("a", incident.ProcedureLane, at)
		require.False(t, (<-calls).Before(at))
	}
}

func earliestWins(t *testing.T, start Start) {
	calls := make(chan struct{}, 10)
	d := begin(t, start, Settings{}, func(context.Context, string, incident.Lane) time.Time {
		calls <- struct{}{}
		return past
	})
	d.Wake("a", incident.ProcedureLane, time.Now().Add(far))
	d.Wake("a", incident.ProcedureLane, time.Now())
	<-calls
	d.Wake("a", incident.ProcedureLane, time.Now().Add(10*time.Millisecond))
	d.Wake("a", incident.ProcedureLane, time.Now().Add(far))
	<-calls
}

func next(t *testing.T, start Start) {
	calls := make(chan struct{}, 100)
	var n atomic.Int32
	d := begin(t, start, Settings{}, func(context.Context, string, incident.Lane) time.Time {
		calls <- struct{}{}
		switch {
		case n.Add(1) < 5:
			return time.Now().Add(time.Millisecond)
		case n.Load() < 10:
			return time.Unix(1, 0) // long past: at once
		}
		return past // zero: not until woken
	})
	d.Wake("a", incident.ProcedureLane, time.Now())
	for range 10 {
		<-calls
	}
	d.Wake("a", incident.ProcedureLane, time.Now())
	<-calls
}

func duringWork(t *testing.T, start Start) {
	begun, release := make(chan struct{}), make(chan struct{})
	d := begin(t, start, Settings{}, func(context.Context, string, incident.Lane) time.Time {
		begun <- struct{}{}
		<-release
		return time.Now().Add(far) // a later wish of the work itself does not outlast the wake-up
	})
	d.Wake("a", incident.ProcedureLane, time.Now())
	for range 5 {
		<-begun
		d.Wake("a", incident.ProcedureLane, time.Now().Add(far))
		d.Wake("a", incident.ProcedureLane, time.Now())
		d.Wake("a", incident.ProcedureLane, time.Now().Add(far))
		release <- struct{}{}
	}
	<-begun
	close(release)
}

// noneLost: many tell one stream facts and wake it; what was told before a wake-up is seen by a call after it.
func noneLost(t *testing.T, start Start) {
	const tellers, each = 8, 500
	var told, seen, inside atomic.Int64
	done := make(chan struct{})
	var once sync.Once
	d := begin(t, start, Settings{}, func(context.Context, string, incident.Lane) time.Time {
		if inside.Add(1) != 1 {
			t.Error("two calls at a time")
		}
		defer inside.Add(-1)
		if seen.Store(told.Load()); seen.Load() == tellers*each {
			once.Do(func() { close(done) })
		}
		return past
	})
	var all sync.WaitGroup
	for range tellers {
		all.Go(func() {
			for range each {
				told.Add(1)
				d.Wake("a", incident.ProcedureLane, time.Now())
			}
		})
	}
	all.Wait()
	<-done
}

// manyStreams: every stream is woken from several sides and worked on once more after the last one told it something.
func manyStreams(t *testing.T, start Start) {
	const streams, wakes = 10_000, 3
	var inside, told [streams]atomic.Int32
	var complete [streams]atomic.Bool
	var left sync.WaitGroup
	left.Add(streams)
	d := begin(t, start, Settings{}, func(_ context.Context, stream string, _ incident.Lane) time.Time {
		var i int
		if _, err := fmt.Sscan(stream, &i); err != nil {
			t.Error(err)
		}
		if inside[i].Add(1) != 1 {
			t.Error("two calls at a time for", stream)
		}
		defer inside[i].Add(-1)
		if told[i].Load() == wakes && !complete[i].Swap(true) {
			left.Done()
		}
		return past
	})
	var all sync.WaitGroup
	for w := range wakes {
		all.Go(func() {
			for i := range streams {
				told[i].Add(1)
				d.Wake(fmt.Sprint(i), incident.ProcedureLane, time.Now().Add(time.Duration(w*i%7)*time.Millisecond))
			}
		})
	}
	all.Wait()
	left.Wait()
}
