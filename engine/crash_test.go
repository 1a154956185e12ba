package engine_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

var errDown = errors.New("down")

// boundaries are the points at which a record is about to be, or was just, written.
var boundaries = []string{"judged", "step-began", "step-ran", "step-recorded", "target-marked", "notice-began", "notice-sent", "notice-recorded"}

type crash struct{ point string }

// TestCrashAtEveryBoundary ends the process at the n-th passing of each boundary, starts it again, and asks for the same
// end: every step once, every chapter told, the incident closed.
func TestCrashAtEveryBoundary(t *testing.T) {
	for _, point := range boundaries {
		for passing := 1; passing <= 3; passing++ {
			t.Run(point, func(t *testing.T) {
				crashed := false
				n := 0
				r := newRig(t, func(r *rig) {
					r.hook = func(at string) {
						if at == point && !crashed {
							if n++; n == passing {
								crashed = true
								panic(crash{point})
							}
						}
					}
				}).ready()
				r.fire("Hole", "api")
				r.advanceThroughCrash(30 * time.Second)
				r.world.good()
				r.advanceThroughCrash(10 * time.Minute)
				r.phase("api", incident.Succeeded)
				did := r.world.did()
				slices.Sort(did)
				require.Equal(t, []string{"api-1/drain=drained-green", "api-1/switch=blue"}, did, "each effect once")
				require.True(t, r.world.told[len(r.world.told)-1].Final)
			})
		}
	}
}

// advanceThroughCrash is advance with a restart wherever the hook ended the process.
func (r *rig) advanceThroughCrash(d time.Duration) {
	r.t.Helper()
	until := r.now().Add(d)
	for r.now().Before(until) {
		if !r.crashes(until) {
			return
		}
		r.restart()
	}
}

func (r *rig) crashes(until time.Time) (crashed bool) {
	defer func() {
		if p := recover(); p != nil {
			if _, ours := p.(crash); !ours {
				panic(p)
			}
			crashed = true
		}
	}()
	r.advance(until.Sub(r.now()))
	return false
}

func TestStepThatNobodyCanSettleWaitsForAPerson(t *testing.T) {
	crashed := false
	r := newRig(t, func(r *rig) {
		r.files.targets = replace(r.files.targets, "procedure: two_moves", "procedure: in_the_dark")
		r.hook = func(at string) {
			if at == "step-ran" && !crashed {
				crashed = true
				panic(crash{at})
			}
		}
	}).ready()
	r.fire("Hole", "api")
	r.advanceThroughCrash(time.Minute)
	i := r.phase("api", incident.InDoubt)
	require.Len(t, r.world.did(), 1)
	require.NotEmpty(t, r.world.told)
	require.Error(t, r.engine.Settle(t.Context(), sre, i.ID, "nothing", engine.ItHappened, ""))
	require.NoError(t, r.engine.Settle(t.Context(), sre, i.ID, "leap", engine.ItHappened, "seen"))
	r.settle()
	r.phase("api", incident.Verifying)
	require.Len(t, r.world.did(), 1, "never a blind repeat (S5)")
}

func TestDoubtfulErrorIsNotRepeatedBlindly(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.files.targets = replace(r.files.targets, "procedure: two_moves", "procedure: in_the_dark")
	}).ready()
	r.world.fail["leap"] = []error{actions.Doubtful(errDown)}
	r.fire("Hole", "api")
	r.advance(time.Minute)
	r.phase("api", incident.InDoubt)
	require.Empty(t, r.world.did())
}

func TestLostAnswerOfADoneStepIsDone(t *testing.T) {
	r := newRig(t).ready()
	r.world.onRun = func(step string) {
		if step == "switch" { // the effect is there, its answer is not
			r.world.mu.Lock()
			r.world.effects = append(r.world.effects, "api-1/switch=blue")
			r.world.fail["switch"] = []error{actions.Doubtful(errDown)}
			r.world.mu.Unlock()
		}
	}
	r.fire("Hole", "api")
	r.advance(time.Minute)
	i := r.phase("api", incident.Verifying)
	require.Equal(t, 1, i.Steps[1].Attempt)
	require.Equal(t, []string{"api-1/switch=blue", "api-1/drain=drained-green"}, r.world.did())
}

func TestPanicIsNeverRetried(t *testing.T) {
	r := newRig(t).ready()
	ran := 0
	r.world.onRun = func(step string) {
		if step == "switch" {
			ran++
			panic("a bug")
		}
	}
	r.fire("Hole", "api")
	r.advance(time.Minute)
	r.phase("api", incident.Failed)
	require.Equal(t, 1, ran)
}

func TestAPanicThatNobodyCanSettleIsInDoubt(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.files.targets = replace(r.files.targets, "procedure: two_moves", "procedure: in_the_dark")
	}).ready()
	r.world.onRun = func(string) { panic("a bug") }
	r.fire("Hole", "api")
	r.advance(time.Minute)
	r.phase("api", incident.InDoubt)
}

func TestAbortBetweenSteps(t *testing.T) {
	r := newRig(t).ready()
	r.world.onRun = func(step string) {
		if step == "switch" {
			require.NoError(t, r.engine.Abort(context.WithoutCancel(t.Context()), sre, "api-1", "enough"))
		}
	}
	r.fire("Hole", "api")
	r.advance(time.Minute)
	i := r.phase("api", incident.Failed)
	require.Contains(t, i.Reason, "aborted by sre")
	require.Len(t, r.world.did(), 1)
}

func TestPlanOlderThanItsLifeIsAskedForAgain(t *testing.T) {
	r := newRig(t).ready()
	r.world.onRun = func(step string) {
		if step == "switch" {
			r.world.silence(labels("Hole", "api"))
		}
	}
	r.fire("Hole", "api")
	r.advance(20 * time.Minute)
	r.world.list(labels("Hole", "api"), start)
	r.watchdog()
	r.deliver(notification("firing", labels("Hole", "api"), start))
	r.advance(time.Minute)
	i := r.phase("api", incident.AwaitingApproval)
	require.Contains(t, i.Reason, "work rested for longer than a plan lives")
	require.Len(t, r.world.did(), 1)
}
