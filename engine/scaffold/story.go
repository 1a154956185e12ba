package scaffold

import (
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"astern.dev/astern/engine/promql"
)

// testView is the first rule test: an alert for a target, and what its rule would have done.
type testView struct {
	Name, Target, Rule, Labels string
	Series                     []seriesView
}

type seriesView struct{ Name, Values string }

// test takes the first rule whose alert can choose a target, if it can be one whose queries series can answer.
func (d *Draft) test() *testView {
	var first *testView
	for _, r := range d.Rules {
		t, ok := d.example(r)
		if !ok || len(r.Lacks) > 0 {
			continue
		}
		v := &testView{Name: r.Alert.Name + " fires: the rule only remembers what it would have done", Target: t.Name, Rule: r.Name, Labels: d.inFlowMap(d.labelsOf(r, t))}
		if v.Series = d.series(r, t); len(v.Series) > 0 {
			v.Name = r.Alert.Name + " fires: the rule would go back to v41, and does nothing"
			return v
		}
		if first == nil {
			first = v
		}
	}
	return first
}

func (d *Draft) inFlowMap(m map[string]string) string {
	var all []string
	for _, name := range sortedKeys(m) {
		all = append(all, inFlow(name)+": "+inFlow(m[name]))
	}
	return strings.Join(all, ", ")
}

// series are those that make a rule's conditions hold; nil when they measure more than plain metrics.
func (d *Draft) series(r *Rule, t Target) []seriesView {
	if len(r.Confirm) != len(r.conditions) {
		return nil
	}
	var all []seriesView
	for _, c := range r.conditions {
		name, ok := d.seriesName(r, c, t)
		if !ok {
			return nil
		}
		all = append(all, seriesView{name, strconv.FormatFloat(c.beyond(), 'f', -1, 64) + "x90"})
	}
	return all
}

// seriesName is the series that a plain metric means for a target, in promtool's form.
func (d *Draft) seriesName(r *Rule, c condition, t Target) (string, bool) {
	v, ok := promql.Bare(c.measured).(*parser.VectorSelector)
	if !ok || !plainMetric.MatchString(v.Name) {
		return "", false
	}
	has := map[string]string{}
	for _, m := range v.LabelMatchers {
		switch {
		case m.Type != labels.MatchEqual:
			return "", false
		case m.Name != model.MetricNameLabel && m.Value != "":
			has[m.Name] = m.Value
		}
	}
	for i, label := range d.Labels() {
		for _, pinned := range d.pinned(r.Alert) {
			if written, twice := has[label]; pinned == label && twice && written != t.Values[i] {
				return "", false
			} else if pinned == label {
				has[label] = t.Values[i]
			}
		}
	}
	var all []string
	for _, label := range sortedKeys(has) {
		all = append(all, quotedLabel(label)+"="+strconv.Quote(has[label]))
	}
	return v.Name + "{" + strings.Join(all, ",") + "}", true
}

// beyond is a value that meets the condition.
func (c condition) beyond() float64 {
	switch c.op {
	case parser.GTR, parser.GTE:
		if c.limit > 0 {
			return c.limit * 2
		}
		return c.limit + 1
	case parser.LSS, parser.LTE:
		if c.limit > 0 {
			return c.limit / 2
		}
		return c.limit - 1
	case parser.NEQ:
		return c.limit + 1
	}
	return c.limit
}
