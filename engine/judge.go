package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

// question is everything the guards are asked about: one incident, one rule or request, one target, as of one moment.
type question struct {
	cfg     *Configuration
	inc     incident.Incident
	rule    *rules.Rule // nil for a person's request
	joined  incident.Joined
	target  *plan.Target
	history incident.TargetHistory
	mode    incident.Mode
	lowered lowered // what holds the mode down for a while
	guards  incident.Guards
	vars    expr.Vars
	plan    *incident.Plan
	now     time.Time
	looks   bool // asked to explain: nothing follows from the answer, and nothing is recorded
}

// ask gathers what a judgement is about. A rule or target that is gone is a finding, not an error.
func (e *Engine) ask(ctx context.Context, inc incident.Incident, rule string) (question, *incident.Finding, error) {
	q := question{cfg: e.config.Load(), inc: inc, now: e.now()}
	target, ok := q.cfg.Book.Target(inc.Target)
	if !ok {
		return q, finding("target", "S17", incident.Hold, "target %s is no longer in the target files", inc.Target), nil
	}
	q.target = target
	if rule != "" {
		if q.rule, ok = q.cfg.Rules.Rule(rule); !ok {
			return q, finding("rule", "S28", incident.Hold, "rule %s is no longer in the rule files", rule), nil
		}
		q.joined, _ = joinedRule(inc, rule)
	}
	var err error
	if q.history, err = e.targets.load(ctx, targetStream(target.Name)); err != nil {
		return q, nil, err
	}
	q.mode, q.guards = incident.Auto, guardsFor(q.cfg, target, q.rule)
	if q.rule != nil {
		q.mode, q.lowered = e.modeUnder(q.rule, target)
	}
	q.vars = e.varsFor(q)
	return q, nil, nil
}

// modeFor is the lowest of what installation, environment, target and rule allow (S20); unarmed or anonymous is observe
// (S19), and a rule that was changed lately, or flapped on this target (S11), only suggests.
func (e *Engine) modeFor(r *rules.Rule, t *plan.Target) incident.Mode {
	mode, _ := e.modeUnder(r, t)
	return mode
}

// lowered is what holds a mode down for a while, and until when. It refuses nothing: what the rule would have done still
// counts.
type lowered struct {
	why   incident.Finding
	until time.Time
}

// modeUnder is modeFor with what holds the mode down; that is empty when the mode is what it would be without.
func (e *Engine) modeUnder(r *rules.Rule, t *plan.Target) (incident.Mode, lowered) {
	mode := incident.Lowest(incident.Mode(r.Mode), e.ceiling(t))
	if mode.Rank() <= incident.Suggest.Rank() {
		return mode, lowered{}
	}
	if l, held := e.loweredOn(r, t); held {
		return incident.Suggest, l
	}
	return mode, lowered{}
}

// loweredOn says what holds a rule down to suggest on a target for a while.
func (e *Engine) loweredOn(r *rules.Rule, t *plan.Target) (lowered, bool) {
	if change, held := e.changeOf(r, t); held {
		return changedLately(r, change), true
	}
	return e.flapsOn(r, t)
}

func (e *Engine) ceiling(t *plan.Target) incident.Mode {
	s := e.config.Load().Settings
	mode, written := s.Modes[t.Environment]
	if !written {
		mode = s.DefaultMode
	}
	if e.anonymous || !e.armed() {
		mode = incident.Observe
	}
	return incident.Lowest(t.Ceiling(mode))
}

// installationNow is the installation's word; false when it cannot be read, which counts as stopped and unarmed.
func (e *Engine) installationNow() (incident.Installation, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	i, err := e.installation.load(ctx, installationStream)
	return i, err == nil
}

func (e *Engine) armed() bool {
	i, ok := e.installationNow()
	return ok && i.Armed != nil
}

// guardsFor is what holds for a target and a rule, the nearest word first.
func guardsFor(cfg *Configuration, t *plan.Target, r *rules.Rule) incident.Guards {
	levels := []incident.Guards{t.Guards, cfg.Settings.TeamGuards[t.Team], cfg.Settings.Guards, incident.DefaultGuards()}
	if r != nil {
		nearest, _ := incident.GuardsFrom(r.Guards) // the loader refused what does not parse
		levels = append([]incident.Guards{nearest}, levels...)
	}
	return incident.Merge(levels[0], levels[1:]...)
}

func (e *Engine) varsFor(q question) expr.Vars {
	v := alertVars(q.joined.Sample, q.now)
	v.Target = q.target.ExprTarget()
	if suspect, ok := q.history.Suspect(); ok {
		v.Release.Current = exprRelease(suspect)
	}
	if to, why := q.history.Destination(); why == "" {
		v.Release.Previous = exprRelease(to.Release)
	}
	v.Incident = expr.Incident{
		ID: q.inc.ID, Severity: severityOf(q.inc), Phase: string(q.inc.Phase), Rule: q.inc.Lead, OpenedAt: q.inc.OpenedAt,
	}
	return v
}

// severityOf is the highest among the joined rules' labels, else the alert's own.
func severityOf(i incident.Incident) string {
	if i.Severity != "" || len(i.Rules) == 0 {
		return i.Severity
	}
	return i.Rules[0].Sample.Labels["severity"]
}

func exprRelease(r incident.Release) expr.Release {
	return expr.Release{
		Version: r.Version, Commit: r.Commit, Digest: r.Digest, At: r.At, Verdict: string(r.Verdict), Schema: r.Schema, Vars: r.Vars,
	}
}

// judge answers "may this rule act now?" with a fresh plan and every guard's word.
func (e *Engine) judge(ctx context.Context, inc incident.Incident, c incident.Judge) (incident.Judged, error) {
	f := incident.Judged{Rule: c.Rule, Again: c.Again}
	q, gone, err := e.ask(ctx, inc, c.Rule)
	if err != nil {
		return f, err
	}
	if gone != nil {
		f.Judgement = incident.Judgement{Verdict: incident.Hold, Reason: gone.Reason, Findings: []incident.Finding{*gone}, RetryAt: q.now.Add(time.Minute)}
		return f, nil
	}
	findings := e.makePlan(ctx, &q)
	findings = append(findings, e.askOpening(ctx, q)...)
	f.Judgement = q.weigh(findings, c.Again)
	if f.Plan = q.plan; q.plan != nil && q.knownPlan(f.Judgement) {
		f.Plan, f.Judgement.Plan = nil, q.plan.Hash
	}
	if offered := q.guards.ApprovalOffered; offered.Written {
		f.OfferedUntil = q.now.Add(offered.Value)
	}
	f.HealthFor, f.HealthPatience, f.PlanLife = q.target.Healthy.For, q.target.Healthy.Patience, q.guards.PlanAge.Value
	if q.target.Healthy.Waived != "" {
		f.HealthFor = 0
	}
	return f, nil
}

// knownPlan says whether the history need not keep the plan once more: it is looked at again and again while it waits.
func (q question) knownPlan(now incident.Judgement) bool {
	switch now.Verdict {
	case incident.Wait:
		return true
	case incident.Hold:
		return q.inc.Plan != nil && q.inc.Plan.Hash == q.plan.Hash
	case incident.Tell, incident.Watch: // told once, and whole again when it would have acted
		before := q.joined.Judgement
		return !incident.WouldHaveActed(now) && before != nil && before.Plan == q.plan.Hash
	}
	return false
}

// makePlan renders the plan and asks each action what it would change. A plan that cannot be made holds.
func (e *Engine) makePlan(ctx context.Context, q *question) []incident.Finding {
	suspect, known := q.history.Suspect()
	to, why := q.history.Destination()
	if !known || why != "" {
		return nil // guardDestination says why
	}
	procedure := "rollback"
	if q.rule != nil {
		procedure = q.rule.Do
	}
	p, err := q.cfg.Book.Render(plan.Input{
		Target: q.target, Procedure: procedure, Vars: q.vars, From: suspect, To: to.Release, UID: q.history.UID, Config: q.cfg.Digest, Now: q.now,
	})
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, planPatience)
		defer cancel()
		p, err = q.cfg.Book.Complete(ctx, p, func(s incident.Step) actions.Env { return e.env(q.cfg, q.inc, q.target, s, 0, 0) })
	}
	if err != nil {
		return []incident.Finding{*finding("plan", "S17", incident.Hold, "no plan can be made: %v", err)}
	}
	q.plan = &p
	return nil
}

const planPatience = time.Minute

// weigh turns the guards' words into one verdict, under the mode.
func (q question) weigh(findings []incident.Finding, again bool) incident.Judgement {
	verdict, reason := worst(findings)
	j := incident.Judgement{Mode: q.mode, Findings: findings, Verdict: verdict, Reason: reason, Would: verdict, RetryAt: q.retryAt(findings)}
	j.Quiet, j.Tries = quiet(findings), q.tries(findings)
	switch {
	case q.mode == incident.Observe:
		j.Verdict, j.Reason = incident.Watch, "observe: "+wouldHave(j.Would, reason)
	case q.mode == incident.Suggest && !q.lowered.until.IsZero():
		f := q.lowered.why
		j.Verdict, j.Reason, j.Until = incident.Tell, "suggest: "+f.Reason+"; "+wouldHave(j.Would, reason), q.lowered.until
		j.Findings = append(slices.Clone(findings), f)
	case q.mode == incident.Suggest:
		j.Verdict, j.Reason = incident.Tell, "suggest: "+wouldHave(j.Would, reason)
	case verdict == incident.Hold || verdict == incident.Wait || verdict == incident.Stop:
	case q.approved():
		j.Verdict, j.Reason = incident.Go, "plan "+incident.Short(q.plan.Hash)+" approved by "+q.inc.Approval.By
	case q.rule == nil:
		j.Verdict, j.Reason = q.weighRequest(again)
	case q.inc.Touched: // a second procedure of one incident is never automatic (S12)
		j.Verdict, j.Reason = incident.Ask, "work rested for longer than a plan lives: the new plan needs a yes"
	case q.mode == incident.Approve:
		j.Verdict = incident.Ask
		if verdict == incident.Go {
			j.Reason = "rule " + q.rule.Name + " asks before it acts"
		}
	}
	if q.inc.Approval != nil && j.Verdict == incident.Ask && q.plan != nil && q.inc.Approval.Plan != q.plan.Hash {
		j.Reason = "the plan changed after " + q.inc.Approval.By + " approved it: " + j.Reason
	}
	return j
}

// weighRequest: a person's request is a yes to the plan they saw, and to no other.
func (q question) weighRequest(again bool) (incident.Verdict, string) {
	asked := q.inc.Request.Plan
	switch {
	case again:
		return incident.Ask, "the plan of this request grew old: look at the new one"
	case asked != "" && asked != q.plan.Hash:
		return incident.Ask, "the plan changed since " + q.inc.Request.By + " asked for it: look at the new one"
	}
	return incident.Go, "requested by " + q.inc.Request.By
}

// approved says whether a person's yes to exactly this plan stands (S21).
func (q question) approved() bool { return q.plan != nil && q.inc.ApprovalGood(q.plan.Hash, q.now) }

func (q question) retryAt(findings []incident.Finding) time.Time {
	at := q.now.Add(30 * time.Second)
	for _, f := range findings {
		if f.Verdict != incident.Go && !f.RetryAt.IsZero() && f.RetryAt.Before(at) {
			at = f.RetryAt
		}
	}
	return at
}

func wouldHave(v incident.Verdict, reason string) string {
	switch v {
	case incident.Go:
		return "it would have rolled back"
	case incident.Ask:
		return "it would have asked: " + reason
	case incident.Hold:
		return "it would have held: " + reason
	default:
		return "it would have waited: " + reason
	}
}

var severity = []incident.Verdict{incident.Go, incident.Ask, incident.Wait, incident.Hold, incident.Stop}

func rank(v incident.Verdict) int {
	for n, known := range severity {
		if v == known {
			return n
		}
	}
	return len(severity)
}

// worst is the verdict that counts, with the reasons of all who said it.
func worst(findings []incident.Finding) (incident.Verdict, string) {
	verdict := incident.Go
	for _, f := range findings {
		if rank(f.Verdict) > rank(verdict) {
			verdict = f.Verdict
		}
	}
	if verdict == incident.Go {
		return verdict, "every guard passes"
	}
	var reasons []string
	for _, f := range findings {
		if f.Verdict == verdict {
			reasons = append(reasons, f.Reason)
		}
	}
	return verdict, strings.Join(reasons, "; ")
}

// tries counts the unknown answers in a row, this one included.
func (q question) tries(findings []incident.Finding) int {
	for _, f := range findings {
		if f.Unknown && q.joined.Judgement != nil {
			return q.joined.Judgement.Tries + 1
		}
		if f.Unknown {
			return 1
		}
	}
	return 0
}

func quiet(findings []incident.Finding) bool {
	for _, f := range findings {
		if f.Verdict == incident.Hold && f.Guard != massGuard {
			return false
		}
	}
	return true
}

func finding(guard, rule string, v incident.Verdict, format string, args ...any) *incident.Finding {
	return &incident.Finding{Guard: guard, Rule: rule, Verdict: v, Reason: fmt.Sprintf(format, args...)}
}

func pass(guard, rule, format string, args ...any) incident.Finding {
	return *finding(guard, rule, incident.Go, format, args...)
}
