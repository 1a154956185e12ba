package main

import (
	"fmt"
	"strings"

	"astern.dev/astern/engine/incident"
)

// stepName is a step of the plan by its place: "step 2 switch_traffic".
func stepName(i incident.Incident, n int) string {
	if i.Plan == nil || n < 0 || n >= len(i.Plan.Steps) {
		return fmt.Sprintf("step %d", n+1)
	}
	return fmt.Sprintf("step %d %s", n+1, i.Plan.Steps[n].Name)
}

func tellStep(before incident.Incident, e incident.Event) entry {
	said := entry{word: "step"}
	switch f := e.Fact.(type) {
	case incident.StepBegan:
		said.text = stepName(before, f.Step) + " begins"
		if f.Attempt > 1 {
			said.text = fmt.Sprintf("%s is tried again (try %d)", stepName(before, f.Step), f.Attempt)
		}
	case incident.StepSucceeded:
		said.tone = good
		said.text = stepName(before, f.Step) + " is done" + took(before, f.Step, e) + because(f.Summary)
		if f.Settled {
			said.text += "; found so after a restart, not repeated"
		}
	case incident.StepDidNotHappen:
		said.text = fmt.Sprintf("%s did not happen: %s", stepName(before, f.Step), f.Reason)
	case incident.StepErred:
		said.tone = bad
		said.text = fmt.Sprintf("%s failed (try %d): %s", stepName(before, f.Step), f.Attempt, f.Error)
		if !f.Permanent && !f.RetryAt.IsZero() {
			said.text += "; again at " + f.RetryAt.UTC().Format("15:04:05Z")
		}
	case incident.StepDoubted:
		said.tone = bad
		said.text = fmt.Sprintf("nobody knows whether %s took effect: %s", stepName(before, f.Step), f.Reason)
	case incident.StepHeld:
		said.tone = care
		said.text = fmt.Sprintf("held before %s: %s", stepName(before, f.Step), f.Reason)
		said.system = before.Phase == incident.Held && before.Reason == f.Reason
	case incident.StepRepaired:
		said.text = fmt.Sprintf("the half effect of %s was undone", stepName(before, f.Step))
		if f.Error != "" {
			said.tone, said.text = bad, fmt.Sprintf("the half effect of %s could not be undone: %s", stepName(before, f.Step), f.Error)
		}
	default:
		said = entry{word: "event", text: e.Type}
	}
	return said
}

func took(before incident.Incident, n int, e incident.Event) string {
	if n < 0 || n >= len(before.Steps) || before.Steps[n].StartedAt.IsZero() {
		return ""
	}
	return " in " + span(e.At.Sub(before.Steps[n].StartedAt))
}

func because(summary string) string {
	if summary == "" {
		return ""
	}
	return ": " + summary
}

// tellNotice: that messages are owed and on their way is the machinery's; that they arrived or not is news.
func tellNotice(i incident.Incident, e incident.Event) entry {
	said := entry{word: "notice"}
	switch f := e.Fact.(type) {
	case incident.NoticesOwed:
		var to []string
		for _, n := range f.Notices {
			to = append(to, fmt.Sprintf("%s via %s by %s", n.To, n.Via, n.Due.UTC().Format("15:04:05Z")))
		}
		said.text, said.system = "owed: "+strings.Join(to, ", "), len(to) == 0
		if len(to) == 0 {
			said.text = "nobody else is owed a message"
		}
	case incident.NoticeBegan:
		said.text, said.system = fmt.Sprintf("telling %s (try %d)", recipient(i, f.ID), f.Attempt), true
	case incident.NoticeTold:
		said.text = recipient(i, f.ID) + " was told"
		said.system = retold(i, f)
	case incident.NoticeErred:
		said.tone, said.text = care, fmt.Sprintf("%s could not be told: %s", recipient(i, f.ID), f.Error)
		if f.Permanent {
			said.tone, said.text = bad, said.text+"; given up"
		}
	case incident.NoticeOverdue:
		said.tone, said.text = bad, recipient(i, f.ID)+" is OVERDUE"
	}
	return said
}

// retold says that a message was only brought up to date.
func retold(i incident.Incident, f incident.NoticeTold) bool {
	for _, n := range i.Notices {
		if n.ID == f.ID {
			return n.FirstAt.Before(n.ToldAt)
		}
	}
	return false
}

func recipient(i incident.Incident, id string) string {
	for _, n := range i.Notices {
		if n.ID == id {
			return n.To + " via " + n.Via
		}
	}
	return "notice " + id
}
