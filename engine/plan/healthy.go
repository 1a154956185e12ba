package plan

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"astern.dev/astern/rules/expr"
)

const (
	defaultHealthFor = 5 * time.Minute
	// patienceBeyond is how much longer than `for` health may take without a word.
	patienceBeyond = 10 * time.Minute
)

// readHealthy reads what makes a target healthy (S23): queries that all hold for a time, or a reason why none can say
// it. Nil when nothing is written.
func (b *Book) readHealthy(n *expr.Node) *Healthy {
	if !n.Exists() {
		return nil
	}
	n.Map("for", "patience", "all", "waived")
	h := &Healthy{For: defaultHealthFor, Waived: n.Get("waived").Str()}
	if n.Get("for").Exists() {
		h.For = n.Get("for").Duration()
	}
	h.Patience = h.For + patienceBeyond
	if n.Get("patience").Exists() {
		h.Patience = n.Get("patience").Duration()
	}
	for _, item := range n.Get("all").List() {
		h.Queries = append(h.Queries, b.readHealthQuery(item))
	}
	checkHealthy(n, *h)
	return h
}

// of is the same for one target: several may share their class's.
func (h Healthy) of(t *Target) Healthy {
	h.Queries = slices.Clone(h.Queries)
	for i := range h.Queries {
		h.Queries[i].target = t
	}
	return h
}

func checkHealthy(n *expr.Node, h Healthy) {
	switch {
	case h.Waived != "" && len(h.Queries) > 0:
		n.Get("waived").Report("target/healthy", "waived, and yet there are queries: one of them is too much", "")
	case h.Waived == "" && len(h.Queries) == 0:
		n.Report("target/healthy", "nothing says when the target is healthy", "write queries under `all`, or `waived: reason`")
	case h.Patience < h.For:
		n.Get("patience").Report("target/healthy", fmt.Sprintf("health must hold for %s, patience ends before", h.For), "")
	}
}

func (b *Book) readHealthQuery(n *expr.Node) HealthQuery {
	n.Map("query", "holds")
	bind := binding{env: b.env, scope: expr.Query}
	q := HealthQuery{Text: n.Need("query").Str(), Condition: n.Need("holds").Str(), query: bind.value(n.Get("query"), promQLType, "query")}
	q.holds, _ = b.env.Compile(expr.Holds, n.Get("holds"), expr.Bool)
	return q
}

// Render gives the PromQL with its values escaped for the quotes they stand in.
func (q HealthQuery) Render(v expr.Vars) (string, error) {
	v.Target = q.target.ExprTarget()
	text, err := q.query.render(view{vars: v})
	if err != nil {
		return "", fmt.Errorf("render the health query %s: %w", q.Text, err)
	}
	query, ok := text.(string)
	if !ok {
		return "", fmt.Errorf("render the health query %s: it gives no text", q.Text)
	}
	return unquoteTemplate(query), nil
}

// Holds says whether a sample is what health looks like.
func (q HealthQuery) Holds(value float64, v expr.Vars) (bool, error) {
	if q.holds == nil {
		return false, errors.New("nothing says what the health query must come to")
	}
	v.Target = q.target.ExprTarget()
	return q.holds.Holds(expr.BindValue(v, value))
}
