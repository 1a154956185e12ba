package incident

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// flappingLasts is how long a rule that flapped on a target only suggests there, when no person resets it (S11).
const flappingLasts = 24 * time.Hour

type (
	// Flapped says that a rule came and went on this target so often that acting on it would be guessing.
	Flapped struct {
		Rule   string        `json:"rule"`
		Times  int           `json:"times"`
		Within time.Duration `json:"within"`
	}
	// FlappingReset is a person's word that the rule may act on this target again.
	FlappingReset struct {
		Rule   string `json:"rule"`
		Reason string `json:"reason"`
	}
)

func (Flapped) factType() string       { return "Flapped" }
func (FlappingReset) factType() string { return "FlappingReset" }

// FlappingState is a rule that flapped on a target, or was reset there.
type FlappingState struct {
	Times   int           `json:"times,omitempty"`
	Within  time.Duration `json:"within,omitempty"`
	At      time.Time     `json:"at,omitzero"`
	ResetAt time.Time     `json:"reset_at,omitzero"`
}

// Until is when it ends by itself.
func (f FlappingState) Until() time.Time { return f.At.Add(flappingLasts) }

// FlapsNow says whether a rule only suggests on this target because it flapped.
func (t TargetHistory) FlapsNow(rule string, now time.Time) (FlappingState, bool) {
	f, known := t.Flapping[rule]
	return f, known && f.At.After(f.ResetAt) && now.Before(f.Until())
}

func (t TargetHistory) flapped(f Flapped, at time.Time) TargetHistory {
	state := t.Flapping[f.Rule]
	state.Times, state.Within, state.At = f.Times, f.Within, at
	return t.withFlapping(f.Rule, state)
}

func (t TargetHistory) flappingReset(f FlappingReset, at time.Time) TargetHistory {
	state := t.Flapping[f.Rule]
	state.ResetAt = at
	return t.withFlapping(f.Rule, state)
}

func (t TargetHistory) withFlapping(rule string, state FlappingState) TargetHistory {
	t.Flapping = maps.Clone(t.Flapping)
	if t.Flapping == nil {
		t.Flapping = map[string]FlappingState{}
	}
	t.Flapping[rule] = state
	return t
}

// Comings counts how often a rule's alerts came on a target since a time: alerts that fire side by side are one coming,
// however many they are; one that begins when all before it had ended is another.
func Comings(rule string, since time.Time, incidents ...Incident) int {
	comings, open, end := 0, false, time.Time{}
	for _, s := range spansOf(rule, incidents) {
		began := !open && s.from.After(end)
		if began && !s.from.Before(since) {
			comings++
		}
		open = open || s.to.IsZero()
		if s.to.After(end) {
			end = s.to
		}
	}
	return comings
}

type span struct {
	alert    string
	from, to time.Time
}

// spansOf are the times in which a rule's alerts fired, by their start. An alert that begins again had ended, also when
// nobody told: its `resolved` may be lost, or not sent at all.
func spansOf(rule string, incidents []Incident) []span {
	var spans []span
	for _, i := range incidents {
		for alert, ep := range i.Episodes {
			if slices.Contains(ep.Rules, rule) {
				spans = append(spans, span{alert, ep.StartsAt, ep.EndedAt})
			}
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(a.from.Compare(b.from), a.to.Compare(b.to)) })
	again := map[string]time.Time{}
	for n := len(spans) - 1; n >= 0; n-- {
		s := &spans[n]
		if next, begins := again[s.alert]; begins && s.to.IsZero() && next.After(s.from) {
			s.to = next.Add(-1)
		}
		again[s.alert] = s.from
	}
	return spans
}
