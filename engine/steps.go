package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
)

// start runs one step: guards first, then the recorded intent with its claims, then the action, then its outcome.
func (e *Engine) start(ctx context.Context, inc incident.Incident, c incident.Start) error {
	q, gone, err := e.askAboutStep(ctx, inc, c.Step, c.Attempt)
	if err != nil {
		return err
	}
	if gone != nil {
		return e.holdStep(ctx, inc, c, c.Step, []incident.Finding{*gone})
	}
	if findings := e.askStep(ctx, q); !allPass(findings) {
		return e.holdStep(ctx, inc, c, c.Step, findings)
	}
	token, err := e.begin(ctx, q, c)
	if err != nil || token < 0 {
		return err
	}
	e.hook("step-began")
	return e.run(ctx, q, token)
}

func (e *Engine) askAboutStep(ctx context.Context, inc incident.Incident, n, attempt int) (stepQuestion, *incident.Finding, error) {
	// The rule is not asked for: one that left the configuration does not stop a procedure that runs (S28).
	base, gone, err := e.ask(ctx, inc, "")
	q := stepQuestion{question: base, step: inc.Plan.Steps[n], run: inc.Steps[n], attempt: attempt}
	if err != nil || gone != nil {
		return q, gone, err
	}
	action, with, err := base.cfg.Book.Action(q.step, stepOutputs(inc))
	if err != nil {
		return q, finding("plan", "S17", incident.Hold, "step %s: %v", q.step.Name, err), nil
	}
	_, _, err = base.cfg.Book.Action(q.step, nil) // as the plan saw it, before any step had run
	var waited *plan.LateError
	q.late = errors.As(err, &waited)
	q.action, q.step.With = action, with
	return q, nil, nil
}

func stepOutputs(inc incident.Incident) map[string]map[string]any {
	outputs := map[string]map[string]any{}
	for n, run := range inc.Steps {
		var values map[string]any
		if run.State == incident.Done && len(run.Outputs) > 0 && json.Unmarshal(run.Outputs, &values) == nil {
			outputs[inc.Plan.Steps[n].Name] = values
		}
	}
	return outputs
}

func allPass(findings []incident.Finding) bool {
	v, _ := worst(findings)
	return v == incident.Go
}

// refusals leaves out the guards that pass: a hold is written down at each look.
func refusals(findings []incident.Finding) []incident.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f incident.Finding) bool { return f.Verdict == incident.Go })
}

// holdStep records why the next step does not run now, and gives back the slot: who waits holds none.
func (e *Engine) holdStep(ctx context.Context, inc incident.Incident, c incident.Command, step int, findings []incident.Finding) error {
	_, reason := worst(findings)
	held := incident.StepHeld{Step: step, Findings: refusals(findings), Reason: reason, RetryAt: (question{now: e.now()}).retryAt(findings)}
	d := facts(byAstern, held)
	var err error
	if d.release, err = e.slotsOf(ctx, inc); err != nil {
		return err
	}
	_, err = e.recordFor(ctx, inc.ID, c, d)
	return ignoreUnwished(err)
}

// begin records the intent and takes the claims in one transaction. A token below zero means that the step must not run.
func (e *Engine) begin(ctx context.Context, q stepQuestion, c incident.Start) (int64, error) {
	r, refusals := e.intend(ctx, q, c, nil)
	tokens, err := r.tokens, r.err
	var claimed *incident.ClaimedError
	switch {
	case errors.Is(err, errRefused):
		return -1, e.holdStep(ctx, q.inc, c, c.Step, refusals)
	case errors.As(err, &claimed):
		return -1, e.claimRefused(ctx, q, c, claimed)
	case errors.Is(err, errUnwished):
		return -1, nil
	case err != nil:
		return -1, err
	}
	return tokens[lockPool(q.target.Name)], nil
}

// intend stores the intent, after the judgement that wishes it where that is not stored yet.
func (e *Engine) intend(ctx context.Context, q stepQuestion, c incident.Start, unstored *judgement) (recorded[incident.Incident], []incident.Finding) {
	began := incident.StepBegan{Step: c.Step, Attempt: c.Attempt, Until: q.now.Add(q.step.Timeout)}
	if string(q.step.With) != string(q.inc.Plan.Steps[c.Step].With) {
		began.With = q.step.With
	}
	var refusals []incident.Finding
	e.beginning.RLock()
	defer e.beginning.RUnlock()
	r := e.incidents.record(ctx, incidentStream(q.inc.ID), func(i incident.Incident) (draft, error) {
		var all []incident.Fact
		if unstored != nil {
			next, err := unstored.on(e, i)
			if err != nil {
				return draft{}, err
			}
			i, all = next, append(all, unstored.fact)
		}
		if !e.stillWished(i, c) {
			return draft{}, errUnwished
		}
		if refusals = e.askOnceMore(q); !allPass(refusals) {
			return draft{}, errRefused
		}
		d := facts(byAstern, append(all, began)...)
		d.take = q.claims()
		return d, nil
	})
	return r, refusals
}

// errRefused: a guard said no in the moment in which the intent was to be recorded.
var errRefused = errors.New("refused by a guard")

// askOnceMore asks the guards that read histories alone in the moment the intent is recorded: asking the world took its
// time, and a person who said stop, hold or deny meanwhile is obeyed (S19, S33, S14).
func (e *Engine) askOnceMore(q stepQuestion) []incident.Finding {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var err error
	if q.history, err = e.targets.load(ctx, targetStream(q.target.Name)); err != nil {
		return []incident.Finding{*finding("target", "S4", incident.Hold, "the history of %s cannot be read: %v", q.target.Name, err)}
	}
	q.now = e.now()
	findings := []incident.Finding{e.guardStop(ctx, q.question), e.guardArmed(q)}
	if q.step.Change.Changes {
		findings = append(findings, e.guardHold(ctx, q.question), e.guardSameRelease(q), e.guardSameObject(q), e.guardDenied(q))
	}
	return findings
}

// claimRefused: a rival was first. A full budget asks a person; a busy slot or lock waits.
func (e *Engine) claimRefused(ctx context.Context, q stepQuestion, c incident.Start, claimed *incident.ClaimedError) error {
	f := finding(slotGuard, "S9", incident.Hold, "%v", claimed)
	f.RetryAt = e.now().Add(5 * time.Second)
	if strings.HasPrefix(claimed.Pool, "hour/") || strings.HasPrefix(claimed.Pool, "day/") {
		f.Guard, f.Verdict, f.RetryAt = "budget", incident.Ask, e.now().Add(time.Second)
	}
	return e.holdStep(ctx, q.inc, c, c.Step, []incident.Finding{*f})
}

const slotGuard = "slot"

// run performs the action under its deadline and records what came of it.
func (e *Engine) run(ctx context.Context, q stepQuestion, token int64) error {
	env := e.env(q.cfg, q.inc, q.target, q.step, q.attempt, token)
	runCtx, cancel := context.WithTimeout(ctx, q.step.Timeout)
	defer cancel()
	if !q.step.Change.Changes { // a step that only looks may be cut short by an abort
		e.running.Store(incidentStream(q.inc.ID), cancel)
		defer e.running.Delete(incidentStream(q.inc.ID))
		if now, err := e.incidents.load(ctx, incidentStream(q.inc.ID)); err == nil && now.Refusal != nil {
			cancel() // the abort came between the intent and here, and found nothing to cut short
		}
	}
	defer e.progress.Delete(incidentStream(q.inc.ID))
	result, err := ended(runCtx, e.grace, func() (actions.Result, error) { return q.action.Run(runCtx, env) })
	e.hook("step-ran")
	if ctx.Err() != nil { // shutting down: the next start asks the world
		return ctx.Err()
	}
	if err == nil {
		if err = e.verified(ctx, q, env); err != nil && !errors.Is(err, actions.ErrNotDone) {
			err = actions.Doubtful(err) // it ran, and whether it took effect cannot be seen
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		return e.stepSucceeded(ctx, q, token, result, false)
	}
	return e.stepFailed(ctx, q, token, result, err)
}

// errPanicked marks what a panicking action left behind: its effect is unknown and it is not tried again.
var errPanicked = errors.New("the action panicked")

func safely[R any](do func() (R, error)) (r R, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = actions.Permanent(fmt.Errorf("%w: %v\n%s", errPanicked, p, debug.Stack()))
		}
	}()
	return do()
}

// ended waits for an action until its deadline and a grace: one that does not heed its context hangs nothing (S22). What
// it still does by itself nobody knows.
func ended[R any](ctx context.Context, grace time.Duration, do func() (R, error)) (R, error) {
	type answer struct {
		result R
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		r, err := safely(do)
		done <- answer{r, err}
	}()
	select {
	case a := <-done:
		return a.result, a.err
	case <-ctx.Done():
	}
	select {
	case a := <-done:
		return a.result, a.err
	case <-time.After(grace):
		var none R
		return none, actions.Permanent(actions.Doubtful(fmt.Errorf("it did not end by its deadline: %w", ctx.Err())))
	}
}

const (
	verifyPatience = 20 * time.Second
	doubtPatience  = 30 * time.Second
	doubtEvery     = time.Second
)

// verified asks the action whether its effect is there; an action that cannot tell is believed.
func (e *Engine) verified(ctx context.Context, q stepQuestion, env actions.Env) error {
	v, can := q.action.(actions.Verifier)
	if !can {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, verifyPatience)
	defer cancel()
	_, err := ended(ctx, e.grace, func() (struct{}, error) { return struct{}{}, v.Verify(ctx, env) })
	return err
}

// insisted asks for a while: what made the doubt, such as an API that restarts, keeps the action from telling, too.
func (e *Engine) insisted(ctx context.Context, q stepQuestion, env actions.Env) error {
	patient, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	for {
		err := e.verified(ctx, q, env)
		if err == nil || errors.Is(err, actions.ErrNotDone) || actions.IsPermanent(err) {
			return err
		}
		select {
		case <-patient.Done():
			return err
		case <-time.After(doubtEvery):
		}
	}
}

func (e *Engine) fenceOf(q stepQuestion, token int64) *incident.Fence {
	if token == 0 {
		return nil
	}
	return &incident.Fence{Pool: lockPool(q.target.Name), Token: token}
}

// tokenOf is the token of the lock that the incident holds; zero when it holds none yet.
func (e *Engine) tokenOf(ctx context.Context, inc incident.Incident) (int64, error) {
	places, err := e.store.Claims(ctx, lockPool(inc.Target), e.now())
	if err != nil {
		return 0, fmt.Errorf("read the lock of %s: %w", inc.Target, err)
	}
	for _, p := range places {
		if p.Pool == lockPool(inc.Target) && p.Holder == incidentStream(inc.ID) {
			return p.Token, nil
		}
	}
	return 0, nil
}

func (e *Engine) stepIndex(q stepQuestion) int {
	for n, s := range q.inc.Plan.Steps {
		if s.Name == q.step.Name {
			return n
		}
	}
	return -1
}

// recordOutcome stores what happened whatever the incident wishes now: it happened.
func (e *Engine) recordOutcome(ctx context.Context, q stepQuestion, token int64, f incident.Fact) error {
	r := e.incidents.record(ctx, incidentStream(q.inc.ID), func(incident.Incident) (draft, error) {
		d := facts(byAstern, f)
		d.fence = e.fenceOf(q, token)
		return d, nil
	})
	e.hook("step-recorded")
	return r.err
}

func (e *Engine) stepSucceeded(ctx context.Context, q stepQuestion, token int64, result actions.Result, settled bool) error {
	outputs, err := actions.EncodeOutputs(result.Outputs)
	if err != nil {
		return err
	}
	return e.recordOutcome(ctx, q, token, incident.StepSucceeded{
		Step: e.stepIndex(q), Attempt: q.attempt, Summary: result.Summary, Output: result.Output, Outputs: outputs, Settled: settled,
	})
}

// stepFailed sorts a failure: done all the same, certainly not done, failed, or unknown.
func (e *Engine) stepFailed(ctx context.Context, q stepQuestion, token int64, result actions.Result, err error) error {
	n := e.stepIndex(q)
	if doubtful := actions.IsDoubtful(err) || errors.Is(err, errPanicked); doubtful && q.step.Change.Changes {
		switch verdict := e.askWorld(ctx, q, err); {
		case ctx.Err() != nil: // shutting down: the next start asks the world
			return ctx.Err()
		case verdict == nil:
			result.Summary = cmp.Or(result.Summary, "found done, though its answer got lost")
			return e.stepSucceeded(ctx, q, token, result, true)
		case !errors.Is(verdict, actions.ErrNotDone):
			return e.recordOutcome(ctx, q, token, incident.StepDoubted{Step: n, Attempt: q.attempt, Reason: err.Error()})
		}
	}
	return e.recordOutcome(ctx, q, token, incident.StepErred{
		Step: n, Attempt: q.attempt, Error: err.Error(), Output: result.Output, Permanent: actions.IsPermanent(err),
		RetryAt: e.now().Add(q.step.Backoff << min(q.attempt-1, 6)),
	})
}

// askWorld asks whether an effect is there that must not be repeated blindly (S5). An action that cannot say leaves
// what made it doubtful.
func (e *Engine) askWorld(ctx context.Context, q stepQuestion, doubt error) error {
	if _, can := q.action.(actions.Verifier); !can {
		return doubt
	}
	return e.insisted(ctx, q, e.env(q.cfg, q.inc, q.target, q.step, q.attempt, 0))
}

// settle finds out what became of a step that a crash left under way. It never repeats it blindly (S5).
func (e *Engine) settle(ctx context.Context, inc incident.Incident, c incident.Settle) error {
	q, gone, err := e.askAboutStep(ctx, inc, c.Step, c.Attempt)
	if err != nil {
		return err
	}
	token, err := e.tokenOf(ctx, inc)
	if err != nil {
		return err
	}
	doubt := func(why string) error {
		return e.recordOutcome(ctx, q, token, incident.StepDoubted{Step: c.Step, Attempt: c.Attempt, Reason: why})
	}
	if !q.step.Change.Changes {
		return e.recordOutcome(ctx, q, token, incident.StepDidNotHappen{Step: c.Step, Attempt: c.Attempt, Reason: "a step that only looks may run again"})
	}
	if gone != nil {
		return doubt(gone.Reason)
	}
	if _, can := q.action.(actions.Verifier); !can {
		return doubt("it was under way when astern stopped, and " + q.step.Uses + " cannot say whether it took effect")
	}
	switch err := e.insisted(ctx, q, e.env(q.cfg, inc, q.target, q.step, c.Attempt, token)); {
	case ctx.Err() != nil: // shutting down is no answer
		return ctx.Err()
	case err == nil:
		return e.stepSucceeded(ctx, q, token, actions.Result{Summary: "found done after a restart"}, true)
	case errors.Is(err, actions.ErrNotDone):
		return e.recordOutcome(ctx, q, token, incident.StepDidNotHappen{Step: c.Step, Attempt: c.Attempt, Reason: err.Error()})
	default:
		return doubt("it was under way when astern stopped, and the world did not answer: " + err.Error())
	}
}

// repair undoes the failed step's own half effect; it never sends traffic back to the version being left (S12).
func (e *Engine) repair(ctx context.Context, inc incident.Incident, c incident.RepairStep) error {
	q, gone, err := e.askAboutStep(ctx, inc, c.Step, inc.Steps[c.Step].Attempt)
	if err != nil {
		return err
	}
	if gone == nil {
		if findings := []incident.Finding{e.guardStop(ctx, q.question), e.guardHold(ctx, q.question)}; !allPass(findings) {
			return e.holdStep(ctx, inc, c, c.Step, findings)
		}
	}
	token, err := e.tokenOf(ctx, inc)
	if err != nil {
		return err
	}
	f := incident.StepRepaired{Step: c.Step}
	switch repairer, can := q.action.(actions.Repairer); {
	case gone != nil:
		f.Error = gone.Reason
	case !can:
		f.Error = q.step.Uses + " cannot undo a half effect"
	default:
		ctx, cancel := context.WithTimeout(ctx, q.step.Timeout)
		defer cancel()
		_, err := ended(ctx, e.grace, func() (struct{}, error) {
			return struct{}{}, repairer.Repair(ctx, e.env(q.cfg, inc, q.target, q.step, q.attempt, token))
		})
		if err != nil {
			f.Error = err.Error()
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_, err = e.recordFor(ctx, inc.ID, c, facts(byAstern, f))
	return ignoreUnwished(err)
}

// env is what a step may use of the world.
func (e *Engine) env(cfg *Configuration, inc incident.Incident, t *plan.Target, s incident.Step, attempt int, token int64) actions.Env {
	installation, _ := e.installationNow()
	return actions.Env{
		Installation: installation.ID,
		Key:          inc.ID + "/" + s.Name, Incident: inc.ID, Target: t.Name, Environment: t.Environment, Attempt: attempt, Token: token,
		Now: e.now, Connect: connector(cfg, t.Connections, s.Connection),
		Progress: func(line string) { e.progress.Store(incidentStream(inc.ID), line); e.watchers.changed(inc.ID) },
	}
}

// connector gives opened connections: of a kind, the one named, else the step's own, else the target's, else the only one.
func connector(cfg *Configuration, chosen map[string]string, own string) func(kind, name string) (any, error) {
	return func(kind, name string) (any, error) {
		named := cfg.Settings.Connections[kind]
		for _, candidate := range []string{name, own, chosen[kind]} {
			if candidate == "" {
				continue
			}
			if c, ok := named[candidate]; ok {
				return c, nil
			}
			if candidate != own {
				return nil, actions.Permanent(fmt.Errorf("connection %s/%s is not configured", kind, candidate))
			}
		}
		if len(named) == 1 {
			for _, only := range named {
				return only, nil
			}
		}
		return nil, actions.Permanent(fmt.Errorf("%d connections of kind %s are configured and none is chosen", len(named), kind))
	}
}

func connection[C any](cfg *Configuration, chosen map[string]string, kind, name string) (C, error) {
	var none C
	c, err := connector(cfg, chosen, "")(kind, name)
	if err != nil {
		return none, err
	}
	typed, ok := c.(C)
	if !ok {
		return none, fmt.Errorf("connection %s is a %T", kind, c)
	}
	return typed, nil
}
