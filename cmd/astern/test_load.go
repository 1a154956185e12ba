package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/config"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/simulate/ruletest"
	"astern.dev/astern/rules/expr"
)

// testFiles are the files that the arguments of `test` name: files, or the test files in directories.
func testFiles(args []string) ([]string, error) {
	if len(args) == 0 {
		args = []string{"."}
	}
	var names []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, usage("%s", err)
		}
		if !info.IsDir() {
			names = append(names, arg)
			continue
		}
		found, err := testsIn(arg)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, usageHint("a test file has the key `tests`, and each test `expect`", "no test file is in %s", arg)
		}
		names = append(names, found...)
	}
	return slices.Compact(names), nil
}

func testsIn(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return usage("%s", err)
		case entry.IsDir() && path != dir && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case !entry.Type().IsRegular() || !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path)):
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return usage("%s", err)
		}
		if isTest(path, data) {
			names = append(names, path)
		}
		return nil
	})
	return names, err
}

// isTest says whether a file found in a directory holds rule tests. Those of promtool have `tests`, too.
func isTest(path string, data []byte) bool {
	file, _ := expr.ParseFile(path, data)
	root := file.Root()
	if !root.Get("tests").IsList() || root.Get("evaluation_interval").Exists() {
		return false
	}
	return !slices.ContainsFunc(root.Get("tests").List(), func(n *expr.Node) bool {
		return n.IsMap() && (n.Get("alert_rule_test").Exists() || n.Get("promql_expr_test").Exists())
	})
}

// loadTests reads test files and all that they name; mistakes refuse all of them.
func (a *app) loadTests(names []string, registry *actions.Registry) ([]*ruletest.File, error) {
	var files []*ruletest.File
	var mistakes expr.Diagnostics
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, usage("%s", err)
		}
		f, found, err := ruletest.Load(name, data, func(s ruletest.Sources) (*engine.Configuration, expr.Diagnostics, error) {
			return testConfiguration(s, registry)
		})
		if err != nil {
			return nil, err
		}
		files, mistakes = append(files, f), append(mistakes, found...)
	}
	mistakes = mistakes.Sorted()
	if mistakes.Errors() > 0 {
		a.note("%s\n", a.diagnostics(mistakes))
		return nil, fail(exitUsage, "", "%s in the files; no test was run", count(mistakes.Errors(), "mistake"))
	}
	return files, nil
}

// testConfiguration loads what a test runs with, as `check` does; nothing is opened, no secret is read.
func testConfiguration(s ruletest.Sources, registry *actions.Registry) (*engine.Configuration, expr.Diagnostics, error) {
	l := &loaded{Registry: registry}
	settings := engine.Settings{DefaultMode: incident.Auto}
	var found expr.Diagnostics
	if s.Config != "" {
		data, err := os.ReadFile(s.Config)
		if err != nil {
			return nil, nil, err
		}
		l.Config, found = config.Load(s.Config, data, registry)
		var more expr.Diagnostics
		l.files, more = l.Config.Read()
		found, settings = append(found, more...), closedSettings(l.Config)
	}
	l.files = overlay(l.files, s.Files)
	l.Digest = config.Digest(flat(l.files))
	more, err := l.read()
	return &engine.Configuration{Rules: l.Rules, Book: l.Book, Settings: settings, Digest: l.Digest}, append(found, more...), err
}

// overlay puts files of the kinds that are named in place of those before.
func overlay(before, named config.Files) config.Files {
	for _, kind := range []struct{ into, from *map[string][]byte }{
		{&before.Rules, &named.Rules}, {&before.Targets, &named.Targets}, {&before.Procedures, &named.Procedures}, {&before.Communications, &named.Communications},
	} {
		if *kind.from != nil {
			*kind.into = *kind.from
		}
	}
	return before
}

func flat(f config.Files) map[string][]byte {
	all := map[string][]byte{}
	for kind, files := range map[string]map[string][]byte{"rules": f.Rules, "targets": f.Targets, "procedures": f.Procedures, "communications": f.Communications} {
		for name, data := range files {
			all[kind+":"+name] = data
		}
	}
	return all
}
