package incident

import (
	"fmt"
	"slices"
	"time"
)

// Command is a wish, imperative. Asking twice is harmless: Key names the wish.
type Command interface {
	Key() string
	Lane() Lane
}

// The commands.
type (
	// WakeAt: nothing is to be done before At.
	WakeAt struct {
		At time.Time
		On Lane
	}
	// Judge: ask every guard whether the rule may act now. An empty rule is the person's request.
	Judge struct {
		Rule string
		// Again says that a plan which was taken up has grown old: a person must see the new one.
		Again bool
	}
	// Start: run a step.
	Start struct{ Step, Attempt int }
	// Settle: a crash left this step under way; find out whether its effect is there.
	Settle struct{ Step, Attempt int }
	// RepairStep: undo the failed step's own half effect.
	RepairStep struct{ Step int }
	// Mark: tell the target's history that it was moved.
	Mark struct{}
	// AskHealth: ask the target's own queries.
	AskHealth struct{ At time.Time }
	// End: close the incident.
	End struct {
		Phase  Phase
		Reason string
	}
	// Owe: settle who must be told of the story so far.
	Owe struct{ Story int }
	// Send: tell one notice. InDoubt says that an earlier attempt at the same story may have arrived.
	Send struct {
		Notice  string
		Story   int
		Attempt int
		InDoubt bool
	}
	// CallOverdue: a notice was not told in time.
	CallOverdue struct{ Notice string }
)

func (c WakeAt) Key() string {
	return "wake/" + string(c.On) + "/" + c.At.UTC().Format(time.RFC3339Nano)
}
func (c Judge) Key() string       { return "judge/" + c.Rule }
func (c Start) Key() string       { return fmt.Sprintf("step/%d/start/%d", c.Step, c.Attempt) }
func (c Settle) Key() string      { return fmt.Sprintf("step/%d/settle/%d", c.Step, c.Attempt) }
func (c RepairStep) Key() string  { return fmt.Sprintf("step/%d/repair", c.Step) }
func (c Mark) Key() string        { return "mark" }
func (c AskHealth) Key() string   { return "health/" + c.At.UTC().Format(time.RFC3339Nano) }
func (c End) Key() string         { return "end/" + string(c.Phase) }
func (c Owe) Key() string         { return fmt.Sprintf("owe/%d", c.Story) }
func (c Send) Key() string        { return fmt.Sprintf("send/%s/%d", c.Notice, c.Story) }
func (c CallOverdue) Key() string { return "overdue/" + c.Notice }

func (c WakeAt) Lane() Lane    { return c.On }
func (Judge) Lane() Lane       { return ProcedureLane }
func (Start) Lane() Lane       { return ProcedureLane }
func (Settle) Lane() Lane      { return ProcedureLane }
func (RepairStep) Lane() Lane  { return ProcedureLane }
func (Mark) Lane() Lane        { return ProcedureLane }
func (AskHealth) Lane() Lane   { return ProcedureLane }
func (End) Lane() Lane         { return ProcedureLane }
func (Owe) Lane() Lane         { return NoticeLane }
func (Send) Lane() Lane        { return NoticeLane }
func (CallOverdue) Lane() Lane { return NoticeLane }

// DefaultPlanLife is how old a plan may be when work resumes (S4); older ones are made again and asked for.
const DefaultPlanLife = 15 * time.Minute

// Decide is what must be done next: a function of the incident alone. In the procedure lane it is at most one command,
// or the times to look again; in the notice lane every notice speaks for itself.
func Decide(i Incident) []Command {
	if i.Version == 0 {
		return nil
	}
	return append(i.nextInProcedure(), i.nextNotices()...)
}

// Live says whether anything is still to be done for the incident, notices included.
func Live(i Incident) bool { return !i.Phase.Final() || len(i.nextNotices()) > 0 }

func (i Incident) nextInProcedure() []Command {
	if i.Phase.Final() {
		return nil
	}
	if n := i.stepIn(Started); n >= 0 {
		return []Command{Settle{n, i.Steps[n].Attempt}}
	}
	switch {
	case i.Refusal != nil:
		return []Command{i.endRefused()}
	case i.stepIn(Doubted) >= 0:
		return nil // a person decides (S5)
	case i.Phase == Verifying:
		return i.nextInVerification()
	case i.committed():
		return i.nextStep()
	default:
		return i.nextJudgement()
	}
}

func (i Incident) stepIn(state StepState) int {
	return slices.IndexFunc(i.Steps, func(s StepRun) bool { return s.State == state })
}

func (i Incident) endRefused() Command {
	switch {
	case i.Touched:
		return End{Failed, i.Reason + "; steps that were done stay done"}
	case i.Refusal.Abort:
		return End{Cancelled, i.Reason + "; nothing was changed"}
	default:
		return End{Rejected, i.Reason}
	}
}

func (i Incident) nextStep() []Command {
	if stop, ok := findingOf(i.Findings, Stop); ok && i.Phase == Held { // S4
		return []Command{End{Superseded, stop.Reason}}
	}
	for n, s := range i.Steps {
		switch s.State {
		case Done, Skipped:
			continue
		case Errored:
			return i.afterError(n)
		case Mended:
			return []Command{End{Failed, i.Reason + i.repairWord(n)}}
		default:
			return i.startStep(n, s.RetryAt)
		}
	}
	if !i.Marked {
		return []Command{Mark{}}
	}
	return nil
}

func (i Incident) startStep(n int, notBefore time.Time) []Command {
	notBefore = later(notBefore, i.RetryAt)
	if i.Now.Before(notBefore) {
		return []Command{WakeAt{notBefore, ProcedureLane}}
	}
	if i.planIsOld(i.Now) || i.unproven(n) {
		return []Command{Judge{Rule: i.Lead, Again: true}}
	}
	return []Command{Start{n, i.Steps[n].Attempt + 1}}
}

// ProofLife is how long a judgement counts as made right before acting (S7).
const ProofLife = 30 * time.Second

// unproven says whether the step would be the first change, and what proved it is no longer fresh: it was held or took
// its time on the way here. A person's own request proves itself.
func (i Incident) unproven(n int) bool {
	if i.Touched || !i.Plan.Steps[n].Change.Changes || i.Lead == "" {
		return false
	}
	j := i.leadJudgement()
	_, asks := findingOf(i.Findings, Ask)
	return j == nil || j.Verdict != Go || i.Now.Sub(j.At) > ProofLife || asks && i.Phase == Held
}

// planIsOld says whether work rested for longer than a plan lives.
func (i Incident) planIsOld(now time.Time) bool { return now.Sub(i.lastTouch()) > i.PlanLife }

// lastTouch is when the procedure last moved.
func (i Incident) lastTouch() time.Time {
	touch := i.Plan.MadeAt
	for _, s := range i.Steps {
		touch = later(later(touch, s.StartedAt), s.EndedAt)
	}
	return touch
}

func (i Incident) triesLeft(n int) bool {
	return !i.Steps[n].Permanent && i.Steps[n].Attempt < i.Plan.Steps[n].Attempts
}

func (i Incident) afterError(n int) []Command {
	switch {
	case i.triesLeft(n):
		return i.startStep(n, i.Steps[n].RetryAt)
	case i.Plan.Steps[n].OnFailure == Repair && i.Now.Before(i.RetryAt):
		return []Command{WakeAt{i.RetryAt, ProcedureLane}}
	case i.Plan.Steps[n].OnFailure == Repair:
		return []Command{RepairStep{n}}
	default:
		return []Command{End{Failed, i.Reason}}
	}
}

func (i Incident) repairWord(n int) string {
	if err := i.Steps[n].RepairErr; err != "" {
		return "; undoing its half effect failed too: " + err
	}
	return "; its half effect was undone"
}

func (i Incident) nextInVerification() []Command {
	h := i.Health
	switch {
	case h.Broken != "":
		return []Command{End{Failed, h.Broken}}
	case h.For == 0:
		return []Command{End{Succeeded, "all steps are done; this target asks no health queries"}}
	case !h.GoodSince.IsZero() && h.AskedAt.Sub(h.GoodSince) >= h.For:
		return []Command{End{Succeeded, fmt.Sprintf("healthy for %s: back at baseline", h.For)}}
	case !i.Now.Before(h.Deadline) && i.Now.Sub(later(h.StartedAt, h.AskedAt)) <= blindness:
		return []Command{End{Failed, fmt.Sprintf("not healthy for %s within %s: %s", h.For, max(h.For, h.Patience), i.Reason)}}
	}
	next := h.StartedAt
	if !h.AskedAt.IsZero() {
		next = h.AskedAt.Add(healthInterval(h.For))
	}
	if !i.Now.Before(next) {
		return []Command{AskHealth{i.Now}}
	}
	if h.Deadline.Before(next) {
		next = h.Deadline
	}
	return []Command{WakeAt{next, ProcedureLane}}
}

// healthInterval looks about ten times in the window, not more often than each second and not less than each 15 s.
func healthInterval(window time.Duration) time.Duration {
	return min(max(window/10, time.Second), 15*time.Second)
}

// Impatient is the incident with its pauses over: something changed that it may be held for.
func (i Incident) Impatient() Incident {
	i.RetryAt = time.Time{}
	i.Rules = slices.Clone(i.Rules)
	for n := range i.Rules {
		i.Rules[n].Judgement = i.Rules[n].Judgement.atOnce()
	}
	if i.Request != nil {
		request := *i.Request
		request.Judgement = request.Judgement.atOnce()
		i.Request = &request
	}
	return i
}

func (j *Judgement) atOnce() *Judgement {
	if j == nil {
		return nil
	}
	now := *j
	now.RetryAt = time.Time{}
	return &now
}

// At is the incident as seen at a later time.
func (i Incident) At(now time.Time) Incident {
	i.Now = later(i.Now, now)
	return i
}

func findingOf(findings []Finding, v Verdict) (Finding, bool) {
	for _, f := range findings {
		if f.Verdict == v {
			return f, true
		}
	}
	return Finding{}, false
}
