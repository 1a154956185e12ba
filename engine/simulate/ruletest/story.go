package ruletest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/simulate"
	"astern.dev/astern/rules"
)

// Story is what happened in one test.
type Story struct {
	Start time.Time
	// Histories are the incidents' in the order they were opened; Ledger what became of each delivery, in order.
	Histories []History
	Ledger    []incident.Delivery
	Steps     []simulate.StepRun
	Tellings  []simulate.Telling

	rules *rules.Set
	jumps []jumped
	looks map[time.Duration]look
}

// History is one incident's, with what it was after each event.
type History struct {
	ID, Target string
	Events     []incident.Event
	States     []incident.Incident
	plans      map[string]incident.Plan
}

func (p *play) story(ctx context.Context) (Story, error) {
	s := Story{Start: p.test.Start, rules: p.file.Configuration.Rules, jumps: p.jumps, looks: p.looks, Steps: p.world.Steps(), Tellings: p.world.Tellings()}
	heads, err := p.world.Engine().Incidents(ctx, incident.HeadFilter{Limit: everything})
	if err != nil {
		return s, err
	}
	for _, head := range heads {
		_, events, err := p.world.Engine().Incident(ctx, head.ID)
		if err != nil {
			return s, err
		}
		s.Histories = append(s.Histories, historyOf(head, events))
	}
	slices.SortFunc(s.Histories, func(a, b History) int {
		return cmp.Or(a.Events[0].At.Compare(b.Events[0].At), cmp.Compare(a.ID, b.ID))
	})
	s.Ledger, err = p.world.Engine().Deliveries(ctx, everything)
	slices.Reverse(s.Ledger)
	return s, err
}

func historyOf(head incident.Head, events []incident.Event) History {
	h := History{ID: head.ID, Target: head.Target, Events: events, plans: map[string]incident.Plan{}}
	var i incident.Incident
	for _, e := range events {
		i = incident.Apply(i, e)
		h.States = append(h.States, i)
		if f, ok := e.Fact.(incident.Judged); ok && f.Plan != nil {
			h.plans[f.Plan.Hash] = *f.Plan
		}
	}
	return h
}

// jumped is a jump of the wall clock that took place, and how far things had come by then.
type jumped struct {
	Jump
	look look
}

// Offset is how long after the start of the test an event of a history came: the wall clock may have jumped meanwhile.
func (s Story) Offset(h *History, version int) time.Duration {
	return s.even(h.Events[version-1].At, func(l look) bool { return version > l.versions[h.ID] })
}

func (s Story) lineOffset(d incident.Delivery) time.Duration {
	return s.even(d.At, func(l look) bool { return d.ID > l.ledger })
}

// momentOffset is of a moment that is told and not recorded, such as when a notice is due.
func (s Story) momentOffset(at time.Time) time.Duration {
	d := at.Sub(s.Start)
	for _, j := range s.jumps {
		if d >= j.At+j.By && d >= j.At {
			d -= j.By
		}
	}
	return d
}

// even takes back the jumps that something came after.
func (s Story) even(at time.Time, after func(look) bool) time.Duration {
	d := at.Sub(s.Start)
	for _, j := range s.jumps {
		if after(j.look) {
			d -= j.By
		}
	}
	return d
}

// state is what was so of a target after one event, or at a moment.
type state struct {
	at      time.Duration
	history *History // nil: there is no incident
	version int
}

func (s state) incident() incident.Incident { return s.history.States[s.version-1] }

// plan is the plan that is taken up, offered or held; else the one that the judgement was about.
func (s state) plan(j *incident.Judgement) *incident.Plan {
	if i := s.incident(); i.Plan != nil {
		return i.Plan
	}
	if j != nil {
		if p, ok := s.history.plans[j.Plan]; ok {
			return &p
		}
	}
	return nil
}

// states are what was so at the moments an expectation is about: one, or each change of a span.
func (s Story) states(e Expectation) []state {
	all := []state{s.stateAt(e, e.From)}
	if !e.IsSpan {
		return all
	}
	from, until := s.looks[e.From], s.looks[e.Until]
	var later []state
	for n := range s.Histories {
		h := &s.Histories[n]
		if !e.about(h) {
			continue
		}
		for v := from.versions[h.ID] + 1; v <= until.versions[h.ID]; v++ {
			later = append(later, state{s.Offset(h, v), h, v})
		}
	}
	slices.SortStableFunc(later, func(a, b state) int { return cmp.Compare(a.at, b.at) })
	return append(all, newestOnly(all[0], settled(later))...)
}

// settled leaves one state of each incident for a moment in which several things happened: the last.
func settled(all []state) []state {
	var kept []state
	for n, s := range all {
		if n+1 < len(all) && all[n+1].at == s.at && all[n+1].history == s.history {
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

// newestOnly leaves out what still happens to an older incident once a newer one is there.
func newestOnly(newest state, all []state) []state {
	var kept []state
	for _, s := range all {
		if newest.history != nil && s.history.Events[0].At.Before(newest.history.Events[0].At) {
			continue
		}
		newest = s
		kept = append(kept, s)
	}
	return kept
}

func (e Expectation) about(h *History) bool {
	return (e.Target == "" || h.Target == e.Target) && (e.Incident == "" || h.ID == e.Incident)
}

// stateAt is the target's newest incident at a moment that was looked at.
func (s Story) stateAt(e Expectation, at time.Duration) state {
	now := state{at: at}
	for n := range s.Histories {
		h := &s.Histories[n]
		if version := s.looks[at].versions[h.ID]; version > 0 && e.about(h) {
			now.history, now.version = h, version
		}
	}
	return now
}

// span is the versions of an incident that came in an expectation's time; of a moment, all up to it.
func (s Story) span(e Expectation, h *History) (from, until int) {
	if e.IsSpan {
		from = s.before(h, e.From)
	}
	return from, s.looks[e.Until].versions[h.ID]
}

// before counts the events that lie before a moment: those of the moment itself belong to a span that begins with it.
func (s Story) before(h *History, at time.Duration) int {
	n := s.looks[at].versions[h.ID]
	for n > 0 && s.Offset(h, n) >= at {
		n--
	}
	return n
}
