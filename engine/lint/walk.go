package lint

import "github.com/prometheus/prometheus/promql/parser"

// walk visits an expression of PromQL and everything in it.
func walk(x parser.Expr, see func(parser.Node)) {
	parser.Inspect(x, func(n parser.Node, _ []parser.Node) error {
		if n != nil {
			see(n)
		}
		return nil
	})
}

// bare is an expression without its brackets.
func bare(x parser.Expr) parser.Expr {
	for {
		p, ok := x.(*parser.ParenExpr)
		if !ok {
			return x
		}
		x = p.Expr
	}
}
