package engine

import (
	"context"

	"astern.dev/astern/engine/incident"
)

// judgement is an answer to Judge, with what it was made under. It is not stored yet.
type judgement struct {
	cfg  *Configuration
	asks incident.Judge
	fact incident.Judged
}

// stands is errUnwished when the judgement is no longer asked for, or was made under what no longer holds.
func (j judgement) stands(e *Engine, i incident.Incident) error {
	if !e.stillWished(i, j.asks) || !e.sameGround(j.cfg, i.Target, j.fact) {
		return errUnwished
	}
	return nil
}

// on is the incident as it will be once the judgement is stored, or errUnwished.
func (j judgement) on(e *Engine, i incident.Incident) (incident.Incident, error) {
	if err := j.stands(e, i); err != nil {
		return i, err
	}
	event := incident.NewEvent(e.now(), byAstern, j.cfg.Digest, j.fact)
	event.Version = i.Version + 1
	return incident.Apply(i, event), nil
}

// beginAtOnce stores a judgement that lets the first step go together with the step's intent: one durable write before
// the effect instead of two. All that is asked before a step is asked here, too. Where anything of it says no, nothing
// is stored and begun is false: the judgement goes the ordinary way, and the step after it.
func (e *Engine) beginAtOnce(ctx context.Context, inc incident.Incident, j judgement) (begun bool, err error) {
	next, err := j.on(e, inc)
	if err != nil || j.asks.Again {
		return false, nil //nolint:nilerr // the ordinary way says what it means
	}
	command, _ := e.wish(next, incident.ProcedureLane)
	start, starts := command.(incident.Start)
	if !starts {
		return false, nil
	}
	q, gone, err := e.askAboutStep(ctx, next, start.Step, start.Attempt)
	if err != nil || gone != nil || q.cfg != j.cfg || !allPass(e.askStep(ctx, q)) || ctx.Err() != nil {
		return false, nil //nolint:nilerr // as above
	}
	r, _ := e.intend(ctx, q, start, &j)
	if r.err != nil {
		return false, nil // it was not stored, or the program ends: then the next start finds the step begun
	}
	e.hook("step-began")
	return true, e.run(ctx, q, r.tokens[lockPool(q.target.Name)])
}
