package lint

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"astern.dev/astern/engine/promql"
)

// hiddenGaps finds queries that cannot show that something lasted: they answer where there is nothing to see, or with
// what was, not what is. A gap must stay a gap: astern takes it for unknown and does nothing.
func hiddenGaps(w *world) {
	for _, s := range w.subjects {
		for _, q := range w.queriesOf(s) {
			for _, x := range q.exprs {
				if why, hint := w.prometheus.hides(x, s.For); why != "" {
					w.report(q.at, "confirm/sustained", why, hint)
					break
				}
			}
		}
	}
}

// hides says how an expression hides gaps, looked at through the recordings that it names.
func (p *prometheus) hides(x parser.Expr, window time.Duration, within ...string) (why, hint string) {
	promql.Walk(x, func(n parser.Node) {
		if why != "" {
			return
		}
		if why, hint = hidesHere(n, window); why != "" && len(within) > 0 {
			why += fmt.Sprintf(" (in the recording %s)", within[len(within)-1])
		}
		if v, ok := n.(*parser.VectorSelector); ok && why == "" && !slices.Contains(within, v.Name) {
			for _, r := range p.recorded(v.Name) {
				if why == "" {
					why, hint = p.hides(r.expr, window, append(slices.Clone(within), v.Name)...)
				}
			}
		}
	})
	return why, hint
}

func hidesHere(n parser.Node, window time.Duration) (why, hint string) {
	switch n := n.(type) {
	case *parser.BinaryExpr:
		if c, ok := promql.Bare(n.RHS).(*parser.Call); ok && n.Op == parser.LOR && c.Func.Name == "vector" {
			return "`or vector(…)` answers where there is no data: a gap would count as a value", "leave it out: a gap is unknown, and nothing is done"
		}
	case *parser.Call:
		return callHides(n, window)
	case *parser.VectorSelector:
		return moved(n.OriginalOffset, n.OriginalOffsetExpr != nil, n.Timestamp != nil || n.StartOrEnd != 0)
	case *parser.SubqueryExpr:
		return moved(n.OriginalOffset, n.OriginalOffsetExpr != nil, n.Timestamp != nil || n.StartOrEnd != 0)
	}
	return "", ""
}

func callHides(c *parser.Call, window time.Duration) (why, hint string) {
	switch c.Func.Name {
	case "absent", "absent_over_time":
		return c.Func.Name + " says yes when there is no data: a broken scrape would confirm it", "ask for what is bad, not for what is missing"
	case "max_over_time", "min_over_time", "last_over_time", "first_over_time", "quantile_over_time", "present_over_time":
	default:
		if _, sub := lastArg(c).(*parser.SubqueryExpr); !sub {
			return "", ""
		}
	}
	return smeared(c, window)
}

// smeared: one bad moment is seen for as long as the range is.
func smeared(c *parser.Call, window time.Duration) (why, hint string) {
	var span time.Duration
	for _, arg := range c.Args {
		switch x := promql.Bare(arg).(type) {
		case *parser.MatrixSelector:
			span = x.Range
		case *parser.SubqueryExpr:
			span = x.Range
		}
	}
	if window == 0 || span <= window {
		return "", ""
	}
	return fmt.Sprintf("%s looks back %s, longer than `for: %s`: one bad moment would hold for all of it", c.Func.Name, short(span), short(window)),
		"let the range be no longer than `for`"
}

func moved(offset time.Duration, byExpression, fixed bool) (why, hint string) {
	switch {
	case fixed:
		return "`@` asks about a fixed time, not about now", "leave it out"
	case offset != 0 || byExpression:
		return "`offset` asks about another time than now", "leave it out"
	}
	return "", ""
}

func lastArg(c *parser.Call) parser.Expr {
	if len(c.Args) == 0 {
		return nil
	}
	return promql.Bare(c.Args[len(c.Args)-1])
}
