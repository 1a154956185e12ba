package ruletest

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/simulate/prom"
	"astern.dev/astern/rules/expr"
)

// Monday at noon: what depends on the day of the week is the same in each run.
var defaultStart = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

// test reads one test: its shape first, then what it says.
func (l *loader) test(n, root *expr.Node, file *File) (*Test, error) {
	if name := n.Get("name").Name(); name != "" {
		n = n.In("test " + name)
	}
	testKeys().check(n)
	t := &Test{Name: n.Get("name").Str(), Line: n.Line(), Start: readMoment(n.Get("start")), Armed: true, Ceiling: incident.Mode(n.Get("ceiling").OneOf(modeNames()...))}
	if t.Start.IsZero() {
		t.Start = defaultStart
	}
	if armed := n.Get("armed"); armed.Exists() {
		t.Armed = armed.Bool()
	}
	t.Lost, t.PrometheusDown = spans(n.Get("lose")), spans(n.Get("prometheus_down"))
	t.AlertmanagerDown, t.WatchdogDead = spans(n.Get("alertmanager_down")), spans(n.Get("watchdog_dead"))
	t.Silences, t.Inhibitions = mutings(n.Get("silences")), mutings(n.Get("inhibits"))
	for _, r := range n.Get("restart_at").List() {
		t.Restarts = append(t.Restarts, after(r))
	}
	for _, j := range n.Get("clock_jumps").List() {
		t.Jumps = append(t.Jumps, Jump{after(j.Get("at")), readOffset(j.Get("by"))})
	}
	l.prometheus(n, file, t)
	t.Alerts, t.Deliveries = alerts(n.Get("alerts")), deliveries(n.Get("deliveries"))
	if err := l.reloads(n, root, t); err != nil {
		return nil, err
	}
	names := l.names()
	l.releases(n, names, t)
	l.answers(n, names, t)
	for _, item := range n.Get("touches").List() {
		t.Touches = append(t.Touches, Touch{after(item.Get("at")), names.target(item)})
	}
	l.wishes(n, names, t)
	l.expectations(n, names, t)
	return t, nil
}

// after is a moment that must not lie before the test.
func after(n *expr.Node) time.Duration {
	d := readOffset(n)
	if d < 0 {
		n.Report("test/before", "this lies before the test begins", "only a release may: write `start` to begin earlier")
	}
	return d
}

func optional(n *expr.Node) *time.Duration {
	if !n.Exists() {
		return nil
	}
	d := readOffset(n)
	return &d
}

func spans(n *expr.Node) []Span {
	var all []Span
	for _, item := range n.List() {
		all = append(all, spanOf(item))
	}
	return all
}

func spanOf(n *expr.Node) Span {
	s := Span{after(n.Get("from")), optional(n.Get("until"))}
	if s.Until != nil && *s.Until <= s.From {
		n.Get("until").Report("test/span", "this ends before it begins", "")
	}
	return s
}

func mutings(n *expr.Node) []Muting {
	var all []Muting
	for _, item := range n.List() {
		all = append(all, Muting{spanOf(item), item.Get("labels").StringMap()})
	}
	return all
}

// prometheus reads what Prometheus holds. When rules of Prometheus are there, the series drive the alerts.
func (l *loader) prometheus(n *expr.Node, file *File, t *Test) {
	server := prom.New(prom.Options{})
	for _, item := range n.Get("input_series").List() {
		s := Series{item.Get("series").Str(), item.Get("values").Str()}
		t.Series = append(t.Series, s)
		if s.Series == "" || s.Values == "" {
			continue // said already
		}
		if many := valuesOf(s.Values); many > mostValues {
			item.Get("values").Report("test/series", fmt.Sprintf("more than %d values", mostValues), "")
			t.Series = t.Series[:len(t.Series)-1]
			continue
		}
		if err := server.Load(s.Series, s.Values); err != nil {
			at := item.Get("series")
			if prom.New(prom.Options{}).Load(s.Series, "0") == nil && prom.New(prom.Options{}).Load("alone", s.Values) != nil {
				at = item.Get("values")
			}
			at.Report("test/series", err.Error(), "")
		}
	}
	if len(file.PrometheusRules) > 0 && n.Get("alerts").Exists() {
		n.Get("alerts").Report("test/alerts", "the series drive the alerts where prometheus_rule_files are named", "take one of the two")
	}
}

// mostValues bounds a series: a year of a value each fifteen seconds.
const mostValues = 2_200_000

var repeated = regexp.MustCompile(`x([0-9]+)`)

// valuesOf counts what the notation of a series repeats, before Prometheus' parser writes all of it out.
func valuesOf(values string) int {
	all := 0
	for _, m := range repeated.FindAllStringSubmatch(values, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil || n > mostValues {
			return mostValues + 1
		}
		all += n
	}
	return all
}

func alerts(n *expr.Node) []Alert {
	var all []Alert
	for _, item := range n.List() {
		a := Alert{
			At: after(item.Get("at")), Until: optional(item.Get("until")), Resolved: item.Get("status").Str() == "resolved",
			Labels: item.Get("labels").StringMap(), Annotations: item.Get("annotations").StringMap(),
			Repeat: readOffset(item.Get("repeat_every")), Copies: max(1, item.Get("copies").Int()), Peers: max(1, item.Get("peers").Int()), Truncated: item.Get("truncated").Int(),
			Listed: true, Quarantine: item.Get("quarantine").Str(), Note: item.Get("note").Str(), Source: item.Get("source").Str(),
		}
		a.DeliverAt, a.StartsAt = a.At, a.At
		if n := item.Get("deliver_at"); n.Exists() {
			a.DeliverAt = after(n)
		}
		if n := item.Get("starts_at"); n.Exists() {
			a.StartsAt = readOffset(n)
		}
		if n := item.Get("listed"); n.Exists() {
			a.Listed = n.Bool()
		}
		checkAlert(item, a)
		all = append(all, a)
	}
	return all
}

// mostCopies bounds a storm.
const mostCopies = 10_000

func checkAlert(n *expr.Node, a Alert) {
	labelled(n.Get("labels"), a.Labels)
	switch {
	case a.Resolved && a.Until != nil:
		n.Get("until").Report("test/span", "what is resolved from the beginning has no end", "")
	case a.Until != nil && *a.Until <= a.At:
		n.Get("until").Report("test/span", "this ends before it begins", "")
	}
	if a.Copies > mostCopies {
		n.Get("copies").Report("test/copies", fmt.Sprintf("want %d at most", mostCopies), "")
	}
	if a.DeliverAt < a.At {
		n.Get("deliver_at").Report("test/span", "this is delivered before it fires", "")
	}
	atLeastASecond(n.Get("repeat_every"))
}

func labelled(n *expr.Node, labels map[string]string) {
	if n.IsMap() && labels["alertname"] == "" {
		n.Report("test/alertname", "an alert has a label alertname", "")
	}
}

func deliveries(n *expr.Node) []Delivery {
	var all []Delivery
	for _, item := range n.List() {
		d := Delivery{At: after(item.Get("at")), Truncated: item.Get("truncated").Int(), Peers: max(1, item.Get("peers").Int()), Source: item.Get("source").Str()}
		for _, a := range item.Get("alerts").List() {
			one := Delivered{
				Status: cmp.Or(a.Get("status").Str(), "firing"), Labels: a.Get("labels").StringMap(), Annotations: a.Get("annotations").StringMap(),
				StartsAt: d.At, EndsAt: optional(a.Get("ends_at")), Quarantine: a.Get("quarantine").Str(), Note: a.Get("note").Str(),
			}
			if starts := a.Get("starts_at"); starts.Exists() {
				one.StartsAt = readOffset(starts)
			}
			labelled(a.Get("labels"), one.Labels)
			d.Alerts = append(d.Alerts, one)
		}
		all = append(all, d)
	}
	return all
}

func (l *loader) reloads(n, root *expr.Node, t *Test) error {
	for _, item := range n.Get("reloads").List() {
		cfg, err := l.reload(item, root)
		if err != nil {
			return err
		}
		t.Reloads = append(t.Reloads, Reload{after(item.Get("at")), cfg})
	}
	return nil
}
