package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// What people and rivals do while astern asks the world counts: the last word is heard.

func TestAWordSaidWhileTheWorldIsAskedIsHeard(t *testing.T) {
	for name, c := range map[string]struct {
		say   func(*rig) error
		phase incident.Phase
	}{
		"stop":   {func(r *rig) error { return r.engine.Stop(r.t.Context(), sre, "all", "wait") }, incident.Held},
		"hold":   {func(r *rig) error { return r.engine.Hold(r.t.Context(), sre, "api", "mine", time.Hour) }, incident.Held},
		"disarm": {func(r *rig) error { return r.engine.Disarm(r.t.Context(), sre, "no") }, incident.Held},
		"abort":  {func(r *rig) error { return r.engine.Abort(r.t.Context(), sre, "api-1", "no") }, incident.Cancelled},
		"deny":   {func(r *rig) error { return r.engine.DenyRelease(r.t.Context(), sre, "api", "v41", "leaked") }, incident.Superseded},
		"release": {func(r *rig) error {
			return r.engine.RecordRelease(r.t.Context(), sre, "api", incident.Release{Version: "v43", At: r.now()})
		}, incident.Superseded},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).ready()
			said := false
			r.world.onAlerts = func() { // the last guard that asks the world
				if !said {
					said = true
					require.NoError(t, c.say(r))
				}
			}
			r.fire("Hole", "api")
			r.advance(20 * time.Second)
			r.phase("api", c.phase)
			require.Empty(t, r.world.did())
		})
	}
}

func TestDisarmedInTheMiddleStartsNoFurtherStep(t *testing.T) {
	r := newRig(t).ready()
	r.world.onRun = func(step string) {
		if step == "switch" {
			require.NoError(t, r.engine.Disarm(t.Context(), sre, "no more"))
		}
	}
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	i := r.phase("api", incident.Held)
	require.Contains(t, i.Reason, "not armed")
	require.Len(t, r.world.did(), 1)
}

func TestAJudgementUnderAnotherConfigurationIsDropped(t *testing.T) {
	for name, change := range map[string]func(*rig){
		"reload": func(r *rig) {
			cfg := r.configuration(r.files)
			cfg.Settings.Modes = map[string]incident.Mode{"production": incident.Approve}
			require.NoError(r.t, r.engine.Reload(r.t.Context(), cfg))
		},
		"disarm": func(r *rig) { require.NoError(r.t, r.engine.Disarm(r.t.Context(), sre, "no")) },
		"another rule": func(r *rig) {
			f := r.files
			f.rules = replace(f.rules, "confirm: {waived: no metric can show an exploited hole}", "confirm: [{query: 'errors{service=\"${target.name}\"}', holds: value > 0.9}]")
			require.NoError(r.t, r.engine.Reload(r.t.Context(), r.configuration(f)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(r *rig) {
				r.hook = func(at string) {
					if at == "judged" && change != nil && r.now().Equal(start.Add(15*time.Second)) { // it would act
						do := change
						change = nil
						do(r)
					}
				}
			}).ready()
			r.fire("Hole", "api")
			r.advance(20 * time.Second)
			i := r.incident("api")
			require.Empty(t, r.world.did())
			require.Empty(t, i.Steps, "nothing was taken up: %s", i.Reason)
		})
	}
}

func TestABudgetLostToARivalAsks(t *testing.T) {
	r := newRig(t).ready()
	r.releases("web")
	cfg := r.configuration(r.files)
	cfg.Settings.Guards, _ = incident.GuardsFrom(map[string]any{"max_per_hour": 1})
	require.NoError(t, r.engine.Reload(t.Context(), cfg))
	rival := false
	r.world.onRun = func(step string) {
		if step == "look" && !rival { // both were judged within the budget; the rival is first
			rival = true
			r.engine.Perform(t.Context(), "incident/web-1", incident.ProcedureLane)
		}
	}
	r.fire("Hole", "api")
	r.fire("Hole", "web")
	r.advance(30 * time.Second)
	r.phase("web", incident.Verifying)
	i := r.phase("api", incident.AwaitingApproval)
	require.Contains(t, i.Reason, "1 of 1 automatic rollbacks used")
}

func TestAPersonsRequestWaitsForNoSlot(t *testing.T) {
	r := newRig(t).ready()
	r.releases("web")
	r.world.onRun = func(step string) {
		if step == "switch" && r.count("web") == 0 {
			_, err := r.engine.Rollback(t.Context(), sre, "web", "by hand", "")
			require.NoError(t, err)
			r.engine.Perform(t.Context(), "incident/web-1", incident.ProcedureLane)
		}
	}
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	require.Equal(t, []string{"web-1/switch=blue", "web-1/drain=drained-green"}, r.world.did()[:2], "while api changes")
}

func TestAPersonsRequestTakesOverAnOffer(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Asks", "api")
	r.advance(time.Minute)
	r.phase("api", incident.AwaitingApproval)
	_, err := r.engine.Rollback(t.Context(), sre, "api", "now", "")
	require.NoError(t, err)
	r.settle()
	r.phase("api", incident.Verifying)
}

func TestWhatIsHeldGoesOnAtOnceWhenTheHoldIsGone(t *testing.T) {
	for name, c := range map[string]struct{ hold, lift func(*rig) error }{
		"hold": {
			func(r *rig) error { return r.engine.Hold(r.t.Context(), sre, "api", "mine", 3*time.Hour) },
			func(r *rig) error { return r.engine.Hold(r.t.Context(), sre, "api", "", 0) },
		},
		"stop": {
			func(r *rig) error { return r.engine.Stop(r.t.Context(), sre, "all", "wait") },
			func(r *rig) error { return r.engine.Resume(r.t.Context(), sre, "all", "on") },
		},
		"denied": {
			func(r *rig) error { return r.engine.DenyRelease(r.t.Context(), sre, "api", "v41", "leaked") },
			func(r *rig) error {
				return r.engine.JudgeRelease(r.t.Context(), sre, "api", "v41", incident.Good, "not so")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).ready()
			require.NoError(t, c.hold(r))
			r.fire("Errors", "api")
			r.advance(2 * time.Hour)
			i := r.phase("api", incident.Held)
			_, events, err := r.engine.Incident(t.Context(), i.ID)
			require.NoError(t, err)
			require.Less(t, len(events), 100, "the same refusal is written down more and more rarely")
			require.LessOrEqual(t, i.Story, 2, "and told once")
			r.advance(time.Second)
			require.NoError(t, c.lift(r))
			r.settle()
			require.Len(t, r.world.did(), 2)
		})
	}
}

func TestAFreedSlotIsTakenAtOnce(t *testing.T) {
	r := newRig(t).ready()
	r.releases("web")
	r.world.onRun = func(step string) {
		if step == "drain" && r.count("web") > 0 && !strings.HasPrefix(r.incident("web").Reason, "step") {
			r.engine.Perform(t.Context(), "incident/web-1", incident.ProcedureLane) // finds the slot taken
		}
	}
	r.fire("Hole", "api")
	r.fire("Hole", "web")
	r.advance(15 * time.Second) // both settle for so long
	require.Len(t, r.world.did(), 4, "no pause after the first one's end")
}

func TestOldEvidenceIsProvenAfreshBeforeTheFirstChange(t *testing.T) {
	r := newRig(t).ready()
	r.world.onRun = func(step string) {
		if step == "look" {
			r.world.silence(labels("Errors", "api"))
		}
	}
	r.fire("Errors", "api")
	r.advance(6 * time.Minute)
	r.phase("api", incident.Held)
	r.world.good() // it recovers while it is held
	r.advance(2 * time.Minute)
	r.world.list(labels("Errors", "api"), start)
	r.advance(5 * time.Minute)
	require.Empty(t, r.world.did(), "S7: right before acting")
}

func TestResolvedBeforeTheFirstChangeChangesNothing(t *testing.T) {
	r := newRig(t).ready()
	r.world.amDown = true
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	r.phase("api", incident.Held)
	r.resolve("Hole", "api", start)
	r.world.mu.Lock()
	r.world.amDown = false
	r.world.mu.Unlock()
	r.advance(time.Minute)
	r.phase("api", incident.Cancelled)
	require.Empty(t, r.world.did())
}

func TestS8LongRulesAreCountedWhenTheyAreDue(t *testing.T) {
	names := []string{"one", "two", "three", "four", "five"}
	r := newRig(t, func(r *rig) {
		r.files.targets = targetsOf(names...)
		r.files.rules = replace(r.files.rules, "for: 5m", "for: 15m")
	})
	require.NoError(t, r.engine.Arm(t.Context(), sre, "test"))
	r.releases(names...)
	r.barks, r.bark = true, r.now()
	for _, name := range names {
		r.fire("Errors", name)
	}
	r.advance(20 * time.Minute)
	require.Empty(t, r.world.did(), "all became due at once: it is infrastructure")
}

func TestS8TheMassEventIsToldAfterACrash(t *testing.T) {
	names := []string{"one", "two", "three", "four", "five"}
	crashed := false
	r := newRig(t, func(r *rig) {
		r.files.targets = targetsOf(names...)
		r.hook = func(at string) {
			if at != "judged" || crashed {
				return
			}
			if s, err := r.engine.Status(t.Context()); err == nil && s.Installation.Mass != nil {
				crashed = true
				panic(crash{at})
			}
		}
	})
	require.NoError(t, r.engine.Arm(t.Context(), sre, "test"))
	r.releases(names...)
	r.barks, r.bark = true, r.now()
	for _, name := range names {
		r.fire("Hole", name)
	}
	r.advanceThroughCrash(time.Minute)
	require.True(t, crashed)
	require.NotEmpty(t, r.world.told, "somebody is told")
	require.Empty(t, r.world.did())
}

func TestS13ARollbackIsNoRolloutWhoeverTellsIt(t *testing.T) {
	r := newRig(t).ready()
	g := map[string]any{"cooldown": "off"}
	cfg := r.configuration(r.files)
	cfg.Settings.Guards, _ = incident.GuardsFrom(g)
	require.NoError(t, r.engine.Reload(t.Context(), cfg))
	require.NoError(t, r.engine.RecordRelease(t.Context(), sre, "api", incident.Release{Version: "v40", At: start.Add(-96 * time.Hour), Verdict: incident.Good, Vars: map[string]string{"track": "red"}}))
	r.fire("Errors", "api")
	r.advance(5 * time.Minute)
	r.resolve("Errors", "api", start)
	r.world.good()
	r.advance(6 * time.Minute)
	r.phase("api", incident.Succeeded)
	require.NoError(t, r.engine.RecordRelease(t.Context(), engine.Person{Name: "ci"}, "api", incident.Release{Version: "v41", At: r.now(), Vars: map[string]string{"track": "blue"}}))
	r.world.bad()
	r.fire("Errors", "api")
	r.advance(6 * time.Minute)
	i := r.phase("api", incident.AwaitingApproval)
	require.Contains(t, i.Reason, "came by a rollback", "S12: a rollback is never rolled back automatically")
}

func TestS13APersonMayBeCalledLikeTheTarget(t *testing.T) {
	r := newRig(t).ready()
	require.NoError(t, r.engine.RecordRelease(t.Context(), engine.Person{Name: "api-ci"}, "api", incident.Release{Version: "v43", At: r.now().Add(-time.Minute), Vars: map[string]string{"track": "red"}}))
	r.fire("Errors", "api")
	r.advance(5 * time.Minute)
	require.Len(t, r.world.did(), 2)
}

func TestStopOfATeamThatIsNoneIsRefused(t *testing.T) {
	r := newRig(t).ready()
	require.Error(t, r.engine.Stop(t.Context(), sre, "team/croe", "wait"))
	require.NoError(t, r.engine.Stop(t.Context(), sre, "team/core", "wait"))
}

func TestFilesThatChangedWhileNothingRanAreHeeded(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Observes", "api")
	r.fire("Observes", "web")
	r.advance(time.Minute)
	r.files.rules = replace(r.files.rules, `when: alert.labels.alertname == "Observes"`, `when: alert.labels.alertname == "Observes" && alert.labels.service == "api"
        mode: auto
        confirm: {waived: seen by eye}`)
	r.restart()
	r.watchdog()
	r.advance(time.Minute)
	require.Contains(t, r.incident("api").Reason, "rule changed 2026-11-01T12:01:00Z", "and a changed rule only suggests")
	require.Empty(t, r.world.did())
	require.NoError(t, r.engine.WaiveRule(t.Context(), sre, "Observes", "seen"))
	r.advance(time.Minute)
	require.Len(t, r.world.did(), 2)

	gone := newRig(t).ready()
	gone.fire("Errors", "api")
	gone.advance(time.Minute)
	gone.files.rules = replace(gone.files.rules, "rule: Errors", "rule: Others")
	gone.restart()
	gone.settle()
	gone.phase("api", incident.Cancelled)
}

func TestAnInterruptedVerifyIsNoAnswer(t *testing.T) {
	for _, point := range []string{"step-began", "step-ran"} {
		crashed := false
		r := newRig(t, func(r *rig) {
			r.hook = func(at string) {
				if at == point && !crashed {
					if i := r.incident("api"); i.Touched {
						crashed = true
						panic(crash{at})
					}
				}
			}
		}).ready()
		r.fire("Hole", "api")
		require.True(t, r.crashes(r.now().Add(20*time.Second)))
		r.restart()
		ctx, cancel := context.WithCancel(t.Context())
		r.world.onVerify = func(string) error { cancel(); return ctx.Err() }
		r.engine.Perform(ctx, "incident/api-1", incident.ProcedureLane)
		r.phase("api", incident.Running)
		r.world.onVerify = nil
		r.advance(time.Minute)
		r.phase("api", incident.Verifying)
		require.Len(t, r.world.did(), 2)
	}
}

func TestShuttingDownWhileVerifyingIsNoFailure(t *testing.T) {
	for _, at := range []string{"look", "switch", "drain"} {
		t.Run(at, func(t *testing.T) {
			r := newRig(t, func(r *rig) {
				r.files.procedures = replace(r.files.procedures, "look: true}\n        timeout: 10s", "look: true}\n        timeout: 10s\n        retry: {attempts: 1}")
			}).ready()
			ctx, cancel := context.WithCancel(t.Context())
			r.world.onVerify = func(step string) error {
				if step == at {
					cancel()
					return ctx.Err()
				}
				return nil
			}
			r.fire("Hole", "api")
			r.at = r.at.Add(15 * time.Second)
			r.engine.Perform(ctx, "incident/api-1", incident.ProcedureLane)
			r.world.onVerify = nil
			r.restart()
			r.advance(time.Minute)
			r.phase("api", incident.Verifying)
			require.Equal(t, []string{"api-1/switch=blue", "api-1/drain=drained-green"}, r.world.did(), "S5")
		})
	}
}

func TestALookThatWasCutShortIsTakenAgain(t *testing.T) {
	crashed, looks := false, 0
	r := newRig(t, func(r *rig) {
		r.hook = func(at string) {
			if at == "step-began" && !crashed {
				crashed = true
				panic(crash{at})
			}
		}
	}).ready()
	r.world.onRun = func(step string) {
		if step == "look" {
			looks++
		}
	}
	r.fire("Hole", "api")
	r.advanceThroughCrash(time.Minute)
	r.phase("api", incident.Verifying)
	require.Equal(t, 1, looks, "what was not looked at is not called seen")
}

func TestARunThatCannotBeVerifiedIsInDoubt(t *testing.T) {
	r := newRig(t).ready()
	r.engine.Impatient()
	r.world.onVerify = func(step string) error {
		if step == "switch" {
			return errors.New("the world does not answer")
		}
		return nil
	}
	r.fire("Hole", "api")
	r.advance(time.Minute)
	r.phase("api", incident.InDoubt)
	require.Len(t, r.world.did(), 1, "never a blind repeat (S5)")
}

// What makes a doubt is often what keeps the world from answering for a while: it is asked again before a person is.
func TestADoubtIsSettledWhenTheWorldAnswersAgain(t *testing.T) {
	r := newRig(t).ready()
	asked := 0
	r.world.onVerify = func(step string) error {
		if step == "switch" {
			asked++
		}
		if step == "switch" && asked < 4 {
			return errors.New("the world does not answer")
		}
		return nil
	}
	r.fire("Hole", "api")
	r.advance(time.Minute)
	r.phase("api", incident.Verifying)
	require.Equal(t, 4, asked)
	require.Equal(t, []string{"api-1/switch=blue", "api-1/drain=drained-green"}, r.world.did(), "never a blind repeat (S5)")
}

func TestARepairWaitsForTheKillSwitch(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.files.procedures = replace(r.files.procedures, "retry: {attempts: 3, backoff: 2s}", "retry: {attempts: 1}\n        on_failure: repair")
	}).ready()
	r.world.onRun = func(step string) {
		if step == "switch" {
			require.NoError(t, r.engine.Stop(t.Context(), sre, "all", "wait"))
			r.world.mu.Lock()
			r.world.fail["switch"] = []error{errors.New("refused")}
			r.world.mu.Unlock()
		}
	}
	r.fire("Hole", "api")
	r.advance(time.Minute)
	r.phase("api", incident.Held)
	require.Empty(t, r.world.did(), "S19 holds for a repair too")
	require.NoError(t, r.engine.Resume(t.Context(), sre, "all", "on"))
	r.settle()
	i := r.phase("api", incident.Failed)
	require.Contains(t, i.Reason, "its half effect was undone")
	require.Equal(t, []string{"api-1/switch undone"}, r.world.did())
}

// An abort that comes between a step's intent and its beginning finds nothing to cut short yet; it is heard all the same.
func TestAbortedBetweenIntentAndBeginning(t *testing.T) {
	var r *rig
	aborted := false
	r = newRig(t, func(bent *rig) {
		bent.hook = func(point string) {
			if point == "step-began" && !aborted {
				aborted = true
				require.NoError(t, r.engine.Abort(t.Context(), sre, "api-1", "no"))
			}
		}
	}).ready()
	r.world.until = "look" // it runs until it is cut short
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	require.True(t, aborted)
	i := r.phase("api", incident.Cancelled)
	require.Contains(t, i.Steps[0].Error, context.Canceled.Error(), "it did not run out its time")
	require.Empty(t, r.world.did())
}
