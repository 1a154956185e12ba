package plan

import (
	"reflect"
	"slices"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

// Node is where the target is written: mistakes found later point there.
func (t *Target) Node() *expr.Node { return t.node }

// Node is where the query is written.
func (q HealthQuery) Node() *expr.Node { return q.query.node }

// Template is the query, compiled; nil when it is a literal or has a mistake.
func (q HealthQuery) Template() *expr.Template { return q.query.text }

// Node is where the procedure is written.
func (p *Procedure) Node() *expr.Node { return p.node }

// Names says whether any parameter of the procedure's steps reads a variable such as "release".
func (p *Procedure) Names(root string) bool {
	for _, s := range p.Steps {
		found := false
		if s.with != nil {
			s.with.all(func(in *param) { found = found || in.text != nil && slices.Contains(in.text.Roots(), root) })
		}
		if found {
			return true
		}
	}
	return false
}

// Ceiling is the lowest mode that the installation's word and the target's own allow.
func (t *Target) Ceiling(installation incident.Mode) incident.Mode {
	if t.Mode == "" {
		return installation
	}
	return incident.Lowest(installation, t.Mode)
}

// Registry is what the book's procedures and communications may use.
func (b *Book) Registry() *actions.Registry { return b.registry }

// Fields are the parameters of an action's struct, or the keys of a connection's, by their names in YAML.
func Fields(t reflect.Type) map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for name, f := range fieldsOf(t).byName {
		all[name] = f.Type
	}
	return all
}
