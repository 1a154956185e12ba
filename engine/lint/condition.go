package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// A condition is taken apart into alternatives of tests. What a test compares with a constant is understood; anything else
// is only known by its text. A test on a label that is missing does not hold, whatever it says, and so it is in CEL.

// test is one part of a condition that must hold.
type test struct {
	kind testKind
	// path is what is tested, such as alert.labels.service; empty for a test that is not understood.
	path   string
	values []string
	holds  func(string) bool
	// key is the test as text: the same text is the same test.
	key string
}

type testKind int

const (
	opaque  testKind = iota
	oneOf            // the value is one of values
	noneOf           // it is there, and none of values
	like             // it is there, and holds says yes
	present          // it is there
	absent           // it is not
	never            // the constant false
	always           // the constant true
)

// maxBranches bounds how far a condition is taken apart.
const maxBranches = 64

// branchesOf gives the alternatives of a condition; nil when there are too many.
func branchesOf(x ast.Expr) []branch {
	all, ok := alternatives(x, false)
	if !ok {
		return nil
	}
	out := make([]branch, len(all))
	for i, tests := range all {
		out[i] = newBranch(tests)
	}
	return out
}

func alternatives(x ast.Expr, negated bool) ([][]test, bool) {
	if x.Kind() == ast.CallKind {
		call := x.AsCall()
		switch name := call.FunctionName(); {
		case name == operators.LogicalNot:
			return alternatives(call.Args()[0], !negated)
		case name == operators.LogicalAnd && !negated, name == operators.LogicalOr && negated:
			return both(call.Args(), negated)
		case name == operators.LogicalOr, name == operators.LogicalAnd:
			return either(call.Args(), negated)
		}
	}
	return [][]test{{testOf(x, negated)}}, true
}

func both(args []ast.Expr, negated bool) ([][]test, bool) {
	all := [][]test{nil}
	for _, arg := range args {
		more, ok := alternatives(arg, negated)
		if !ok || len(all)*len(more) > maxBranches {
			return nil, false
		}
		var product [][]test
		for _, a := range all {
			for _, b := range more {
				product = append(product, slices.Concat(a, b))
			}
		}
		all = product
	}
	return all, true
}

func either(args []ast.Expr, negated bool) ([][]test, bool) {
	var all [][]test
	for _, arg := range args {
		more, ok := alternatives(arg, negated)
		if !ok || len(all)+len(more) > maxBranches {
			return nil, false
		}
		all = append(all, more...)
	}
	return all, true
}

func testOf(x ast.Expr, negated bool) test {
	t := understood(x, negated)
	if t.key = textOf(x); negated {
		t.key = "!" + t.key
	}
	return t
}

func understood(x ast.Expr, negated bool) test {
	switch x.Kind() {
	case ast.LiteralKind:
		if value, ok := x.AsLiteral().(types.Bool); ok {
			return test{kind: pick(bool(value) != negated, always, never)}
		}
	case ast.SelectKind:
		if s := x.AsSelect(); s.IsTestOnly() {
			return test{kind: pick(negated, absent, present), path: join(pathOf(s.Operand()), s.FieldName())}.known()
		}
	case ast.CallKind:
		return callTest(x.AsCall(), negated)
	}
	return test{}
}

func callTest(call ast.CallExpr, negated bool) test {
	name := call.FunctionName()
	if name == operators.NotEquals {
		name, negated = operators.Equals, !negated
	}
	switch {
	case name == operators.Equals:
		path, constant := pathOf(call.Args()[0]), call.Args()[1]
		if path == "" {
			path, constant = pathOf(constant), call.Args()[0]
		}
		if value, ok := text(constant); ok {
			return test{kind: pick(negated, noneOf, oneOf), path: path, values: []string{value}}.known()
		}
	case name == operators.In:
		return inTest(call.Args()[0], call.Args()[1], negated)
	case call.IsMemberFunction() && len(call.Args()) == 1:
		return likeTest(call, negated)
	}
	return test{}
}

func inTest(item, in ast.Expr, negated bool) test {
	if key, ok := text(item); ok && in.Kind() != ast.ListKind {
		return test{kind: pick(negated, absent, present), path: join(pathOf(in), key)}.known()
	}
	if in.Kind() != ast.ListKind {
		return test{}
	}
	var values []string
	for _, element := range in.AsList().Elements() {
		value, ok := text(element)
		if !ok {
			return test{}
		}
		values = append(values, value)
	}
	return test{kind: pick(negated, noneOf, oneOf), path: pathOf(item), values: values}.known()
}

func likeTest(call ast.CallExpr, negated bool) test {
	arg, ok := text(call.Args()[0])
	if !ok {
		return test{}
	}
	var holds func(string) bool
	switch call.FunctionName() {
	case "startsWith":
		holds = func(s string) bool { return strings.HasPrefix(s, arg) }
	case "endsWith":
		holds = func(s string) bool { return strings.HasSuffix(s, arg) }
	case "contains":
		holds = func(s string) bool { return strings.Contains(s, arg) }
	case "matches":
		pattern, err := regexp.Compile(arg)
		if err != nil {
			return test{}
		}
		holds = pattern.MatchString
	default:
		return test{}
	}
	return test{kind: like, path: pathOf(call.Target()), holds: func(s string) bool { return holds(s) != negated }}.known()
}

// known keeps a test that is about something with a path; any other is not understood.
func (t test) known() test {
	if t.path == "" {
		return test{}
	}
	return t
}

func pick[T any](yes bool, a, b T) T {
	if yes {
		return a
	}
	return b
}

func text(x ast.Expr) (string, bool) {
	if x.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := x.AsLiteral().(types.String)
	return string(s), ok
}

// pathOf is what a chain of fields and constant keys reads, such as alert.labels.service; empty for anything else.
func pathOf(x ast.Expr) string {
	switch x.Kind() {
	case ast.IdentKind:
		return x.AsIdent()
	case ast.SelectKind:
		if s := x.AsSelect(); !s.IsTestOnly() {
			return join(pathOf(s.Operand()), s.FieldName())
		}
	case ast.CallKind:
		if call := x.AsCall(); call.FunctionName() == operators.Index {
			if key, ok := text(call.Args()[1]); ok {
				return join(pathOf(call.Args()[0]), key)
			}
		}
	}
	return ""
}

func join(path, field string) string {
	if path == "" {
		return ""
	}
	return path + "." + field
}

// textOf writes an expression so that the same meaning mostly gives the same text: spaces, brackets and the order of the
// two sides of == do not count.
func textOf(x ast.Expr) string {
	if path := pathOf(x); path != "" {
		return path
	}
	switch x.Kind() {
	case ast.LiteralKind:
		return fmt.Sprintf("%s:%v", x.AsLiteral().Type().TypeName(), strconv.Quote(fmt.Sprint(x.AsLiteral().Value())))
	case ast.SelectKind:
		return "has(" + textOf(x.AsSelect().Operand()) + "." + x.AsSelect().FieldName() + ")"
	case ast.ListKind:
		return "[" + strings.Join(texts(x.AsList().Elements()), ",") + "]"
	case ast.CallKind:
		call := x.AsCall()
		args := texts(call.Args())
		if name := call.FunctionName(); name == operators.Equals || name == operators.NotEquals {
			slices.Sort(args)
		}
		if call.IsMemberFunction() {
			args = append([]string{textOf(call.Target())}, args...)
		}
		return call.FunctionName() + "(" + strings.Join(args, ",") + ")"
	case ast.ComprehensionKind:
		c := x.AsComprehension()
		return "each(" + strings.Join([]string{c.IterVar(), c.IterVar2(), textOf(c.IterRange()), textOf(c.AccuInit()), textOf(c.LoopCondition()), textOf(c.LoopStep()), textOf(c.Result())}, ",") + ")"
	}
	return fmt.Sprintf("at:%d", x.ID()) // maps and structs: none is the same as another
}

func texts(all []ast.Expr) []string {
	out := make([]string, len(all))
	for i, x := range all {
		out[i] = textOf(x)
	}
	return out
}
