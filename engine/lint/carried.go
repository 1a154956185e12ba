package lint

import (
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// carried is what is known of the labels of an expression's series.
type carried struct {
	// names are labels that they may have; one that is pinned has the same value on all of them.
	names map[string]pinned
	// open says that they may have others, too: metrics come with the labels of their exporter.
	open bool
}

type pinned bool

func closed() carried { return carried{names: map[string]pinned{}} }

func unsure() carried { return carried{names: map[string]pinned{}, open: true} }

// carried reads the labels off an expression. within are recordings that are being looked at, for one may name itself.
func (p *prometheus) carried(x parser.Expr, within ...string) carried {
	switch x := x.(type) {
	case *parser.ParenExpr:
		return p.carried(x.Expr, within...)
	case *parser.UnaryExpr:
		return p.carried(x.Expr, within...)
	case *parser.StepInvariantExpr:
		return p.carried(x.Expr, within...)
	case *parser.SubqueryExpr:
		return p.carried(x.Expr, within...)
	case *parser.MatrixSelector:
		return p.carried(x.VectorSelector, within...)
	case *parser.NumberLiteral, *parser.StringLiteral:
		return closed()
	case *parser.VectorSelector:
		return p.selected(x, within)
	case *parser.AggregateExpr:
		return p.aggregated(x, within)
	case *parser.BinaryExpr:
		return p.combined(x, within)
	case *parser.Call:
		return p.called(x, within)
	}
	return unsure()
}

// selected: a recording has the labels of its expression and its own; any other metric may have whatever it likes.
func (p *prometheus) selected(x *parser.VectorSelector, within []string) carried {
	c := unsure()
	if recorded := p.recorded(x.Name); len(recorded) > 0 && !slices.Contains(within, x.Name) {
		c = closed()
		for _, r := range recorded {
			one := p.carried(r.expr, append(slices.Clone(within), x.Name)...)
			c.open = c.open || one.open
			for name, pin := range one.names {
				c.names[name] = pin && len(recorded) == 1
			}
			for name := range r.labels {
				c.names[name] = len(recorded) == 1
			}
		}
	}
	for _, m := range x.LabelMatchers {
		switch {
		case m.Name == model.MetricNameLabel:
		case m.Type == labels.MatchEqual && m.Value == "":
			delete(c.names, m.Name)
		case m.Type == labels.MatchEqual:
			if _, has := c.names[m.Name]; has || c.open {
				c.names[m.Name] = true
			}
		}
	}
	return c
}

func (p *prometheus) recorded(name string) []*promRule {
	if p == nil {
		return nil
	}
	return p.records[name]
}

func (p *prometheus) aggregated(x *parser.AggregateExpr, within []string) carried {
	inner := p.carried(x.Expr, within...)
	switch x.Op {
	case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
		return inner.some(x)
	}
	out := closed()
	if x.Without {
		out = inner
		for _, name := range x.Grouping {
			delete(out.names, name)
		}
	} else {
		for _, name := range x.Grouping {
			if pin, has := inner.names[name]; has || inner.open {
				out.names[name] = pin
			}
		}
	}
	if label, ok := x.Param.(*parser.StringLiteral); ok && x.Op == parser.COUNT_VALUES {
		out.names[label.Val] = false
	}
	return out
}

// some keeps whole series: one of them, or nobody knows how many.
func (c carried) some(x *parser.AggregateExpr) carried {
	n, number := x.Param.(*parser.NumberLiteral)
	one := number && n.Val == 1 && len(x.Grouping) == 0 && !x.Without && x.Op != parser.LIMIT_RATIO
	for name := range c.names {
		c.names[name] = pinned(one)
	}
	return c
}

func (p *prometheus) combined(x *parser.BinaryExpr, within []string) carried {
	left, right := p.carried(x.LHS, within...), p.carried(x.RHS, within...)
	m := x.VectorMatching
	switch {
	case m == nil && x.LHS.Type() == parser.ValueTypeVector:
		return left
	case m == nil:
		return right
	case x.Op == parser.LOR:
		return left.or(right)
	case x.Op == parser.LAND, x.Op == parser.LUNLESS:
		return left
	case m.Card == parser.CardOneToMany:
		left, right = right, left
	}
	if m.Card == parser.CardManyToOne || m.Card == parser.CardOneToMany {
		for _, name := range m.Include {
			if pin, has := right.names[name]; has || right.open {
				left.names[name] = pin
			}
		}
		return left
	}
	return left.matched(right, m)
}

// or: series of either side.
func (c carried) or(other carried) carried {
	out := carried{names: maps.Clone(c.names), open: c.open || other.open}
	for name, pin := range other.names {
		own, has := out.names[name]
		out.names[name] = pin && (own || !pinned(has))
	}
	return out
}

// matched: one to one, what remains are the labels that were compared.
func (c carried) matched(other carried, m *parser.VectorMatching) carried {
	out := carried{names: map[string]pinned{}, open: c.open && other.open && !m.On}
	for name, pin := range c.names {
		if slices.Contains(m.MatchingLabels, name) == m.On {
			out.names[name] = pin || other.names[name]
		}
	}
	for name, pin := range other.names {
		if slices.Contains(m.MatchingLabels, name) == m.On && (c.open || c.has(name)) {
			out.names[name] = pin || out.names[name]
		}
	}
	if m.On && c.open {
		for _, name := range m.MatchingLabels {
			out.names[name] = out.names[name] || other.names[name]
		}
	}
	return out
}

func (c carried) has(name string) bool { _, has := c.names[name]; return has }

func (p *prometheus) called(x *parser.Call, within []string) carried {
	switch x.Func.Name {
	case "absent", "absent_over_time":
		return absentLabels(x)
	case "info":
		return unsure()
	}
	out := closed()
	if x.Func.ReturnType == parser.ValueTypeScalar {
		return out
	}
	for _, arg := range x.Args {
		if t := arg.Type(); t == parser.ValueTypeVector || t == parser.ValueTypeMatrix {
			out = p.carried(arg, within...)
			break
		}
	}
	switch x.Func.Name {
	case "histogram_quantile", "histogram_fraction", "histogram_quantiles":
		out = p.carried(vectorArg(x), within...)
		delete(out.names, "le")
		if label, ok := quantileLabel(x); ok {
			out.names[label] = false
		}
	case "label_replace", "label_join":
		if label, ok := x.Args[1].(*parser.StringLiteral); ok {
			out.names[label.Val] = false
		}
	}
	return out
}

// vectorArg is the first vector among the arguments.
func vectorArg(x *parser.Call) parser.Expr {
	for _, arg := range x.Args {
		if arg.Type() == parser.ValueTypeVector {
			return arg
		}
	}
	return x.Args[0]
}

func quantileLabel(x *parser.Call) (string, bool) {
	if x.Func.Name != "histogram_quantiles" || len(x.Args) < 2 {
		return "", false
	}
	label, ok := x.Args[1].(*parser.StringLiteral)
	if !ok {
		return "", false
	}
	return label.Val, true
}

// absentLabels: what is absent has the labels that were asked for by equality.
func absentLabels(x *parser.Call) carried {
	out, arg := closed(), x.Args[0]
	if m, ok := arg.(*parser.MatrixSelector); ok {
		arg = m.VectorSelector
	}
	if v, ok := arg.(*parser.VectorSelector); ok {
		for _, m := range v.LabelMatchers {
			if m.Type == labels.MatchEqual && m.Name != model.MetricNameLabel && m.Value != "" {
				out.names[m.Name] = true
			}
		}
	}
	return out
}

// alertLabels are the labels of an alert, its own and alertname among them. External labels are not known.
func (p *prometheus) alertLabels(r *promRule) carried {
	c := p.carried(r.expr)
	c.names["alertname"] = true
	for name, value := range r.labels {
		if value == "" {
			delete(c.names, name)
			continue
		}
		c.names[name] = !pinned(strings.Contains(value, "{{"))
	}
	return c
}
