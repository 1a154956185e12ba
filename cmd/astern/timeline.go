package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

// entry is one event in plain words.
type entry struct {
	at         time.Time
	word, text string
	// system is for the machinery: hidden unless all is asked for.
	system bool
	tone   tone
}

// timeline prints the history, oldest first.
func (a *app) timeline(w io.Writer, got web.IncidentAnswer, all bool) {
	entries := entriesOf(got, 0)
	g := a.grid()
	shown := 0
	for _, e := range entries {
		if !e.system || all {
			shown++
			g.row(a.cells(e)...)
		}
	}
	beside := ""
	if hidden := len(entries) - shown; hidden > 0 {
		beside = fmt.Sprintf("  %s of the machinery hidden (--all shows them)", count(hidden, "event"))
	}
	a.head(w, "TIMELINE", beside)
	g.print(w, "")
}

func (a *app) cells(e entry) []string {
	return []string{stamp(e.at), a.paint(e.tone, e.word), visible(e.text)}
}

// entriesOf tells the events after the given version. What they mean depends on the incident at that moment, so the
// whole history is gone through. A kind of event that a newer server wrote is shown by its name.
func entriesOf(got web.IncidentAnswer, after int) []entry {
	var entries []entry
	var so incident.Incident
	for _, raw := range got.Events {
		e, err := raw.Decode()
		if err != nil {
			if raw.Version > after {
				entries = append(entries, entry{raw.At, "event", raw.Type + " (this astern is too old to say more)", false, calm})
			}
			continue
		}
		next := incident.Apply(so, e)
		if e.Version > after {
			told := tell(so, next, e)
			told.at = e.At
			entries = append(entries, told)
		}
		so = next
	}
	return entries
}

// tell says one fact in plain words, given the incident before and after it.
func tell(before, after incident.Incident, e incident.Event) entry {
	switch f := e.Fact.(type) {
	case incident.AlertsSeen, incident.AlertsEnded, incident.Opened, incident.Reconfigured:
		return tellAlerts(before, after, e)
	case incident.Judged:
		return tellJudged(before, f)
	case incident.Requested, incident.Approved, incident.Declined, incident.Aborted, incident.StepSettled, incident.WouldActMarked:
		return tellPerson(before, e)
	case incident.HealthSeen:
		return tellHealth(before, after, f)
	case incident.Marked:
		return entry{word: "system", text: "the target's history knows of the move", system: true}
	case incident.Ended:
		return tellEnded(before, f)
	case incident.NoticesOwed, incident.NoticeBegan, incident.NoticeTold, incident.NoticeErred, incident.NoticeOverdue:
		return tellNotice(before, after, e)
	}
	return tellStep(before, e)
}

func tellEnded(before incident.Incident, f incident.Ended) entry {
	if before.Phase.Final() {
		return entry{word: "system", text: "ended again: " + f.Reason, system: true}
	}
	said := entry{word: "end", text: f.Reason, tone: phases[f.Phase].tone}
	if !strings.HasPrefix(f.Reason, string(f.Phase)) {
		said.text = fmt.Sprintf("%s: %s", f.Phase, f.Reason)
	}
	return said
}

func tellHealth(before, after incident.Incident, f incident.HealthSeen) entry {
	first, turned := before.Health.AskedAt.IsZero(), before.Health.GoodSince.IsZero() != after.Health.GoodSince.IsZero()
	said := entry{word: "health", text: after.Reason, system: !first && !turned}
	if f.Good {
		said.tone = good
		if !turned {
			said.text = "still healthy"
		}
	}
	return said
}
