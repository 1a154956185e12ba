package rules

import (
	"fmt"

	"astern.dev/astern/rules/expr"
)

// confirm reads what is asked live before acting. A rule that acts or offers to act must write it, or say why it cannot.
func (l *loader) confirm(n *expr.Node, r *Rule, defined expr.Scope) {
	c := n.Get("confirm")
	switch {
	case !c.Exists():
		if (r.Mode == "auto" || r.Mode == "approve") && !n.Misspelt("confirm") {
			n.Get("mode").Report("rule/confirm", fmt.Sprintf("mode %s needs `confirm`", r.Mode), "queries asked right before acting, or `confirm: {waived: the reason}`")
		}
	case c.IsMap():
		reason := c.Map("waived").Need("waived")
		if r.Confirm.Waived = reason.Str(); reason.IsString() && r.Confirm.Waived == "" {
			reason.Report("rule/confirm", "the reason is empty", "say why no query can confirm it")
		}
	default:
		l.queries(c, r, defined)
	}
}

func (l *loader) queries(c *expr.Node, r *Rule, defined expr.Scope) {
	items := c.List()
	if c.IsList() && len(items) == 0 {
		c.Report("rule/confirm", "no query is written", "name one, or write `confirm: {waived: the reason}`")
	}
	for _, item := range items {
		item.Map("query", "holds")
		query, holds := item.Need("query"), item.Need("holds")
		q := Query{Query: query.Name(), Condition: holds.Name()}
		if q.query, _ = l.env.Template(expr.Query.With(defined), query); q.query != nil {
			_ = q.query.CheckPromQL() // told to the file, as all else here
		}
		if query.IsString() && query.Name() == "" {
			query.Report("rule/query", "the query is empty", "")
		}
		q.holds, _ = l.env.Compile(expr.Holds, holds, expr.Bool)
		if q.holds != nil && len(q.holds.Roots()) == 0 {
			holds.Report("rule/holds", "does not look at the sample", "compare `value` with something, such as value > 0.01")
		}
		r.Confirm.Queries = append(r.Confirm.Queries, q)
	}
}
