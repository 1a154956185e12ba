package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"astern.dev/astern/engine/lint"
	"astern.dev/astern/rules/expr"
)

// neighbours are the files of Prometheus and Alertmanager that rules are held against.
type neighbours struct {
	prometheus, alertmanager []string
	flagSet                  *pflag.FlagSet
}

func (n *neighbours) flags(flags *pflag.FlagSet) {
	n.flagSet = flags
	flags.StringSliceVar(&n.prometheus, "prometheus-rules", nil, "rule files of Prometheus that rules are held against; patterns with * are read")
	flags.StringSliceVar(&n.alertmanager, "alertmanager", nil, "configuration of Alertmanager whose routes must reach astern")
}

// meet reads the neighbours' files: those that flags name, else those that lie beside an astern.yaml. What a directory
// without one holds was found already.
func (f *found) meet(n neighbours) error {
	for _, kind := range []struct {
		flag   string
		named  []string
		beside []string
		into   map[string][]byte
	}{
		{"prometheus-rules", n.prometheus, []string{"prometheus-rules*.yaml", "prometheus-rules*.yml"}, f.prometheus},
		{"alertmanager", n.alertmanager, []string{"alertmanager.yml", "alertmanager.yaml"}, f.alertmanager},
	} {
		switch {
		case n.flagSet.Changed(kind.flag):
			clear(kind.into)
			if err := readNamed(kind.named, kind.flag, kind.into); err != nil {
				return err
			}
		case f.config != "":
			if err := readBeside(filepath.Dir(f.config), kind.beside, kind.into); err != nil {
				return err
			}
		}
	}
	return nil
}

func readNamed(patterns []string, flag string, into map[string][]byte) error {
	for _, pattern := range patterns {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			return usage("--%s: no file is found by %q", flag, pattern)
		}
		if err := readAll(names, into); err != nil {
			return err
		}
	}
	return nil
}

func readBeside(dir string, patterns []string, into map[string][]byte) error {
	for _, pattern := range patterns {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return usage("look for %s: %s", pattern, err)
		}
		if err := readAll(names, into); err != nil {
			return err
		}
	}
	return nil
}

func readAll(names []string, into map[string][]byte) error {
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return usage("%s", err)
		}
		into[name] = data
	}
	return nil
}

// against are the neighbours' files, by name.
func (f *found) against() []string {
	return slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(f.prometheus)), slices.Collect(maps.Keys(f.alertmanager))...)))
}

// linted adds what is valid but unwise, and leaves out what comments ignore.
func (f *found) linted(l *loaded, mistakes expr.Diagnostics) expr.Diagnostics {
	advice := lint.Check(lint.Input{Rules: l.draft, Book: l.Book, Config: l.Config, PrometheusRules: f.prometheus, Alertmanager: f.alertmanager})
	wrong := append(slices.Clone(mistakes), advice...)
	advice = slices.DeleteFunc(advice, func(d expr.Diagnostic) bool { return (d.Warning || d.Code == "confirm/render") && l.misled(d, wrong) })
	return lint.Silence(append(slices.Clone(mistakes), advice...).Sorted(), f.texts(l), f.looked(l))
}

// misled says that advice may only follow from a mistake: one in the same rule, or in what says which targets, ceilings
// and senders there are.
func (l *loaded) misled(advice expr.Diagnostic, mistakes expr.Diagnostics) bool {
	return slices.ContainsFunc(mistakes, func(d expr.Diagnostic) bool {
		_, ofTarget := l.files.Targets[d.File]
		_, ofRule := l.files.Rules[d.File]
		return !d.Warning && d != advice && (ofTarget || l.Config != nil && d.File == l.Config.Path || ofRule && d.Path == advice.Path)
	})
}

// texts are all files that may hold comments.
func (f *found) texts(l *loaded) map[string][]byte {
	all := map[string][]byte{}
	for _, files := range []map[string][]byte{l.files.Rules, l.files.Targets, l.files.Procedures, l.files.Communications, f.prometheus, f.alertmanager} {
		maps.Copy(all, files)
	}
	if l.Config != nil {
		all[l.Config.Path] = l.Config.Text()
	}
	return all
}

// looked says whether a code was looked for: single files say little about a whole configuration.
func (f *found) looked(l *loaded) func(lint.Code) bool {
	whole := l.Config != nil || len(l.files.Rules) > 0 && len(l.files.Targets) > 0 && len(l.files.Procedures) > 0
	return func(c lint.Code) bool {
		switch c.Needs {
		case lint.NeedsPrometheus:
			return whole && len(f.prometheus) > 0
		case lint.NeedsAlertmanager:
			return whole && len(f.alertmanager) > 0
		case lint.NeedsConfig:
			return l.Config != nil
		}
		return whole
	}
}
