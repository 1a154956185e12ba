package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"astern.dev/astern/rules"
)

// branch is tests that must all hold, with what they come to for each path.
type branch struct {
	tests  []test
	states map[string]*state
}

// state is what a branch demands of one value.
type state struct {
	// allowed are the only values left; nil when every value is.
	allowed []string
	bound   bool // allowed counts
	denied  []string
	like    []func(string) bool
	there   bool // some test demands that it is there
	gone    bool // some test demands that it is not
}

func newBranch(tests []test) branch {
	b := branch{tests, map[string]*state{}}
	for _, t := range tests {
		if t.path != "" {
			b.state(t.path).demand(t)
		}
	}
	return b
}

func (b branch) state(path string) *state {
	if b.states[path] == nil {
		b.states[path] = &state{}
	}
	return b.states[path]
}

func (s *state) demand(t test) {
	switch t.kind {
	case oneOf:
		if !s.bound {
			s.allowed, s.bound = slices.Clone(t.values), true
		} else {
			s.allowed = slices.DeleteFunc(s.allowed, func(v string) bool { return !slices.Contains(t.values, v) })
		}
	case noneOf:
		s.denied = append(s.denied, t.values...)
	case like:
		s.like = append(s.like, t.holds)
	}
	s.there = s.there || t.kind == oneOf || t.kind == noneOf || t.kind == like || t.kind == present
	s.gone = s.gone || t.kind == absent
}

// takes says whether a value meets the demands.
func (s *state) takes(value string) bool {
	return !s.gone && (!s.bound || slices.Contains(s.allowed, value)) && !slices.Contains(s.denied, value) &&
		!slices.ContainsFunc(s.like, func(holds func(string) bool) bool { return !holds(value) })
}

// values are the only ones that meet all demands; ok is false when there is no end of them.
func (s *state) values() (all []string, ok bool) {
	for _, v := range s.allowed {
		if s.takes(v) {
			all = append(all, v)
		}
	}
	return all, s.bound
}

// possible says whether an alert can be such that all tests hold.
func (b branch) possible() bool { return b.contradiction() == "" }

// contradiction says why the tests can never all hold; empty when they may.
func (b branch) contradiction() string {
	for _, t := range b.tests {
		if t.kind == never {
			return "it says false"
		}
	}
	for _, path := range slices.Sorted(maps.Keys(b.states)) {
		if why := b.states[path].contradiction(path, b.tests); why != "" {
			return why
		}
	}
	return ""
}

func (s *state) contradiction(path string, tests []test) string {
	name := shortPath(path)
	values, bound := s.values()
	switch {
	case s.there && s.gone:
		return name + " would have to be there and not"
	case bound && len(values) == 0:
		return name + " would have to be " + demandsOn(path, tests)
	case path == "alert.status" && !s.takes("firing"):
		return "alert.status is always firing where rules are asked"
	case path == "alert.labels.alertname" && bound && !slices.ContainsFunc(values, func(v string) bool { return !rules.Own(v) }):
		return "no rule acts on astern's own alerts"
	}
	return ""
}

// demandsOn lists what was demanded of a value, such as `"a" and "b"`.
func demandsOn(path string, tests []test) string {
	var all []string
	for _, t := range tests {
		word := ""
		switch {
		case t.path != path:
			continue
		case t.kind == oneOf:
			word = quoted(t.values, " or ")
		case t.kind == noneOf:
			word = "not " + quoted(t.values, " or ")
		case t.kind == like:
			word = "something else"
		}
		if word != "" && !slices.Contains(all, word) {
			all = append(all, word)
		}
	}
	return strings.Join(all, " and ")
}

func quoted(words []string, between string) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(all, between)
}

// shortPath says it as people do: "label service".
func shortPath(path string) string {
	for prefix, word := range map[string]string{"alert.labels.": "label ", "alert.annotations.": "annotation ", "group.labels.": "group label "} {
		if name, ok := strings.CutPrefix(path, prefix); ok {
			return word + name
		}
	}
	return path
}

// may says whether the alert can have all of these labels.
func (b branch) may(labels map[string]string) bool {
	for name, value := range labels {
		if s := b.states["alert.labels."+name]; s != nil && !s.takes(value) {
			return false
		}
	}
	return true
}

// implies says that the other holds whenever this one does.
func (b branch) implies(other branch) bool {
	return !slices.ContainsFunc(other.tests, func(t test) bool { return !b.impliesTest(t) })
}

func (b branch) impliesTest(t test) bool {
	if t.kind == always || slices.ContainsFunc(b.tests, func(own test) bool { return own.key == t.key }) {
		return true
	}
	s := b.states[t.path]
	if s == nil || t.path == "" {
		return false
	}
	values, bound := s.values()
	switch t.kind {
	case present:
		return s.there
	case absent:
		return s.gone
	case noneOf:
		if !bound {
			return s.there && !slices.ContainsFunc(t.values, func(v string) bool { return s.takes(v) })
		}
	}
	meets := func(v string) bool { return (&state{}).with(t).takes(v) }
	return bound && len(values) > 0 && !slices.ContainsFunc(values, func(v string) bool { return !meets(v) })
}

func (s *state) with(t test) *state {
	s.demand(t)
	return s
}

// implied says that one of the branches holds whenever the first does.
func implied(b branch, by []branch) bool {
	return slices.ContainsFunc(by, b.implies)
}

// values are the values that a rule's alerts can have under a path; ok is false when there is no end of them.
func (s *subject) values(path string) (all []string, ok bool) {
	if s.branches == nil {
		return nil, false
	}
	for _, b := range s.branches {
		if !b.possible() {
			continue
		}
		state := b.states[path]
		if state == nil {
			return nil, false
		}
		values, bound := state.values()
		if !bound {
			return nil, false
		}
		for _, v := range values {
			if !slices.Contains(all, v) {
				all = append(all, v)
			}
		}
	}
	return all, true
}

// takes says whether the rule can match an alert with this value under a path.
func (s *subject) takes(path, value string) bool {
	return s.branches == nil || slices.ContainsFunc(s.branches, func(b branch) bool {
		return b.possible() && (b.states[path] == nil || b.states[path].takes(value))
	})
}
