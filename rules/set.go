package rules

import (
	"errors"
	"strings"
	"sync"

	"astern.dev/astern/rules/expr"
)

// Set is all rules of a configuration. It is immutable and safe for concurrent use.
type Set struct {
	rules  []*Rule
	byName map[string]*Rule

	index    *index
	searches sync.Pool // of *search
}

// search is what one look at the rules needs, kept for the next one.
type search struct {
	bound expr.Bound
	found []int
}

// Match is one rule that an alert matches.
type Match struct{ Rule *Rule }

// Reason says for one rule whether an alert matches it, and why not.
type Reason struct {
	Rule    *Rule
	Matched bool
	// Why is "matched", "false", "label x is missing", or what went wrong while evaluating.
	Why string
	// Failed says that the rule could not be evaluated at all: neither matched nor judged.
	Failed bool
	// Trace is the rule's `when`, part by part, and Misses the fewest parts that would have to come out otherwise. Only
	// Explain gives them.
	Trace  expr.Trace
	Misses []expr.Miss
}

// ownPrefix begins the names of astern's own alerts: acting on them would be acting on oneself.
const ownPrefix = "Astern"

// Own says whether an alert of this name is one of astern's own; no rule ever matches it.
func Own(alertname string) bool { return strings.HasPrefix(alertname, ownPrefix) }

// Rules are all rules in the order of their files' names, then as written.
func (s *Set) Rules() []*Rule { return s.rules }

// Rule finds a rule by its name.
func (s *Set) Rule(name string) (*Rule, bool) { r, ok := s.byName[name]; return r, ok }

// Match gives the rules whose `when` is true for the alert, in order. A rule that needs what the alert does not have
// does not match; Explain says so.
func (s *Set) Match(v expr.Vars) []Match {
	matches, _ := s.AppendMatches(nil, &v)
	return matches
}

// AppendMatches is Match with the rules that could not be evaluated; a missing label is no failure. The index comes first:
// a rule that none of the alert's values leads to cannot match, is not evaluated, and cannot fail. It appends to a slice of
// the caller's, who may use it again: unless a rule fails, it allocates nothing by itself. A `when` sees alert, group and
// now alone.
func (s *Set) AppendMatches(matches []Match, v *expr.Vars) (all []Match, failed []Reason) {
	if Own(v.Alert.Labels["alertname"]) {
		return matches, nil
	}
	look := s.look(v)
	defer s.done(look)
	for _, n := range look.found {
		r := s.rules[n]
		holds, fails := r.when.Try(&look.bound)
		if holds {
			matches = append(matches, Match{r})
		}
		if !fails {
			continue
		}
		if _, err := r.when.Holds(expr.Bind(*v)); err != nil {
			if reason := r.reason(err); reason.Failed {
				failed = append(failed, reason)
			}
		}
	}
	return matches, failed
}

// Candidates are the rules that may match an alert, in order: those that its values lead to, and those that no value does.
func (s *Set) Candidates(v expr.Vars) []*Rule {
	var all []*Rule
	for _, n := range s.index.candidates(nil, &v) {
		all = append(all, s.rules[n])
	}
	return all
}

// look finds the rules that may match. The search is the caller's until it is done.
func (s *Set) look(v *expr.Vars) *search {
	look, ok := s.searches.Get().(*search)
	if !ok {
		look = &search{}
	}
	look.bound.Hold(v)
	look.found = s.index.candidates(look.found[:0], v)
	return look
}

func (s *Set) done(look *search) {
	look.bound.Release()
	s.searches.Put(look)
}

func (r *Rule) reason(err error) Reason {
	var missing *expr.Missing
	if errors.As(err, &missing) {
		return Reason{Rule: r, Why: missing.Error()}
	}
	return Reason{Rule: r, Why: err.Error(), Failed: true}
}
