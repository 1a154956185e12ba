package expr

import (
	"regexp"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// Most conditions hold a label against a constant. CEL makes a value of its own of each label it reads, which allocates;
// here such a comparison looks at the Go string. What it says is the same: when the label is missing, CEL's own step is
// asked, so that the error is CEL's.

// comparison is one such step of a program.
type comparison struct {
	interpreter.InterpretableV2 // as CEL planned it
	field                       Field
	holds                       func(string) bool
}

// Exec evaluates it within CEL.
func (c *comparison) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	if value, there := c.field.in(frame); there {
		return types.Bool(c.holds(value))
	}
	if b, ok := frame.Activation.(*Bound); ok && b.silent {
		return absent
	}
	return c.InterpretableV2.Exec(frame)
}

// absent is the error for those who do not ask what is missing. The number is any: without one, CEL makes a copy of it.
var absent = types.LabelErrNode(1, types.NewErr("absent")).(*types.Err)

// Eval is Exec for callers that have no frame.
func (c *comparison) Eval(vars interpreter.Activation) ref.Val {
	return c.Exec(interpreter.AsFrame(vars))
}

// in reads the field of what is evaluated, if that is a Bound.
func (f Field) in(vars cel.Activation) (string, bool) {
	root := "alert"
	if f.Of == GroupLabels {
		root = "group"
	}
	switch v, _ := vars.ResolveName(root); v := v.(type) {
	case *Alert:
		return f.ofAlert(v)
	case *Group:
		value, there := v.Labels[f.Key]
		return value, there
	}
	return "", false
}

// comparisons plans the comparisons of a tree; they are found again by their nodes' numbers.
func comparisons(whole ast.Expr) cel.ProgramOption {
	found := map[int64]*comparison{}
	visit(whole, func(x ast.Expr) {
		if c, ok := comparisonOf(x); ok {
			found[x.ID()] = c
		}
	})
	return cel.CustomDecoratorV2(func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		c, ok := found[i.ID()]
		if _, call := i.(interpreter.InterpretableCall); !ok || !call {
			return i, nil
		}
		return &comparison{InterpretableV2: i, field: c.field, holds: c.holds}, nil
	})
}

func comparisonOf(x ast.Expr) (*comparison, bool) {
	if f, values, ok := EqualTo(x); ok {
		if len(values) == 1 {
			return &comparison{field: f, holds: func(s string) bool { return s == values[0] }}, true
		}
		return &comparison{field: f, holds: func(s string) bool { return slices.Contains(values, s) }}, true
	}
	if x.Kind() != ast.CallKind {
		return nil, false
	}
	call := x.AsCall()
	if call.FunctionName() == operators.NotEquals {
		f, value, ok := beside(call.Args()[0], call.Args()[1])
		return &comparison{field: f, holds: func(s string) bool { return s != value }}, ok
	}
	if !call.IsMemberFunction() || len(call.Args()) != 1 {
		return nil, false
	}
	f, ok := FieldOf(call.Target())
	argument, isWord := word(call.Args()[0])
	if !ok || !isWord {
		return nil, false
	}
	holds := textTest(call.FunctionName(), argument)
	return &comparison{field: f, holds: holds}, holds != nil
}

// textTest is a question about a string with a constant; nil when it is none that is known here.
func textTest(function, argument string) func(string) bool {
	switch function {
	case overloads.StartsWith:
		return func(s string) bool { return strings.HasPrefix(s, argument) }
	case overloads.EndsWith:
		return func(s string) bool { return strings.HasSuffix(s, argument) }
	case overloads.Contains:
		return func(s string) bool { return strings.Contains(s, argument) }
	case overloads.Matches:
		if pattern, err := regexp.Compile(argument); err == nil {
			return pattern.MatchString
		}
	}
	return nil
}
