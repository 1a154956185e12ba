package engine

import (
	"fmt"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine/incident"
)

// message is the incident as people are told it, up to one chapter of its story.
func (e *Engine) message(cfg *Configuration, inc incident.Incident, n incident.Notice, story int) actions.Message {
	m := actions.Message{
		Incident: inc.ID, Target: inc.Target, Environment: inc.Environment, Severity: severityOf(inc), Phase: string(inc.Phase),
		Title: titleOf(inc), Status: inc.Reason, Trigger: triggerOf(inc), StartedAt: inc.OpenedAt, UpdatedAt: inc.Now,
		Final: inc.Phase.Final(), Good: inc.Phase == incident.Succeeded, Story: story,
		Taken: inc.Request != nil || inc.Approval != nil || inc.Refusal != nil,
	}
	if inc.Phase == incident.Cancelled || inc.Phase == incident.Rejected || (inc.Phase == incident.Superseded && !inc.Touched) {
		m.Good = true // nothing was changed and nothing is left to do
	}
	if inc.Plan != nil {
		m.From, m.To, m.Plan = inc.Plan.From.Version, inc.Plan.To.Version, incident.Short(inc.Plan.Hash)
		m.Steps = stepsOf(inc)
	}
	for _, chapter := range inc.News {
		if chapter.Story > n.Told && chapter.Story <= story {
			m.News = append(m.News, chapter.At.UTC().Format("15:04:05Z ")+chapter.Text)
			m.Urgent = m.Urgent || chapter.Urgent
		}
	}
	if n.EscalationOf != "" {
		m.Urgent = true
		m.Title = "overdue notice " + n.EscalationOf + ": " + m.Title
	}
	m.Needs, m.NeedsUntil = needsOf(inc)
	if cfg.Settings.ExternalURL != "" {
		m.URL = strings.TrimRight(cfg.Settings.ExternalURL, "/") + "/incidents/" + inc.ID
	}
	return m
}

func titleOf(inc incident.Incident) string {
	where := inc.Target
	if inc.Environment != "" {
		where += " (" + inc.Environment + ")"
	}
	if inc.Plan == nil {
		return where + ": " + triggerOf(inc)
	}
	return fmt.Sprintf("%s: %s, %s -> %s", where, doing(inc), inc.Plan.From.Version, inc.Plan.To.Version)
}

func doing(inc incident.Incident) string {
	switch inc.Phase {
	case incident.AwaitingApproval:
		return "rollback waits for approval"
	case incident.Running:
		return "rolling back"
	case incident.Verifying:
		return "rolled back, watching its health"
	case incident.Succeeded:
		return "rolled back and healthy"
	case incident.Failed:
		return "rollback FAILED"
	case incident.InDoubt:
		return "rollback in doubt"
	case incident.Held:
		return "rollback held"
	case incident.Rejected:
		return "rollback rejected"
	case incident.Superseded:
		return "rollback superseded"
	case incident.Cancelled:
		return "rollback cancelled"
	}
	return "rollback considered"
}

func triggerOf(inc incident.Incident) string {
	if inc.Request != nil && inc.Lead == "" {
		return "request of " + inc.Request.By + ": " + inc.Request.Reason
	}
	for _, j := range inc.Rules {
		if j.Rule == inc.Lead || inc.Lead == "" {
			if j.Summary != "" {
				return j.Rule + ": " + j.Summary
			}
			return j.Rule
		}
	}
	return "no rule"
}

func stepsOf(inc incident.Incident) []actions.MessageStep {
	steps := make([]actions.MessageStep, len(inc.Plan.Steps))
	for n, s := range inc.Plan.Steps {
		steps[n] = actions.MessageStep{Name: s.Name, State: string(incident.NotStarted), Summary: s.Change.Summary}
		if n < len(inc.Steps) {
			run := inc.Steps[n]
			steps[n].State = string(run.State)
			for _, said := range []string{run.Summary, run.Error} {
				if said != "" {
					steps[n].Summary = said
				}
			}
		}
	}
	return steps
}

// needsOf is what a person must do now, and until when.
func needsOf(inc incident.Incident) (string, time.Time) {
	switch inc.Phase {
	case incident.AwaitingApproval:
		if inc.Approval != nil && inc.Now.Before(inc.Approval.Until) {
			return "", time.Time{}
		}
		return fmt.Sprintf("approve or reject: astern approve %s --plan %s", inc.ID, incident.Short(inc.Offer.Plan)), inc.Offer.Until
	case incident.InDoubt:
		for n, s := range inc.Steps {
			if s.State == incident.Doubted {
				return fmt.Sprintf("look whether step %s took effect, then: astern approve %s --step %s --done or --repeat", inc.Plan.Steps[n].Name, inc.ID, inc.Plan.Steps[n].Name), time.Time{}
			}
		}
	case incident.Failed:
		return "take over: the rollback did not finish well", time.Time{}
	case incident.Held:
		return "look at the reason; astern asks again by itself and does nothing until it lifts", time.Time{}
	case incident.Superseded:
		if inc.Touched {
			return "take over: the rollback stopped half way because somebody else moved the target", time.Time{}
		}
	}
	return "", time.Time{}
}
