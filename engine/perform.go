package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/engine/incident"
)

const byAstern = "astern"

// Perform does what the judgement wishes for one incident in one lane, until nothing more is to be done now. It is the
// dispatcher's work: one call at a time for each stream and lane. It returns when to be called again.
func (e *Engine) Perform(ctx context.Context, stream string, lane incident.Lane) time.Time {
	for ctx.Err() == nil {
		inc, err := e.incidents.load(ctx, stream)
		if err != nil {
			return e.later(stream, "load the incident", err)
		}
		if _, changed := e.reconsidered.LoadAndDelete(stream); changed && lane == incident.ProcedureLane {
			inc = inc.Impatient()
		}
		command, wake := e.wish(inc, lane)
		if command == nil {
			return wake
		}
		if lane == incident.NoticeLane {
			err = e.performNotices(ctx, inc)
		} else {
			err = e.perform(ctx, inc, command)
		}
		if err != nil {
			return e.later(stream, command.Key(), err)
		}
	}
	return e.now().Add(time.Second)
}

// wish is the first thing to do now, or when to look again.
func (e *Engine) wish(inc incident.Incident, lane incident.Lane) (incident.Command, time.Time) {
	var wake time.Time
	for _, c := range incident.Decide(inc.At(e.now())) {
		if c.Lane() != lane {
			continue
		}
		at, waits := c.(incident.WakeAt)
		if !waits {
			return c, time.Time{}
		}
		if wake.IsZero() || at.At.Before(wake) {
			wake = at.At
		}
	}
	return nil, wake
}

const storePause = 2 * time.Second

// later logs what could not be done and when it is tried again. The history is unchanged: nothing is lost.
func (e *Engine) later(stream, what string, err error) time.Time {
	if !errors.Is(err, context.Canceled) {
		e.log.Error("could not go on, trying again", logStream(stream), logWhat(what), logError(err))
		e.metrics.stuck.Inc()
	}
	return e.now().Add(storePause)
}

func (e *Engine) perform(ctx context.Context, inc incident.Incident, c incident.Command) error {
	switch c := c.(type) {
	case incident.Judge:
		return e.performJudge(ctx, inc, c)
	case incident.Start:
		return e.start(ctx, inc, c)
	case incident.Settle:
		return e.settle(ctx, inc, c)
	case incident.RepairStep:
		return e.repair(ctx, inc, c)
	case incident.Mark:
		return e.mark(ctx, inc)
	case incident.AskHealth:
		return e.performHealth(ctx, inc, c)
	case incident.End:
		return e.end(ctx, inc, c)
	}
	return nil
}

// recordFor stores what a command led to, unless the incident no longer wishes it.
func (e *Engine) recordFor(ctx context.Context, id string, c incident.Command, d draft) (incident.Incident, error) {
	r := e.incidents.record(ctx, incidentStream(id), func(i incident.Incident) (draft, error) {
		if !e.stillWished(i, c) {
			return draft{}, errUnwished
		}
		return d, nil
	})
	if r.err == nil && slices.ContainsFunc(d.release, isSlot) {
		e.reconsider(func(i incident.Incident) bool { return i.ID != id && heldBy(i, slotGuard) })
	}
	return r.state, r.err
}

// errUnwished: something happened meanwhile, and the incident wishes something else now.
var errUnwished = errors.New("no longer wished")

// stillWished says whether the answer to a command is still wanted; a pause is no reason to drop one.
func (e *Engine) stillWished(i incident.Incident, c incident.Command) bool {
	return wishes(i.At(e.now()), c) || wishes(i.Impatient().At(e.now()), c)
}

func wishes(i incident.Incident, c incident.Command) bool {
	_, asks := c.(incident.AskHealth)
	return slices.ContainsFunc(incident.Decide(i), func(now incident.Command) bool {
		_, same := now.(incident.AskHealth)
		return now.Key() == c.Key() || asks && same
	})
}

func ignoreUnwished(err error) error {
	if errors.Is(err, errUnwished) {
		return nil
	}
	return err
}

func (e *Engine) performJudge(ctx context.Context, inc incident.Incident, c incident.Judge) error {
	if again, err := e.ceilingEnded(ctx, inc, c); again || err != nil {
		return err
	}
	if again, err := e.noteFlapping(ctx, inc, c); again || err != nil {
		return err
	}
	cfg := e.config.Load()
	f, err := e.judge(ctx, inc, c)
	if err != nil {
		return err
	}
	e.hook("judged")
	d := facts(byAstern, f)
	if c.Again {
		if d.release, err = e.slotsOf(ctx, inc); err != nil {
			return err
		}
	}
	if ctx.Err() != nil { // a question cut short by the end of the program is no answer
		return ctx.Err()
	}
	j := judgement{cfg, c, f}
	if begun, err := e.beginAtOnce(ctx, inc, j); begun || err != nil {
		return err
	}
	r := e.incidents.record(ctx, incidentStream(inc.ID), func(i incident.Incident) (draft, error) {
		return d, j.stands(e, i)
	})
	return ignoreUnwished(r.err)
}

// sameGround says whether a judgement was made under what holds now: a configuration or an arming that changed while the
// guards were asked makes it worthless (S20, S28).
func (e *Engine) sameGround(cfg *Configuration, target string, f incident.Judged) bool {
	if e.config.Load() != cfg {
		return false
	}
	t, known := cfg.Book.Target(target)
	r, joined := cfg.Rules.Rule(f.Rule)
	return !known || !joined || e.modeFor(r, t) == f.Judgement.Mode
}

func (e *Engine) performHealth(ctx context.Context, inc incident.Incident, c incident.AskHealth) error {
	f, err := e.askHealth(ctx, inc)
	if err == nil {
		err = ctx.Err() // a question cut short by the end of the program is no answer
	}
	if err != nil {
		return err
	}
	_, err = e.recordFor(ctx, inc.ID, c, facts(byAstern, f))
	return ignoreUnwished(err)
}

// mark tells the target's history of the move, then the incident's that it did. Both may be said twice.
func (e *Engine) mark(ctx context.Context, inc incident.Incident) error {
	moved := incident.RolledBack{Incident: inc.ID, From: inc.Plan.From.Version, To: inc.Plan.To, At: inc.Now}
	r := e.targets.record(ctx, targetStream(inc.Target), func(t incident.TargetHistory) (draft, error) {
		return facts(byAstern, moved), nil
	})
	if r.err != nil {
		return r.err
	}
	e.hook("target-marked")
	d := facts(byAstern, incident.Marked{})
	var err error
	if d.release, err = e.slotsOf(ctx, inc); err != nil {
		return err
	}
	_, err = e.recordFor(ctx, inc.ID, incident.Mark{}, d)
	return ignoreUnwished(err)
}

// end closes the incident and gives back what it held; an executed procedure starts the cooldown (S10).
func (e *Engine) end(ctx context.Context, inc incident.Incident, c incident.End) error {
	slots, err := e.slotsOf(ctx, inc)
	if err != nil {
		return err
	}
	d := facts(byAstern, incident.Ended{Phase: c.Phase, Reason: c.Reason})
	d.release = append(slots, "open/"+inc.Target, lockPool(inc.Target))
	if inc.Touched {
		d.take = []incident.Claim{e.cooldownClaim(inc)}
	}
	_, err = e.recordFor(ctx, inc.ID, c, d)
	return ignoreUnwished(err)
}

func (e *Engine) cooldownClaim(inc incident.Incident) incident.Claim {
	cfg := e.config.Load()
	cooldown := incident.DefaultGuards().Cooldown.Value
	if t, ok := cfg.Book.Target(inc.Target); ok {
		r, _ := cfg.Rules.Rule(inc.Lead)
		cooldown = guardsFor(cfg, t, r).Cooldown.Value
	}
	return incident.Claim{Pool: cooldownPool(inc.Target), Limit: unlimited, Until: e.now().Add(cooldown)}
}

// slotsOf are the slots the incident holds, as the store has them: the configuration may have changed since.
func (e *Engine) slotsOf(ctx context.Context, inc incident.Incident) ([]string, error) {
	places, err := e.store.Claims(ctx, "slot/", e.now())
	if err != nil {
		return nil, fmt.Errorf("read the slots of %s: %w", inc.ID, err)
	}
	var pools []string
	for _, p := range places {
		if p.Holder == incidentStream(inc.ID) {
			pools = append(pools, p.Pool)
		}
	}
	return pools, nil
}

// reconsider lets incidents that wait for something ask again at once, whatever pause they keep.
func (e *Engine) reconsider(which func(incident.Incident) bool) {
	for _, i := range e.index.openIncidents() {
		if which(i) {
			e.reconsidered.Store(incidentStream(i.ID), true)
			e.dispatcher.Wake(incidentStream(i.ID), incident.ProcedureLane, e.now())
		}
	}
}

// everyOne is for what may concern all.
func everyOne(incident.Incident) bool { return true }

func heldBy(i incident.Incident, guard string) bool {
	return slices.ContainsFunc(i.Findings, func(f incident.Finding) bool { return f.Guard == guard && f.Verdict != incident.Go })
}

func isSlot(pool string) bool { return strings.HasPrefix(pool, "slot/") }
