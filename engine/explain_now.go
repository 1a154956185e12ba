package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules"
)

// caseNow asks everything that a judgement would ask, of an incident that is only supposed.
func (e *Engine) caseNow(ctx context.Context, cfg *Configuration, rule *rules.Rule, target *plan.Target, a incident.Alert) (Case, error) {
	c := Case{Rule: rule.Name, Target: target.Name, Levels: modeLevels(cfg, rule, target, e.above())}
	inc, over, err := e.supposed(ctx, rule, target, a)
	if err != nil {
		return c, err
	}
	if over.ID != "" {
		c.Incident, c.End, c.Mode = over.ID, OvertakenEnd, e.modeFor(rule, target)
		c.Words = fmt.Sprintf("its episode belongs to %s, which is %s: it starts nothing again", over.ID, over.Phase)
		return c, nil
	}
	q, gone, err := e.ask(ctx, inc, rule.Name)
	if err != nil {
		return c, err
	}
	if gone != nil {
		return withoutTarget(rule.Name, gone.Reason), nil
	}
	q.looks = true
	findings := append(e.makePlan(ctx, &q), e.askOpening(ctx, q)...)
	c.take(q.weigh(findings, false), e.now())
	step := e.askFirstStep(ctx, q)
	c.Findings = append(slices.Clone(c.Findings), step...)
	c.Timer = timerOf(q.joined)
	if !q.lowered.until.IsZero() {
		c.Levels = append(c.Levels, ModeLevel{loweredLevel(q.lowered.why.Guard), incident.Suggest})
	}
	if q.plan != nil {
		c.Plan, c.From, c.To = q.plan.Hash, q.plan.From.Version, q.plan.To.Version
	}
	c.settleNow(q, step)
	return c, nil
}

// supposed is the incident that the alert would join or open now, with the rule in it; the facts are never stored. Over is
// the ended one that holds the alert's episode already.
func (e *Engine) supposed(ctx context.Context, rule *rules.Rule, target *plan.Target, a incident.Alert) (inc, over incident.Incident, err error) {
	if id, open := e.index.openFor(target.Name); open {
		if inc, err = e.incidents.load(ctx, incidentStream(id)); err != nil {
			return inc, over, err
		}
	} else {
		past, err := e.pastIncidents(ctx, target.Name, a.StartsAt)
		if err != nil {
			return inc, over, err
		}
		holder, ep, known := pastEpisode(past, incident.Seen{ID: a.ID, StartsAt: a.StartsAt})
		if known && (ep.Open() || !a.StartsAt.After(ep.EndedAt)) {
			return inc, holder, nil
		}
		inc = e.withFact(inc, a, incident.Opened{ID: target.Name + "-0", Target: target.Name, Environment: target.Environment})
	}
	return e.withFact(inc, a, incident.AlertsSeen{
		Rule: rule.Name, Mode: e.modeFor(rule, target), For: rule.For, Severity: rule.Severity(alertVars(a, e.now())), Digest: rule.Digest, Sample: &a,
		Alerts: []incident.Seen{{ID: a.ID, Source: a.Source, Fingerprint: a.Fingerprint, StartsAt: a.StartsAt}},
	}), over, nil
}

// withFact is the incident as it would be; its version stays that of what is stored.
func (e *Engine) withFact(inc incident.Incident, a incident.Alert, f incident.Fact) incident.Incident {
	ev := incident.NewEvent(e.now(), a.Source, e.config.Load().Digest, f)
	ev.Version = inc.Version
	return incident.Apply(inc, ev)
}

func (c *Case) take(j incident.Judgement, at time.Time) {
	c.Mode, c.Findings, c.Verdict, c.Would, c.Reason, c.JudgedAt = j.Mode, j.Findings, j.Verdict, j.Would, j.Reason, at
}

func timerOf(j incident.Joined) *Timer {
	t := &Timer{For: j.For, Since: j.Since}
	if due := j.DueAt(); !due.IsZero() {
		t.Due = due
	}
	return t
}

// settleNow says how the case would end now.
func (c *Case) settleNow(q question, step []incident.Finding) {
	held, why := worst(step)
	if q.inc.Version > 0 {
		c.Incident = q.inc.ID
	}
	switch inc := q.inc; {
	case underWay(inc):
		c.End, c.Words = OvertakenEnd, fmt.Sprintf("%s is %s for this target: the rule joins it as evidence", inc.ID, inc.Phase)
	case c.Mode.Rank() <= incident.Suggest.Rank():
		c.End, c.Words = OnlyWatched, fmt.Sprintf("its mode is %s (%s): %s", c.Mode, lowestOf(c.Levels).Level, wouldHave(c.Would, blockers(c.Findings)))
	case q.now.Before(c.Timer.Due):
		c.End, c.Words = HeldBack, fmt.Sprintf("it waits for its timer: firing since %s, due at %s (for: %s)", stamp(c.Timer.Since), stamp(c.Timer.Due), short(c.Timer.For))
	case inc.Phase == incident.AwaitingApproval && inc.Lead == c.Rule:
		c.End, c.Words = HeldBack, fmt.Sprintf("%s waits for a yes to plan %s until %s", inc.ID, incident.Short(inc.Offer.Plan), stamp(inc.Offer.Until))
	case c.Verdict == incident.Go && held != incident.Go:
		c.End, c.Words = HeldBack, "it would begin, and its first changing step would be held: "+why
	case c.Verdict == incident.Go:
		c.End, c.Words = ActedEnd, fmt.Sprintf("it would roll back from %s to %s now", c.From, c.To)
	case c.Verdict == incident.Ask:
		c.End, c.Words = HeldBack, "a person would be asked: "+c.Reason
	case c.Verdict == incident.Stop:
		c.End, c.Words = OvertakenEnd, c.Reason
	default:
		c.End, c.Words = HeldBack, fmt.Sprintf("%s: %s", verb(c.Verdict), c.Reason)
	}
}

// askFirstStep asks what is asked right before the first changing step and holds it, though the rule may act: silences, and
// a free slot.
func (e *Engine) askFirstStep(ctx context.Context, q question) []incident.Finding {
	return []incident.Finding{e.guardSilenced(ctx, stepQuestion{question: q}), e.freeSlot(ctx, q)}
}

// freeSlot looks whether the claims of the first changing step could be taken now (S9).
func (e *Engine) freeSlot(ctx context.Context, q question) incident.Finding {
	for _, l := range q.limits() {
		for _, c := range l.slots() {
			places, err := e.store.Claims(ctx, c.Pool, q.now)
			if err != nil {
				return *finding(slotGuard, "S9", incident.Hold, "the slot %s cannot be read: %v", c.Pool, err)
			}
			if used := countPool(places, c.Pool, incidentStream(q.inc.ID)); used >= c.Limit {
				return *finding(slotGuard, "S9", incident.Hold, "%d of %d procedures change something already: %s", used, c.Limit, c.Pool)
			}
		}
	}
	return pass(slotGuard, "S9", "a slot is free")
}

func verb(v incident.Verdict) string {
	if v == incident.Wait {
		return "it waits"
	}
	return "it is held"
}

// underWay says whether a procedure was taken up: no other rule of the target starts anything before it has ended.
func underWay(i incident.Incident) bool {
	return i.Version > 0 && !i.Phase.Final() && (len(i.Steps) > 0 || slices.Contains([]incident.Phase{incident.Running, incident.Verifying, incident.InDoubt}, i.Phase))
}

// blockers are the reasons of the guards that say no.
func blockers(findings []incident.Finding) string {
	_, why := worst(slices.DeleteFunc(slices.Clone(findings), func(f incident.Finding) bool { return f.Verdict == incident.Tell }))
	return why
}
