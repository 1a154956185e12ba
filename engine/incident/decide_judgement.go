package incident

import (
	"fmt"
	"time"
)

// nextJudgement says which rule is to be judged, or when the next one will be.
func (i Incident) nextJudgement() []Command {
	if end, over := i.endUnjudged(); over {
		return []Command{end}
	}
	var wake time.Time
	for _, c := range i.candidates() {
		if !i.Now.Before(c.at) {
			return []Command{Judge{Rule: c.rule, Again: i.Touched}}
		}
		wake = sooner(wake, c.at)
	}
	if i.Phase == AwaitingApproval {
		wake = sooner(wake, i.offerEnds())
	}
	if wake.IsZero() {
		return nil
	}
	return []Command{WakeAt{wake, ProcedureLane}}
}

// endUnjudged says whether the case is over before any step was taken.
func (i Incident) endUnjudged() (End, bool) {
	if j := i.leadJudgement(); j != nil && j.Verdict == Stop {
		return End{Superseded, j.Reason}, true
	}
	if i.Phase == AwaitingApproval && !i.Now.Before(i.offerEnds()) {
		no := fmt.Sprintf("nobody approved plan %s by %s: silence is a no", Short(i.Offer.Plan), i.Offer.Until.UTC().Format(time.RFC3339))
		if i.Touched {
			return End{Failed, no + "; steps that were done stay done"}, true
		}
		return End{Rejected, no}, true
	}
	if i.Request != nil || i.Touched {
		return End{}, false
	}
	if len(i.Rules) == 0 {
		return End{Cancelled, "the rules that matched are no longer in the configuration; nothing was changed"}, true
	}
	for _, r := range i.Rules {
		if !r.Since.IsZero() {
			return End{}, false
		}
	}
	return End{Cancelled, "the alerts resolved before anything was done; nothing was changed"}, true
}

func (i Incident) leadJudgement() *Judgement { return i.judgementOf(i.Lead) }

// offerEnds is when silence becomes a no; an approval that stands prolongs the offer to its own end.
func (i Incident) offerEnds() time.Time {
	if i.Approval != nil {
		return later(i.Offer.Until, i.Approval.Until)
	}
	return i.Offer.Until
}

type candidate struct {
	rule string
	at   time.Time
}

// candidates are the judgements that may be asked, in the order in which they count: a person's request, then the
// rules that may lead by the order they joined, then those that only watch.
func (i Incident) candidates() []candidate {
	if i.Request != nil {
		if i.Phase == AwaitingApproval && !i.approvalStands() {
			return nil
		}
		return []candidate{{"", later(askedAgain(i.Request.Judgement), i.RetryAt)}}
	}
	if i.Touched { // nobody else takes over what was begun
		return i.leadAgain()
	}
	var lead, watch []candidate
	for _, r := range i.Rules {
		at, asks := i.judgeAt(r)
		switch {
		case !asks:
		case r.Mode.Rank() >= Approve.Rank():
			lead = append(lead, candidate{r.Rule, at})
		default:
			watch = append(watch, candidate{r.Rule, at})
		}
	}
	return append(lead, watch...)
}

// leadAgain asks the leading rule about the new plan, once a person said yes to it.
func (i Incident) leadAgain() []candidate {
	if i.Phase == AwaitingApproval && !i.approvalStands() {
		return nil
	}
	return []candidate{{i.Lead, i.RetryAt}}
}

// judgeAt says when a rule is to be judged next, and whether at all.
func (i Incident) judgeAt(r Joined) (time.Time, bool) {
	if r.Since.IsZero() {
		return time.Time{}, false
	}
	due := later(r.DueAt(), r.JoinedAt)
	if i.Phase == AwaitingApproval {
		if r.Rule == i.Lead {
			return later(due, i.RetryAt), i.approvalStands()
		}
		if r.Mode != Auto { // only a due auto rule takes the lead from an unanswered approval (S2)
			return time.Time{}, false
		}
	}
	if r.Judgement == nil {
		return due, true
	}
	switch r.Judgement.Verdict {
	case Hold, Wait, Go: // a yes that could not be taken up is asked for again
		return later(due, r.Judgement.RetryAt), true
	case Tell, Watch:
		at, again := r.Judgement.looksAgain()
		return later(due, at), again
	}
	return time.Time{}, false
}

// undecided says that a rule which only watches would still wait: whether it would have acted shows later (S20).
func (j *Judgement) undecided() bool {
	return (j.Verdict == Tell || j.Verdict == Watch) && (j.Would == Wait || j.Would == Hold)
}

// looksAgain is when a rule that only watches is judged again: as one that acts would be, and when its ceiling ends.
func (j *Judgement) looksAgain() (at time.Time, again bool) {
	switch {
	case !j.undecided():
		return j.Until, !j.Until.IsZero()
	case !j.Until.IsZero() && j.Until.Before(j.RetryAt):
		return j.Until, true
	}
	return j.RetryAt, true
}

// askedAgain is when an answer that was no answer is asked for once more.
func askedAgain(j *Judgement) time.Time {
	if j == nil || j.Verdict == Ask {
		return time.Time{}
	}
	return j.RetryAt
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
