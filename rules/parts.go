package rules

import (
	"fmt"
	"slices"

	"astern.dev/astern/rules/expr"
)

// Condition is `when`, compiled; nil when it has a mistake.
func (r *Rule) Condition() *expr.Program { return r.when }

// TargetProgram is `target`, compiled; nil when none is written, or when it has a mistake.
func (r *Rule) TargetProgram() *expr.Program { return r.target }

// Template is the query, compiled; nil when it has a mistake.
func (q Query) Template() *expr.Template { return q.query }

// Claim is `holds`, compiled; nil when it has a mistake.
func (q Query) Claim() *expr.Program { return q.holds }

// Content is what the rule says, field by field, such as "labels.severity" or "confirm[1].query", with the variables it
// uses: what its Digest names, for people to compare. Asking does not change the rule.
func (r *Rule) Content() map[string]string {
	all := map[string]string{}
	for _, e := range r.node.Entries() {
		flatten(all, e.Key.Name(), e.Value)
	}
	delete(all, "rule")
	uses := r.uses()
	for _, v := range r.variables {
		if slices.Contains(uses, v.Name.Name()) {
			all["variables."+v.Name.Name()] = v.Value.Name()
		}
	}
	return all
}

// flatten writes a value's own values under their paths.
func flatten(into map[string]string, path string, n *expr.Node) {
	switch {
	case n.IsMap():
		for _, e := range n.Entries() {
			flatten(into, path+"."+e.Key.Name(), e.Value)
		}
	case n.IsList():
		for i, item := range n.List() {
			flatten(into, fmt.Sprintf("%s[%d]", path, i+1), item)
		}
	case n.Exists():
		into[path] = n.Name()
	}
}
