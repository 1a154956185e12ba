//go:build crash

package main_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// Each of these is a boundary between a record and an effect, or around a record of any kind.
var (
	effectBoundaries = []string{"judged", "step-began", "step-ran", "step-recorded", "target-marked", "notice-began", "notice-sent",
		"notice-recorded", "delivery-kept"}
	recordBoundaries = []string{"append", "appended"}
)

// TestCrashKillAtEveryBoundary kills the server at every passing of every boundary of one rollback, one after the other,
// and asks for the same end each time: every step, the step that must not be repeated once, one message, succeeded.
func TestCrashKillAtEveryBoundary(t *testing.T) {
	t.Parallel()
	binary := crashBuild(t, "failpoint")
	var mu sync.Mutex
	passings := map[string]int{}
	var group errgroup.Group
	group.SetLimit(4)
	for _, point := range append(effectBoundaries, recordBoundaries...) {
		group.Go(func() error {
			for n := 1; ; n++ {
				if crashed := crashAt(t, binary, point, "kill", n); !crashed {
					return nil
				}
				mu.Lock()
				passings[point] = n
				mu.Unlock()
			}
		})
	}
	require.NoError(t, group.Wait())
	total := 0
	for _, point := range append(effectBoundaries, recordBoundaries...) {
		require.Positive(t, passings[point], "%s is never passed", point)
		total += passings[point]
	}
	figure("failpoints: killed at each of %d passings of %d boundaries (%v): 0 lost, 0 repeated", total, len(passings), passings)
}

// TestCrashPanicAtEveryBoundary lets the server panic there instead. Where the dispatcher catches it, the same process
// goes on after its rest of a minute; where nothing can, the next process does.
func TestCrashPanicAtEveryBoundary(t *testing.T) {
	t.Parallel()
	binary := crashBuild(t, "failpoint")
	var group errgroup.Group
	for _, point := range append(effectBoundaries, recordBoundaries...) {
		group.Go(func() error {
			if !crashAt(t, binary, point, "panic", 1) {
				return fmt.Errorf("%s is never passed", point)
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	figure("failpoints: panicked at %d boundaries: 0 lost, 0 repeated", len(effectBoundaries)+len(recordBoundaries))
}

// crashAt makes one rollback with the failpoint set for its first life, and audits it. It says whether the failpoint was
// reached.
func crashAt(t *testing.T, binary, point, how string, passing int) (crashed bool) {
	r := newCrashRun(t, binary, 1)
	r.arm(t)
	require.NoError(t, r.release(t.Context(), "t00", 1))
	r.kill()
	r.env = []string{fmt.Sprintf("ASTERN_FAILPOINT=%s:%s:%d", point, how, passing)}
	r.startReady(t)
	r.env = nil
	r.stopFiring() // after the first round
	r.drive(t)
	done := make(chan error, 1)
	go func() { done <- r.finish(t.Context()) }()
	for waits := true; waits; {
		select {
		case err := <-done:
			require.NoError(t, err, "%s:%s:%d\n%s", point, how, passing, r.life.tail)
			waits = false
		case <-r.life.ended:
			crashed = true
			r.kill()
			r.startReady(t)
		}
	}
	crashed = crashed || strings.Contains(r.life.tail.String(), "failpoint "+point)
	r.kill()
	r.audit(t)
	return crashed
}
