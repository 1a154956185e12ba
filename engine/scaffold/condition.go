package scaffold

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"astern.dev/astern/engine/promql"
)

// condition is one comparison of an alert's expression: what is measured, and what it must meet for the alert to fire.
type condition struct {
	measured parser.Expr
	op       parser.ItemType
	limit    float64
}

// conditionsOf takes an alert's expression apart: comparisons with a number, joined by `and`. The error says, for a
// person, why it is not of that form, or why it could not show that something lasts.
func conditionsOf(query string) ([]condition, error) {
	parsed, err := promql.Parser.ParseExpr(query)
	if err != nil {
		return nil, errors.New("its expression cannot be read here")
	}
	if why := hides(parsed); why != "" {
		return nil, errors.New(why)
	}
	return conditionsIn(parsed)
}

func conditionsIn(x parser.Expr) ([]condition, error) {
	b, ok := promql.Bare(x).(*parser.BinaryExpr)
	switch {
	case !ok:
		return nil, errors.New("its expression compares nothing with a number")
	case b.Op == parser.LAND:
		left, err := conditionsIn(b.LHS)
		if err != nil {
			return nil, err
		}
		right, err := conditionsIn(b.RHS)
		return append(left, right...), err
	case b.Op == parser.LOR, b.Op == parser.LUNLESS:
		return nil, fmt.Errorf("its expression joins conditions with `%s`", b.Op)
	case !b.Op.IsComparisonOperator() || b.ReturnBool:
		return nil, errors.New("its expression compares nothing with a number")
	}
	return compared(b)
}

// compared reads `expression > number`, whichever side the number stands on, and what may be compared inside.
func compared(b *parser.BinaryExpr) ([]condition, error) {
	measured, op := b.LHS, b.Op
	limit, ok := constant(b.RHS)
	if !ok {
		if limit, ok = constant(b.LHS); !ok {
			return nil, errors.New("its expression compares two series")
		}
		measured, op = b.RHS, turned(b.Op)
	}
	if math.IsNaN(limit) || math.IsInf(limit, 0) {
		return nil, errors.New("its expression compares with no plain number")
	}
	here := condition{measured, op, limit}
	inner, ok := promql.Bare(measured).(*parser.BinaryExpr)
	if !ok || !inner.Op.IsComparisonOperator() || inner.ReturnBool {
		return []condition{here}, nil
	}
	within, err := compared(inner)
	if err != nil {
		return nil, err
	}
	here.measured = within[len(within)-1].measured
	return append(within, here), nil
}

func turned(op parser.ItemType) parser.ItemType {
	switch op {
	case parser.GTR:
		return parser.LSS
	case parser.GTE:
		return parser.LTE
	case parser.LSS:
		return parser.GTR
	case parser.LTE:
		return parser.GTE
	}
	return op
}

// constant is the number that an expression without series comes to.
func constant(x parser.Expr) (float64, bool) {
	switch x := promql.Bare(x).(type) {
	case *parser.NumberLiteral:
		return x.Val, true
	case *parser.UnaryExpr:
		v, ok := constant(x.Expr)
		if x.Op == parser.SUB {
			v = -v
		}
		return v, ok
	case *parser.BinaryExpr:
		left, ok := constant(x.LHS)
		right, too := constant(x.RHS)
		return folded(x.Op, left, right, ok && too)
	}
	return 0, false
}

func folded(op parser.ItemType, left, right float64, ok bool) (float64, bool) {
	switch op {
	case parser.ADD:
		return left + right, ok
	case parser.SUB:
		return left - right, ok
	case parser.MUL:
		return left * right, ok
	case parser.DIV:
		return left / right, ok
	case parser.POW:
		return math.Pow(left, right), ok
	}
	return 0, false
}

// hides says why an expression could not show that something lasts: it answers where there is no data, or of another time.
func hides(x parser.Expr) (why string) {
	promql.Walk(x, func(n parser.Node) {
		switch n := n.(type) {
		case *parser.BinaryExpr:
			if c, ok := promql.Bare(n.RHS).(*parser.Call); ok && n.Op == parser.LOR && c.Func.Name == "vector" {
				why = "its expression answers `or vector(…)` where there is no data"
			}
		case *parser.Call:
			if n.Func.Name == "absent" || n.Func.Name == "absent_over_time" {
				why = "its expression asks for what is absent: a broken scrape would confirm it"
			}
		case *parser.VectorSelector:
			if n.OriginalOffset != 0 || n.OriginalOffsetExpr != nil || n.Timestamp != nil || n.StartOrEnd != 0 {
				why = "its expression asks about another time than now"
			}
		case *parser.SubqueryExpr:
			if n.OriginalOffset != 0 || n.OriginalOffsetExpr != nil || n.Timestamp != nil || n.StartOrEnd != 0 {
				why = "its expression asks about another time than now"
			}
		}
	})
	return why
}

// holds is the condition as CEL: the number always with a point, for only then both sides are of one type.
func (c condition) holds() string {
	number := strconv.FormatFloat(c.limit, 'g', -1, 64)
	if len(number) > 15 { // 14.4 * 0.001 is 0.0144 to a reader
		number = strconv.FormatFloat(c.limit, 'g', 12, 64)
	}
	if !strings.ContainsAny(number, ".e") {
		number += ".0"
	}
	return "value " + c.op.String() + " " + number
}

// worst is the aggregation that keeps the series which meets the condition first; empty when there is none.
func (c condition) worst() string {
	switch c.op {
	case parser.GTR, parser.GTE:
		return "max"
	case parser.LSS, parser.LTE:
		return "min"
	}
	return ""
}

// restricted is what is measured, of the series with these labels alone. The text is PromQL. It is a new expression.
func restricted(x parser.Expr, to map[string]string) (parser.Expr, error) {
	again, err := promql.Parser.ParseExpr(x.String())
	if err != nil {
		return nil, err
	}
	promql.Walk(again, func(n parser.Node) {
		if v, ok := n.(*parser.VectorSelector); ok {
			for _, name := range sortedKeys(to) {
				v.LabelMatchers = append(v.LabelMatchers, labels.MustNewMatcher(labels.MatchEqual, name, to[name]))
			}
		}
	})
	return again, nil
}

// single says that an expression answers with at most one series when the labels in pinned have one value each.
func single(x parser.Expr, pinned []string) bool {
	switch x := promql.Bare(x).(type) {
	case *parser.AggregateExpr:
		switch x.Op {
		case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO, parser.COUNT_VALUES:
			return false
		}
		return !x.Without && !slices.ContainsFunc(x.Grouping, func(name string) bool { return !slices.Contains(pinned, name) })
	case *parser.UnaryExpr:
		return single(x.Expr, pinned)
	case *parser.BinaryExpr:
		return singleOf(x, pinned)
	case *parser.Call:
		if strings.HasPrefix(x.Func.Name, "histogram_") {
			pinned = append(slices.Clone(pinned), labels.BucketLabel)
		}
		for _, arg := range x.Args {
			if arg.Type() == parser.ValueTypeVector {
				return single(arg, pinned)
			}
		}
	}
	return false
}

func singleOf(x *parser.BinaryExpr, pinned []string) bool {
	m := x.VectorMatching
	switch {
	case m == nil && x.LHS.Type() == parser.ValueTypeVector:
		return single(x.LHS, pinned)
	case m == nil:
		return single(x.RHS, pinned)
	case x.Op == parser.LOR:
		return false
	case m.Card == parser.CardOneToMany:
		return single(x.RHS, pinned)
	}
	return single(x.LHS, pinned)
}
