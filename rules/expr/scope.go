package expr

import (
	"maps"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
)

// Scope says which variables an expression may use. It is a value; Env.Define gives richer ones.
type Scope struct {
	name  string
	roots []string
	steps map[string]any
	// known are the names of a group's `variables`.
	known []*definition
	// broken are variables whose mistake was told where they are defined.
	broken []string
}

// definition is one named sub-expression, ready to be put in place of its name.
type definition struct {
	name    string
	ast     *cel.Ast
	roots   []string
	uses    []string
	size    int
	program *Program // the same, on its own
}

// The scopes.
var (
	// RuleWhen and RuleTarget see the alert alone: no target is chosen yet.
	RuleWhen   = Scope{name: "when", roots: []string{"alert", "group", "now"}}
	RuleTarget = Scope{name: "target", roots: []string{"alert", "group", "now"}}
	// RuleText is for a rule's labels and annotations.
	RuleText = Scope{name: "text", roots: []string{"alert", "group", "target", "release", "incident", "now"}}
	// Query is for the queries of rules and targets.
	Query = Scope{name: "query", roots: []string{"target", "alert", "release", "incident", "now"}}
	// Holds sees a query's sample as `value`.
	Holds = Scope{name: "holds", roots: []string{"value", "target"}}
	// Communication is for what is owed to people.
	Communication = Scope{name: "communication", roots: []string{"target", "incident", "release"}}
)

// Procedure is the scope of a step. steps are the steps before it: name -> a zero value of its outputs, nil for none.
func Procedure(steps map[string]any) Scope {
	return Scope{name: "procedure", roots: []string{"target", "alert", "release", "incident", "steps", "now"}, steps: maps.Clone(steps)}
}

// rootTypes are all variables there are.
func rootTypes() map[string]*types.Type {
	return map[string]*types.Type{
		"alert": objectType("alert"), "group": objectType("group"), "target": objectType("target"),
		"release": objectType("releases"), "incident": objectType("incident"), "steps": objectType("steps"),
		"now": types.TimestampType, "value": types.DoubleType,
	}
}

// Names are the variables that an expression of the scope may say.
func (s Scope) Names() []string {
	all := slices.Clone(s.roots)
	for _, d := range s.known {
		all = append(all, d.name)
	}
	return all
}

func (s Scope) definition(name string) *definition {
	for _, d := range s.known {
		if d.name == name {
			return d
		}
	}
	return nil
}

// ResolveName and Parent make Bound an activation of CEL.
func (b *Bound) ResolveName(name string) (any, bool) {
	switch name {
	case "alert":
		return &b.vars.Alert, true
	case "target":
		return &b.vars.Target, true
	case "release":
		return &b.vars.Release, true
	case "incident":
		return &b.vars.Incident, true
	case "group":
		return &b.vars.Group, true
	case "now":
		return b.vars.Now, true
	case "value":
		return b.value, b.value != nil
	case "steps":
		return &stepsValue{"steps", anyMap(b.vars.Steps)}, true
	}
	return nil, false
}

// Parent is nil: there is nothing behind.
func (b *Bound) Parent() cel.Activation { return nil }

func anyMap(steps map[string]map[string]any) map[string]any {
	all := make(map[string]any, len(steps))
	for name, outputs := range steps {
		all[name] = outputs
	}
	return all
}
