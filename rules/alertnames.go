package rules

import (
	"maps"
	"slices"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"

	"astern.dev/astern/rules/expr"
)

// Alertnames are the only alertnames that any of the rules can match, sorted; all is true when a rule does not say, so that
// every name may be meant.
func (s *Set) Alertnames() (names []string, all bool) {
	known := map[string]bool{}
	for _, r := range s.rules {
		if r.when == nil {
			continue
		}
		of, bound := alertnames(r.when.Expr())
		if !bound {
			return nil, true
		}
		for _, name := range of {
			known[name] = true
		}
	}
	return slices.Sorted(maps.Keys(known)), false
}

// alertnames are the names without which the expression is not true. One side of && that says is enough, of || both must.
func alertnames(x ast.Expr) (names []string, bound bool) {
	left, right, function, ok := sides(x)
	if !ok {
		f, values, ok := expr.EqualTo(x)
		return values, ok && f == expr.Field{Of: expr.Labels, Key: "alertname"}
	}
	a, isA := alertnames(left)
	b, isB := alertnames(right)
	switch {
	case function == operators.LogicalOr:
		return slices.Concat(a, b), isA && isB
	case isA:
		return a, true
	}
	return b, isB
}
