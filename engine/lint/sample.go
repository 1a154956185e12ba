package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Samples are alerts that a rule would match, as far as its equalities, Prometheus' rules and the targets tell.

// maxSamples bounds how many of one rule are routed.
const maxSamples = 64

func (w *world) samples(s *subject) []labelSet {
	var all []labelSet
	seen := map[string]bool{}
	for _, b := range s.branches {
		if !b.possible() {
			continue
		}
		for _, set := range w.samplesOf(s, b) {
			if key := set.String(); !seen[key] && len(all) < maxSamples {
				seen[key] = true
				all = append(all, set)
			}
		}
	}
	return all
}

func (w *world) samplesOf(s *subject, b branch) []labelSet {
	known := map[string]string{}
	for path, state := range b.states {
		label, isLabel := strings.CutPrefix(path, "alert.labels.")
		if values, bound := state.values(); isLabel && bound {
			known[label] = values[0]
		}
	}
	names := []string{""}
	if state := b.states[alertname]; state != nil {
		if values, bound := state.values(); bound {
			names = values
		}
	}
	var all []labelSet
	for _, name := range names {
		for _, set := range w.withAlert(s, known, name) {
			all = append(all, withTargets(s, b, set)...)
		}
	}
	return all
}

// withAlert adds what Prometheus' rule of that name always says.
func (w *world) withAlert(s *subject, known map[string]string, name string) []labelSet {
	base := labelSet(maps.Clone(known))
	if name != "" {
		base["alertname"] = name
	}
	var all []labelSet
	for _, a := range s.alerts {
		if name != "" && a.name != name {
			continue
		}
		set := labelSet(a.constants())
		maps.Copy(set, base)
		set["alertname"] = a.name
		all = append(all, set)
	}
	if len(all) == 0 {
		all = append(all, base)
	}
	return all
}

// withTargets adds the labels that choose each target: an alert without them is acted on by nobody.
func withTargets(s *subject, b branch, set labelSet) []labelSet {
	var all []labelSet
	for _, t := range s.targets {
		if s.Target != "" || !b.may(t.Select) {
			continue
		}
		one := maps.Clone(set)
		maps.Copy(one, t.Select)
		all = append(all, one)
	}
	if len(all) == 0 {
		all = append(all, set)
	}
	return all
}

// String is the labels as Prometheus writes them, the name first.
func (s labelSet) String() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if name != "alertname" {
			all = append(all, fmt.Sprintf("%s=%q", name, s[name]))
		}
	}
	return fmt.Sprintf("%s{%s}", s["alertname"], strings.Join(all, ", "))
}
