package rules

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"astern.dev/astern/rules/expr"
)

// guardKinds are the guards a rule may write, and what each is: a duration, a count, or several of them.
var guardKinds = map[string]map[string]string{
	"cooldown":         {"": "duration"},
	"recent_change":    {"": "duration"},
	"approval_offered": {"": "duration"},
	"changing_at_once": {"": "count"},
	"max_per_hour":     {"": "count"},
	"max_per_day":      {"": "count"},
	"flapping":         {"episodes": "count", "within": "duration"},
	"mass_event":       {"targets": "count", "within": "duration"},
}

// guards reads what a rule writes; a duration may be "off".
func guards(n *expr.Node) map[string]string {
	known := slices.Sorted(maps.Keys(guardKinds))
	all := map[string]string{}
	for _, e := range n.Map(known...).Entries() {
		name := e.Key.Name()
		kinds, ok := guardKinds[name]
		switch {
		case !ok:
		case kinds[""] != "":
			all[name] = guardValue(e.Value, kinds[""])
		case !e.Value.IsMap() && e.Value.Name() == "off":
			all[name] = "off"
		default:
			nested(e.Value, name, kinds, all)
		}
	}
	return all
}

func nested(n *expr.Node, name string, kinds, all map[string]string) {
	keys := slices.Sorted(maps.Keys(kinds))
	for _, e := range n.Map(keys...).Entries() {
		if kind, ok := kinds[e.Key.Name()]; ok {
			all[name+"."+e.Key.Name()] = guardValue(e.Value, kind)
		}
	}
}

func guardValue(n *expr.Node, kind string) string {
	switch {
	case n.Name() == "off":
	case kind == "duration":
		n.Duration()
	case n.Int() < 1 && n.Name() == strconv.Itoa(n.Int()):
		n.Report("rule/guard", fmt.Sprintf("want a whole number from 1, found %s", n.Name()), "")
	}
	return n.Name()
}
