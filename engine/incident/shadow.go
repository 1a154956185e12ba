package incident

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Shadow is what one incident's history says of what its rules would have done, and of what was done.
type Shadow struct {
	Version  int
	At       time.Time // of the last fact
	Incident string
	Target   string
	// Matched is when each rule's alerts were seen, by rule.
	Matched map[string]Matched
	// Acts are the would-acts, one for each rule, in the order in which they came.
	Acts []WouldAct
	// Moves are the moves back that a person asked of astern itself.
	Moves []MoveBack

	request         string // who asked for a rollback
	lead            string // the rule that acts; empty for a person's request
	leaves, reaches string // the releases of the plan that is acted by
	moved           bool
}

// Matched is when a rule's alerts were seen.
type Matched struct{ Began, Last time.Time }

// WouldHaveActed says whether a judgement means that the rule would have acted, whatever its mode: every guard said go, or
// only those refused that ask for the rule's own record, which would never grow otherwise.
func WouldHaveActed(j Judgement) bool {
	if j.Verdict == Go || j.Would == Go {
		return true
	}
	return j.Would == Ask && !slices.ContainsFunc(j.Findings, func(f Finding) bool {
		return f.Verdict != Go && f.Verdict != Tell && f.Guard != ScoreGuard && f.Guard != DrillGuard
	})
}

// ApplyShadow is the shadow with one more fact. It is total; the shadow given is not changed.
func ApplyShadow(s Shadow, e Event) Shadow {
	s.Version, s.At = e.Version, later(s.At, e.At)
	switch f := e.Fact.(type) {
	case Opened:
		s.Incident, s.Target = f.ID, f.Target
	case AlertsSeen:
		s.matched(f, e)
	case Requested:
		s.request = e.By
	case Judged:
		s.judged(f, e)
	case Marked:
		s.marked(e)
	case Ended:
		s.ended(f)
	case WouldActMarked:
		s.label(RuleMark{f.Rule, f.Right, e.By, f.Reason, e.At})
	}
	return s
}

func (s *Shadow) matched(f AlertsSeen, e Event) {
	m, known := s.Matched[f.Rule]
	m.Last = later(m.Last, e.At)
	for _, a := range f.Alerts {
		if !known || a.StartsAt.Before(m.Began) {
			m.Began, known = a.StartsAt, true
		}
	}
	s.Matched = maps.Clone(s.Matched)
	if s.Matched == nil {
		s.Matched = map[string]Matched{}
	}
	s.Matched[f.Rule] = m
}

func (s *Shadow) judged(f Judged, e Event) {
	if f.Judgement.Verdict == Go && f.Plan != nil {
		s.lead, s.leaves, s.reaches = f.Rule, f.Plan.From.Version, f.Plan.To.Version
	}
	if f.Rule == "" || f.Plan == nil || !WouldHaveActed(f.Judgement) || s.act(f.Rule) >= 0 {
		return
	}
	s.Acts = append(slices.Clone(s.Acts), WouldAct{
		Rule: f.Rule, Target: s.Target, Incident: s.Incident, Release: f.Plan.From.Version, Began: s.Matched[f.Rule].Began, At: e.At,
	})
}

// act is the place of a rule's would-act; -1 when there is none.
func (s *Shadow) act(rule string) int {
	return slices.IndexFunc(s.Acts, func(a WouldAct) bool { return a.Rule == rule })
}

// Meant is the rule that a person's word is about: the one named, or the only one that would have acted.
func (s Shadow) Meant(rule string) (string, error) {
	var names []string
	for _, a := range s.Acts {
		names = append(names, a.Rule)
	}
	switch {
	case len(names) == 0:
		return "", fmt.Errorf("no rule would have acted in %s: there is nothing to mark", s.Incident)
	case rule != "" && !slices.Contains(names, rule):
		return "", fmt.Errorf("rule %s would not have acted in %s; those that would: %s", rule, s.Incident, strings.Join(names, ", "))
	case rule == "" && len(names) > 1:
		return "", fmt.Errorf("several rules would have acted in %s: name one of %s", s.Incident, strings.Join(names, ", "))
	case rule == "":
		return names[0], nil
	}
	return rule, nil
}

// marked: the target was moved. What a person asked for is the person's move, whatever rules say of it.
func (s *Shadow) marked(e Event) {
	if s.moved {
		return
	}
	s.moved = true
	if s.lead == "" && s.request != "" {
		s.Moves = append(slices.Clone(s.Moves), MoveBack{s.Target, s.leaves, s.reaches, s.request, e.At})
	}
}

func (s *Shadow) ended(f Ended) {
	n := s.act(s.lead)
	if n < 0 || !s.moved || f.Phase != Succeeded {
		return
	}
	s.Acts = slices.Clone(s.Acts)
	s.Acts[n].Healed = true
}

func (s *Shadow) label(m RuleMark) {
	n := s.act(m.Rule)
	if n < 0 {
		return
	}
	s.Acts = slices.Clone(s.Acts)
	s.Acts[n].Mark = &m
}
