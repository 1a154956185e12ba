package expr

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
)

// ErrUnknown says that an evaluation needs something that is not known yet. Only partial evaluation gives it.
var ErrUnknown = errors.New("not known yet")

// Program is one compiled expression. It is immutable and safe for concurrent use.
type Program struct {
	source  string
	env     *cel.Env
	ast     *cel.Ast
	fast    cel.Program
	kind    Kind
	roots   []string
	uses    []string
	known   []*definition // the variables of its scope
	trusted bool
	limited bool // its cost is counted while it runs

	once    sync.Once
	partial cel.Program
	err     error
}

// Source is the expression as written.
func (p *Program) Source() string { return p.source }

// Kind is what it gives, as far as its types tell.
func (p *Program) Kind() Kind { return p.kind }

// Roots are the variables it reads, such as "alert".
func (p *Program) Roots() []string { return slices.Clone(p.roots) }

// Uses are the `variables` put into it, those of its variables among them.
func (p *Program) Uses() []string { return slices.Clone(p.uses) }

// Trusted says that its value is made of the target's own words and constants alone.
func (p *Program) Trusted() bool { return p.trusted }

// Expr is the checked tree, with variables put in; what reads it must not change it.
func (p *Program) Expr() ast.Expr { return p.ast.NativeRep().Expr() }

// Eval gives a plain Go value: string, bool, int64, float64, time.Time, time.Duration, []any, map[string]any or nil.
// An absent label or field is a *Missing.
func (p *Program) Eval(v Vars) (any, error) { return p.EvalIn(Bind(v)) }

// EvalBool is Eval for conditions.
func (p *Program) EvalBool(v Vars) (bool, error) { return p.Holds(Bind(v)) }

// EvalIn is Eval with values that many expressions share.
func (p *Program) EvalIn(b *Bound) (any, error) {
	out, _, err := p.fast.Eval(b)
	if err != nil {
		return nil, p.explain(err)
	}
	value, err := toGo(out)
	if err != nil {
		return nil, fmt.Errorf("evaluate %s: %w", p.source, err)
	}
	return value, nil
}

// Holds is EvalIn for conditions.
func (p *Program) Holds(b *Bound) (bool, error) {
	out, _, err := p.fast.Eval(b)
	if err != nil {
		return false, p.explain(err)
	}
	holds, ok := out.(types.Bool)
	if !ok {
		return false, fmt.Errorf("evaluate %s: want true or false, it gave %s", p.source, typeName(out.Type().TypeName()))
	}
	return bool(holds), nil
}

// Try is Holds for those who mostly need not know why not. Failed says that there may be more to tell than a missing label:
// Holds tells it.
func (p *Program) Try(b *Bound) (holds, failed bool) {
	out, _, err := p.fast.Eval(b)
	if err != nil {
		return false, err != absent //nolint:errorlint // the one that a comparison gives, as it is
	}
	return out == types.True, out != types.True && out != types.False
}

// EvalPartial evaluates with only some variables known. ErrUnknown says that the answer depends on the others; any
// other error stands whatever the others are.
func (p *Program) EvalPartial(b *Bound, known ...string) (any, error) {
	p.once.Do(func() {
		p.partial, p.err = p.env.Program(p.ast, cel.EvalOptions(cel.OptPartialEval), cel.CostLimit(costLimit))
	})
	if p.err != nil {
		return nil, p.err
	}
	var unknown []*cel.AttributePatternType
	for _, root := range p.roots {
		if !slices.Contains(known, root) {
			unknown = append(unknown, cel.AttributePattern(root))
		}
	}
	vars, err := cel.PartialVars(b, unknown...)
	if err != nil {
		return nil, err
	}
	out, _, err := p.partial.Eval(vars)
	switch {
	case types.IsUnknown(out):
		return nil, ErrUnknown
	case err != nil:
		return nil, p.explain(err)
	}
	return toGo(out)
}
