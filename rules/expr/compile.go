package expr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/ast"
)

// Compile reads a string of a file as one CEL expression. Its mistakes are reported to the node's file and returned.
// An absent or empty string gives no program and no mistake when it is absent; ask for it with Need.
func (e *Env) Compile(scope Scope, node *Node, want Kind) (*Program, Diagnostics) {
	if !node.Exists() {
		return nil, nil
	}
	if !node.IsString() {
		node.celString()
		return nil, node.file.since(1)
	}
	before := len(node.file.found)
	c := &compilation{env: e, scope: scope, node: node, text: node.yaml.Value}
	p := c.program(want)
	return p, node.file.since(len(node.file.found) - before)
}

func (n *Node) celString() {
	n.Report("yaml/kind", fmt.Sprintf("CEL is written as a string, found %s", kindName(n.yaml)), "write the expression in quotes")
}

// since gives the last mistakes of a file.
func (f *File) since(n int) Diagnostics {
	return slices.Clone(f.found[len(f.found)-n:])
}

// compilation is one expression on its way: text stands at offset (in characters) of the node's value.
type compilation struct {
	env    *Env
	scope  Scope
	node   *Node
	text   string
	offset int
	cel    *cel.Env
}

// program gives the text made ready to run, or nil after reporting a mistake. Without variables the same text is the same
// program wherever it stands: `value > 0.01` is compiled once for all rules.
func (c *compilation) program(want Kind) *Program {
	key := programKey{c.scope.key(), c.text, want}
	if p := c.env.program(key); p != nil && c.scope.steps == nil {
		return p
	}
	p := c.compile(want)
	if p != nil && c.scope.steps == nil && len(p.uses) == 0 {
		c.env.keep(key, p)
	}
	return p
}

// compile checks the text, puts variables in, and plans it.
func (c *compilation) compile(want Kind) *Program {
	checked := c.check()
	if checked == nil {
		return nil
	}
	if got := kindOf(checked.OutputType()); want != Any && got != Any && got != want && (want != Double || got != Int) {
		c.report(0, width(c.text), "cel/type", fmt.Sprintf("want %s, this gives %s", want, got), "")
		return nil
	}
	whole, uses, ok := c.inline(checked)
	if !ok {
		return nil
	}
	p := &Program{source: c.text, env: c.cel, ast: whole, kind: kindOf(checked.OutputType()), uses: uses, known: c.scope.known}
	p.roots = roots(whole.NativeRep().Expr())
	p.trusted = !slices.ContainsFunc(origins(whole.NativeRep().Expr()), func(root string) bool { return root != "target" })
	if !c.bounded(p) {
		return nil
	}
	var err error
	if p.fast, err = plan(c.cel, whole, p.limited); err != nil {
		c.report(0, width(c.text), "cel/plan", err.Error(), "")
		return nil
	}
	return p
}

func (c *compilation) check() *cel.Ast {
	var err error
	if c.cel, err = c.env.scope(c.scope); err != nil {
		c.report(0, 1, "cel/scope", err.Error(), "")
		return nil
	}
	checked, issues := c.cel.Compile(c.text)
	if issues.Err() != nil {
		c.issues(issues)
		return nil
	}
	if name, at := shadowed(checked, c.scope); name != "" {
		c.report(c.find(name, at), width(name), "cel/shadow", fmt.Sprintf("%q is a variable already: call the item of the list by another name", name), "")
		return nil
	}
	return checked
}

func plan(env *cel.Env, a *cel.Ast, limited bool) (cel.Program, error) {
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if limited {
		options = append(options, cel.CostLimit(costLimit))
	} else {
		options = append(options, comparisons(a.NativeRep().Expr()))
	}
	return env.Program(a, options...)
}

// bounded estimates the cost. What is cheap whatever the alert holds runs without counting; what could grow with the
// alert is counted at run time; what is too dear for an ordinary alert is refused here.
func (c *compilation) bounded(p *Program) bool {
	worst, err := c.cel.EstimateCost(p.ast, sizes{})
	if err == nil && worst.Max <= costLimit {
		return true
	}
	p.limited = true
	ordinary, err := c.cel.EstimateCost(p.ast, sizes{bounded: true})
	if err != nil {
		c.report(0, width(c.text), "cel/cost", "its cost cannot be estimated: "+err.Error(), "")
		return false
	}
	if ordinary.Max > costLimit {
		c.report(0, width(c.text), "cel/cost", fmt.Sprintf("may cost more than %d units", costLimit), "compare single labels instead of looking through all of them again and again")
		return false
	}
	return true
}

// sizes tells the estimate how big values are: an ordinary alert's, or (not bounded) anything.
type sizes struct{ bounded bool }

const (
	ordinaryItems = 100
	ordinaryText  = 4096
)

func (s sizes) EstimateSize(node checker.AstNode) *checker.SizeEstimate {
	switch {
	case !s.bounded:
		return nil
	case kindOf(node.Type()) == String:
		return &checker.SizeEstimate{Max: ordinaryText}
	}
	return &checker.SizeEstimate{Max: ordinaryItems}
}

func (s sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// inline puts the definitions in place of their names, so that a program is one tree. It tells the names it put in.
func (c *compilation) inline(checked *cel.Ast) (whole *cel.Ast, uses []string, ok bool) {
	size, used := c.used(checked)
	if size > maxNodes {
		c.report(0, width(c.text), "cel/size", fmt.Sprintf("with its variables put in, this is larger than %d parts", maxNodes), "")
		return nil, nil, false
	}
	if len(used) == 0 {
		return checked, nil, true
	}
	for _, d := range used {
		if !c.knows(d) {
			return nil, nil, false
		}
		uses = append(append(uses, d.name), d.uses...)
	}
	whole, issues := c.optimize(checked, used)
	if issues.Err() != nil {
		c.report(0, width(c.text), "cel/variable", issues.Err().Error(), "")
		return nil, nil, false
	}
	slices.Sort(uses)
	return whole, slices.Compact(uses), true
}

// knows says whether all that a variable reads is known in this scope; if not, that is reported where it is named.
func (c *compilation) knows(d *definition) bool {
	for _, root := range d.roots {
		if !slices.Contains(c.scope.roots, root) {
			c.report(c.find(d.name, 0), width(d.name), "cel/variable", fmt.Sprintf("the variable %q reads %s, which is not known here", d.name, root),
				"known here: "+strings.Join(c.scope.roots, ", "))
			return false
		}
	}
	return true
}

func (c *compilation) optimize(checked *cel.Ast, used []*definition) (*cel.Ast, *cel.Issues) {
	optimizer, err := cel.NewStaticOptimizer(inliner(used))
	if err != nil {
		return nil, cel.ErrorAsIssues(err)
	}
	return optimizer.Optimize(c.cel, checked)
}

// used gives the definitions that the expression names and its size with them put in.
func (c *compilation) used(checked *cel.Ast) (int, []*definition) {
	size, used := 0, []*definition(nil)
	visit(checked.NativeRep().Expr(), func(x ast.Expr) {
		size++
		if x.Kind() != ast.IdentKind {
			return
		}
		if d := c.scope.definition(x.AsIdent()); d != nil {
			size += d.size
			if !slices.Contains(used, d) {
				used = append(used, d)
			}
		}
	})
	return size, used
}

type inliner []*definition

func (defs inliner) Optimize(ctx *cel.OptimizerContext, a *ast.AST) *ast.AST {
	root := ast.NavigateAST(a)
	for _, d := range defs {
		named := func(x ast.NavigableExpr) bool { return x.Kind() == ast.IdentKind && x.AsIdent() == d.name }
		for _, match := range ast.MatchDescendants(root, named) {
			ctx.UpdateExpr(match, ctx.CopyASTAndMetadata(d.ast.NativeRep()))
		}
	}
	return a
}
