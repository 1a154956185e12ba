package incident

import (
	"fmt"
	"slices"
	"time"
)

func (i *Incident) judged(f Judged, e Event) {
	j := f.Judgement
	j.At = e.At
	if f.Plan != nil {
		j.Plan = f.Plan.Hash
	}
	before := i.judgementOf(f.Rule)
	if i.Phase.Final() || i.Phase == Verifying || !i.mayJudge(f, e) || !i.keepJudgement(f.Rule, &j) {
		return
	}
	if !i.mayLead(f.Rule, j.Verdict) {
		return
	}
	switch j.Verdict {
	case Go:
		i.takeUp(f, j, e)
	case Ask:
		i.offer(f, j, e)
	case Hold:
		i.hold(f, j, e)
	case Wait:
		i.wait(j)
	case Tell:
		i.Reason = j.Reason
		if before == nil || before.Verdict != Tell || !j.undecided() && before.Would != j.Would {
			i.tell(e.At, false, "suggestion of rule %s: %s", f.Rule, j.Reason)
		}
	case Watch:
		i.Reason = j.Reason
	case Stop:
		i.Phase, i.Reason, i.Findings = Held, j.Reason, j.Findings
		if i.Request == nil {
			i.Lead = f.Rule
		}
	}
}

// judgementOf is a rule's last judgement, or that of the person's request; nil before the first.
func (i *Incident) judgementOf(rule string) *Judgement {
	if rule == "" && i.Request != nil {
		return i.Request.Judgement
	}
	for _, j := range i.Rules {
		if j.Rule == rule {
			return j.Judgement
		}
	}
	return nil
}

// mayLead says whose judgement counts (S2): the rule's that leads, the first one that is due, one that may act now, and
// one that asks while the leading rule is only held.
func (i *Incident) mayLead(rule string, v Verdict) bool {
	return rule == i.Lead || i.Lead == "" || v == Go || v == Ask && i.Phase != AwaitingApproval && !i.committed()
}

// mayJudge says whether a judgement may still change the course: a plan that was taken up is judged again only before
// anything was changed, or when work rests for longer than a plan lives.
func (i *Incident) mayJudge(f Judged, e Event) bool {
	if !i.committed() {
		return true
	}
	return f.Again && f.Rule == i.Lead && i.stepIn(Started) < 0 && (!i.Touched || i.planIsOld(e.At))
}

// wait is quiet: the evidence says no for now.
func (i *Incident) wait(j Judgement) {
	i.RetryAt, i.Reason, i.Findings = j.RetryAt, j.Reason, j.Findings
	switch {
	case i.committed():
		i.Phase = Held
	case i.Phase == Held:
		i.Phase = Pending
	}
}

// keepJudgement stores the answer where it was asked for; false when nobody asked.
func (i *Incident) keepJudgement(rule string, j *Judgement) bool {
	if rule == "" {
		if i.Request != nil {
			request := *i.Request
			j.pace(request.Judgement)
			request.Judgement = j
			i.Request = &request
		}
		return i.Request != nil
	}
	n := slices.IndexFunc(i.Rules, func(have Joined) bool { return have.Rule == rule })
	if n >= 0 {
		j.pace(i.Rules[n].Judgement)
		i.Rules[n].Judgement = j
	}
	return n >= 0
}

// pace makes the same answer rarer the longer it stands.
func (j *Judgement) pace(before *Judgement) {
	j.Since = j.At
	if before != nil && before.Verdict == j.Verdict && sameRefusers(before.Findings, j.Findings) {
		j.Since = before.Since
	}
	switch j.Verdict {
	case Hold:
		j.RetryAt = patient(j.RetryAt, j.At, j.Since, 5*time.Minute)
	case Wait: // it may be confirmed any moment
		j.RetryAt = patient(j.RetryAt, j.At, j.Since, time.Minute)
	case Tell, Watch: // nobody waits for it
		j.RetryAt = later(j.RetryAt, j.At.Add(min(j.At.Sub(j.Since)/4, 15*time.Minute)))
	}
}

// patient puts off what was refused for the same reasons since a while: by a tenth of that while, up to a limit. A
// history of days stays short, and what changes a person's mind is looked at at once (Impatient).
func patient(retryAt, now, since time.Time, limit time.Duration) time.Time {
	return later(retryAt, now.Add(min(now.Sub(since)/10, limit)))
}

func (i *Incident) takeUp(f Judged, j Judgement, e Event) {
	if f.Plan == nil || !i.mayGo(f, j, e) {
		i.RetryAt = j.RetryAt // never asked in a circle
		return
	}
	if f.Again && i.Lead == f.Rule && i.committed() && i.Plan.Hash == f.Plan.Hash && !i.Touched {
		i.Phase, i.Reason, i.RetryAt, i.Findings = Running, j.Reason, time.Time{}, j.Findings // the same plan goes on
		return
	}
	if i.Lead != "" && i.Lead != f.Rule {
		i.tell(e.At, false, "%s takes the lead from rule %s", firstOf(f.Rule, "a person's request"), i.Lead)
	}
	i.Lead, i.Phase, i.Reason, i.RetryAt = f.Rule, Running, j.Reason, time.Time{}
	if i.Approval != nil && i.Approval.Plan != f.Plan.Hash {
		i.Approval = nil // a yes to another plan passes nothing here
	}
	i.Plan, i.Findings, i.Offer = f.Plan, j.Findings, nil
	i.Steps = make([]StepRun, len(f.Plan.Steps))
	for n := range i.Steps {
		i.Steps[n].State = NotStarted
	}
	i.Health = Health{For: f.HealthFor, Patience: f.HealthPatience}
	i.PlanLife = f.PlanLife
	if i.PlanLife == 0 {
		i.PlanLife = DefaultPlanLife
	}
	i.tell(e.At, false, "rolling back from %s to %s", f.Plan.From.Version, f.Plan.To.Version)
}

// mayGo holds what no judgement can pass: only approve and auto act, and approve, what a guard asks for, and whatever
// follows a first change, only with a yes to this very plan (S12, S20, S21).
func (i *Incident) mayGo(f Judged, j Judgement, e Event) bool {
	approved := i.ApprovalGood(f.Plan.Hash, e.At)
	switch {
	case i.Touched || j.Would == Ask:
		return approved
	case f.Rule == "" || j.Mode == Auto:
		return true
	}
	return j.Mode == Approve && approved
}

// ApprovalGood says whether a person's yes to this plan counts (S21): it is fresh, or the plan runs by it without a rest.
func (i *Incident) ApprovalGood(plan string, at time.Time) bool {
	if i.Approval == nil || i.Approval.Plan != plan {
		return false
	}
	return at.Before(i.Approval.Until) || i.Phase == Running && i.committed() && i.Plan.Hash == plan
}

func (i *Incident) offer(f Judged, j Judgement, e Event) {
	if f.Plan == nil {
		return
	}
	i.Lead, i.Phase, i.Reason, i.RetryAt = f.Rule, AwaitingApproval, j.Reason, time.Time{}
	i.Plan, i.Findings, i.Steps, i.Approval = f.Plan, j.Findings, nil, nil
	i.Offer = &Offer{Plan: f.Plan.Hash, At: e.At, Until: f.OfferedUntil}
	i.tell(e.At, true, "plan %s (%s to %s) waits for approval: %s", Short(f.Plan.Hash), f.Plan.From.Version, f.Plan.To.Version, j.Reason)
}

func (i *Incident) hold(f Judged, j Judgement, e Event) {
	said := (i.Phase == Held || i.Phase == AwaitingApproval) && i.saidAlready(j.Reason, j.Findings)
	if f.Rule != "" {
		i.Lead = f.Rule
	}
	if i.Phase != AwaitingApproval { // an approval that is held keeps its offer: the hold may lift while it stands
		i.Phase = Held
	}
	i.Reason, i.RetryAt, i.Findings = j.Reason, j.RetryAt, j.Findings
	if f.Plan != nil && i.Phase == Held && !i.committed() {
		i.Plan = f.Plan
	}
	if !said && !j.Quiet {
		i.tell(e.At, true, "held: %s", j.Reason)
	}
}

// saidAlready says whether people heard of this hold: reasons tell ages and times, so the guards are compared.
func (i *Incident) saidAlready(reason string, findings []Finding) bool {
	return i.Reason == reason || sameRefusers(i.Findings, findings)
}

func sameRefusers(before, now []Finding) bool {
	names := refusers(now)
	return len(names) > 0 && slices.Equal(refusers(before), names)
}

// refusers are the guards that say no.
func refusers(findings []Finding) []string {
	var names []string
	for _, f := range findings {
		if f.Verdict != Go && f.Guard != "" {
			names = append(names, f.Guard+"/"+string(f.Verdict))
		}
	}
	return names
}

func (i *Incident) applyStep(e Event) {
	switch f := e.Fact.(type) {
	case StepBegan:
		i.stepBegan(f, e)
	case StepSucceeded:
		if s := i.step(f.Step, f.Attempt); s != nil {
			s.State, s.EndedAt, s.Error, s.Permanent = Done, e.At, "", false
			s.Summary, s.Output, s.Outputs = f.Summary, f.Output, f.Outputs
			i.stepTold(f.Step, e, firstOf(f.Summary, "done"))
		}
	case StepDidNotHappen:
		if s := i.step(f.Step, f.Attempt); s != nil {
			s.State, s.Error = NotStarted, f.Reason
		}
	case StepErred:
		i.stepErred(f, e)
	case StepDoubted:
		if s := i.step(f.Step, f.Attempt); s != nil {
			s.State, s.Error = Doubted, f.Reason
			i.Phase = InDoubt
			i.Reason = fmt.Sprintf("nobody knows whether step %s took effect: %s", i.Plan.Steps[f.Step].Name, f.Reason)
			i.tell(e.At, true, "in doubt: %s", i.Reason)
		}
	case StepSettled:
		i.stepSettled(f, e)
	case StepHeld:
		i.stepHeld(f, e)
	case StepRepaired:
		if f.Step < len(i.Steps) && i.Steps[f.Step].State == Errored {
			i.Steps[f.Step].State, i.Steps[f.Step].RepairErr = Mended, f.Error
		}
	}
}

// step is the run that a fact about an attempt may still change: the attempt must be the one that is under way.
func (i *Incident) step(n, attempt int) *StepRun {
	if n < 0 || n >= len(i.Steps) || i.Phase.Final() || i.Steps[n].Attempt != attempt || i.Steps[n].State != Started {
		return nil
	}
	return &i.Steps[n]
}

func (i *Incident) stepBegan(f StepBegan, e Event) {
	if f.Step < 0 || f.Step >= len(i.Steps) || i.Phase.Final() || f.Attempt <= i.Steps[f.Step].Attempt {
		return
	}
	s := &i.Steps[f.Step]
	s.State, s.Attempt, s.RetryAt = Started, f.Attempt, time.Time{}
	if s.StartedAt.IsZero() {
		s.StartedAt = e.At
	}
	step := i.Plan.Steps[f.Step]
	i.Touched = i.Touched || step.Change.Changes
	i.Phase, i.RetryAt, i.HeldSince = Running, time.Time{}, time.Time{}
	i.Reason = fmt.Sprintf("step %d of %d: %s", f.Step+1, len(i.Steps), step.Name)
}

func (i *Incident) stepErred(f StepErred, e Event) {
	s := i.step(f.Step, f.Attempt)
	if s == nil {
		return
	}
	step := i.Plan.Steps[f.Step]
	s.State, s.EndedAt, s.Error, s.Output, s.Permanent, s.RetryAt = Errored, e.At, f.Error, f.Output, f.Permanent, f.RetryAt
	if i.triesLeft(f.Step) {
		return
	}
	i.Reason = fmt.Sprintf("step %s failed: %s", step.Name, f.Error)
	if step.OnFailure == Continue {
		s.State = Skipped
		i.stepTold(f.Step, e, "failed, going on without it: "+f.Error)
	}
}

func (i *Incident) stepSettled(f StepSettled, e Event) {
	if f.Step < 0 || f.Step >= len(i.Steps) || i.Steps[f.Step].State != Doubted || i.Phase.Final() {
		return
	}
	s := &i.Steps[f.Step]
	s.State, s.EndedAt = NotStarted, e.At
	word := "did not happen and is run again"
	if f.Done {
		s.State, s.Error = Done, ""
		s.Summary = "said to be done by " + e.By
		word = "happened"
	}
	i.Phase = Running
	i.Reason = fmt.Sprintf("%s says that step %s %s", e.By, i.Plan.Steps[f.Step].Name, word)
	i.tell(e.At, false, "%s", i.Reason)
}

func (i *Incident) stepHeld(f StepHeld, e Event) {
	if f.Step < 0 || f.Step >= len(i.Steps) || i.Phase.Final() {
		return
	}
	said := i.Phase == Held && i.saidAlready(f.Reason, f.Findings)
	if !said || i.HeldSince.IsZero() {
		i.HeldSince = e.At
	}
	i.Phase, i.Reason, i.Findings = Held, f.Reason, f.Findings
	i.RetryAt = patient(f.RetryAt, e.At, i.HeldSince, 5*time.Minute)
	if !said {
		i.tell(e.At, true, "held before step %s: %s", i.Plan.Steps[f.Step].Name, f.Reason)
	}
}

func (i *Incident) stepTold(n int, e Event, what string) {
	i.tell(e.At, false, "step %d of %d, %s: %s", n+1, len(i.Steps), i.Plan.Steps[n].Name, what)
}

func (i *Incident) marked(e Event) {
	if i.Marked || i.Phase.Final() {
		return
	}
	i.Marked, i.Phase = true, Verifying
	i.Health.StartedAt = e.At
	i.Health.Deadline = e.At.Add(max(i.Health.For, i.Health.Patience))
	i.Reason = fmt.Sprintf("all steps are done; health must hold for %s", i.Health.For)
	i.tell(e.At, false, "%s", i.Reason)
}

func (i *Incident) healthSeen(f HealthSeen, e Event) {
	if i.Phase != Verifying {
		return
	}
	h := &i.Health
	if gap := e.At.Sub(later(h.StartedAt, h.AskedAt)); gap > blindness {
		h.GoodSince, h.Deadline = time.Time{}, h.Deadline.Add(gap) // nobody looked: that time counts neither way
	}
	h.AskedAt, h.Findings = e.At, f.Findings
	switch {
	case f.Broken:
		h.Broken = reasonOf(f.Findings)
		i.Reason = h.Broken
	case !f.Good:
		h.GoodSince = time.Time{}
		i.Reason = "not healthy yet: " + reasonOf(f.Findings)
	case h.GoodSince.IsZero():
		h.GoodSince = e.At
		i.Reason = fmt.Sprintf("healthy since %s; must hold for %s", e.At.UTC().Format("15:04:05Z"), h.For)
	}
}

// blindness is how long nobody may look at a target's health before the time counts as not seen.
const blindness = 90 * time.Second

// reasonOf is the first reason that is not a plain yes.
func reasonOf(findings []Finding) string {
	for _, f := range findings {
		if f.Verdict != Go {
			return f.Reason
		}
	}
	return "no reason was given"
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
