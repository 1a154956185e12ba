package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/engine/incident"
)

// The guards that are asked before the first changing step. After it the world is meant to change. Each is one
// function that keeps one invariant of docs/guards.md and says why.

type openingGuard func(e *Engine, ctx context.Context, q question) incident.Finding

// openingGuards are asked for rules; a person's own rollback skips them, but not the ones in alwaysGuards.
var openingGuards = []openingGuard{
	(*Engine).guardClock, (*Engine).guardFresh, (*Engine).guardWatchdog, (*Engine).guardMassEvent, (*Engine).guardRecentChange,
	(*Engine).guardCooldown, (*Engine).guardBudget, (*Engine).guardConfirm,
}

var alwaysGuards = []openingGuard{(*Engine).guardStop, (*Engine).guardHold, (*Engine).guardDestination}

// askOpening asks all of them, not only up to the first refusal: one look gives every reason.
func (e *Engine) askOpening(ctx context.Context, q question) []incident.Finding {
	guards := alwaysGuards
	if q.rule != nil {
		guards = slices.Concat(alwaysGuards, openingGuards, q.clusterGuards(), q.recordGuards())
	}
	var findings []incident.Finding
	for _, g := range guards {
		f := g(e, ctx, q)
		findings = append(findings, f)
	}
	return findings
}

// guardFresh keeps S6: no action on stale evidence. A live confirmation is fresher than any delivery.
func (e *Engine) guardFresh(_ context.Context, q question) incident.Finding {
	age := q.now.Sub(q.joined.SeenAt)
	limit := q.guards.FreshEvidence.Value
	switch {
	case age <= limit:
		return pass("fresh", "S6", "last said to fire %s ago", short(age))
	case q.rule.Confirm.Waived != "":
		return *finding("fresh", "S6", incident.Hold, "nobody has said for %s that it fires (limit %s), and this rule confirms nothing live", short(age), short(limit))
	default:
		return pass("fresh", "S6", "nobody has said for %s that it fires: the live confirmation decides", short(age))
	}
}

// guardWatchdog keeps the first half of S8: the way from Prometheus to here is alive.
func (e *Engine) guardWatchdog(_ context.Context, q question) incident.Finding {
	if q.guards.Watchdog.Off {
		return pass("watchdog", "S8", "switched off by configuration")
	}
	source := q.joined.Sample.Source
	at := e.index.watchdogAt(source)
	if at.IsZero() {
		return *finding("watchdog", "S8", incident.Hold, "no Watchdog alert from %s was seen: is its route there?", source)
	}
	if age := q.now.Sub(at); age > q.guards.Watchdog.Value {
		return *finding("watchdog", "S8", incident.Hold, "the last Watchdog alert from %s is %s old (limit %s): the monitoring may be broken", source, short(age), short(q.guards.Watchdog.Value))
	}
	return pass("watchdog", "S8", "alive")
}

const (
	massGuard       = "mass_event"
	massCalledGuard = massGuard + "_called" // of the incident that called it
)

// guardMassEvent keeps the second half of S8: many targets at once are infrastructure, not a deploy.
func (e *Engine) guardMassEvent(ctx context.Context, q question) incident.Finding {
	if q.guards.MassEvent.Off {
		return pass(massGuard, "S8", "switched off by configuration")
	}
	if settled := q.joined.JoinedAt.Add(q.guards.Settle.Value); q.rule.For == 0 && !q.guards.Settle.Off && q.now.Before(settled) {
		f := finding(massGuard, "S8", incident.Wait, "a rule without `for` settles first: others may fire at the same moment")
		f.RetryAt = settled
		return *f
	}
	i, ok := e.installationNow()
	switch {
	case !ok:
		return *finding(massGuard, "S8", incident.Hold, "the installation's state cannot be read")
	case i.Mass != nil:
		return *finding(massGuardOf(i.Mass.Incident, q.inc.ID), "S8", incident.Hold, "mass event: %s; a person releases it with `astern resume --mass-event`", i.Mass.Reason)
	case q.now.Before(i.MassReleasedUntil):
		return pass(massGuard, "S8", "released by a person until %s", i.MassReleasedUntil.UTC().Format(time.RFC3339))
	}
	targets := e.wantingTargets(q)
	if !q.guards.MassEvent.Value.Mass(len(targets), len(q.cfg.Book.Targets())) {
		return pass(massGuard, "S8", "%d of %d targets want action", len(targets), len(q.cfg.Book.Targets()))
	}
	return e.callMassEvent(ctx, q, targets)
}

// wantingTargets are those with a rule that may act and became due within the window; pending ones count.
func (e *Engine) wantingTargets(q question) []string {
	targets := map[string]bool{}
	wants := func(j incident.Joined) bool {
		due := j.DueAt()
		if due.Before(j.JoinedAt) {
			due = j.JoinedAt
		}
		return j.Mode.Rank() >= incident.Approve.Rank() && !j.Since.IsZero() && q.now.Sub(due) <= q.guards.MassEvent.Value.Within
	}
	for _, i := range e.index.openIncidents() {
		if slices.ContainsFunc(i.Rules, wants) {
			targets[i.Target] = true
		}
	}
	if q.looks && wants(q.joined) {
		targets[q.inc.Target] = true
	}
	return sortedKeys(targets)
}

// callMassEvent records the event once; the incident that is named in it tells people, all others hold quietly.
func (e *Engine) callMassEvent(ctx context.Context, q question, targets []string) incident.Finding {
	reason := fmt.Sprintf("%d targets want action within %s", len(targets), short(q.guards.MassEvent.Value.Within))
	if q.looks {
		return *finding(massGuard, "S8", incident.Hold, "it would call a mass event: %s", reason)
	}
	r := e.installation.record(ctx, installationStream, func(i incident.Installation) (draft, error) {
		if i.Mass != nil {
			return draft{}, nil
		}
		return facts(byAstern, incident.MassEvent{Incident: q.inc.ID, Targets: targets, Reason: reason}), nil
	})
	if r.err != nil || r.state.Mass == nil {
		return *finding(massGuard, "S8", incident.Hold, "mass event: %s, and it could not be recorded: %v", reason, r.err)
	}
	return *finding(massGuardOf(r.state.Mass.Incident, q.inc.ID), "S8", incident.Hold, "mass event: %s; a person releases it with `astern resume --mass-event`", r.state.Mass.Reason)
}

// massGuardOf names the guard for one incident: the one that called the event is not quiet about it.
func massGuardOf(caller, id string) string {
	if caller == id {
		return massCalledGuard
	}
	return massGuard
}

// guardRecentChange keeps S13: a rollback can only mend what a rollout broke.
func (e *Engine) guardRecentChange(_ context.Context, q question) incident.Finding {
	if q.guards.RecentChange.Off {
		return pass("recent_change", "S13", "switched off by the rule or its target")
	}
	current, ok := q.history.Suspect()
	if !ok {
		return *finding("recent_change", "S13", incident.Ask, "no release is known: nothing proves that a change caused this")
	}
	began, limit := q.joined.Since, q.guards.RecentChange.Value
	wentOn := !current.Began.IsZero() && !current.Began.After(began)
	switch {
	case q.history.CameBack():
		return *finding("recent_change", "S13", incident.Ask, "%s came by a rollback, not by a rollout", current.Version)
	case q.history.Rolling != nil && !wentOn:
		return *finding("recent_change", "S13", incident.Ask, "the rollout of %s began at %s, after the alert began at %s", current.Version, stamp(current.Began), stamp(began))
	case q.history.Rolling != nil && q.history.Unshown() != nil && began.Sub(current.Began) > limit:
		return *finding("recent_change", "S13", incident.Ask, "the rollout of %s was told to begin %s before the alert began, and nobody told of its end (limit %s)", current.Version, short(began.Sub(current.Began)), short(limit))
	case q.history.Rolling != nil:
		return pass("recent_change", "S13", "the rollout of %s goes on since %s", current.Version, stamp(current.Began))
	case current.At.After(began) && wentOn:
		return pass("recent_change", "S13", "the rollout of %s went on when the alert began", current.Version)
	case current.At.After(began):
		return *finding("recent_change", "S13", incident.Ask, "the rollout of %s ended at %s, after the alert began at %s", current.Version, stamp(current.At), stamp(began))
	case began.Sub(current.At) > limit:
		return *finding("recent_change", "S13", incident.Ask, "the rollout of %s ended %s before the alert began (limit %s): what changed since is not known here", current.Version, short(began.Sub(current.At)), short(limit))
	}
	return pass("recent_change", "S13", "the rollout of %s ended %s before the alert began", current.Version, short(began.Sub(current.At)))
}

// guardCooldown keeps S10: after a procedure the decaying alert does not start another.
func (e *Engine) guardCooldown(ctx context.Context, q question) incident.Finding {
	if q.guards.Cooldown.Off {
		return pass("cooldown", "S10", "switched off by configuration")
	}
	places, err := e.store.Claims(ctx, cooldownPool(q.target.Name), q.now)
	if err != nil {
		return *finding("cooldown", "S10", incident.Hold, "the cooldown of %s cannot be read: %v", q.target.Name, err)
	}
	for _, p := range places {
		if p.Pool == cooldownPool(q.target.Name) && p.Holder != incidentStream(q.inc.ID) {
			return *finding("cooldown", "S10", incident.Ask, "%s acted on this target; cooldown until %s", strings.TrimPrefix(p.Holder, "incident/"), stamp(p.Until))
		}
	}
	return pass("cooldown", "S10", "nothing acted on this target lately")
}

// guardBudget is S9's hint: the claims taken with the first changing step are what counts.
func (e *Engine) guardBudget(ctx context.Context, q question) incident.Finding {
	for _, l := range q.limits() {
		for _, c := range l.budgets(q.now) {
			places, err := e.store.Claims(ctx, c.Pool, q.now)
			if err != nil {
				return *finding("budget", "S9", incident.Hold, "the budget %s cannot be read: %v", c.Pool, err)
			}
			if used := countPool(places, c.Pool, incidentStream(q.inc.ID)); used >= c.Limit {
				return *finding("budget", "S9", incident.Ask, "%d of %d automatic rollbacks used: %s", used, c.Limit, c.Pool)
			}
		}
	}
	return pass("budget", "S9", "within every budget")
}

// guardDestination keeps S14 as far as told releases carry: it exists, it ran long enough, it is not denied.
func (e *Engine) guardDestination(_ context.Context, q question) incident.Finding {
	to, why := q.history.Destination()
	switch {
	case why != "":
		return *finding("destination", "S14", incident.Hold, "%s", why)
	case q.inc.Plan != nil && q.inc.Touched && q.inc.Plan.To.Version != to.Release.Version:
		return *finding("destination", "S12", incident.Stop, "this incident moved to %s already; it does not go on to %s", q.inc.Plan.To.Version, to.Release.Version)
	case to.Release.Verdict == incident.Good || q.guards.Healthy.Off || to.Ran >= q.guards.Healthy.Value:
		return pass("destination", "S14", "%s ran for %s", to.Release.Version, short(to.Ran))
	case to.Back == 1:
		return pass("destination", "S14", "%s ran for %s only, but it is one version back", to.Release.Version, short(to.Ran))
	}
	v := incident.Ask
	if q.rule == nil {
		v = incident.Go // the person who asks has seen it
	}
	return *finding("destination", "S14", v, "%s is %d versions back and ran for %s only (limit %s)", to.Release.Version, to.Back, short(to.Ran), short(q.guards.Healthy.Value))
}

// guardStop keeps S19: the kill switch, by command or by file; what cannot be read is stopped.
func (e *Engine) guardStop(_ context.Context, q question) incident.Finding {
	if why := e.stoppedFor(q.target.Team, q.target.Name); why != "" {
		f := finding("stop", "S19", incident.Hold, "%s", why)
		f.RetryAt = q.now.Add(5 * time.Second)
		return *f
	}
	return pass("stop", "S19", "automation is on")
}

// guardHold keeps a person's "I have it" (S33).
func (e *Engine) guardHold(_ context.Context, q question) incident.Finding {
	hold, held := q.history.Held(q.now)
	if held && (q.inc.Request == nil || q.inc.Request.By != hold.By) {
		return *finding("hold", "S33", incident.Hold, "%s holds this target until %s: %s", hold.By, stamp(hold.Until), hold.Reason)
	}
	return pass("hold", "S33", "nobody holds this target")
}

func short(d time.Duration) string { return d.Round(time.Second).String() }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
