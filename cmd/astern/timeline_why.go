package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"astern.dev/astern/engine/incident"
)

func tellAlerts(before, after incident.Incident, e incident.Event) entry {
	switch f := e.Fact.(type) {
	case incident.Opened:
		return entry{word: "opened", text: fmt.Sprintf("%s for %s", f.ID, f.Target)}
	case incident.AlertsSeen:
		return tellSeen(before, f, e.By)
	case incident.AlertsEnded:
		return tellAlertsEnded(after, f)
	case incident.Reconfigured:
		var names []string
		for _, r := range f.Rules {
			names = append(names, r.Rule)
		}
		return entry{word: "config", text: "the configuration changed; judged again: " + strings.Join(names, ", ")}
	}
	return entry{}
}

// tellSeen shows what is new: a rule that joins, or alerts not seen before. Repeats are the machinery's.
func tellSeen(before incident.Incident, f incident.AlertsSeen, by string) entry {
	fresh := 0
	for _, alert := range f.Alerts {
		if episode, known := before.Episodes[alert.ID]; !known || !episode.Open() {
			fresh++
		}
	}
	joins := !slices.ContainsFunc(before.Rules, func(j incident.Joined) bool { return j.Rule == f.Rule })
	said := entry{word: "alert", system: fresh == 0 && !joins}
	switch name := sampleName(before, f); {
	case joins:
		said.text = fmt.Sprintf("%s fires; rule %s matches (%s)", name, f.Rule, f.Mode)
	case fresh > 0:
		said.text = fmt.Sprintf("%s fires: %s", name, count(fresh, "further alert"))
	default:
		said.text = name + " still fires"
	}
	said.text += ", told by " + by
	if f.Note != "" {
		said.text += "; " + f.Note
	}
	return said
}

func sampleName(before incident.Incident, f incident.AlertsSeen) string {
	if f.Sample != nil {
		return cmp.Or(f.Sample.Labels["alertname"], f.Rule)
	}
	for _, j := range before.Rules {
		if j.Rule == f.Rule {
			return cmp.Or(j.Sample.Labels["alertname"], f.Rule)
		}
	}
	return f.Rule
}

func tellAlertsEnded(after incident.Incident, f incident.AlertsEnded) entry {
	text := count(len(f.Alerts), "alert") + " resolved"
	if open := after.AlertsOpen(); open > 0 {
		text += fmt.Sprintf("; %d still firing", open)
	}
	if f.Note != "" {
		text += "; " + f.Note
	}
	return entry{word: "alert", text: text}
}

// tellJudged hides a judgement that only repeats the last one.
func tellJudged(before incident.Incident, f incident.Judged) entry {
	who, last := "rule "+f.Rule, lastJudgement(before, f.Rule)
	if f.Rule == "" {
		who = "the request"
	}
	said := entry{word: "decision", text: fmt.Sprintf("%s: %s", who, judgedWords(f))}
	said.system = last != nil && last.Verdict == f.Judgement.Verdict && last.Reason == f.Judgement.Reason
	switch f.Judgement.Verdict {
	case incident.Hold, incident.Ask:
		said.tone = care
	case incident.Stop:
		said.tone = bad
	case incident.Go:
		said.tone = good
	}
	return said
}

func lastJudgement(i incident.Incident, rule string) *incident.Judgement {
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

func judgedWords(f incident.Judged) string {
	j, plan := f.Judgement, "the plan"
	if f.Plan != nil {
		plan = "plan " + incident.Short(f.Plan.Hash)
	}
	switch j.Verdict {
	case incident.Go:
		return fmt.Sprintf("act by %s: %s", plan, j.Reason)
	case incident.Ask:
		return fmt.Sprintf("%s waits for approval until %s: %s", plan, f.OfferedUntil.UTC().Format("15:04:05Z"), j.Reason)
	case incident.Hold:
		return "held: " + j.Reason
	case incident.Wait:
		return "not now: " + j.Reason
	case incident.Tell:
		return "only suggests: " + j.Reason
	case incident.Watch:
		return "only observes: " + j.Reason
	case incident.Stop:
		return "stops: " + j.Reason
	}
	return fmt.Sprintf("%s: %s", j.Verdict, j.Reason)
}

func tellPerson(before incident.Incident, e incident.Event) entry {
	said := entry{word: "person", tone: strong}
	switch f := e.Fact.(type) {
	case incident.Requested:
		said.text = fmt.Sprintf("%s asks for a rollback: %s", e.By, f.Reason)
	case incident.Approved:
		said.text = fmt.Sprintf("%s approves plan %s", e.By, incident.Short(f.Plan))
		if f.Comment != "" {
			said.text += ": " + f.Comment
		}
	case incident.Declined:
		said.text = fmt.Sprintf("%s rejects it: %s", e.By, f.Reason)
	case incident.Aborted:
		said.text = fmt.Sprintf("%s aborts it: %s", e.By, f.Reason)
	case incident.WouldActMarked:
		word := incident.Wrong
		if f.Right {
			word = incident.Right
		}
		said.text = fmt.Sprintf("%s marks rule %s %s: %s", e.By, f.Rule, word, f.Reason)
	case incident.StepSettled:
		word := "is not there; it runs again"
		if f.Done {
			word = "is there"
		}
		said.text = fmt.Sprintf("%s says that the effect of %s %s: %s", e.By, stepName(before, f.Step), word, f.Reason)
	}
	return said
}
