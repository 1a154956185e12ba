package dispatch_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"astern.dev/astern/engine/dispatch"
	"astern.dev/astern/engine/dispatch/dispatchtest"
	"astern.dev/astern/engine/incident"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLocalIsADispatcher(t *testing.T) {
	dispatchtest.Run(t, func(t *testing.T, s dispatchtest.Settings, work incident.Work) dispatchtest.Dispatcher {
		return dispatch.NewLocal(work, dispatch.Options{Workers: s.Workers, Grace: s.Grace})
	})
}

// log notes when work was called, on the clock of the bubble.
type log struct {
	begun time.Time
	mu    sync.Mutex
	noted []time.Duration
}

func newLog() *log { return &log{begun: time.Now()} }

func (l *log) note() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noted = append(l.noted, time.Since(l.begun))
}

func (l *log) calls() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.noted)
}

// bubble runs a test on virtual time: nothing is called too much, and nothing too late.
func bubble(t *testing.T, o dispatch.Options, work func(l *log) time.Time, ask func(l *log, d *dispatch.Local)) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		d := dispatch.NewLocal(func(context.Context, string, incident.Lane) time.Time {
			l.note()
			return work(l)
		}, o)
		ask(l, d)
		require.NoError(t, d.Close())
	})
}

// pass lets virtual time pass, and all that it brings happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func never(*log) time.Time { return time.Time{} }

func TestEachWishIsMetOnceAndOnTime(t *testing.T) {
	bubble(t, dispatch.Options{}, never, func(l *log, d *dispatch.Local) {
		for _, in := range []time.Duration{5 * time.Hour, 90 * time.Second, 3 * time.Hour, 90 * time.Second, 2 * time.Minute} {
			d.Wake("a", incident.ProcedureLane, l.begun.Add(in))
		}
		pass(24 * time.Hour)
		require.Equal(t, []time.Duration{90 * time.Second}, l.calls(), "the earliest wish wins; work says what comes after it")
		for range 100 {
			d.Wake("a", incident.ProcedureLane, time.Now().Add(time.Second))
		}
		pass(24 * time.Hour)
		require.Len(t, l.calls(), 2, "wake-ups that come twice are one call")
	})
}

func TestWorkSchedulesItself(t *testing.T) {
	every := func(l *log) time.Time { return time.Now().Add(time.Minute) }
	bubble(t, dispatch.Options{}, every, func(l *log, d *dispatch.Local) {
		d.Wake("a", incident.ProcedureLane, l.begun.Add(time.Minute))
		pass(4*time.Minute + 30*time.Second)
		require.Equal(t, []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute}, l.calls())
		d.Wake("a", incident.ProcedureLane, time.Now())
		synctest.Wait()
		require.Equal(t, 4*time.Minute+30*time.Second, l.calls()[4])
		pass(70 * time.Second)
		require.Equal(t, []time.Duration{5*time.Minute + 30*time.Second}, l.calls()[5:], "the earlier call took the place of the wish")
	})
}

// A wish made while work runs stands beside what the work returns: the earlier of both is met.
func TestWishesDuringWork(t *testing.T) {
	for _, c := range []struct{ wish, returned, want time.Duration }{
		{time.Hour, 2 * time.Hour, time.Hour},
		{2 * time.Hour, time.Hour, time.Hour},
		{time.Hour, 0, time.Hour},
		{2 * time.Second, 0, 10 * time.Second}, // past when the work ends
	} {
		work := func(l *log) time.Time {
			if len(l.calls()) > 1 {
				return time.Time{}
			}
			<-time.After(10 * time.Second)
			if c.returned == 0 {
				return time.Time{}
			}
			return l.begun.Add(c.returned)
		}
		bubble(t, dispatch.Options{}, work, func(l *log, d *dispatch.Local) {
			d.Wake("a", incident.ProcedureLane, time.Now())
			pass(time.Second)
			d.Wake("a", incident.ProcedureLane, l.begun.Add(c.wish))
			pass(24 * time.Hour)
			require.Equal(t, []time.Duration{0, c.want}, l.calls())
		})
	}
}

// A panic rests its stream, longer each time and whoever wakes it; one good call forgets that.
func TestPanicsAreNeverRetriedInATightLoop(t *testing.T) {
	var told []dispatch.Panic // one task, so one call at a time; the test reads while none runs
	var good atomic.Bool
	work := func(*log) time.Time {
		if !good.Load() {
			panic("out of range")
		}
		return time.Time{}
	}
	o := dispatch.Options{Pause: time.Minute, PauseLimit: 4 * time.Minute, Panicked: func(p dispatch.Panic) { told = append(told, p) }}
	bubble(t, o, work, func(l *log, d *dispatch.Local) {
		for range 20 * 60 {
			d.Wake("a", incident.ProcedureLane, time.Now())
			pass(time.Second)
		}
		minutes := []time.Duration{0, 1, 3, 7, 11, 15, 19}
		for i := range minutes {
			minutes[i] *= time.Minute
		}
		require.Equal(t, minutes, l.calls())
		require.Len(t, told, len(minutes))
		require.Equal(t, "a", told[0].Stream)
		require.Equal(t, incident.ProcedureLane, told[0].Lane)
		require.Equal(t, "out of range", told[0].Value)
		require.Contains(t, string(told[0].Stack), "dispatch_test.go")
		require.Equal(t, time.Minute, told[0].Next.Sub(l.begun))

		good.Store(true)
		pass(3*time.Minute + time.Second) // called again without a wake-up: nothing hangs unseen
		require.Equal(t, 23*time.Minute, l.calls()[7])
		good.Store(false)
		d.Wake("a", incident.ProcedureLane, time.Now())
		synctest.Wait()
		require.Equal(t, time.Minute, time.Until(told[7].Next), "the count began anew")
	})
}

// Work that ignores its context is named, and Close does not hang on it.
func TestCloseNamesWorkThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		cancelled := make(chan time.Duration, 1)
		begun := time.Now()
		d := dispatch.NewLocal(func(ctx context.Context, _ string, _ incident.Lane) time.Time {
			<-ctx.Done()
			cancelled <- time.Since(begun)
			<-release
			return time.Time{}
		}, dispatch.Options{Grace: time.Minute})
		d.Wake("incident/a", incident.NoticeLane, time.Now())
		synctest.Wait()
		err := d.Close()
		require.ErrorContains(t, err, "1 calls do not end, among them notices of incident/a")
		require.Equal(t, time.Minute, <-cancelled, "the context ended after the grace, not before")
		require.Equal(t, 2*time.Minute, time.Since(begun))
		close(release)
		require.NoError(t, d.Close())
	})
}

// A clock that is set forward is noticed within half a minute, though timers count the machine's own time.
func TestAClockSetForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var jump atomic.Int64
		calls := make(chan time.Duration, 1)
		begun := time.Now()
		d := dispatch.NewLocal(func(context.Context, string, incident.Lane) time.Time {
			calls <- time.Since(begun)
			return time.Time{}
		}, dispatch.Options{Now: func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }})
		d.Wake("a", incident.ProcedureLane, begun.Add(time.Hour))
		jump.Store(int64(2 * time.Hour))
		require.Equal(t, 30*time.Second, <-calls)
		require.NoError(t, d.Close())
	})
}

// Streams that have nothing to do cost nothing, and workers are no more than asked for.
func TestWorkersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inside := make(chan struct{}, 3)
		var worked atomic.Int32
		d := dispatch.NewLocal(func(context.Context, string, incident.Lane) time.Time {
			select {
			case inside <- struct{}{}:
			default:
				t.Error("more workers than asked for")
			}
			<-time.After(time.Second)
			worked.Add(1)
			<-inside
			return time.Time{}
		}, dispatch.Options{Workers: 3})
		begun := time.Now()
		for i := range 30 {
			d.Wake(fmt.Sprint(i), incident.ProcedureLane, begun)
		}
		pass(time.Hour)
		require.EqualValues(t, 30, worked.Load())
		require.Zero(t, dispatch.Known(d))
		require.NoError(t, d.Close())
		d.Wake("a", incident.ProcedureLane, begun)
		require.Zero(t, dispatch.Known(d), "what is closed remembers nothing")
	})
}
