package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"astern.dev/astern/engine/config"
	"astern.dev/astern/rules/expr"
)

// found is what a search for files came to.
type found struct {
	config  string // an astern.yaml, which holds the others together
	files   config.Files
	strange []string // YAML files that are none of astern's
	// Files of the neighbours, which astern's are held against.
	prometheus, alertmanager map[string][]byte
}

// find reads what the arguments of `check` name: files, or directories searched for files. Without arguments it is this
// directory. A directory's astern.yaml stands for all of it.
func find(args []string) (*found, error) {
	if len(args) == 0 {
		args = []string{"."}
	}
	f := &found{files: config.Files{Rules: map[string][]byte{}, Targets: map[string][]byte{}, Procedures: map[string][]byte{}, Communications: map[string][]byte{}},
		prometheus: map[string][]byte{}, alertmanager: map[string][]byte{}}
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
	case "prometheus":
		f.prometheus[path] = data
	case "alertmanager":
		f.alertmanager[path] = data
	case "tests":
		if named {
			return usageHint("astern test "+path, "%s holds rule tests: they are checked when they are run", path)
		}
	default:
		if named {
			return usageHint("rule files begin with `groups`, target files with `classes` or `targets`, procedure files with `procedures`, communication files with `communications`",
				"%s is none of astern's files", path)
		}
		f.strange = append(f.strange, path)
	}
	return nil
}

// unreadable is the code of a file that is no YAML.
const unreadable = "yaml/syntax"

// kindOf says which of astern's files it is by its outermost keys, also when the YAML breaks off; empty when it is none. Prometheus's rule files begin
// with `groups`, too: those and Alertmanager's configuration are neighbours. A file of rule tests is checked when it is run.
func kindOf(path string, data []byte) string {
	file, mistakes := expr.ParseFile(path, data)
	has := func(key string) bool { return file.Root().Get(key).Exists() }
	if slices.ContainsFunc(mistakes, func(d expr.Diagnostic) bool { return d.Code == unreadable }) {
		has = func(key string) bool {
			return bytes.HasPrefix(data, []byte(key+":")) || bytes.Contains(data, []byte("\n"+key+":"))
		}
	}
	switch {
	case has("tests") && isTest(path, data):
		return "tests"
	case has("tests"):
		return ""
	case filepath.Base(path) == "astern.yaml", has("storage"), has("senders"):
		return "config"
	case has("groups") && isPrometheus(file.Root()):
		return "prometheus"
	case has("groups"):
		return "rules"
	case has("route") && has("receivers"):
		return "alertmanager"
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

// loadGood loads what the arguments name, whole and without a mistake.
func loadGood(args []string) (*loaded, error) {
	f, err := find(args)
	if err != nil {
		return nil, err
	}
	l, mistakes, err := f.load()
	if err != nil {
		return nil, err
	}
	return l, mistakes.Err()
}

func (f *found) strangers() string {
	if len(f.strange) == 0 {
		return ""
	}
	return fmt.Sprintf("; passed over: %s", strings.Join(f.strange, ", "))
}
