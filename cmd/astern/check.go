package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"astern.dev/astern/rules/expr"
	"astern.dev/astern/web"
)

// checking is what the flags of `check` say.
type checking struct {
	guards, strict bool
	format         string
	neighbours     neighbours
}

func checkCommand(a *app) *cobra.Command {
	var k checking
	c := &cobra.Command{
		Use: "check [FILES|DIR]", Short: "Check configuration, rules, targets and procedures, and every plan they can lead to",
		Long: "Check files without a server and without touching the world. An astern.yaml is checked with all the files it names;\n" +
			"without one, the rule, target, procedure and communication files given, or found in a directory, are checked\n" +
			"together. Every plan that a rule can reach is rendered for every target. Exit code 1 when there is a mistake.\n\n" +
			"What is valid but unwise is a warning. Rules are also held against Prometheus' rule files and Alertmanager's\n" +
			"configuration: those given, or the prometheus-rules*.yaml and alertmanager.yml beside the files. A comment\n" +
			"`# astern:ignore CODE reason` in the line, or above it, ignores a warning; the codes are in docs/checks.md.",
		Example: "  astern check\n  astern check examples/honeylink -o json\n  astern check --strict --format github\n  astern check --guards\n" +
			"  astern check rules.yaml targets.yaml procedures.yaml\n  astern check --prometheus-rules 'monitoring/*.yaml' --alertmanager monitoring/alertmanager.yml",
		RunE: func(_ *cobra.Command, args []string) error {
			if !slices.Contains(checkFormats, k.format) {
				return usageHint("write --format "+strings.Join(checkFormats, ", --format "), "there is no format %q", k.format)
			}
			f, err := find(args)
			if err != nil {
				return err
			}
			l, mistakes, err := f.load()
			if err != nil {
				return err
			}
			if err := f.meet(k.neighbours); err != nil {
				return err
			}
			if len(f.strange) > 0 && k.plain(a) {
				a.note("Passed over, for they are none of astern's: %s", visible(strings.Join(f.strange, ", ")))
			}
			return a.checked(l, f.linted(l, mistakes), f.against(), k)
		},
	}
	flags := c.Flags()
	flags.BoolVar(&k.guards, "guards", false, "show which guard holds where, and which level wrote it")
	flags.StringVar(&k.format, "format", "text", "form of the mistakes: "+strings.Join(checkFormats, ", "))
	flags.BoolVar(&k.strict, "strict", false, "exit code 1 for warnings, too")
	k.neighbours.flags(flags)
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(checkFormats, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// plain says that people read the output.
func (k checking) plain(a *app) bool { return a.output != asJSON && k.format == "text" }

// checkDocument is `astern check -o json`.
type checkDocument struct {
	web.Header
	Files       int               `json:"files"`
	Rules       int               `json:"rules"`
	Targets     int               `json:"targets"`
	Procedures  int               `json:"procedures"`
	Errors      int               `json:"errors"`
	Warnings    int               `json:"warnings"`
	Infos       int               `json:"infos,omitempty"`
	Diagnostics []diagnosticEntry `json:"diagnostics"`
	// Guards is what holds where, with --guards.
	Guards []guardEntry `json:"guards,omitempty"`
	// Against are the neighbours' files that astern's were held against.
	Against []string `json:"against,omitempty"`
}

type diagnosticEntry struct {
	Severity string `json:"severity"` // error, warning or info
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

func (a *app) checked(l *loaded, mistakes expr.Diagnostics, against []string, k checking) error {
	got, err := document("Check", func(h web.Header) checkDocument {
		d := checkDocumentOf(h, l, mistakes)
		if d.Against = against; k.guards {
			d.Guards = l.guardEntries()
		}
		return d
	})
	if err != nil {
		return err
	}
	if err := a.showCheck(l, mistakes, got, k); err != nil {
		return err
	}
	if got.value.Errors > 0 || k.strict && got.value.Warnings > 0 {
		return answeredNo
	}
	return nil
}

func (a *app) showCheck(l *loaded, mistakes expr.Diagnostics, got answer[checkDocument], k checking) error {
	switch k.format {
	case "github":
		return a.write([]byte(githubCommands(mistakes)))
	case "sarif":
		log, err := sarif(mistakes)
		if err != nil {
			return err
		}
		return a.write(append(log, '\n'))
	case "json":
		return a.write(append(got.raw, '\n'))
	}
	if k.plain(a) && len(got.value.Against) > 0 {
		a.note("Held against %s", visible(strings.Join(got.value.Against, ", ")))
	}
	return show(a, got, mistakenFiles, func(w io.Writer, d checkDocument) { a.checkPage(w, l, mistakes, d) })
}

func checkDocumentOf(h web.Header, l *loaded, mistakes expr.Diagnostics) checkDocument {
	d := checkDocument{Header: h, Files: l.fileCount(), Targets: len(l.Book.Targets()), Procedures: len(l.Book.Procedures()),
		Errors: mistakes.Errors(), Diagnostics: []diagnosticEntry{}}
	if l.Rules != nil {
		d.Rules = len(l.Rules.Rules())
	}
	for _, m := range mistakes {
		switch {
		case m.Info:
			d.Infos++
		case m.Warning:
			d.Warnings++
		}
		d.Diagnostics = append(d.Diagnostics, diagnosticEntry{m.Severity(), m.Code, m.Message, m.Hint, m.File, m.Line, m.Column, m.Width, m.Path, m.Source})
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
	var all []string
	switch {
	case d.Errors > 0:
		all = append(all, a.paint(bad, count(d.Errors, "error")))
	case d.Warnings > 0:
		all = append(all, "no error")
	default:
		all = append(all, a.paint(good, "no mistakes"))
	}
	if d.Warnings > 0 {
		all = append(all, a.paint(care, count(d.Warnings, "warning")))
	}
	if d.Infos > 0 {
		all = append(all, count(d.Infos, "info"))
	}
	return strings.Join(all, ", ")
}

// diagnostics shows mistakes with their lines and carets; the first word and the caret's line are coloured.
func (a *app) diagnostics(all expr.Diagnostics) string {
	shown := make([]string, len(all))
	for i, d := range all {
		t := map[string]tone{"error": bad, "warning": care, "info": faint}[d.Severity()]
		word := d.Severity() + ":"
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
