package main

import (
	"fmt"
	"slices"
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

// stepOf is a step of the plan by its place; an empty one when there is none.
func stepOf(i incident.Incident, n int) incident.Step {
	if i.Plan == nil || n < 0 || n >= len(i.Plan.Steps) {
		return incident.Step{}
	}
	return i.Plan.Steps[n]
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
		if run := (incident.StepRun{State: incident.Errored, Attempt: f.Attempt, Permanent: f.Permanent, RetryAt: f.RetryAt}); triesAgain(stepOf(before, f.Step), run) {
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

// tellNotice: that messages are on their way and brought up to date is the machinery's; that one is owed for the first
// time, that it arrived or not is news.
func tellNotice(before, after incident.Incident, e incident.Event) entry {
	said := entry{word: "notice"}
	switch f := e.Fact.(type) {
	case incident.NoticesOwed:
		said.text, said.system = owed(before, f)
	case incident.NoticeBegan:
		said.text, said.system = fmt.Sprintf("telling %s (try %d)", recipient(after, f.ID), f.Attempt), true
	case incident.NoticeTold:
		said.text = recipient(after, f.ID) + " was told"
		said.system = retold(after, f)
	case incident.NoticeErred:
		said.tone, said.text = care, fmt.Sprintf("%s could not be told: %s", recipient(after, f.ID), f.Error)
		if f.Permanent {
			said.tone, said.text = bad, said.text+"; given up"
		}
	case incident.NoticeOverdue:
		said.tone, said.text = bad, recipient(after, f.ID)+" is OVERDUE"
	}
	return said
}

// owed tells whose message is new. When none is, the story went on and the messages there are owe an update.
func owed(before incident.Incident, f incident.NoticesOwed) (text string, system bool) {
	var fresh, again []string
	for _, n := range f.Notices {
		if slices.ContainsFunc(before.Notices, func(known incident.Notice) bool { return known.ID == n.ID }) {
			again = append(again, n.To+" via "+n.Via)
			continue
		}
		fresh = append(fresh, fmt.Sprintf("%s via %s by %s", n.To, n.Via, n.Due.UTC().Format("15:04:05Z")))
	}
	switch {
	case len(fresh) > 0:
		return "owed: " + strings.Join(fresh, ", "), false
	case len(again) > 0:
		return "an update is owed: " + strings.Join(again, ", "), true
	}
	return "nobody else is owed a message", true
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
