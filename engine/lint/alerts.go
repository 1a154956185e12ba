package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

const alertname = "alert.labels.alertname"

// secondFor finds rules that wait although Prometheus has waited already: the two add up.
func secondFor(w *world) {
	for _, s := range w.subjects {
		var longest *promRule
		for _, a := range s.alerts {
			if a.wait > 0 && (longest == nil || a.wait > longest.wait) {
				longest = a
			}
		}
		if longest == nil || s.For == 0 {
			continue
		}
		w.report(s.Node().Get("for"), "alert/second-for", fmt.Sprintf("effective delay %s: Prometheus waits %s before %s fires, this rule %s more",
			short(longest.wait+s.For), short(longest.wait), longest.name, short(s.For)), "let one of the two wait; Prometheus' own is at "+longest.at)
	}
}

// short writes a duration without the zeros: 10m30s, 5m, 1h.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// unknownAlerts finds names of alerts that no rule of Prometheus makes.
func unknownAlerts(w *world) {
	if w.prometheus == nil {
		return
	}
	for _, s := range w.subjects {
		when := s.Node().Get("when")
		names, bound := s.values(alertname)
		for _, name := range names {
			if w.prometheus.alerts[name] == nil && !rules.Own(name) {
				w.report(when, "alert/unknown", fmt.Sprintf("no rule of Prometheus makes an alert %q", name), expr.Near(name, w.prometheus.alertNames()))
			}
		}
		if !bound && s.possible() && !slices.ContainsFunc(w.prometheus.alertNames(), func(name string) bool { return s.takes(alertname, name) }) {
			w.report(when, "alert/unknown", "no rule of Prometheus makes an alert with such a name", "")
		}
	}
}

func (s *subject) possible() bool {
	return s.branches == nil || slices.ContainsFunc(s.branches, branch.possible)
}

// missingLabels finds labels that a rule asks for and its alerts never have, or never with that value.
func missingLabels(w *world) {
	if w.prometheus == nil {
		return
	}
	for _, s := range w.subjects {
		w.missingLabelsOf(s)
	}
}

func (w *world) missingLabelsOf(s *subject) {
	names, bound := s.values(alertname)
	if !bound || len(names) == 0 || s.branches == nil {
		return
	}
	for _, name := range names {
		alerts := w.prometheus.alerts[name]
		if len(alerts) == 0 {
			continue // told already
		}
		for _, label := range s.demanded() {
			w.missingLabel(s, alerts, label)
		}
		if len(s.targets) > 0 && s.Target == "" {
			w.missingSelect(s, alerts)
		}
	}
}

// demanded are the labels that must be there for the rule to match, whichever way it does.
func (s *subject) demanded() []string {
	count := map[string]int{}
	possible := 0
	for _, b := range s.branches {
		if !b.possible() {
			continue
		}
		possible++
		for path, state := range b.states {
			if label, ok := strings.CutPrefix(path, "alert.labels."); ok && state.there && label != "alertname" {
				count[label]++
			}
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(count)), func(label string) bool { return count[label] < possible })
}

func (w *world) missingLabel(s *subject, alerts []*promRule, label string) {
	var values []string
	for _, a := range alerts {
		c := w.prometheus.alertLabels(a)
		constant, written := a.constants()[label]
		switch {
		case !c.has(label) && !c.open:
			continue // this one never has it
		case !written || s.takes("alert.labels."+label, constant):
			return
		}
		if !slices.Contains(values, constant) {
			values = append(values, constant)
		}
	}
	a := alerts[0]
	if len(values) > 0 {
		w.report(s.Node().Get("when"), "alert/label", fmt.Sprintf("the alert %s always has the label %s with the value %s", a.name, label, quoted(values, " or ")), "written at "+a.at)
		return
	}
	w.report(s.Node().Get("when"), "alert/label", fmt.Sprintf("the alert %s never carries the label %s, unless it is an external label of Prometheus", a.name, label),
		"it has "+strings.Join(slices.Sorted(maps.Keys(w.prometheus.alertLabels(a).names)), ", ")+": "+a.at)
}

// missingSelect: without the labels that choose a target, none is chosen and nothing is done.
func (w *world) missingSelect(s *subject, alerts []*promRule) {
	var lacking []string
	for _, a := range alerts {
		c := w.prometheus.alertLabels(a)
		if slices.ContainsFunc(s.targets, func(t *plan.Target) bool { return len(lacks(c, t)) == 0 }) {
			return
		}
		lacking = lacks(c, s.targets[0])
	}
	a := alerts[0]
	w.report(s.Node().Get("when"), "alert/label", fmt.Sprintf("the alert %s never carries the label %s, by which a target is chosen, unless it is an external label of Prometheus", a.name, lacking[0]),
		"it has "+strings.Join(slices.Sorted(maps.Keys(w.prometheus.alertLabels(a).names)), ", ")+": "+a.at)
}

// lacks are the labels of a target's select that an alert never has.
func lacks(c carried, t *plan.Target) []string {
	var all []string
	for _, label := range slices.Sorted(maps.Keys(t.Select)) {
		if !c.open && !c.has(label) {
			all = append(all, label)
		}
	}
	return all
}

// watchdogAlert: without it astern takes monitoring for dead and holds everything (S8).
func watchdogAlert(w *world) {
	if w.prometheus == nil || w.prometheus.alerts[watchdog] != nil || len(w.subjects) == 0 {
		return
	}
	w.add(expr.Diagnostic{File: w.prometheus.files[0], Code: "alert/watchdog", Message: "no alert Watchdog is in the rule files of Prometheus: without it astern takes monitoring for dead and holds",
		Hint: "add one that always fires: {alert: Watchdog, expr: vector(1)}"})
}

const watchdog = "Watchdog"
