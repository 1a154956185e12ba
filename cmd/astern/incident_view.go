package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

// incident is one incident as people read it: state and reason first, then why, plan, notices and history.
func (a *app) incident(got web.IncidentAnswer, all bool) string {
	var w strings.Builder
	a.incidentNow(&w, got.Incident)
	a.timeline(&w, got, all)
	return w.String()
}

// incidentNow is everything but the history.
func (a *app) incidentNow(w io.Writer, i incident.Incident) {
	a.header(w, i)
	a.why(w, i)
	a.planRun(w, i)
	a.health(w, i)
	a.notices(w, i)
}

func (a *app) header(w io.Writer, i incident.Incident) {
	place := visible(i.Target)
	if i.Environment != "" {
		place += " (" + visible(i.Environment) + ")"
	}
	line := a.paint(strong, visible(i.ID)) + "   " + a.phase(i.Phase) + "   " + place
	if i.Plan != nil {
		line += "   " + change(i.Plan.From.Version, i.Plan.To.Version)
	}
	fmt.Fprintln(w, line)
	g := a.grid()
	g.row("Reason", dash(i.Reason))
	if needs := a.needs(i); needs != "" {
		g.row("Needs", needs)
	}
	if next := nextOf(i); next != "" {
		g.row("Next", visible(next))
	}
	g.row("Opened", ago(i.OpenedAt, a.now()))
	if !i.EndedAt.IsZero() {
		g.row("Ended", ago(i.EndedAt, a.now())+" after "+span(i.EndedAt.Sub(i.OpenedAt)))
	}
	a.people(g, i)
	g.print(w, "")
}

// nextOf is what the head of a list says, too; it is not said where the reason or a person's need says it.
func nextOf(i incident.Incident) string {
	switch i.Phase {
	case incident.Pending, incident.Held, incident.Verifying:
		return incident.HeadOf(i).Next
	}
	return ""
}

// people are those who had a say.
func (a *app) people(g *grid, i incident.Incident) {
	if r := i.Request; r != nil {
		g.row("Asked", fmt.Sprintf("by %s at %s: %s", visible(r.By), clock(r.At, a.now()), visible(r.Reason)))
	}
	if y := i.Approval; y != nil {
		said := fmt.Sprintf("by %s at %s, plan %s", visible(y.By), clock(y.At, a.now()), visible(incident.Short(y.Plan)))
		if y.Comment != "" {
			said += ": " + visible(y.Comment)
		}
		g.row("Approved", said)
	}
	if no := i.Refusal; no != nil {
		word := "Rejected"
		if no.Abort {
			word = "Aborted"
		}
		g.row(word, fmt.Sprintf("by %s: %s", visible(no.By), visible(no.Reason)))
	}
}

// needs is what a person must do now, with what to type.
func (a *app) needs(i incident.Incident) string {
	switch {
	case i.Phase == incident.AwaitingApproval && i.Offer != nil && i.Approval == nil:
		return a.paint(care, fmt.Sprintf("a yes or no until %s: astern approve %s --plan %s", ago(i.Offer.Until, a.now()), visible(i.ID), visible(incident.Short(i.Offer.Plan))))
	case i.Phase == incident.InDoubt:
		return a.paint(bad, fmt.Sprintf("look whether the effect is there, then: astern approve %s --step %s --done (or --repeat)", visible(i.ID), visible(doubted(i))))
	}
	return ""
}

func doubted(i incident.Incident) string {
	for n, s := range i.Steps {
		if s.State == incident.Doubted && i.Plan != nil && n < len(i.Plan.Steps) {
			return i.Plan.Steps[n].Name
		}
	}
	return "NAME"
}

// why shows the rules that matched, and what the guards say.
func (a *app) why(w io.Writer, i incident.Incident) {
	if len(i.Rules) > 0 {
		a.head(w, "WHY", "")
		g := a.grid("RULE", "MODE", "ALERT", "FIRING SINCE", "JUDGED")
		for _, j := range i.Rules {
			rule := visible(j.Rule)
			if j.Rule == i.Lead {
				rule += " (leads)"
			}
			g.row(rule, visible(string(j.Mode)), alertName(j.Sample, a.wide()), a.firing(j), judged(j.Judgement))
		}
		g.print(w, "")
	}
	a.findings(w, "GUARDS", i.Findings)
}

func (a *app) firing(j incident.Joined) string {
	if j.Since.IsZero() {
		return "no longer"
	}
	return ago(j.Since, a.now())
}

func judged(j *incident.Judgement) string {
	if j == nil {
		return "not yet"
	}
	return visible(string(j.Verdict)) + ": " + dash(j.Reason)
}

// alertName is the alert's name; all its labels when asked for.
func alertName(alert incident.Alert, labels bool) string {
	name := cmp.Or(visible(alert.Labels["alertname"]), "-")
	if !labels {
		return name
	}
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(alert.Labels)) {
		if k != "alertname" {
			pairs = append(pairs, visible(k)+"="+fmt.Sprintf("%q", visible(alert.Labels[k])))
		}
	}
	return name + " {" + strings.Join(pairs, ", ") + "}"
}

var verdicts = map[incident.Verdict]look{
	incident.Go:    {"✓", "pass", good},
	incident.Ask:   {"?", "ask", care},
	incident.Hold:  {"‖", "HOLD", care},
	incident.Wait:  {"○", "wait", care},
	incident.Stop:  {"✗", "STOP", bad},
	incident.Tell:  {"·", "tell", calm},
	incident.Watch: {"·", "watch", calm},
}

// findings shows the guards' words, those that are no plain yes first; those that pass only when wide.
func (a *app) findings(w io.Writer, title string, all []incident.Finding) {
	if len(all) == 0 {
		return
	}
	passed := 0
	g := a.grid("GUARD", "RESULT", "DETAIL")
	for _, f := range all {
		if f.Verdict == incident.Go && !a.wide() {
			passed++
			continue
		}
		l := verdicts[f.Verdict]
		word := cmp.Or(l.word, visible(string(f.Verdict)))
		if f.Unknown {
			word += " (unknown)"
		}
		g.row(guardName(f), a.paint(l.tone, cmp.Or(l.glyph, "·")+" "+word), dash(f.Reason))
	}
	beside := ""
	switch {
	case passed == len(all):
		beside = "  all pass (-o wide shows them)"
	case passed > 0:
		beside = fmt.Sprintf("  %d others pass (-o wide shows them)", passed)
	}
	a.head(w, title, beside)
	g.print(w, "")
}

func guardName(f incident.Finding) string {
	if f.Rule == "" {
		return dash(f.Guard)
	}
	return dash(f.Guard) + " (" + visible(f.Rule) + ")"
}

func (a *app) health(w io.Writer, i incident.Incident) {
	h := i.Health
	if h.StartedAt.IsZero() || h.For == 0 {
		return
	}
	beside := fmt.Sprintf("  must hold for %s", span(h.For))
	if !h.GoodSince.IsZero() {
		beside += fmt.Sprintf(", holds since %s", clock(h.GoodSince, a.now()))
	}
	if i.Phase == incident.Verifying {
		beside += fmt.Sprintf(", verdict by %s", clock(h.Deadline, a.now()))
	}
	if len(h.Findings) == 0 {
		a.head(w, "HEALTH", beside)
		return
	}
	a.findings(w, "HEALTH"+beside, h.Findings)
}
