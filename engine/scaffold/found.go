package scaffold

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"astern.dev/astern/actions/client"
)

// Found is what a Prometheus and an Alertmanager know.
type Found struct {
	// Alerts are those that rules can be written for, in the order of Prometheus' groups; then those that only
	// Alertmanager knows, by name.
	Alerts []*Alert
	// Skipped and Gone are the names of alerts that get no rule: with the reason, and without a rule in Prometheus.
	Skipped []Skipped
	Gone    []string
	// External are the labels that Prometheus adds to each alert it sends.
	External map[string]string
	// Watchdog says that there is an alert of that name.
	Watchdog bool
	// Routing is how Alertmanager routes; nil when that is not known.
	Routing *Routing
	// Missing says what could not be read, and what that means.
	Missing []string

	// heard are the label sets of alerts, by their alertname.
	heard map[string][]map[string]string
	rules int // how many alerting rules Prometheus has
}

// Skipped is an alert that gets no rule.
type Skipped struct{ Name, Why string }

// Alert is one alerting rule of Prometheus, or the name of an alert that Alertmanager holds.
type Alert struct {
	Name string
	// Rule is nil when no rule of this Prometheus makes the alert.
	Rule *client.AlertRule

	conditions []condition
	why        string // why there are no conditions
	// measured are the label sets of what the first condition measures now, and how many series have each; nil when
	// that is not known.
	measured []measured
}

type measured struct {
	labels map[string]string
	series int
}

// constants are the labels that Prometheus' rule writes on the alert, without those that it fills in from a series.
func (a *Alert) constants() map[string]string {
	all := map[string]string{}
	if a.Rule == nil {
		return all
	}
	for name, value := range a.Rule.Labels {
		if !strings.Contains(value, "{{") {
			all[name] = value
		}
	}
	return all
}

// sightings are the label sets that the alert has had, or would have if it fired.
func (f *Found) sightings(a *Alert) []map[string]string {
	var all []map[string]string
	constants := a.constants()
	for _, labels := range f.heard[a.Name] {
		if within(constants, labels) {
			all = append(all, labels)
		}
	}
	for _, m := range a.measured {
		all = append(all, f.complete(m.labels, constants))
	}
	return all
}

// complete is a label set with what a rule writes and what Prometheus adds where nothing is.
func (f *Found) complete(labels, written map[string]string) map[string]string {
	whole := maps.Clone(f.External)
	if whole == nil {
		whole = map[string]string{}
	}
	maps.Copy(whole, labels)
	maps.Copy(whole, written)
	return whole
}

func within(part, whole map[string]string) bool {
	for name, value := range part {
		if whole[name] != value {
			return false
		}
	}
	return true
}

// sort puts the alerts of Prometheus' rules in, and those that only Alertmanager knows, and leaves out what is skipped.
func (f *Found) sort(rules []client.AlertRule, ofAlertmanager []string) {
	known := map[string]bool{}
	f.rules = len(rules)
	for i := range rules {
		r := &rules[i]
		if !known[r.Name] {
			f.note(r.Name)
		}
		known[r.Name] = true
		if skip(r.Name) != "" {
			continue
		}
		a := &Alert{Name: r.Name, Rule: r}
		var err error
		if a.conditions, err = conditionsOf(r.Query); err != nil {
			a.conditions, a.why = nil, err.Error()
		}
		f.Alerts = append(f.Alerts, a)
	}
	for _, name := range sortedKeys(f.heard) {
		switch {
		case known[name] || name == "":
		case slices.Contains(ofAlertmanager, name):
			if f.note(name); skip(name) == "" {
				f.Alerts = append(f.Alerts, &Alert{Name: name, why: unmade(rules)})
			}
		default:
			f.Gone = append(f.Gone, name)
		}
	}
	slices.SortFunc(f.Skipped, func(a, b Skipped) int { return cmp.Compare(a.Name, b.Name) })
}

// unmade says why nothing is known of what an alert measures.
func unmade(rules []client.AlertRule) string {
	if len(rules) == 0 {
		return "no rule of Prometheus is known"
	}
	return "no rule of this Prometheus makes it"
}

// severity is what each alert of that name says, as far as it is known.
func (f *Found) severity(a *Alert) string {
	if a.Rule != nil {
		return a.constants()["severity"]
	}
	first := ""
	for i, labels := range f.heard[a.Name] {
		if i > 0 && labels["severity"] != first {
			return ""
		}
		first = labels["severity"]
	}
	return first
}

// note remembers the Watchdog and what is skipped.
func (f *Found) note(name string) {
	f.Watchdog = f.Watchdog || name == watchdog
	if why := skip(name); why != "" {
		f.Skipped = append(f.Skipped, Skipped{name, why})
	}
}

const watchdog = "Watchdog"

func (f *Found) missing(format string, args ...any) {
	f.Missing = append(f.Missing, fmt.Sprintf(format, args...))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
