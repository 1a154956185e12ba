package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"astern.dev/astern/rules/expr"
)

// severalSeries finds queries that answer with a series for each value of a label: astern takes more than one series for
// unknown and does nothing. Of a metric whose labels nobody told, nothing is said.
func severalSeries(w *world) {
	for _, s := range w.subjects {
		for _, q := range w.queriesOf(s) {
			w.several(q.at, q.exprs)
		}
	}
	for _, h := range w.healthQueries() {
		w.several(h.Node(), w.formsOf(quietly, h))
	}
}

func (w *world) several(at *expr.Node, exprs []parser.Expr) {
	for _, x := range exprs {
		c := w.prometheus.carried(x)
		if c.open {
			continue
		}
		var loose []string
		for _, name := range slices.Sorted(maps.Keys(c.names)) {
			if !c.names[name] {
				loose = append(loose, name)
			}
		}
		if len(loose) > 0 {
			w.report(at, "confirm/several", fmt.Sprintf("answers with one series for each %s: more than one is unknown, and nothing is done", strings.Join(loose, ", ")),
				"say which, or aggregate it away")
			return
		}
	}
}
