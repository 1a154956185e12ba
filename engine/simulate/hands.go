package simulate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"astern.dev/astern/actions"
)

// StepCall is one attempt of a step, as its action would run it.
type StepCall struct {
	Incident, Target, Step, Uses string
	Attempt                      int
	// Action is filled with the rendered parameters and validated.
	Action actions.Action
}

// StepOutcome is what a step comes to. The zero value: done at once, with no outputs.
type StepOutcome struct {
	// Takes is virtual time. A step that takes longer than its timeout ends there.
	Takes time.Duration
	// Err is how it fails; nil succeeds. actions.Permanent and actions.Doubtful are heeded.
	Err error
	// Outputs are `steps.<name>.<output>`.
	Outputs any
	// Lost says that the effect took place and its answer was lost; Verify finds it done.
	Lost bool
	// Early says that the effect is there as soon as the step begins: a process that dies in it finds it done.
	Early bool
	// Unverifiable says that the world does not answer whether it took effect.
	Unverifiable bool
}

// StepRun is one attempt that ended.
type StepRun struct {
	StepCall
	Began, Ended time.Time
	Err          error
	Repair       bool // not the step itself, but undoing its half effect
}

// NoticeCall is one telling, as its channel would send it.
type NoticeCall struct {
	Incident, Target, Via, Delivery string
	Attempt                         int
	Action                          actions.Action
	Message                         actions.Message
}

// Telling is one telling that ended.
type Telling struct {
	NoticeCall
	At  time.Time
	Err error
}

// hand stands in the place of an action: parameters are the action's own, the world is the simulation's.
type hand struct {
	actions.Action
	world *World
}

// wrap keeps what else the action can do: the engine asks for it by type.
func (w *World) wrap(a actions.Action) actions.Action {
	h := hand{a, w}
	_, verifies := a.(actions.Verifier)
	_, repairs := a.(actions.Repairer)
	switch {
	case verifies && repairs:
		return struct {
			hand
			verifier
			repairer
		}{h, verifier{h}, repairer{h}}
	case verifies:
		return struct {
			hand
			verifier
		}{h, verifier{h}}
	case repairs:
		return struct {
			hand
			repairer
		}{h, repairer{h}}
	}
	return h
}

func (h hand) looks() bool {
	l, says := h.Action.(actions.Looker)
	return says && l.OnlyLooks()
}

// Plan says what the target's state is as far as the simulation knows it: who touched it.
func (h hand) Plan(_ context.Context, env actions.Env) (actions.Change, error) {
	if h.looks() {
		return actions.Change{Summary: h.Name()}, nil
	}
	return actions.Change{Changes: true, Summary: h.Name(), Found: h.world.found(env.Target)}, nil
}

// Run lets the step's time pass and comes to what the simulation says; a channel tells.
func (h hand) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	if env.Notice != nil {
		return h.tell(env)
	}
	call := h.call(env)
	begun, outcome := h.world.Now(), h.world.opts.Outcome(call)
	if l, says := h.Action.(actions.Laster); says && outcome.Takes == 0 {
		outcome.Takes = l.Lasts()
	}
	if outcome.Early && outcome.Err == nil {
		h.world.happened(env.Key)
	}
	err := h.last(ctx, env, call.Step, outcome.Takes)
	if err == nil {
		err = outcome.Err
	}
	if err == nil || outcome.Lost {
		h.world.happened(env.Key)
	}
	if outcome.Lost {
		err = actions.Doubtful(errors.New("its answer was lost"))
	}
	h.world.ran(StepRun{StepCall: call, Began: begun, Ended: h.world.Now(), Err: err})
	return actions.Result{Summary: h.Name(), Outputs: outcome.Outputs}, err
}

// last lets virtual time pass, up to the step's timeout.
func (h hand) last(ctx context.Context, env actions.Env, step string, takes time.Duration) error {
	limit := h.world.timeoutOf(env.Incident, step)
	if limit == 0 || takes < limit {
		return h.world.clock.sleep(ctx, takes)
	}
	if err := h.world.clock.sleep(ctx, limit); err != nil {
		return err
	}
	return fmt.Errorf("it did not end within %s: %w", limit, context.DeadlineExceeded)
}

func (h hand) call(env actions.Env) StepCall {
	step := env.Key[strings.LastIndexByte(env.Key, '/')+1:]
	return StepCall{Incident: env.Incident, Target: env.Target, Step: step, Uses: h.Name(), Attempt: env.Attempt, Action: h.Action}
}

func (h hand) tell(env actions.Env) (actions.Result, error) {
	call := NoticeCall{Incident: env.Incident, Target: env.Target, Via: h.Name(), Delivery: env.Notice.Delivery, Attempt: env.Attempt,
		Action: h.Action, Message: env.Notice.Message}
	err := h.world.opts.Telling(call)
	h.world.told(Telling{call, h.world.Now(), err})
	return actions.Result{Ref: call.Delivery}, err
}

type verifier struct{ hand hand }

// Verify says whether the step's effect took place.
func (v verifier) Verify(_ context.Context, env actions.Env) error {
	call := v.hand.call(env)
	switch {
	case v.hand.world.opts.Outcome(call).Unverifiable:
		return errors.New("the world does not answer")
	case v.hand.looks() || v.hand.world.hasHappened(env.Key):
		return nil
	}
	return actions.NotDone("step %s took no effect", call.Step)
}

type repairer struct{ hand hand }

// Repair undoes the half effect.
func (r repairer) Repair(_ context.Context, env actions.Env) error {
	now := r.hand.world.Now()
	r.hand.world.ran(StepRun{StepCall: r.hand.call(env), Began: now, Ended: now, Repair: true})
	return nil
}
