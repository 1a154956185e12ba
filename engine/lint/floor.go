package lint

import (
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"astern.dev/astern/engine/promql"
)

// missingFloor finds rules that act by themselves on a share, a mean or a quantile without a query that shows how much
// there was to share: one bot at night is not 2 %. What a recording measures is only known with Prometheus' rule files;
// without them a second query that asks for more than a number is taken for the floor, and a single one for a share.
func missingFloor(w *world) {
	for _, s := range w.subjects {
		queries := w.queriesOf(s)
		if s.Mode != "auto" || len(queries) == 0 {
			continue
		}
		for i, q := range queries {
			if w.prometheus.shares(q) == no || floored(q) {
				continue
			}
			if !w.hasFloor(queries, i) {
				w.report(q.at, "confirm/floor", "nothing shows that there was traffic: a single bad request at night would be enough",
					"add a query that counts requests, such as one with holds: value > 1.0")
				break
			}
		}
	}
}

// hasFloor says whether another query than the one at i may be a floor.
func (w *world) hasFloor(queries []asked, i int) bool {
	for j, q := range queries {
		if j != i && lowerBound(q.holds) && w.prometheus.shares(q) != yes {
			return true
		}
	}
	return false
}

// floored says that the query has a floor of its own: `… and requests > 1`.
func floored(q asked) bool {
	for _, x := range q.exprs {
		found := false
		promql.Walk(x, func(n parser.Node) {
			if b, ok := n.(*parser.BinaryExpr); ok && b.Op == parser.LAND {
				c, compared := promql.Bare(b.RHS).(*parser.BinaryExpr)
				found = found || compared && (c.Op == parser.GTR || c.Op == parser.GTE)
			}
		})
		if !found {
			return false
		}
	}
	return len(q.exprs) > 0
}

// answer is no, yes, or unknown: a recording whose rule is not at hand.
type answer int

const (
	no answer = iota
	perhaps
	yes
)

// shares says whether a query's value is relative to how much there was.
func (p *prometheus) shares(q asked) answer {
	if len(q.exprs) == 0 {
		return perhaps
	}
	return p.sharesIn(q.exprs[0])
}

func (p *prometheus) sharesIn(x parser.Expr, within ...string) answer {
	found := no
	promql.Walk(x, func(n parser.Node) {
		found = max(found, p.share(n, within))
	})
	return found
}

func (p *prometheus) share(n parser.Node, within []string) answer {
	switch n := n.(type) {
	case *parser.BinaryExpr:
		if n.Op == parser.DIV && n.VectorMatching != nil {
			return yes
		}
	case *parser.AggregateExpr:
		if n.Op == parser.AVG || n.Op == parser.QUANTILE || n.Op == parser.STDDEV || n.Op == parser.STDVAR {
			return yes
		}
	case *parser.Call:
		switch n.Func.Name {
		case "histogram_quantile", "histogram_quantiles", "histogram_fraction", "histogram_avg", "histogram_stddev", "histogram_stdvar":
			return yes
		}
	case *parser.VectorSelector:
		return p.shareOf(n.Name, within)
	}
	return no
}

func (p *prometheus) shareOf(name string, within []string) answer {
	recorded := p.recorded(name)
	if len(recorded) == 0 && strings.Contains(name, ":") {
		return perhaps
	}
	found := no
	for _, r := range recorded {
		if !slices.Contains(within, name) {
			found = max(found, p.sharesIn(r.expr, append(within, name)...))
		}
	}
	return found
}
