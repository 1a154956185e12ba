// Package promql reads the queries of others as any Prometheus would: what `astern init` writes and what `astern check`
// reads must be the same language. It imports nothing of astern.
package promql

import "github.com/prometheus/prometheus/promql/parser"

// Parser reads what any Prometheus may have switched on: what one does not know is for it to say.
var Parser = parser.NewParser(parser.Options{
	EnableExperimentalFunctions: true, ExperimentalDurationExpr: true, EnableExtendedRangeSelectors: true, EnableBinopFillModifiers: true,
})

// Walk visits an expression and everything in it.
func Walk(x parser.Expr, see func(parser.Node)) {
	parser.Inspect(x, func(n parser.Node, _ []parser.Node) error {
		if n != nil {
			see(n)
		}
		return nil
	})
}

// Bare is an expression without its brackets.
func Bare(x parser.Expr) parser.Expr {
	for {
		p, ok := x.(*parser.ParenExpr)
		if !ok {
			return x
		}
		x = p.Expr
	}
}
