package rules

import (
	"slices"

	"astern.dev/astern/rules/expr"
)

const ownWhy = "one of astern's own alerts: no rule acts on them"

// Explain says for every rule whether it matches the alert, or why not, with what each part of its `when` came to.
func (s *Set) Explain(v expr.Vars) []Reason {
	reasons := make([]Reason, len(s.rules))
	b := expr.Bind(v)
	for i, r := range s.rules {
		reasons[i] = r.explain(b)
	}
	return reasons
}

func (r *Rule) explain(b *expr.Bound) Reason {
	trace := r.when.TraceIn(b)
	why := Reason{Rule: r, Why: "false", Trace: trace}
	switch holds, err := r.when.Holds(b); {
	case Own(b.Vars().Alert.Labels["alertname"]):
		why.Why = ownWhy
	case holds:
		why.Matched, why.Why = true, "matched"
	case err != nil:
		why = r.reason(err)
		why.Trace, why.Misses = trace, trace.Misses()
	default:
		why.Misses = trace.Misses()
	}
	return why
}

// Nearest orders the rules that did not match by how near they came: the fewest parts that failed first; among equals
// the one of which more holds.
func Nearest(reasons []Reason) []Reason {
	var missed []Reason
	for _, r := range reasons {
		if !r.Matched && len(r.Misses) > 0 {
			missed = append(missed, r)
		}
	}
	slices.SortStableFunc(missed, func(a, b Reason) int {
		if d := len(a.Misses) - len(b.Misses); d != 0 {
			return d
		}
		return b.holds() - a.holds()
	})
	return missed
}

// holds counts the parts that are true.
func (r Reason) holds() int {
	n := 0
	for _, leaf := range r.Trace.Leaves() {
		if leaf.Outcome == expr.True {
			n++
		}
	}
	return n
}
