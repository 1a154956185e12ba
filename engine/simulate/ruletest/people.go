package ruletest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// wish is what a person does. The answer is held against what the test says of it; it never ends the test.
func (p *play) wish(ctx context.Context, w Wish) error {
	err := p.ask(ctx, engine.Person{Name: w.By, Role: "admin", Via: "test"}, w)
	refusal := (*engine.RefusedError)(nil)
	stale := (*engine.StaleError)(nil)
	switch {
	case err != nil && !errors.As(err, &refusal) && !errors.As(err, &stale) && !errors.Is(err, engine.ErrNotFound):
		return fmt.Errorf("%s at %s: %w", w.Verb, OffsetText(w.At), err)
	case err == nil && w.Refused != "":
		p.unmet = append(p.unmet, w.failed(fmt.Sprintf("refused: %s", w.Refused), "done"))
	case err != nil && w.Refused == "":
		p.unmet = append(p.unmet, w.failed("done", "refused: "+err.Error()))
	case err != nil && !strings.Contains(err.Error(), w.Refused):
		p.unmet = append(p.unmet, w.failed("refused: "+w.Refused, "refused: "+err.Error()))
	}
	return nil
}

func (w Wish) failed(want, got string) Failure {
	return Failure{Line: w.Line, At: w.At, Fields: []Field{{w.Verb, want, got}}}
}

func (p *play) ask(ctx context.Context, who engine.Person, w Wish) error {
	e := p.world.Engine()
	switch w.Verb {
	case "approvals", "rejects", "aborts", "settles", "marks":
		return p.askOf(ctx, who, w)
	case "rollbacks":
		_, err := e.Rollback(ctx, who, w.Target, w.Reason, "")
		return err
	case "holds":
		return e.Hold(ctx, who, w.Target, w.Reason, w.For)
	case "stops":
		return e.Stop(ctx, who, w.Scope, w.Reason)
	case "resumes":
		return e.Resume(ctx, who, w.Scope, w.Reason)
	case "waivers":
		return e.WaiveRule(ctx, who, w.Rule, w.Reason)
	case "mass_releases":
		return e.ReleaseMassEvent(ctx, who, w.Reason)
	case "arms":
		return e.Arm(ctx, who, w.Reason)
	case "disarms":
		return e.Disarm(ctx, who, w.Reason)
	}
	return e.JudgeRelease(ctx, who, w.Target, w.Version, w.Verdict, w.Reason)
}

// askOf is about the target's newest incident.
func (p *play) askOf(ctx context.Context, who engine.Person, w Wish) error {
	e := p.world.Engine()
	heads, err := e.Incidents(ctx, incident.HeadFilter{Target: w.Target, Limit: 1})
	if err != nil {
		return err
	}
	if len(heads) == 0 {
		return &engine.StaleError{Reason: "there is no incident of " + w.Target}
	}
	id := heads[0].ID
	switch w.Verb {
	case "approvals":
		i, events, err := e.Incident(ctx, id)
		if err != nil {
			return err
		}
		return e.Approve(ctx, who, id, planToApprove(i, events, w.Plan), w.Reason)
	case "rejects":
		return e.Reject(ctx, who, id, w.Reason)
	case "aborts":
		return e.Abort(ctx, who, id, w.Reason)
	case "marks":
		_, err := e.MarkWouldAct(ctx, who, id, w.Rule, w.Right, w.Reason)
		return err
	}
	settled := map[string]engine.Settlement{"done": engine.ItHappened, "repeat": engine.ItDidNot}[w.Effect]
	return e.Settle(ctx, who, id, w.Step, settled, w.Reason)
}

// planToApprove is the plan on offer, or one that is not: the one before it, or one that never was.
func planToApprove(i incident.Incident, events []incident.Event, which string) string {
	now := strings.Repeat("0", 12)
	if i.Offer != nil {
		now = i.Offer.Plan
	}
	if which != "stale" {
		return now
	}
	for _, e := range slices.Backward(events) {
		if judged, ok := e.Fact.(incident.Judged); ok && judged.Plan != nil && judged.Plan.Hash != now {
			return judged.Plan.Hash
		}
	}
	return strings.Repeat("f", 12)
}
