package lint

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/prometheus/prometheus/promql/parser"

	"astern.dev/astern/engine/plan"
	"astern.dev/astern/engine/promql"
	"astern.dev/astern/rules/expr"
)

// standIn is what stands for a value that only an alert or a release will bring.
const standIn = "x"

// asked is one query as it would be asked.
type asked struct {
	at    *expr.Node
	holds *expr.Program
	// exprs are its forms for the targets that it can be asked for, each once; those with a mistake are left out.
	exprs []parser.Expr
}

// queriesOf are a rule's confirm queries.
func (w *world) queriesOf(s *subject) []asked {
	items := s.Node().Get("confirm").List()
	if s.Confirm.Waived != "" || len(items) != len(s.Confirm.Queries) {
		return nil
	}
	all := make([]asked, len(items))
	for i, q := range s.Confirm.Queries {
		all[i] = asked{at: items[i].Get("query"), holds: q.Claim()}
		if q.Template() != nil {
			all[i].exprs = w.parsed(quietly, all[i].at, q.Template(), s.targets)
		}
	}
	return all
}

// quietly is for those who look at what was told already.
func quietly(expr.Diagnostic) {}

// parsed gives the query's forms; report is told what is wrong with one.
func (w *world) parsed(report func(expr.Diagnostic), at *expr.Node, t *expr.Template, targets []*plan.Target) []parser.Expr {
	var all []parser.Expr
	seen := map[string]bool{}
	for _, g := range guesses(report, at, t, targets) {
		if seen[g.Text] {
			continue
		}
		seen[g.Text] = true
		x, err := promql.Parser.ParseExpr(g.Text)
		if err != nil {
			report(misread(at, g, err))
			break // the others would say the same
		}
		all = append(all, x)
	}
	return all
}

func guesses(report func(expr.Diagnostic), at *expr.Node, t *expr.Template, targets []*plan.Target) []expr.Guess {
	if len(targets) == 0 {
		if g, err := t.GuessPromQL(expr.Vars{}, standIn); err == nil {
			return []expr.Guess{g}
		}
		return nil
	}
	var all []expr.Guess
	for _, target := range targets {
		g, err := t.GuessPromQL(expr.Vars{Target: target.ExprTarget()}, standIn, "target")
		switch {
		case errors.Is(err, expr.ErrUnknown):
		case err != nil:
			report(at.Diagnostic("confirm/render", fmt.Sprintf("the query cannot be made for target %s: %v", target.Name, err), ""))
		default:
			all = append(all, g)
		}
	}
	return all
}

// misread places an error of Prometheus' parser in the query as it is written.
func misread(at *expr.Node, g expr.Guess, err error) expr.Diagnostic {
	from, width, message := 0, 1, err.Error()
	var all parser.ParseErrors
	if errors.As(err, &all) && len(all) > 0 {
		r := all[0].PositionRange
		from, message = g.Place(int(r.Start)), all[0].Err.Error()
		width = max(g.Place(int(r.End))-from, 1)
	}
	return at.Within(from, width, "promql/invalid", "Prometheus cannot read this query: "+message, "")
}

// invalidQueries finds queries that Prometheus would refuse, in rules and in what makes targets healthy.
func invalidQueries(w *world) {
	for _, s := range w.subjects {
		items := s.Node().Get("confirm").List()
		for i, q := range s.Confirm.Queries {
			if q.Template() != nil && i < len(items) && items[i].Get("query").Name() != "" {
				w.parsed(w.add, items[i].Get("query"), q.Template(), s.targets)
			}
		}
	}
	for _, h := range w.healthQueries() {
		w.formsOf(w.add, h)
	}
}

// health is one query of what makes targets healthy.
type health struct {
	plan.HealthQuery
	targets []*plan.Target
}

// healthQueries are those of all targets; targets of one class share theirs.
func (w *world) healthQueries() []*health {
	if w.in.Book == nil {
		return nil
	}
	var all []*health
	known := map[string]*health{}
	for _, t := range w.in.Book.Targets() {
		for _, q := range t.Healthy.Queries {
			if q.Text == "" {
				continue // its mistake is told already
			}
			at := q.Node().Diagnostic("", "", "").Short()
			if known[at] == nil {
				known[at] = &health{HealthQuery: q}
				all = append(all, known[at])
			}
			known[at].targets = append(known[at].targets, t)
		}
	}
	return all
}

func (w *world) formsOf(report func(expr.Diagnostic), h *health) []parser.Expr {
	if t := h.Template(); t != nil {
		return w.parsed(report, h.Node(), t, h.targets)
	}
	if strings.Contains(h.Text, "${") {
		return nil // its mistake is told already
	}
	x, err := promql.Parser.ParseExpr(h.Text)
	if err != nil {
		report(misread(h.Node(), expr.Plain(h.Text), err))
		return nil
	}
	return []parser.Expr{x}
}

// lowerBound says that a condition asks for more than a number: `value > 1.0`.
func lowerBound(p *expr.Program) bool {
	if p == nil {
		return false
	}
	return lowerBoundIn(p.Expr())
}

func lowerBoundIn(x ast.Expr) bool {
	if x.Kind() != ast.CallKind || len(x.AsCall().Args()) != 2 {
		return false
	}
	a, b := x.AsCall().Args()[0], x.AsCall().Args()[1]
	switch x.AsCall().FunctionName() {
	case operators.LogicalAnd:
		return lowerBoundIn(a) || lowerBoundIn(b)
	case operators.Greater, operators.GreaterEquals:
		return pathOf(a) == "value" && isNumber(b)
	case operators.Less, operators.LessEquals:
		return pathOf(b) == "value" && isNumber(a)
	}
	return false
}

func isNumber(x ast.Expr) bool {
	if x.Kind() != ast.LiteralKind {
		return false
	}
	switch v := x.AsLiteral().(type) {
	case types.Double:
		return v >= 0
	case types.Int:
		return v >= 0
	}
	return false
}
