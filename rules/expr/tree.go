package expr

import (
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
)

// visit goes over an expression and everything in it.
func visit(x ast.Expr, see func(ast.Expr)) {
	ast.PostOrderVisit(x, ast.NewExprVisitor(see))
}

// locals are the names that comprehensions give to items.
func locals(x ast.Expr) []string {
	var names []string
	visit(x, func(x ast.Expr) {
		if x.Kind() == ast.ComprehensionKind {
			c := x.AsComprehension()
			names = append(names, c.IterVar(), c.IterVar2(), c.AccuVar())
		}
	})
	return names
}

// roots are the variables an expression reads, each once.
func roots(x ast.Expr) []string {
	var names []string
	inner := locals(x)
	visit(x, func(x ast.Expr) {
		if x.Kind() == ast.IdentKind && !slices.Contains(inner, x.AsIdent()) && !slices.Contains(names, x.AsIdent()) {
			names = append(names, x.AsIdent())
		}
	})
	return names
}

// origins are the variables whose words an expression's value may hold. A key or a condition chooses among words, it
// adds none: `target.vars.urls[alert.labels.zone]` is the target's own word.
func origins(x ast.Expr) []string {
	switch x.Kind() {
	case ast.SelectKind:
		return origins(x.AsSelect().Operand())
	case ast.CallKind:
		call := x.AsCall()
		switch {
		case call.FunctionName() == operators.Index:
			return origins(call.Args()[0])
		case call.FunctionName() == operators.Conditional:
			return append(origins(call.Args()[1]), origins(call.Args()[2])...)
		}
	}
	return roots(x)
}

// shadowed finds a comprehension whose item has the name of a variable, and its place in characters.
func shadowed(checked *cel.Ast, scope Scope) (string, int) {
	taken, name, at := append(scope.Names(), rootNames()...), "", 0
	info := checked.NativeRep().SourceInfo()
	visit(checked.NativeRep().Expr(), func(x ast.Expr) {
		if x.Kind() != ast.ComprehensionKind {
			return
		}
		for _, v := range []string{x.AsComprehension().IterVar(), x.AsComprehension().IterVar2()} {
			if slices.Contains(taken, v) && v != "" {
				start, _ := info.GetOffsetRange(x.ID())
				name, at = v, int(start.Start)
			}
		}
	})
	return name, at
}

func rootNames() []string {
	var names []string
	for name := range rootTypes() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
