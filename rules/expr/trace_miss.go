package expr

import (
	"fmt"
	"strings"
)

// Miss is one part of a condition that would have to come out otherwise.
type Miss struct {
	// Source is the part as written; Want is what it would have to be.
	Source string  `json:"source"`
	Want   Outcome `json:"want"`
	Got    Outcome `json:"got"`
	// Why is what it is instead, in words: `alert.labels.team is "core"`, `label team is missing`.
	Why string `json:"why"`
}

// String is the miss in one line: `alert.labels.signal == "latency" (is "errors")`.
func (m Miss) String() string {
	text := m.Source
	if m.Want == False {
		text = "not " + bracketed(text)
	}
	if m.Why != "" {
		text += " (" + m.Why + ")"
	}
	return text
}

func bracketed(text string) string {
	if strings.HasPrefix(text, "(") || !strings.ContainsAny(text, " ") {
		return text
	}
	return "(" + text + ")"
}

// Misses are the fewest parts that would have to change for the condition to be true; none when it is.
func (t Trace) Misses() []Miss { return t.misses(True) }

func (t Trace) misses(want Outcome) []Miss {
	if t.Outcome == want {
		return nil
	}
	switch {
	case t.Join == Named && t.Parts[0].Outcome != Other:
		return t.Parts[0].misses(want)
	case t.Join == Not && want == True:
		return t.Parts[0].misses(False)
	case t.Join == Not:
		return t.Parts[0].misses(True)
	case t.Join == Choose:
		return t.chosen(want)
	case t.Join == And && want == True, t.Join == Or && want == False:
		return t.all(want)
	case t.Join == And, t.Join == Or:
		return t.fewest(want)
	}
	return []Miss{t.miss(want)}
}

func (t Trace) all(want Outcome) []Miss {
	var all []Miss
	for _, p := range t.Parts {
		all = append(all, p.misses(want)...)
	}
	return all
}

func (t Trace) fewest(want Outcome) []Miss {
	fewest := t.Parts[0].misses(want)
	for _, p := range t.Parts[1:] {
		if other := p.misses(want); len(other) < len(fewest) {
			fewest = other
		}
	}
	return fewest
}

// chosen is for `condition ? yes : no`: what the branch that was taken lacks.
func (t Trace) chosen(want Outcome) []Miss {
	switch t.Parts[0].Outcome {
	case True:
		return t.Parts[1].misses(want)
	case False:
		return t.Parts[2].misses(want)
	}
	return t.Parts[0].misses(True)
}

func (t Trace) miss(want Outcome) Miss {
	m := Miss{Source: t.Source, Want: want, Got: t.Outcome, Why: t.Why}
	if m.Why == "" {
		m.Why = t.Values()
	}
	return m
}

// Values are the values of a part's operands in words: `is "errors"` when there is one and it is plain which.
func (t Trace) Values() string {
	var values []string
	for _, o := range t.Operands {
		if o.Value == "" {
			continue
		}
		if len(t.Operands) == 1 {
			return "is " + o.Value
		}
		values = append(values, fmt.Sprintf("%s is %s", o.Source, o.Value))
	}
	return strings.Join(values, ", ")
}

// Leaves are the parts that have no parts of their own, in the order they are written; variables are opened.
func (t Trace) Leaves() []Trace {
	if len(t.Parts) == 0 {
		return []Trace{t}
	}
	var all []Trace
	for _, p := range t.Parts {
		all = append(all, p.Leaves()...)
	}
	return all
}
