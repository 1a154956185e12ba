package engine

import (
	"context"
	"time"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules"
)

// An alert that comes and goes says more about its rule than about a release (S11): the rule only suggests on that target
// then, which calls a person, until somebody resets it or a day has passed. The word stands in the target's history.

const flappingGuard = "flapping"

// flapsOn says whether a rule flapped on a target lately. A history that cannot be read flaps: in doubt nothing acts.
func (e *Engine) flapsOn(r *rules.Rule, t *plan.Target) (lowered, bool) {
	if guardsFor(e.config.Load(), t, r).Flapping.Off {
		return lowered{}, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	history, err := e.targets.load(ctx, targetStream(t.Name))
	if err != nil {
		return lowered{*finding(flappingGuard, "S11", incident.Tell, "the history of %s cannot be read: %v", t.Name, err), e.now().Add(time.Minute)}, true
	}
	f, flaps := history.FlapsNow(r.Name, e.now())
	if !flaps {
		return lowered{}, false
	}
	return lowered{*finding(flappingGuard, "S11", incident.Tell, "rule %s came %d times within %s on %s; it only suggests there until %s, unless `astern rules reset %s --target %s`",
		r.Name, f.Times, short(f.Within), t.Name, stamp(f.Until()), r.Name, t.Name), f.Until()}, true
}

// noteFlapping counts how often the rule came before it is judged. When it flaps, that is written down, and the incident
// is judged anew under the lower mode.
func (e *Engine) noteFlapping(ctx context.Context, inc incident.Incident, c incident.Judge) (bool, error) {
	cfg := e.config.Load()
	t, known := cfg.Book.Target(inc.Target)
	r, found := cfg.Rules.Rule(c.Rule)
	if !known || !found || e.modeFor(r, t).Rank() <= incident.Suggest.Rank() {
		return false, nil
	}
	limit := guardsFor(cfg, t, r).Flapping
	if limit.Off {
		return false, nil
	}
	since := e.now().Add(-limit.Value.Within)
	past, err := e.pastIncidents(ctx, inc.Target, since)
	if err != nil {
		return false, err
	}
	noted := false
	rec := e.targets.record(ctx, targetStream(inc.Target), func(h incident.TargetHistory) (draft, error) {
		times := incident.Comings(c.Rule, latest(since, h.Flapping[c.Rule].ResetAt), past...)
		if noted = times >= limit.Value.Count; !noted {
			return draft{}, nil
		}
		return facts(byAstern, incident.Flapped{Rule: c.Rule, Times: times, Within: limit.Value.Within}), nil
	})
	if rec.err != nil || !noted { // after an error the draft may still be asked
		return false, rec.err
	}
	return true, e.reconfigureOpen(ctx)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ResetFlapping is a person's word that a rule that flapped on a target may act there again.
func (e *Engine) ResetFlapping(ctx context.Context, p Person, rule, target, reason string) error {
	if reason == "" {
		return refused("a reason is needed: it is what the next person reads")
	}
	err := e.sayToTarget(ctx, p, target, func(h incident.TargetHistory) (incident.Fact, error) {
		if _, flaps := h.FlapsNow(rule, e.now()); !flaps {
			return nil, stale("rule %s does not flap on %s", rule, target)
		}
		return incident.FlappingReset{Rule: rule, Reason: reason}, nil
	})
	return e.andReconfigure(ctx, err)
}
