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

// lanes: all workers of one lane hang, with more in line behind them; the other lane works on.
func lanes(hung, free incident.Lane) func(*testing.T, Start) {
	return func(t *testing.T, start Start) {
		release, worked := make(chan struct{}), make(chan string, 100)
		d := begin(t, start, Settings{Workers: 4}, func(_ context.Context, stream string, lane incident.Lane) time.Time {
			if lane == hung {
				<-release
			} else {
				worked <- stream
			}
			return past
		})
		for i := range 50 {
			d.Wake(fmt.Sprint(i), hung, time.Now())
		}
		seen := map[string]bool{}
		for i := range 50 {
			d.Wake(fmt.Sprint(i), free, time.Now())
		}
		for len(seen) < 50 {
			seen[<-worked] = true
		}
		close(release)
	}
}

// sideBySide: the two lanes of one stream run at the same time, and so do different streams.
func sideBySide(t *testing.T, start Start) {
	var meeting sync.WaitGroup
	meeting.Add(4)
	done := make(chan struct{}, 100)
	d := begin(t, start, Settings{Workers: 2}, func(context.Context, string, incident.Lane) time.Time {
		meeting.Done()
		meeting.Wait()
		done <- struct{}{}
		return past
	})
	for _, stream := range []string{"a", "b"} {
		d.Wake(stream, incident.ProcedureLane, time.Now())
		d.Wake(stream, incident.NoticeLane, time.Now())
	}
	for range 4 {
		<-done
	}
}

func panics(t *testing.T, start Start) {
	calls := make(chan string, 100)
	var exploded atomic.Int32
	d := begin(t, start, Settings{Workers: 2}, func(_ context.Context, stream string, _ incident.Lane) time.Time {
		if stream == "poison" {
			exploded.Add(1)
			calls <- stream
			panic("poison")
		}
		calls <- stream
		return past
	})
	d.Wake("poison", incident.ProcedureLane, time.Now())
	require.Equal(t, "poison", <-calls)
	for i := range 50 {
		d.Wake("poison", incident.ProcedureLane, time.Now())
		d.Wake(fmt.Sprint(i), incident.ProcedureLane, time.Now())
		require.Equal(t, fmt.Sprint(i), <-calls, "others are worked on, and the one that panicked rests")
	}
	require.EqualValues(t, 1, exploded.Load())
}

func closeWaits(t *testing.T, start Start) {
	begun, release := make(chan struct{}), make(chan struct{})
	var ended atomic.Bool
	d := start(t, Settings{Grace: time.Hour}, func(ctx context.Context, _ string, _ incident.Lane) time.Time {
		close(begun)
		<-release
		if ctx.Err() == nil {
			ended.Store(true)
		}
		return past
	})
	d.Wake("a", incident.ProcedureLane, time.Now())
	<-begun
	closed := make(chan error)
	go func() { closed <- d.Close() }()
	release <- struct{}{}
	require.NoError(t, <-closed)
	require.True(t, ended.Load(), "it ended by itself, its context whole")
	require.NoError(t, d.Close(), "closing twice is closing")
}

func closeEnds(t *testing.T, start Start) {
	begun := make(chan struct{})
	d := start(t, Settings{Grace: time.Second}, func(ctx context.Context, _ string, _ incident.Lane) time.Time {
		close(begun)
		<-ctx.Done()
		return past
	})
	d.Wake("a", incident.ProcedureLane, time.Now())
	<-begun
	require.NoError(t, d.Close())
}

// closed: neither what waits, nor what is in line, nor what running work wishes, nor a new wake-up begins after Close.
func closed(t *testing.T, start Start) {
	var closed atomic.Bool
	begun, release := make(chan struct{}, 1), make(chan struct{})
	d := start(t, Settings{Workers: 1, Grace: time.Hour}, func(context.Context, string, incident.Lane) time.Time {
		if closed.Load() {
			t.Error("work began after close")
		}
		select {
		case begun <- struct{}{}:
		default: // only the first is waited for
		}
		<-release
		return time.Unix(1, 0)
	})
	for i := range 100 {
		d.Wake(fmt.Sprint(i), incident.ProcedureLane, time.Now().Add(time.Duration(i%10)*time.Millisecond))
	}
	<-begun
	done := make(chan error)
	go func() { done <- d.Close() }()
	go close(release)
	require.NoError(t, <-done)
	closed.Store(true)
	for i := range 100 {
		d.Wake(fmt.Sprint(i), incident.ProcedureLane, time.Now())
	}
	require.NoError(t, d.Close())
}
