// Package plan reads targets, procedures and communications, and renders plans: the exact steps for one incident, with
// a hash that people approve. It imports rules/expr, actions and engine/incident; it touches the world only through an
// action's own Plan, in Complete.
package plan

import (
	"astern.dev/astern/actions"
	"astern.dev/astern/rules/expr"
)

// Files are a configuration's files by the names that mistakes are reported under.
type Files struct {
	Targets, Procedures, Communications map[string][]byte
}

// Book is what the files say. It never changes and is safe for concurrent use.
type Book struct {
	env            *expr.Env
	registry       *actions.Registry
	classes        map[string]*class
	targets        []*Target
	byName         map[string]*Target
	bySelect       selectors
	procedures     []*Procedure
	communications []Communication
}
