package incident

import (
	"fmt"
	"time"
)

// HeadOf is the incident as a list shows it.
func HeadOf(i Incident) *Head {
	h := &Head{
		ID: i.ID, Target: i.Target, Environment: i.Environment, Phase: i.Phase, Reason: i.Reason, Rule: i.leadName(),
		OpenedAt: i.OpenedAt, EndedAt: i.EndedAt, UpdatedAt: i.Now, Next: i.next(), Live: Live(i),
	}
	if i.Plan != nil {
		h.From, h.To = i.Plan.From.Version, i.Plan.To.Version
	}
	return h
}

func (i Incident) leadName() string {
	switch {
	case i.Lead != "":
		return i.Lead
	case i.Request != nil:
		return "request of " + i.Request.By
	case len(i.Rules) > 0:
		return i.Rules[0].Rule
	}
	return ""
}

// next is what happens next and when, in a few words.
func (i Incident) next() string {
	switch {
	case i.Phase.Final():
		return ""
	case i.Phase == AwaitingApproval && i.Offer != nil:
		return "offer ends " + clock(i.Offer.Until)
	case i.Phase == InDoubt:
		return "a person decides"
	case i.Phase == Verifying:
		return "verdict by " + clock(i.Health.Deadline)
	}
	for _, c := range i.nextInProcedure() {
		if wake, ok := c.(WakeAt); ok {
			return i.nextWord() + " " + clock(wake.At)
		}
	}
	if n := i.stepIn(Started); n >= 0 {
		return fmt.Sprintf("step %d of %d", n+1, len(i.Steps))
	}
	return ""
}

func (i Incident) nextWord() string {
	if i.Phase == Pending && i.RetryAt.IsZero() {
		return "due"
	}
	return "asks again"
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }

// AlertsOpen counts the episodes that still fire.
func (i Incident) AlertsOpen() int {
	n := 0
	for _, ep := range i.Episodes {
		if ep.Open() {
			n++
		}
	}
	return n
}
