package main

import (
	"os"
	"slices"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/all"
	"astern.dev/astern/engine/config"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

// loaded is a configuration read whole. It may be used only when its diagnostics have no error.
type loaded struct {
	// Config is nil for files that were checked without an astern.yaml.
	Config   *config.Config
	Rules    *rules.Set
	Book     *plan.Book
	Registry *actions.Registry
	Digest   string

	files config.Files
}

// load reads astern.yaml and the files it names. The error says that the file cannot be read; every mistake in it and in
// the files it names is a diagnostic.
func load(path string) (*loaded, expr.Diagnostics, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, usage("read the configuration: %s", err)
	}
	registry, err := all.Registry()
	if err != nil {
		return nil, nil, err
	}
	c, found := config.Load(path, data, registry)
	files, more := c.Read()
	found = append(found, more...)
	l := &loaded{Config: c, Registry: registry, Digest: c.DigestWith(files), files: files}
	more, err = l.read()
	return l, append(found, more...).Sorted(), err
}

// loadFiles reads files that no astern.yaml holds together. What is named in none of them is a mistake only where files
// of that kind are among them.
func loadFiles(files config.Files) (*loaded, expr.Diagnostics, error) {
	registry, err := all.Registry()
	if err != nil {
		return nil, nil, err
	}
	l := &loaded{Registry: registry, files: files}
	found, err := l.read()
	if len(files.Procedures) == 0 {
		found = slices.DeleteFunc(found, func(d expr.Diagnostic) bool { return d.Code == "ref/procedure" })
	}
	if len(files.Targets) == 0 {
		found = slices.DeleteFunc(found, func(d expr.Diagnostic) bool { return d.Code == "ref/target" || d.Code == "ref/no-target" })
	}
	return l, found.Sorted(), err
}

// read loads rules and plans, and holds the two against each other when each is whole.
func (l *loaded) read() (expr.Diagnostics, error) {
	env, err := expr.NewEnv()
	if err != nil {
		return nil, err
	}
	set, found := rules.Load(env, l.files.Rules)
	book, more := plan.Load(env, l.Registry, plan.Files{
		Targets: l.files.Targets, Procedures: l.files.Procedures, Communications: l.files.Communications,
	})
	whole := more.Err() == nil
	found = append(found, more...)
	l.Rules, l.Book = set, book
	if set != nil {
		found = append(found, guardMistakes(set)...)
	}
	if l.Config != nil && whole {
		found = append(found, book.CheckConnections(l.Config.ConnectionNames())...)
	}
	if set != nil && whole {
		found = append(found, book.Check(ruleRefs(set))...)
	}
	return found, nil
}

// guardMistakes are guards of rules that the engine could not read: it would go on without them.
func guardMistakes(set *rules.Set) expr.Diagnostics {
	var found expr.Diagnostics
	for _, r := range set.Rules() {
		_, problems := incident.GuardsFrom(r.Guards)
		for _, p := range problems {
			at := r.Node().Get("guards").Get(p.Name)
			if !at.Exists() {
				at = r.Node().Get("guards")
			}
			found = append(found, at.Diagnostic("guard/value", p.Error(), ""))
		}
	}
	return found
}

// ruleRefs is what rules say about plans.
func ruleRefs(set *rules.Set) []plan.RuleRef {
	var refs []plan.RuleRef
	for _, r := range set.Rules() {
		refs = append(refs, plan.RuleRef{
			Name: r.Name, Do: r.Do, Target: r.Target, Mode: incident.Mode(r.Mode),
			DoAt: r.DoNode().Diagnostic("", "", ""), TargetAt: r.TargetNode().Diagnostic("", "", ""),
		})
	}
	return refs
}

// fileCount is how many files were read.
func (l *loaded) fileCount() int {
	n := len(l.files.Rules) + len(l.files.Targets) + len(l.files.Procedures) + len(l.files.Communications)
	if l.Config != nil {
		n++
	}
	return n
}
