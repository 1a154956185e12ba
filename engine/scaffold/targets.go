package scaffold

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Target is one target to be written: a combination of label values.
type Target struct {
	Name, Environment string
	// Values are what its alerts carry, in the order of Choice.labels.
	Values []string
}

// Choice is which labels make a target. Environment and Namespace are empty when they play no part.
type Choice struct{ Target, Environment, Namespace string }

// Labels are those of the three that play a part, the target's first.
func (c Choice) Labels() []string {
	return slices.DeleteFunc([]string{c.Target, c.Environment, c.Namespace}, func(label string) bool { return label == "" })
}

// MaxTargets is how many targets are written at most.
const MaxTargets = 200

// choose settles the labels: the namespace plays a part only where the others leave two targets in one.
func (f *Found) choose(target, environment string) Choice {
	c := Choice{Target: target, Environment: environment}
	if target == "" {
		return c
	}
	spaces := map[string]string{}
	for _, labels := range f.allSightings() {
		key, space := strings.Join(c.values(labels), "\xff"), labels[namespaceLabel]
		if c.values(labels) == nil || space == "" || target == namespaceLabel {
			continue
		}
		if first, seen := spaces[key]; seen && first != space {
			c.Namespace = namespaceLabel
			return c
		}
		spaces[key] = space
	}
	return c
}

func (f *Found) allSightings() []map[string]string {
	var all []map[string]string
	for _, a := range f.Alerts {
		all = append(all, f.sightings(a)...)
	}
	return all
}

// values are those that choose a target; nil when one is missing.
func (c Choice) values(labels map[string]string) []string {
	if c.Target == "" {
		return nil
	}
	var all []string
	for _, name := range c.Labels() {
		if labels[name] == "" {
			return nil
		}
		all = append(all, labels[name])
	}
	return all
}

// targets are all combinations of values that alerts have, sorted, and what was left out.
func (f *Found) targets(c Choice) (all []Target, leftOut []string) {
	seen := map[string]bool{}
	for _, labels := range f.allSightings() {
		values := c.values(labels)
		key := strings.Join(values, "\xff")
		if values == nil || seen[key] {
			continue
		}
		seen[key] = true
		all = append(all, Target{Values: values})
	}
	slices.SortFunc(all, func(a, b Target) int { return slices.Compare(a.Values, b.Values) })
	all = slices.DeleteFunc(all, func(t Target) bool {
		i := slices.IndexFunc(t.Values, unusable)
		if i >= 0 {
			leftOut = append(leftOut, fmt.Sprintf("%s=\"%s\": no selector can hold it", c.Labels()[i], inComment(t.Values[i])))
		}
		return i >= 0
	})
	if len(all) > MaxTargets {
		leftOut = append(leftOut, fmt.Sprintf("%d of %d targets: %d are enough to begin with", len(all)-MaxTargets, len(all), MaxTargets))
		all = all[:MaxTargets]
	}
	name(all, c)
	return all, leftOut
}

// unusable: astern sets alerts with such labels aside, or a selector refuses them.
func unusable(value string) bool {
	return strings.Contains(value, "${") || len(value) > 1024 || strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0
}

// name gives each target the name that its label has, with what tells it from others of that name.
func name(all []Target, c Choice) {
	named := map[string]int{}
	for _, t := range all {
		named[t.Values[0]]++
	}
	taken := map[string]bool{}
	for i := range all {
		t := &all[i]
		t.Environment = "default"
		if c.Environment != "" {
			t.Environment = asName(t.Values[1])
		}
		wanted := t.Values[0]
		if named[wanted] > 1 {
			wanted = strings.Join(t.Values, "-")
		}
		t.Name = unique(cmp.Or(asName(wanted), "unnamed"), taken)
	}
}

// placeholders are what stands in a query for the value of each label, for all targets alike: the target's name where it
// is that value, else a var that holds it.
func (c Choice) placeholders(all []Target) map[string]string {
	stands, vars := map[string]string{}, map[string]bool{}
	for i, label := range c.Labels() {
		variable := asVar(label)
		for vars[variable] {
			variable += "_"
		}
		vars[variable], stands[label] = true, "target.vars."+variable
		same := func(of func(Target) string) bool {
			return !slices.ContainsFunc(all, func(t Target) bool { return of(t) != t.Values[i] })
		}
		switch {
		case label == c.Target && same(func(t Target) string { return t.Name }):
			stands[label] = "target.name"
		case label == c.Environment && same(func(t Target) string { return t.Environment }):
			stands[label] = "target.environment"
		}
	}
	return stands
}
