package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"astern.dev/astern/rules/expr"
	"astern.dev/astern/web"
)

func checkCommand(a *app) *cobra.Command {
	guards := false
	c := &cobra.Command{
		Use: "check [FILES|DIR]", Short: "Check configuration, rules, targets and procedures, and every plan they can lead to",
		Long: "Check files without a server and without touching the world. An astern.yaml is checked with all the files it names;\n" +
			"without one, the rule, target, procedure and communication files given, or found in a directory, are checked\n" +
			"together. Every plan that a rule can reach is rendered for every target. Exit code 1 when there is a mistake.",
		Example: "  astern check\n  astern check examples/honeylink -o json\n  astern check --guards\n  astern check rules.yaml targets.yaml procedures.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := find(args)
			if err != nil {
				return err
			}
			l, mistakes, err := f.load()
			if err != nil {
				return err
			}
			if len(f.strange) > 0 && a.output != asJSON {
				a.note("Passed over, for they are none of astern's: %s", visible(strings.Join(f.strange, ", ")))
			}
			return a.checked(l, mistakes, guards)
		},
	}
	c.Flags().BoolVar(&guards, "guards", false, "show which guard holds where, and which level wrote it")
	return c
}

// checkDocument is `astern check -o json`.
type checkDocument struct {
	web.Header
	Files       int               `json:"files"`
	Rules       int               `json:"rules"`
	Targets     int               `json:"targets"`
	Procedures  int               `json:"procedures"`
	Errors      int               `json:"errors"`
	Warnings    int               `json:"warnings"`
	Diagnostics []diagnosticEntry `json:"diagnostics"`
	// Guards is what holds where, with --guards.
	Guards []guardEntry `json:"guards,omitempty"`
}

type diagnosticEntry struct {
	Severity string `json:"severity"` // error or warning
	Code     string `json:"code"`
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
	File     string `json:"file"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Width    int    `json:"width,omitempty"`
	Path     string `json:"path,omitempty"`
	Source   string `json:"source,omitempty"`
}

func (a *app) checked(l *loaded, mistakes expr.Diagnostics, guards bool) error {
	got, err := document("Check", func(h web.Header) checkDocument {
		d := checkDocumentOf(h, l, mistakes)
		if guards {
			d.Guards = l.guardEntries()
		}
		return d
	})
	if err != nil {
		return err
	}
	if err := show(a, got, mistakenFiles, func(w io.Writer, d checkDocument) { a.checkPage(w, l, mistakes, d) }); err != nil {
		return err
	}
	if mistakes.Errors() > 0 {
		return answeredNo
	}
	return nil
}

func checkDocumentOf(h web.Header, l *loaded, mistakes expr.Diagnostics) checkDocument {
	d := checkDocument{Header: h, Files: l.fileCount(), Targets: len(l.Book.Targets()), Procedures: len(l.Book.Procedures()),
		Errors: mistakes.Errors(), Warnings: len(mistakes) - mistakes.Errors(), Diagnostics: []diagnosticEntry{}}
	if l.Rules != nil {
		d.Rules = len(l.Rules.Rules())
	}
	for _, m := range mistakes {
		severity := "error"
		if m.Warning {
			severity = "warning"
		}
		d.Diagnostics = append(d.Diagnostics, diagnosticEntry{severity, m.Code, m.Message, m.Hint, m.File, m.Line, m.Column, m.Width, m.Path, m.Source})
	}
	return d
}

// mistakenFiles are the files with mistakes, each once.
func mistakenFiles(d checkDocument) []string {
	var names []string
	for _, m := range d.Diagnostics {
		if len(names) == 0 || names[len(names)-1] != m.File {
			names = append(names, m.File)
		}
	}
	return names
}

func (a *app) checkPage(w io.Writer, l *loaded, mistakes expr.Diagnostics, d checkDocument) {
	if len(mistakes) > 0 {
		fmt.Fprintf(w, "%s\n\n", a.diagnostics(mistakes))
	}
	a.guardPage(w, d.Guards)
	what := []string{count(d.Files, "file")}
	if l.Rules != nil { // a rule file with a mistake gives no rules to count
		what = append(what, count(d.Rules, "rule"))
	}
	what = append(what, count(d.Targets, "target"), count(d.Procedures, "procedure"))
	fmt.Fprintf(w, "%s: %s\n", strings.Join(what, ", "), a.verdict(d))
}

func (a *app) verdict(d checkDocument) string {
	errors, warnings := count(d.Errors, "error"), count(d.Warnings, "warning")
	switch {
	case d.Errors > 0 && d.Warnings > 0:
		return a.paint(bad, errors) + ", " + warnings
	case d.Errors > 0:
		return a.paint(bad, errors)
	case d.Warnings > 0:
		return "no error, " + a.paint(care, warnings)
	}
	return a.paint(good, "no mistakes")
}

// diagnostics shows mistakes with their lines and carets; the first word and the caret's line are coloured.
func (a *app) diagnostics(all expr.Diagnostics) string {
	shown := make([]string, len(all))
	for i, d := range all {
		word, t := "error:", bad
		if d.Warning {
			word, t = "warning:", care
		}
		lines := strings.Split(d.String(), "\n")
		lines[0] = a.paint(t, word) + strings.TrimPrefix(lines[0], word)
		if last := len(lines) - 1; d.Line > 0 && d.Source != "" {
			margin, caret, _ := strings.Cut(lines[last], "|")
			lines[last] = margin + "|" + a.paint(t, caret)
		}
		shown[i] = strings.Join(lines, "\n")
	}
	return strings.Join(shown, "\n\n")
}
