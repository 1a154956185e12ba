package ruletest

import (
	"cmp"
	"errors"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/simulate"
	"astern.dev/astern/rules/expr"
)

// outcome is what a step comes to, as the test says.
func (p *play) outcome(c simulate.StepCall) simulate.StepOutcome {
	says, written := p.test.Steps[c.Step]
	o := simulate.StepOutcome{Takes: says.Takes, Outputs: c.Action.Outputs(), Unverifiable: says.Verify == "unknown", Early: says.Verify == "done"}
	if says.Outputs != nil {
		o.Outputs = says.Outputs
	}
	fails := says.Fails
	if says.Doubtful && fails == 0 {
		fails = 1
	}
	if !written || fails != Always && c.Attempt > fails {
		return o
	}
	err := errors.New(cmp.Or(says.Error, "the test says that it fails"))
	switch {
	case says.Doubtful && says.Verify == "not_done":
		o.Err = actions.Doubtful(err)
	case says.Doubtful:
		o.Lost = true
	case says.Permanent:
		o.Err = actions.Permanent(err)
	default:
		o.Err = err
	}
	return o
}

// telling is what a telling comes to, as the test says.
func (p *play) telling(c simulate.NoticeCall) error {
	says, written := p.test.Channels[c.Via]
	if !written || !says.covers(p.since()) || says.Fails != Always && c.Attempt > says.Fails {
		return nil
	}
	err := errors.New(cmp.Or(says.Error, "the test says that it fails"))
	if says.Permanent {
		return actions.Permanent(err)
	}
	return err
}

// remember keeps each alert that was delivered, once, for the coverage.
func (p *play) remember(source string, a incident.Alert) {
	id := engine.AlertID(source, a.Labels) + a.Status
	if p.known[id] {
		return
	}
	p.known[id] = true
	p.seen = append(p.seen, expr.Vars{Now: p.now(), Alert: expr.Alert{
		Status: a.Status, Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt, EndsAt: a.EndsAt, Fingerprint: a.Fingerprint, Source: source,
	}})
}
