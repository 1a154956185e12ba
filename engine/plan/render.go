package plan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

// Input is what a plan is made for.
type Input struct {
	Target *Target
	// Procedure is a procedure's name, or "rollback" for the target's own.
	Procedure string
	// Vars are the values of the incident; target and release are filled from Target, From and To.
	Vars     expr.Vars
	From, To incident.Release
	// UID is that of the object that runs the target, where one was seen; empty takes the target's own.
	UID string
	// Config and Now say by which configuration and when; they are no part of the plan's hash.
	Config string
	Now    time.Time
}

// Render makes the plan without touching the world: every parameter rendered and validated for this incident. Each
// step's Change is still empty, and so is the hash. The same input gives the same plan.
func (b *Book) Render(in Input) (incident.Plan, error) {
	procedure, err := b.procedureFor(in.Target, in.Procedure)
	if err != nil {
		return incident.Plan{}, err
	}
	p := incident.Plan{Procedure: procedure.Name, From: in.From, To: in.To, MadeAt: in.Now, Config: in.Config,
		Target: incident.TargetRef{Name: in.Target.Name, Environment: in.Target.Environment, UID: cmp.Or(in.UID, in.Target.UID)}}
	vars := planVars(in)
	for _, s := range procedure.Steps {
		step, err := b.renderStep(s, view{vars: vars})
		if err != nil {
			return incident.Plan{}, fmt.Errorf("step %s: %w", s.Name, err)
		}
		p.Steps = append(p.Steps, step)
	}
	return p, nil
}

func (b *Book) procedureFor(t *Target, name string) (*Procedure, error) {
	if name == rollback {
		if name = t.Procedure; name == "" {
			return nil, fmt.Errorf("target %s has no procedure of its own: write `procedure:` in it or in its class", t.Name)
		}
	}
	p, ok := b.Procedure(name)
	if !ok {
		return nil, fmt.Errorf("there is no procedure %q", name)
	}
	return p, nil
}

// planVars are the values a plan may depend on: nothing that changes while the plan waits, or no plan could be
// approved. The phase is the one that its steps will see.
func planVars(in Input) expr.Vars {
	v := in.Vars
	v.Target = in.Target.ExprTarget()
	v.Release = expr.ReleasePair{Current: exprRelease(in.From), Previous: exprRelease(in.To)}
	v.Incident.Phase, v.Now, v.Steps = string(incident.Running), time.Time{}, nil
	return v
}

func exprRelease(r incident.Release) expr.Release {
	return expr.Release{Version: r.Version, Commit: r.Commit, Digest: r.Digest, At: r.At, Verdict: string(r.Verdict), Schema: r.Schema, Vars: r.Vars}
}

func (b *Book) renderStep(s *Step, v view) (incident.Step, error) {
	value, err := s.with.render(v)
	if err != nil {
		return incident.Step{}, err
	}
	with, err := encode(value)
	if err != nil {
		return incident.Step{}, err
	}
	step := incident.Step{Name: s.Name, Uses: s.Uses, Connection: s.Connection, With: with, Timeout: s.Timeout, Attempts: s.Attempts, Backoff: s.Backoff, OnFailure: s.OnFailure}
	if value, err = decode(with); err != nil || isLate(value) {
		return step, err
	}
	_, err = build(s.entry, value) // from what is stored: that is what will run
	return step, err
}

// Complete asks each action what it would change (reads only), fills Change, then the hash. A step that waits for an
// earlier step's output cannot be asked yet: it counts as changing, and what it will find is not known.
func (b *Book) Complete(ctx context.Context, p incident.Plan, env func(step incident.Step) actions.Env) (incident.Plan, error) {
	p.Steps = slices.Clone(p.Steps)
	for i, step := range p.Steps {
		action, _, err := b.Action(step, nil)
		var waits *LateError
		if errors.As(err, &waits) {
			p.Steps[i].Change = incident.Change{Changes: true, Summary: "known when it runs: " + waits.Error()}
			continue
		}
		if err != nil {
			return incident.Plan{}, fmt.Errorf("plan step %s: %w", step.Name, err)
		}
		change, err := action.Plan(ctx, env(step))
		if err != nil {
			return incident.Plan{}, fmt.Errorf("plan step %s: %w", step.Name, err)
		}
		p.Steps[i].Change = incident.Change(change)
	}
	p.Hash = incident.PlanHash(p)
	return p, nil
}
