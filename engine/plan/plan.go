// Package plan reads targets, procedures and communications, and renders plans: the exact steps for one incident, with
// a hash that people approve. It imports rules/expr, actions and engine/incident; it touches the world only through an
// action's own Plan, in Complete.
package plan

import (
	"maps"
	"slices"

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

// Load reads the files. Every mistake in all of them is told at once; the Book is usable only when none is an error.
func Load(env *expr.Env, reg *actions.Registry, files Files) (*Book, expr.Diagnostics) {
	b := &Book{env: env, registry: reg, classes: map[string]*class{}, byName: map[string]*Target{}}
	targets, procedures, communications := parse(files.Targets), parse(files.Procedures), parse(files.Communications)
	b.loadProcedures(procedures)
	b.loadTargets(targets)
	b.loadCommunications(communications)
	var found expr.Diagnostics
	for _, f := range slices.Concat(targets, procedures, communications) {
		found = append(found, f.Diagnostics()...)
	}
	return b, found.Sorted()
}

// parse reads files in the order of their names: the order must not depend on chance.
func parse(files map[string][]byte) []*expr.File {
	var all []*expr.File
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, _ := expr.ParseFile(name, files[name])
		all = append(all, f)
	}
	return all
}
