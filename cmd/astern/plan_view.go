package main

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"astern.dev/astern/engine/incident"
)

var stepStates = map[incident.StepState]look{
	incident.NotStarted: {"○", "waiting", calm},
	incident.Started:    {"▶", "running", busy},
	incident.Done:       {"✓", "done", good},
	incident.Errored:    {"✗", "failed", bad},
	incident.Doubted:    {"!", "in doubt", bad},
	incident.Skipped:    {"»", "skipped", care},
	incident.Mended:     {"↺", "repaired", care},
}

// planRun shows the plan's steps and what became of each.
func (a *app) planRun(w io.Writer, i incident.Incident) {
	if i.Plan == nil {
		return
	}
	a.head(w, "PLAN "+visible(incident.Short(i.Plan.Hash)), fmt.Sprintf("  %s, made %s", visible(i.Plan.Procedure), clock(i.Plan.MadeAt, a.now())))
	g := a.grid("STEP", "STATE", "TOOK", "LIMIT", "INFO")
	for n, step := range i.Plan.Steps {
		var run incident.StepRun
		if n < len(i.Steps) {
			run = i.Steps[n]
		}
		if i.Phase.Final() {
			run.RetryAt = time.Time{} // nothing is tried after the end
		}
		l, state := a.stepLook(step, run)
		branch := "├─"
		if n == len(i.Plan.Steps)-1 {
			branch = "└─"
		}
		g.row(branch+a.paint(l.tone, l.glyph)+fmt.Sprintf(" %d %s", n+1, visible(step.Name)), a.paint(l.tone, state), a.took(run), span(step.Timeout), stepInfo(step, run))
	}
	g.print(w, "")
}

// stepLook is a step's state; a step that will be tried again differs from one that runs, and from one that failed.
func (a *app) stepLook(step incident.Step, run incident.StepRun) (look, string) {
	l, known := stepStates[cmp.Or(run.State, incident.NotStarted)]
	if !known {
		l = look{"·", visible(string(run.State)), calm}
	}
	switch {
	case triesAgain(step, run):
		l = look{"▷", "retrying", care}
	case run.State == incident.Started && run.Attempt > 1:
		return l, fmt.Sprintf("%s, try %d of %d", l.word, run.Attempt, step.Attempts)
	}
	return l, l.word
}

// triesAgain says that a failed step has a try left.
func triesAgain(step incident.Step, run incident.StepRun) bool {
	return run.State == incident.Errored && !run.Permanent && run.Attempt < step.Attempts && !run.RetryAt.IsZero()
}

func (a *app) took(run incident.StepRun) string {
	switch {
	case run.StartedAt.IsZero():
		return ""
	case run.State == incident.Started:
		return span(a.now().Sub(run.StartedAt))
	case run.EndedAt.IsZero():
		return ""
	}
	return span(run.EndedAt.Sub(run.StartedAt))
}

// stepInfo is what is worth knowing of a step now: what went wrong, what came of it, or what it will do.
func stepInfo(step incident.Step, run incident.StepRun) string {
	info := cmp.Or(run.Error, run.Summary)
	if info == "" || run.State == incident.Started {
		info = step.Change.Summary
	}
	if run.State == incident.Mended {
		info += "; its half effect was undone"
	}
	if run.RepairErr != "" {
		info += "; undoing its half effect failed: " + run.RepairErr
	}
	if triesAgain(step, run) {
		info += "; next try " + run.RetryAt.UTC().Format("15:04:05Z")
	}
	return visible(info)
}

// notices shows who is owed a message and what became of it.
func (a *app) notices(w io.Writer, i incident.Incident) {
	if len(i.Notices) == 0 {
		return
	}
	a.head(w, "NOTICES", "")
	g := a.grid("TO", "VIA", "DUE", "STATE")
	for _, n := range i.Notices {
		to := visible(n.To)
		if n.EscalationOf != "" {
			to += " (escalation of " + visible(n.EscalationOf) + ")"
		}
		g.row(to, visible(n.Via), clock(n.Due, a.now()), a.noticeState(n, i))
	}
	g.print(w, "")
}

func (a *app) noticeState(n incident.Notice, i incident.Incident) string {
	why := ""
	if n.Error != "" {
		why = ": " + visible(n.Error)
	}
	switch now := a.now(); {
	case n.GivenUp:
		return a.paint(bad, "✗ given up"+why)
	case n.Told >= i.Story || n.Told > 0 && !n.Updates:
		return a.paint(good, "✓ told "+clock(n.ToldAt, now))
	case n.Told == 0 && (!n.OverdueAt.IsZero() || now.After(n.Due.Add(time.Minute))):
		return a.paint(bad, "! OVERDUE "+span(now.Sub(n.Due))+why)
	case n.Sending > 0:
		return a.paint(busy, "▶ sending"+why)
	case n.Told > 0:
		return "◐ told " + clock(n.ToldAt, now) + ", an update is owed" + why
	}
	return "○ owed" + why
}
