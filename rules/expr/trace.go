package expr

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/parser"
)

// Outcome is what a part of a condition came to.
type Outcome string

// The outcomes. Other is a value that is neither true nor false.
const (
	True   Outcome = "true"
	False  Outcome = "false"
	Absent Outcome = "absent" // it reads what is not there
	Failed Outcome = "failed" // it could not be evaluated
	Other  Outcome = "value"
)

// Join is how the parts of a condition belong together.
type Join string

// The joins. A part without one has no parts of its own.
const (
	And    Join = "and"
	Or     Join = "or"
	Not    Join = "not"
	Choose Join = "if" // condition, then, else
	Named  Join = "variable"
)

// Trace is a condition or a part of it, with what it came to. All of its text can be shown to people.
type Trace struct {
	// Source is the part as it is written; a variable is its name.
	Source  string  `json:"source"`
	Outcome Outcome `json:"outcome"`
	// Why says what is missing or what went wrong.
	Why  string `json:"why,omitempty"`
	Join Join   `json:"join,omitempty"`
	// Operands are what a part without parts compares, as far as it is not constant.
	Operands []Operand `json:"operands,omitempty"`
	Parts    []Trace   `json:"parts,omitempty"`
}

// Operand is one side of a comparison.
type Operand struct {
	Source string `json:"source"`
	Value  string `json:"value"` // as CEL writes it; empty when it is not there
}

// Trace says of every part of the expression what it comes to, also of those that the answer does not depend on.
func (p *Program) Trace(v Vars) Trace { return p.TraceIn(Bind(v)) }

// TraceIn is Trace with values that many expressions share.
func (p *Program) TraceIn(b *Bound) Trace {
	words := lexemes(p.source)
	t, err := p.tracer(b)
	if err != nil {
		return Trace{Source: written(words), Outcome: Failed, Why: visible(err.Error())}
	}
	return t.trace(words, t.checked.Expr())
}

// tracer goes over the text of an expression and its tree side by side. Each part is evaluated on its own: CEL counts no
// cost while it keeps the values of parts.
type tracer struct {
	program *Program
	checked *ast.AST
	bound   *named
	budget  uint64 // cost units left
}

func (p *Program) tracer(b *Bound) (*tracer, error) {
	t := &tracer{program: p, checked: p.ast.NativeRep(), bound: &named{b, map[string]*Program{}}, budget: costLimit}
	if len(p.uses) == 0 {
		return t, nil
	}
	named, issues := p.env.Compile(p.source) // the tree with the variables' names, which the program has put in
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	t.checked = named.NativeRep()
	for _, d := range p.known {
		t.bound.known[d.name] = d.program
	}
	return t, nil
}

// value evaluates one part. What grows with the alert is bounded, all parts of an expression together.
func (t *tracer) value(x ast.Expr) (ref.Val, error) {
	var options []cel.ProgramOption
	if t.program.limited {
		options = append(options, cel.CostLimit(t.budget))
	}
	part := ast.NewCheckedAST(ast.NewAST(x, t.checked.SourceInfo()), t.checked.TypeMap(), t.checked.ReferenceMap())
	program, err := t.program.env.PlanProgram(part, options...)
	if err != nil {
		return nil, err
	}
	out, details, err := program.Eval(t.bound)
	if cost := details.ActualCost(); cost != nil {
		t.budget -= min(*cost, t.budget)
	}
	return out, err
}

// named is an activation in which variables are values.
type named struct {
	*Bound
	known map[string]*Program
}

// ResolveName evaluates a variable when it is read; one that cannot be is an error to whoever reads it.
func (n *named) ResolveName(name string) (any, bool) {
	p, known := n.known[name]
	if !known {
		return n.Bound.ResolveName(name)
	}
	out, _, err := p.fast.Eval(n.Bound)
	if err != nil {
		return types.WrapErr(p.explain(err)), true
	}
	return out, true
}

func (t *tracer) trace(words []lexeme, x ast.Expr) Trace {
	words = unwrapped(words)
	found := Trace{Source: written(words)}
	found.Outcome, found.Why = t.outcome(x)
	switch function(x) {
	case operators.LogicalAnd:
		found.Parts = t.parts(chain(words, "&&"), flat(x, operators.LogicalAnd))
		found.Join = And
	case operators.LogicalOr:
		found.Parts = t.parts(chain(words, "||"), flat(x, operators.LogicalOr))
		found.Join = Or
	case operators.Conditional:
		found.Parts = t.parts(choice(words), x.AsCall().Args())
		found.Join = Choose
	case operators.LogicalNot:
		if words[0].text == "!" {
			found.Parts = t.parts([][]lexeme{words[1:]}, x.AsCall().Args())
			found.Join = Not
		}
	}
	if len(found.Parts) > 0 {
		return found
	}
	found.Join = ""
	if p, ok := t.variable(x); ok {
		found.Join, found.Parts = Named, []Trace{p.TraceIn(t.bound.Bound)}
		return found
	}
	found.Operands = t.operands(words, x)
	return found
}

func (t *tracer) parts(texts [][]lexeme, tree []ast.Expr) []Trace {
	if len(texts) != len(tree) {
		return nil // text and tree do not run side by side: shown as one
	}
	parts := make([]Trace, len(texts))
	for n := range texts {
		parts[n] = t.trace(texts[n], tree[n])
	}
	return parts
}

func (t *tracer) variable(x ast.Expr) (*Program, bool) {
	if x.Kind() != ast.IdentKind {
		return nil, false
	}
	p, ok := t.bound.known[x.AsIdent()]
	return p, ok
}

// outcome is what a part came to, and why it came to nothing.
func (t *tracer) outcome(x ast.Expr) (Outcome, string) {
	value, err := t.value(x)
	if err != nil {
		return t.trouble(err)
	}
	switch value {
	case types.True:
		return True, ""
	case types.False:
		return False, ""
	}
	return Other, ""
}

func (t *tracer) trouble(err error) (Outcome, string) {
	var missing *Missing
	if errors.As(err, &missing) {
		return Absent, missing.Error()
	}
	text := message(err)
	key, absent := strings.CutPrefix(text, "no such key: ")
	if !absent {
		return Failed, visible(text)
	}
	id := int64(0)
	var at *types.Err
	if errors.As(err, &at) {
		id = at.NodeID()
	}
	return Absent, (&Missing{pathIn(t.checked.Expr(), id, key)}).Error()
}

func (t *tracer) operands(words []lexeme, x ast.Expr) []Operand {
	texts, tree := sides(words), arguments(x)
	var all []Operand
	for n, arg := range tree {
		if len(roots(arg)) == 0 {
			continue // constant
		}
		source := ""
		if len(texts) == len(tree) {
			source = written(unwrapped(texts[n]))
		} else if text, err := parser.Unparse(arg, t.checked.SourceInfo()); err == nil {
			source = visible(text)
		}
		if source != "" {
			value, _ := t.value(arg) // what is wrong with it is said of the whole
			all = append(all, Operand{source, valueText(value)})
		}
	}
	return all
}

// arguments are what a part looks at. A macro such as `exists` is one part: what it goes over is its argument.
func arguments(x ast.Expr) []ast.Expr {
	switch x.Kind() {
	case ast.ComprehensionKind:
		return []ast.Expr{x.AsComprehension().IterRange()}
	case ast.CallKind:
		call := x.AsCall()
		args := slices.Clone(call.Args())
		if call.IsMemberFunction() {
			args = slices.Insert(args, 0, call.Target())
		}
		return args
	}
	return nil
}

func function(x ast.Expr) string {
	if x.Kind() != ast.CallKind {
		return ""
	}
	return x.AsCall().FunctionName()
}

// flat are the parts of a chain, in order.
func flat(x ast.Expr, connective string) []ast.Expr {
	if function(x) != connective {
		return []ast.Expr{x}
	}
	var all []ast.Expr
	for _, arg := range x.AsCall().Args() {
		all = append(all, flat(arg, connective)...)
	}
	return all
}

// mostShown bounds the text of a value.
const mostShown = 200

// valueText is a value as CEL writes it, in a length that people read; empty when there is none.
func valueText(v ref.Val) string {
	if v == nil || types.IsUnknownOrError(v) {
		return ""
	}
	plain, err := toGo(v)
	if err != nil {
		return typeName(v.Type().TypeName())
	}
	text := []rune(literalText(plain))
	if len(text) > mostShown {
		return string(text[:mostShown]) + "…"
	}
	return string(text)
}

func literalText(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return visible(fmt.Sprintf("%q", v[:min(len(v), 4*mostShown)]))
	case []any:
		var items []string
		for _, item := range v[:min(len(v), mostShown/2)] {
			items = append(items, literalText(item))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case map[string]any:
		return mapText(v)
	}
	text, _ := asText(v)
	return text
}

func mapText(m map[string]any) string {
	var items []string
	for _, key := range slices.Sorted(maps.Keys(m))[:min(len(m), mostShown/2)] {
		items = append(items, literalText(key)+": "+literalText(m[key]))
	}
	return "{" + strings.Join(items, ", ") + "}"
}
