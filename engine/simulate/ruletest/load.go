package ruletest

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/config"
	"astern.dev/astern/engine/simulate/prom"
	"astern.dev/astern/rules/expr"
)

// Configure loads the files that a test runs with, as `astern check` does: every mistake is a diagnostic. Without an
// astern.yaml the ceiling is auto. The configuration may be used only when no diagnostic is an error.
type Configure func(Sources) (*engine.Configuration, expr.Diagnostics, error)

// Load reads one rule-test file and all files it names. Every mistake is told at once; the File may be run only when
// none is an error.
func Load(path string, data []byte, configure Configure) (*File, expr.Diagnostics, error) {
	f, _ := expr.ParseFile(path, data)
	l := &loader{file: f, dir: filepath.Dir(path), configure: configure}
	got, err := l.read(f.Root())
	if err != nil {
		return nil, nil, err
	}
	got.Path = path
	return got, append(l.found, f.Diagnostics()...).Sorted(), nil
}

type loader struct {
	file      *expr.File
	dir       string
	configure Configure
	found     expr.Diagnostics // in the files that the test names
	configs   []*engine.Configuration
}

func (l *loader) read(root *expr.Node) (*File, error) {
	if !root.Exists() {
		if len(l.file.Diagnostics()) > 0 { // it is no YAML, which is said already
			return &File{}, nil
		}
		root.Report("test/empty", "the file holds no test", "a test file begins with `rule_files` and has `tests`")
		return &File{}, nil
	}
	fileKeys().check(root)
	got := &File{Interval: readOffset(root.Get("interval")), PrometheusRules: l.prometheusRules(root.Get("prometheus_rule_files"))}
	got.Alertmanager = timingOf(root.Get("alertmanager"))
	atLeastASecond(root.Get("interval"))
	got.Interval = cmp.Or(got.Interval, time.Minute)
	var err error
	if got.Configuration, err = l.configured(root, Sources{}); err != nil {
		return nil, err
	}
	tests := root.Get("tests").List()
	if len(tests) == 0 {
		root.Get("tests").Report("test/empty", "the file holds no test", "")
	}
	names := map[string]int{}
	for _, n := range tests {
		if !n.Exists() {
			n.Report("test/empty", "the test is empty", "")
		}
		t, err := l.test(n, root, got)
		if err != nil {
			return nil, err
		}
		if line, twice := names[t.Name]; twice {
			n.Get("name").Report("test/twice", fmt.Sprintf("the test %q stands twice", t.Name), fmt.Sprintf("first in line %d", line))
		}
		names[t.Name] = t.Line
		got.Tests = append(got.Tests, t)
	}
	return got, nil
}

// configured loads the files that a node names, in place of those before.
func (l *loader) configured(n *expr.Node, base Sources) (*engine.Configuration, error) {
	s := l.sources(n, base)
	if !n.Get("rule_files").Exists() && s.Config == "" && s.Files.Rules == nil {
		n.Get("rule_files").Report("yaml/missing-key", `"rule_files" is missing`, "name rule files, or an astern.yaml as config_file")
		return nil, nil
	}
	cfg, found, err := l.configure(s)
	if err != nil {
		n.Get("config_file").Report("test/config", err.Error(), "")
		return nil, nil
	}
	l.found = append(l.found, found...)
	if found.Err() != nil {
		return nil, nil
	}
	l.configs = append(l.configs, cfg)
	return cfg, nil
}

func (l *loader) sources(n *expr.Node, s Sources) Sources {
	for key, into := range map[string]*map[string][]byte{
		"rule_files": &s.Files.Rules, "target_files": &s.Files.Targets, "procedure_files": &s.Files.Procedures, "communication_files": &s.Files.Communications,
	} {
		if named := n.Get(key); named.Exists() {
			*into = l.files(named)
		}
	}
	if name := n.Get("config_file").Str(); name != "" {
		s.Config = config.Beside(l.dir, name)
	}
	return s
}

// files reads what patterns find; nil when nothing is written.
func (l *loader) files(n *expr.Node) map[string][]byte {
	if !n.Exists() {
		return nil
	}
	return config.ReadPatterns(n, l.dir)
}

// prometheusRules reads rule files of Prometheus with its own code.
func (l *loader) prometheusRules(n *expr.Node) map[string][]byte {
	files := l.files(n)
	if err := prom.New(prom.Options{}).Rules(files); err != nil {
		for line := range strings.Lines(err.Error()) {
			n.Report("test/prometheus-rules", strings.TrimSpace(line), "")
		}
	}
	return files
}

func timingOf(n *expr.Node) Timing {
	t := Timing{GroupBy: []string{"alertname"}, RepeatInterval: 4 * time.Hour}
	if by := n.Get("group_by"); by.Exists() {
		t.GroupBy = by.Strings()
	}
	t.GroupWait, t.GroupInterval = readOffset(n.Get("group_wait")), readOffset(n.Get("group_interval"))
	if repeat := n.Get("repeat_interval"); repeat.Exists() {
		t.RepeatInterval = readOffset(repeat)
		atLeastASecond(repeat)
	}
	return t
}

// reload replaces a part of what the file says at its top.
func (l *loader) reload(n, root *expr.Node) (*engine.Configuration, error) {
	written := false
	for _, k := range sources {
		written = written || n.Get(k.name).Exists()
	}
	if !written {
		n.Report("test/reload", "a reload without files changes nothing", "name rule_files, target_files, procedure_files, communication_files or config_file")
		return nil, nil
	}
	return l.configured(n, l.sources(root, Sources{}))
}
