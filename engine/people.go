package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"astern.dev/astern/engine/incident"
)

// What people may do. Each is recorded with who did it; what does not fit the present state is refused and changes nothing.

// Incidents lists incidents, newest first.
func (e *Engine) Incidents(ctx context.Context, f incident.HeadFilter) ([]incident.Head, error) {
	return e.store.Heads(ctx, f)
}

// Incident is one incident with its whole history.
func (e *Engine) Incident(ctx context.Context, id string) (incident.Incident, []incident.Event, error) {
	events, err := e.store.Load(ctx, incidentStream(id))
	if errors.Is(err, incident.ErrCompacted) {
		return incident.Incident{}, nil, fmt.Errorf("incident %s: %w: %w", id, ErrNotFound, err)
	}
	if err != nil {
		return incident.Incident{}, nil, err
	}
	if len(events) == 0 {
		return incident.Incident{}, nil, missing("incident", id)
	}
	return incident.Replay(events), events, nil
}

// Progress is the last line that a running step told; it is shown, never stored.
func (e *Engine) Progress(id string) string {
	line, _ := e.progress.Load(incidentStream(id))
	text, _ := line.(string)
	return text
}

func (e *Engine) say(ctx context.Context, p Person, id string, ask func(incident.Incident) (incident.Fact, error)) error {
	r := e.incidents.record(ctx, incidentStream(id), func(i incident.Incident) (draft, error) {
		if i.Version == 0 {
			return draft{}, missing("incident", id)
		}
		f, err := ask(i.At(e.now()))
		if err != nil {
			return draft{}, err
		}
		return facts(p.Name, f), nil
	})
	return r.err
}

// minHash is the shortest form of a plan's hash that a person may type.
const minHash = 6

// Approve says yes to exactly one plan, named by at least six characters of its hash (S21).
func (e *Engine) Approve(ctx context.Context, p Person, id, planHash, comment string) error {
	return e.say(ctx, p, id, func(i incident.Incident) (incident.Fact, error) {
		switch {
		case len(planHash) < minHash:
			return nil, refused("name the plan by at least %d characters of its hash", minHash)
		case i.Phase != incident.AwaitingApproval || i.Offer == nil:
			return nil, stale("%s is %s: %s; nothing waits for approval", id, i.Phase, i.Reason)
		case !strings.HasPrefix(i.Offer.Plan, planHash):
			return nil, stale("%s offers plan %s, not %s: look at it again", id, incident.Short(i.Offer.Plan), incident.Short(planHash))
		case i.Approval != nil && i.Now.Before(i.Approval.Until):
			return nil, stale("already approved by %s at %s", i.Approval.By, stamp(i.Approval.At))
		case !i.Now.Before(i.Offer.Until):
			return nil, stale("the offer of plan %s ended at %s", incident.Short(i.Offer.Plan), stamp(i.Offer.Until))
		}
		return incident.Approved{Plan: i.Offer.Plan, Comment: comment, Until: i.Now.Add(e.guardsOf(i).ApprovalGood.Value)}, nil
	})
}

func (e *Engine) guardsOf(i incident.Incident) incident.Guards {
	cfg := e.config.Load()
	if t, ok := cfg.Book.Target(i.Target); ok {
		r, _ := cfg.Rules.Rule(i.Lead)
		return guardsFor(cfg, t, r)
	}
	return incident.Merge(cfg.Settings.Guards, incident.DefaultGuards())
}

// Reject says no to the open case: it ends and its alerts start nothing again.
func (e *Engine) Reject(ctx context.Context, p Person, id, reason string) error {
	return e.say(ctx, p, id, func(i incident.Incident) (incident.Fact, error) {
		switch {
		case reason == "":
			return nil, refused("a reason is needed: it is what the next person reads")
		case i.Phase.Final():
			return nil, stale("%s has ended: %s", id, i.Phase)
		case i.Refusal != nil:
			return nil, stale("already %s", i.Reason)
		case i.Touched || len(i.Steps) > 0:
			return nil, stale("%s runs already: use abort", id)
		}
		return incident.Declined{Reason: reason}, nil
	})
}

// Abort stops an incident before its next step. What was done stays done.
func (e *Engine) Abort(ctx context.Context, p Person, id, reason string) error {
	err := e.say(ctx, p, id, func(i incident.Incident) (incident.Fact, error) {
		switch {
		case reason == "":
			return nil, refused("a reason is needed: it is what the next person reads")
		case i.Phase.Final():
			return nil, stale("%s has ended: %s", id, i.Phase)
		case i.Refusal != nil:
			return nil, stale("already %s", i.Reason)
		}
		return incident.Aborted{Reason: reason}, nil
	})
	if cancel, ok := e.running.Load(incidentStream(id)); ok && err == nil {
		cancel.(context.CancelFunc)()
	}
	return err
}

// Settle is a person's word on a step in doubt (S5).
func (e *Engine) Settle(ctx context.Context, p Person, id, step string, s Settlement, reason string) error {
	return e.say(ctx, p, id, func(i incident.Incident) (incident.Fact, error) {
		if s != ItHappened && s != ItDidNot {
			return nil, refused("say %q or %q", ItHappened, ItDidNot)
		}
		if i.Plan == nil || i.Phase != incident.InDoubt {
			return nil, stale("%s is %s: no step is in doubt", id, i.Phase)
		}
		for n, planned := range i.Plan.Steps {
			if planned.Name == step && i.Steps[n].State == incident.Doubted {
				return incident.StepSettled{Step: n, Done: s == ItHappened, Reason: reason}, nil
			}
		}
		return nil, stale("step %q of %s is not in doubt", step, id)
	})
}

// Preview is what would be done now for a target. It changes nothing.
func (e *Engine) Preview(ctx context.Context, target string) (Preview, error) {
	q, err := e.askForPerson(ctx, target)
	if err != nil {
		return Preview{}, err
	}
	findings := e.makePlan(ctx, &q)
	findings = append(findings, e.askOpening(ctx, q)...)
	if q.plan == nil {
		_, why := worst(findings)
		return Preview{}, refused("%s", why)
	}
	return Preview{*q.plan, findings}, nil
}

func (e *Engine) askForPerson(ctx context.Context, target string) (question, error) {
	id, err := e.requestedID(ctx, target)
	if err != nil {
		return question{}, err
	}
	inc := incident.Incident{ID: id, Target: target, Request: &incident.Request{}, Now: e.now()}
	q, gone, err := e.ask(ctx, inc, "")
	if gone != nil {
		return q, missing("target", target)
	}
	return q, err
}

// requestedID is the incident that a person's request would join or open now: a plan that names it is previewed as it
// will be made.
func (e *Engine) requestedID(ctx context.Context, target string) (string, error) {
	if id, open := e.index.openFor(target); open {
		return id, nil
	}
	past, err := e.pastIncidents(ctx, target, e.now()) // only the numbers count
	return target + "-" + strconv.Itoa(nextNumber(past)), err
}

// Rollback is a person's own rollback (T6). It joins the target's open incident when nothing runs there yet. A plan's
// hash, when given, must be the one that would be made now.
func (e *Engine) Rollback(ctx context.Context, p Person, target, reason, planHash string) (string, error) {
	if reason == "" {
		return "", refused("a reason is needed: it is what the next person reads")
	}
	preview, err := e.Preview(ctx, target)
	if err != nil {
		return "", err
	}
	if planHash != "" && (len(planHash) < minHash || !strings.HasPrefix(preview.Plan.Hash, planHash)) {
		return "", stale("the plan is %s now, not %s: look at it again with `astern plan %s`", incident.Short(preview.Plan.Hash), incident.Short(planHash), target)
	}
	for tries := 0; tries < 5; tries++ {
		id, err := e.request(ctx, p, target, incident.Requested{Reason: reason, Plan: preview.Plan.Hash})
		if !errors.Is(err, errMoved) {
			return id, err
		}
	}
	return "", incident.ErrUnavailable
}

func (e *Engine) request(ctx context.Context, p Person, target string, f incident.Requested) (string, error) {
	if id, open := e.index.openFor(target); open {
		err := e.say(ctx, p, id, func(i incident.Incident) (incident.Fact, error) {
			if i.Phase.Final() {
				return nil, errMoved
			}
			if len(i.Steps) > 0 || i.Touched || i.Request != nil {
				return nil, stale("%s is open for this target already: %s", id, i.Reason)
			}
			return f, nil
		})
		if errors.Is(err, errMoved) {
			if i, lerr := e.incidents.load(ctx, incidentStream(id)); lerr == nil {
				e.index.learn(i)
			}
		}
		return id, err
	}
	past, err := e.pastIncidents(ctx, target, e.now()) // only the numbers count
	if err != nil {
		return "", err
	}
	t, _ := e.config.Load().Book.Target(target)
	id := target + "-" + strconv.Itoa(nextNumber(past))
	r := e.incidents.record(ctx, incidentStream(id), func(i incident.Incident) (draft, error) {
		if i.Version > 0 {
			return draft{}, errMoved
		}
		d := facts(p.Name, incident.Opened{ID: id, Target: target, Environment: t.Environment}, f)
		d.take = []incident.Claim{{Pool: "open/" + target, Limit: 1}}
		return d, nil
	})
	var claimed *incident.ClaimedError
	if errors.As(r.err, &claimed) {
		e.learnHolder(ctx, claimed)
		return "", errMoved
	}
	return id, r.err
}

// Hold says "I have it": automation leaves the target alone for a time. No time lifts the hold.
func (e *Engine) Hold(ctx context.Context, p Person, target, reason string, d time.Duration) error {
	if _, ok := e.config.Load().Book.Target(target); !ok {
		return missing("target", target)
	}
	if d > 0 && reason == "" {
		return refused("a reason is needed: it is what the next person reads")
	}
	r := e.targets.record(ctx, targetStream(target), func(incident.TargetHistory) (draft, error) {
		if d <= 0 {
			return facts(p.Name, incident.HoldLifted{Reason: reason}), nil
		}
		return facts(p.Name, incident.HoldSet{Reason: reason, Until: e.now().Add(d)}), nil
	})
	e.reconsider(func(i incident.Incident) bool { return i.Target == target })
	return r.err
}
