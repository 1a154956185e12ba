package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
		_, problems := incident.ParseGuards(r.Guards)
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

// found is what a search for files came to.
type found struct {
	config  string // an astern.yaml, which holds the others together
	files   config.Files
	strange []string // YAML files that are none of astern's
}

// find reads what the arguments of `check` name: files, or directories searched for files. Without arguments it is this
// directory. A directory's astern.yaml stands for all of it.
func find(args []string) (*found, error) {
	if len(args) == 0 {
		args = []string{"."}
	}
	f := &found{files: config.Files{Rules: map[string][]byte{}, Targets: map[string][]byte{}, Procedures: map[string][]byte{}, Communications: map[string][]byte{}}}
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case err != nil:
			return nil, usage("%s", err)
		case info.IsDir():
			err = f.directory(arg)
		default:
			err = f.file(arg, true)
		}
		if err != nil {
			return nil, err
		}
	}
	if f.config != "" && len(args) > 1 {
		return nil, usageHint("astern check "+f.config, "%s names its files itself: give it alone", f.config)
	}
	return f, nil
}

func (f *found) directory(dir string) error {
	whole := filepath.Join(dir, "astern.yaml")
	if _, err := os.Stat(whole); err == nil {
		f.config = whole
		return nil
	}
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return usage("%s", err)
		case entry.IsDir() && path != dir && strings.HasPrefix(name, "."):
			return fs.SkipDir
		case entry.Type().IsRegular() && slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(name)):
			return f.file(path, false)
		}
		return nil
	})
}

// file puts one file where it belongs by its first keys. A file that was named must be one of astern's.
func (f *found) file(path string, named bool) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return usage("%s", err)
	}
	switch kindOf(path, data) {
	case "config":
		f.config = path
	case "rules":
		f.files.Rules[path] = data
	case "targets":
		f.files.Targets[path] = data
	case "procedures":
		f.files.Procedures[path] = data
	case "communications":
		f.files.Communications[path] = data
	default:
		if named {
			return usageHint("rule files begin with `groups`, target files with `classes` or `targets`, procedure files with `procedures`, communication files with `communications`",
				"%s is none of astern's files", path)
		}
		f.strange = append(f.strange, path)
	}
	return nil
}

// kindOf says which of astern's files it is by its outermost keys; empty when it is none. Prometheus's rule files begin
// with `groups`, too; a file of rule tests is checked when it is run.
func kindOf(path string, data []byte) string {
	file, _ := expr.ParseFile(path, data)
	has := func(key string) bool { return file.Root().Get(key).Exists() }
	switch {
	case has("tests"):
		return ""
	case filepath.Base(path) == "astern.yaml", has("storage"), has("senders"):
		return "config"
	case has("groups") && !isPrometheus(file.Root()):
		return "rules"
	case has("classes"), has("targets"):
		return "targets"
	case has("procedures"):
		return "procedures"
	case has("communications"):
		return "communications"
	}
	return ""
}

func isPrometheus(root *expr.Node) bool {
	for _, g := range root.Get("groups").List() {
		for _, r := range g.Get("rules").List() {
			if r.Get("alert").Exists() || r.Get("record").Exists() {
				return true
			}
		}
	}
	return false
}

// fileCount is how many files were read.
func (l *loaded) fileCount() int {
	n := len(l.files.Rules) + len(l.files.Targets) + len(l.files.Procedures) + len(l.files.Communications)
	if l.Config != nil {
		n++
	}
	return n
}

func (f *found) empty() bool {
	return f.config == "" && len(f.files.Rules)+len(f.files.Targets)+len(f.files.Procedures)+len(f.files.Communications) == 0
}

func (f *found) load() (*loaded, expr.Diagnostics, error) {
	if f.config != "" {
		return load(f.config)
	}
	if f.empty() {
		return nil, nil, usageHint("name files or a directory that holds them", "none of astern's files are here%s", f.strangers())
	}
	return loadFiles(f.files)
}

func (f *found) strangers() string {
	if len(f.strange) == 0 {
		return ""
	}
	return fmt.Sprintf("; passed over: %s", strings.Join(f.strange, ", "))
}
