package scaffold

import (
	"cmp"
	"slices"
)

var (
	targetLabels      = []string{"service", "app", "job", "deployment"}
	environmentLabels = []string{"environment", "env", "cluster"}
)

const (
	namespaceLabel = "namespace"
	// None in place of a label says that there is none.
	None = "none"
)

// candidates are all labels that may choose targets, further ones last.
func candidates(further []string) []string {
	all := append(append(slices.Clone(targetLabels), namespaceLabel), environmentLabels...)
	for _, label := range further {
		if !slices.Contains(all, label) {
			all = append(all, label)
		}
	}
	return all
}

// Carried is a label and how many alerts carry it.
type Carried struct {
	Label  string
	Alerts int
}

// TargetLabels are the labels that may say what can be rolled back, the one that most alerts carry first.
func (f *Found) TargetLabels() []Carried { return f.carried(targetLabels) }

// EnvironmentLabels are the labels that may say in which environment it runs, the one that most alerts carry first.
func (f *Found) EnvironmentLabels() []Carried { return f.carried(environmentLabels) }

// SuggestTarget is the label to choose targets by; empty when no alert carries one.
func (f *Found) SuggestTarget() string {
	if all := f.TargetLabels(); len(all) > 0 {
		return all[0].Label
	}
	return ""
}

// SuggestEnvironment is the label for environments: one that at least half of the alerts with the target's label carry.
func (f *Found) SuggestEnvironment(target string) string {
	with := f.count(func(labels map[string]string) bool { return labels[target] != "" })
	for _, c := range f.EnvironmentLabels() {
		both := f.count(func(labels map[string]string) bool { return labels[target] != "" && labels[c.Label] != "" })
		if c.Label != target && both > 0 && 2*both >= with {
			return c.Label
		}
	}
	return ""
}

func (f *Found) carried(names []string) []Carried {
	var all []Carried
	for _, name := range names {
		if n := f.count(func(labels map[string]string) bool { return labels[name] != "" }); n > 0 {
			all = append(all, Carried{name, n})
		}
	}
	slices.SortStableFunc(all, func(a, b Carried) int { return cmp.Compare(b.Alerts, a.Alerts) })
	return all
}

// count is how many alerts have been seen with labels that fit.
func (f *Found) count(fits func(map[string]string) bool) int {
	n := 0
	for _, a := range f.Alerts {
		if slices.ContainsFunc(f.sightings(a), fits) {
			n++
		}
	}
	return n
}
