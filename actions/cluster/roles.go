package cluster

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"astern.dev/astern/actions"
)

// Need is one right and what it is for.
type Need struct {
	actions.Access
	For string
}

// Rule is one rule of a Role: what it grants, and what for.
type Rule struct {
	Group            string
	Resources, Names []string
	Verbs, For       []string
}

// Role is what must be granted in one namespace, or in the whole cluster when Namespace is empty.
type Role struct {
	Namespace string
	Rules     []Rule
}

// looks are verbs that change nothing: they are granted apart from the others, so that each write stands by its name.
var looks = []string{"get", "list", "watch"}

// Roles are the fewest rights that cover all needs: one Role for each namespace, names wherever all that need a right know
// them. What is granted for a whole namespace is not granted again by name, nor in a namespace what is granted everywhere.
func Roles(needs []Need) []Role {
	g := grants{}
	for _, n := range needs {
		for _, verb := range n.Verbs {
			at := grant{n.Namespace, n.Group, resourceName("", n.Resource, n.Subresource), n.Name, verb}
			if !slices.Contains(g[at], n.For) {
				g[at] = append(g[at], n.For)
			}
		}
	}
	g.fold()
	return g.roles()
}

// grant is one verb on one resource; an empty name or namespace is all of them.
type grant struct{ namespace, group, resource, name, verb string }

type grants map[grant][]string // what each is for

// fold drops a grant that a wider one holds, and hands on what it was for.
func (g grants) fold() {
	for at, why := range g {
		for _, wider := range []grant{
			{at.namespace, at.group, at.resource, "", at.verb}, {"", at.group, at.resource, at.name, at.verb}, {"", at.group, at.resource, "", at.verb},
		} {
			if _, held := g[wider]; wider == at || !held {
				continue
			}
			delete(g, at)
			g[wider] = merged(g[wider], why)
			break
		}
	}
}

func merged(a, b []string) []string {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

// roles puts verbs, then names, then resources together that are granted alike.
func (g grants) roles() []Role {
	verbs := map[grant]*Rule{} // by namespace, group, resource and name
	for at, why := range g {
		key := at
		key.verb = ""
		if at.name == "" && !slices.Contains(looks, at.verb) {
			key.verb = "write" // what is granted on everything stands apart from what only looks
		}
		r := verbs[key]
		if r == nil {
			r = &Rule{Group: at.group, Resources: []string{at.resource}}
			if at.name != "" {
				r.Names = []string{at.name}
			}
			verbs[key] = r
		}
		r.Verbs, r.For = merged(r.Verbs, []string{at.verb}), merged(r.For, why)
	}
	byNamespace := map[string][]Rule{}
	for key, r := range verbs {
		byNamespace[key.namespace] = append(byNamespace[key.namespace], *r)
	}
	var all []Role
	for _, namespace := range slices.Sorted(maps.Keys(byNamespace)) {
		all = append(all, Role{namespace, alike(byNamespace[namespace])})
	}
	return all
}

// alike joins rules that differ in their names alone, then those that differ in their resources alone, and sorts them:
// what is only looked at comes first.
func alike(rules []Rule) []Rule {
	slices.SortFunc(rules, ordered)
	rules = joined(rules, func(r Rule) string { return alikeIn(r.Group, r.Resources, r.Verbs, named(r), nil) }, func(into *Rule, r Rule) { into.Names = merged(into.Names, r.Names) })
	rules = joined(rules, func(r Rule) string { return alikeIn(r.Group, nil, r.Verbs, strings.Join(r.Names, ","), r.For) }, func(into *Rule, r Rule) { into.Resources = merged(into.Resources, r.Resources) })
	slices.SortFunc(rules, ordered)
	return rules
}

func named(r Rule) string {
	if len(r.Names) == 0 {
		return ""
	}
	return "named"
}

func alikeIn(group string, resources, verbs []string, names string, why []string) string {
	return strings.Join([]string{group, strings.Join(resources, ","), strings.Join(verbs, ","), names, strings.Join(why, "\n")}, "\x00")
}

// joined puts rules with one key together.
func joined(rules []Rule, key func(Rule) string, add func(into *Rule, r Rule)) []Rule {
	var all []Rule
	at := map[string]int{}
	for _, r := range rules {
		n, seen := at[key(r)]
		if !seen {
			at[key(r)] = len(all)
			all = append(all, r)
			continue
		}
		add(&all[n], r)
		all[n].For = merged(all[n].For, r.For)
	}
	return all
}

func ordered(a, b Rule) int {
	return cmp.Or(cmp.Compare(writes(a), writes(b)), cmp.Compare(len(a.Names), len(b.Names)), cmp.Compare(a.Group, b.Group),
		slices.Compare(a.Resources, b.Resources), slices.Compare(a.Names, b.Names), slices.Compare(a.Verbs, b.Verbs))
}

func writes(r Rule) int {
	if slices.ContainsFunc(r.Verbs, func(v string) bool { return !slices.Contains(looks, v) }) {
		return 1
	}
	return 0
}

// WatchAccess is the right to look on at what a workload of the kind runs.
func WatchAccess(kind, namespace string) []actions.Access { return watch(ReadKinds(kind), namespace) }

// DiscoverAccess is the right to look for annotations that name targets, and on at what those run.
func DiscoverAccess(namespace string) []actions.Access {
	kinds := MarkedKinds()
	for _, kind := range MarkedKinds() {
		kinds = append(kinds, ReadKinds(kind)...)
	}
	slices.Sort(kinds)
	return watch(slices.Compact(kinds), namespace)
}

func watch(kinds []string, namespace string) []actions.Access {
	var all []actions.Access
	for _, kind := range kinds {
		all = append(all, Ref{kind, namespace, ""}.Access(looks...))
	}
	return all
}
