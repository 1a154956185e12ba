package rules

import (
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"

	"astern.dev/astern/rules/expr"
)

// atom is one plain condition: the field has this value.
type atom struct {
	field expr.Field
	value string
}

// counts says for each atom how many rules name it: the fewer, the better it tells rules apart.
type counts struct {
	rules int
	named map[atom]int
}

func countAtoms(rules []*Rule) counts {
	c := counts{rules: len(rules), named: map[atom]int{}}
	for _, r := range rules {
		if r.when != nil {
			c.add(r.when.Expr())
		}
	}
	return c
}

func (c counts) add(x ast.Expr) {
	if a, b, _, ok := sides(x); ok {
		c.add(a)
		c.add(b)
		return
	}
	for _, a := range atomsOf(x) {
		c.named[a]++
	}
}

// necessary gives atoms of which at least one holds whenever the expression is true; ok is false when no such can be
// named. Of the two sides of && either will do, and the one that fewer rules share is taken; of || it takes one from each.
// All else (not, has, a ternary, a macro, other comparisons) names none.
func (c counts) necessary(x ast.Expr) (atoms []atom, ok bool) {
	left, right, function, ok := sides(x)
	if !ok {
		atoms = atomsOf(x)
		return atoms, len(atoms) > 0
	}
	a, isA := c.necessary(left)
	b, isB := c.necessary(right)
	switch {
	case function == operators.LogicalOr:
		return append(a[:len(a):len(a)], b...), isA && isB
	case !isB || isA && c.cost(a) <= c.cost(b):
		return a, isA
	}
	return b, isB
}

// cost is how many rules would be looked at with these. A status has two values and tells nothing apart.
func (c counts) cost(atoms []atom) int {
	sum := 0
	for _, a := range atoms {
		if sum += c.named[a]; a.field.Of == expr.Status {
			sum += c.rules
		}
	}
	return sum
}

// sides takes && and || apart.
func sides(x ast.Expr) (a, b ast.Expr, function string, ok bool) {
	if x.Kind() != ast.CallKind {
		return nil, nil, "", false
	}
	call := x.AsCall()
	if function = call.FunctionName(); function != operators.LogicalAnd && function != operators.LogicalOr {
		return nil, nil, "", false
	}
	return call.Args()[0], call.Args()[1], function, true
}

func atomsOf(x ast.Expr) []atom {
	field, values, ok := expr.EqualTo(x)
	if !ok {
		return nil
	}
	atoms := make([]atom, len(values))
	for n, value := range values {
		atoms[n] = atom{field, value}
	}
	return atoms
}
