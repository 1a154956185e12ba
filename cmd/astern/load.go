package main

import (
	"maps"
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
	draft *rules.Set // the rules, also beside mistakes
}

// load reads astern.yaml and the files it names. The error says that the file cannot be read; every mistake in it and in
// the files it names is a diagnostic.
func load(path string) (*loaded, expr.Diagnostics, error) { return loadWith(path, nil) }

// loadWith reads target files beside those that astern.yaml names: what was discovered in clusters. Where targets are
// discovered, one that is not there (yet) is no mistake.
func loadWith(path string, discovered func(*config.Config) map[string][]byte) (*loaded, expr.Diagnostics, error) {
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
	if discovered != nil {
		maps.Copy(files.Targets, discovered(c))
	}
	l := &loaded{Config: c, Registry: registry, Digest: c.DigestWith(files), files: files}
	more, err = l.read()
	if len(c.Discover) > 0 {
		more = withoutTargets(more)
	}
	return l, append(found, more...).Sorted(), err
}

// withoutTargets leaves out that targets are missing.
func withoutTargets(found expr.Diagnostics) expr.Diagnostics {
	return slices.DeleteFunc(found, func(d expr.Diagnostic) bool { return d.Code == "ref/target" || d.Code == "ref/no-target" })
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
		found = withoutTargets(found)
	}
	return l, found.Sorted(), err
}

// read loads rules and plans and holds the two against each other, also beside mistakes: all of them are told in one go.
func (l *loaded) read() (expr.Diagnostics, error) {
	env, err := expr.NewEnv()
	if err != nil {
		return nil, err
	}
	draft, found := rules.Draft(env, l.files.Rules)
	l.draft = draft
	if found.Err() == nil {
		l.Rules = draft
	}
	book, more := plan.Load(env, l.Registry, plan.Files{
		Targets: l.files.Targets, Procedures: l.files.Procedures, Communications: l.files.Communications,
	})
	l.Book = book
	found = append(found, more...)
	found = append(found, guardMistakes(draft)...)
	if l.Config != nil {
		found = append(found, book.CheckConnections(l.Config.ConnectionNames())...)
	}
	reached := l.reach(draft, more)
	if more.Err() != nil { // a target that was read by half may be the one
		reached = slices.DeleteFunc(reached, func(d expr.Diagnostic) bool { return d.Code == "ref/no-target" })
	}
	return append(found, reached...), nil
}

// reach holds rules against plans. Files with mistakes have no plans to render, but names; a file that cannot be read at
// all has none, and nothing is said to be missing.
func (l *loaded) reach(draft *rules.Set, mistakes expr.Diagnostics) expr.Diagnostics {
	refs := ruleRefs(draft)
	switch {
	case mistakes.Err() == nil:
		return l.Book.Check(refs)
	case slices.ContainsFunc(mistakes, func(d expr.Diagnostic) bool { return d.Code == unreadable }):
		return nil
	}
	return l.Book.CheckNames(refs)
}

// counted are the guards that hold at every level that writes them; they count what happens to targets, whatever rule
// it was.
var counted = []string{"changing_at_once", "max_per_hour", "max_per_day"}

// guardMistakes are guards of rules that the engine could not read, or would not ask: it would go on without them.
func guardMistakes(set *rules.Set) expr.Diagnostics {
	var found expr.Diagnostics
	for _, r := range set.Rules() {
		_, problems := incident.GuardsFrom(r.Guards)
		for _, p := range problems {
			for _, e := range r.Node().Get("guards").Entries() {
				switch {
				case e.Key.Name() != p.Name:
				case slices.Contains(incident.GuardNames(), p.Name):
					found = append(found, e.Value.Diagnostic("guard/value", p.Error(), ""))
				default:
					found = append(found, e.Key.Diagnostic("guard/unknown", p.Error(), expr.Near(p.Name, incident.GuardNames())))
				}
			}
		}
		for _, name := range counted {
			if _, written := r.Guards[name]; written {
				found = append(found, r.Node().Get("guards").Get(name).Diagnostic("guard/level", "the count "+name+" does not hold for a rule",
					"write it on a target, a class, a team or the installation"))
			}
		}
		if _, written := r.Guards["changed_rule"]; written {
			found = append(found, r.Node().Get("guards").Get("changed_rule").Diagnostic("guard/level", "how long a changed rule only suggests is not for the rule to say",
				"write it on a target, a class, a team or the installation"))
		}
	}
	return found
}

// ruleRefs is what rules say about plans.
func ruleRefs(set *rules.Set) []plan.RuleRef {
	var refs []plan.RuleRef
	for _, r := range set.Rules() {
		if r.Do == "" {
			continue // said already
		}
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
