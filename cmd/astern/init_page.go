package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"astern.dev/astern/engine/scaffold"
	"astern.dev/astern/rules/expr"
	"astern.dev/astern/web"
)

// initDocument is `astern init -o json`.
type initDocument struct {
	web.Header
	Directory string `json:"directory"`
	// Labels choose the targets.
	Labels  []string `json:"labels"`
	Alerts  int      `json:"alerts"`
	Rules   int      `json:"rules"`
	Targets int      `json:"targets"`
	// Confirmed counts the rules with a query to confirm them.
	Confirmed int            `json:"confirmed"`
	Skipped   []skippedEntry `json:"skipped,omitempty"`
	// Lacking are the rules whose alerts choose no target.
	Lacking []lackingEntry `json:"lacking,omitempty"`
	LeftOut []string       `json:"leftOut,omitempty"`
	// Missing is what could not be found out, and what that means.
	Missing []string    `json:"missing,omitempty"`
	Files   []fileEntry `json:"files"`
	// Kept are files that were there already.
	Kept     []string `json:"kept,omitempty"`
	Errors   int      `json:"errors"`
	Warnings int      `json:"warnings"`
	Next     []string `json:"next"`
}

type skippedEntry struct {
	Alert string `json:"alert"`
	Why   string `json:"why"`
}

type lackingEntry struct {
	Rule  string   `json:"rule"`
	Lacks []string `json:"lacks"`
}

type fileEntry struct {
	Name  string `json:"name"`
	About string `json:"about"`
}

// initiated shows what was found, what was written, and what comes next. Mistakes can only come from files that were
// there already.
func (a *app) initiated(dir string, d *scaffold.Draft, w scaffold.Written, mistakes expr.Diagnostics) error {
	got, err := document("Init", func(h web.Header) initDocument { return initDocumentOf(h, dir, d, w, mistakes) })
	if err != nil {
		return err
	}
	names := func(d initDocument) []string {
		var all []string
		for _, f := range d.Files {
			all = append(all, filepath.Join(d.Directory, f.Name))
		}
		return all
	}
	if err := show(a, got, names, func(out io.Writer, d initDocument) { a.initPage(out, d, mistakes) }); err != nil {
		return err
	}
	if got.value.Errors > 0 {
		return answeredNo
	}
	return nil
}

func initDocumentOf(h web.Header, dir string, d *scaffold.Draft, w scaffold.Written, mistakes expr.Diagnostics) initDocument {
	doc := initDocument{Header: h, Directory: dir, Labels: d.Labels(), Alerts: len(d.Alerts) + len(d.Skipped), Rules: len(d.Rules), Targets: len(d.Targets),
		LeftOut: d.LeftOut, Missing: d.Missing, Kept: w.Kept, Errors: mistakes.Errors(),
		Next: []string{"astern check " + dir, "astern test " + dir, "astern serve --config.file=" + filepath.Join(dir, "astern.yaml")}}
	for _, r := range d.Rules {
		if len(r.Confirm) > 0 {
			doc.Confirmed++
		}
		if len(r.Lacks) > 0 {
			doc.Lacking = append(doc.Lacking, lackingEntry{r.Name, r.Lacks})
		}
	}
	for _, s := range d.Skipped {
		doc.Skipped = append(doc.Skipped, skippedEntry{s.Name, s.Why})
	}
	for _, f := range w.Files {
		doc.Files = append(doc.Files, fileEntry{f.Name, f.About})
	}
	for _, m := range mistakes {
		if m.Warning {
			doc.Warnings++
		}
	}
	return doc
}

func (a *app) initPage(w io.Writer, d initDocument, mistakes expr.Diagnostics) {
	found := a.grid("FOUND", "")
	found.row("alerts", fmt.Sprintf("%d; %d of them need no rule", d.Alerts, len(d.Skipped)))
	found.row("rules", fmt.Sprintf("%d; %d of them with a query to confirm", d.Rules, d.Confirmed))
	found.row("targets", fmt.Sprintf("%d, chosen by %s", d.Targets, dash(strings.Join(d.Labels, ", "))))
	for _, r := range d.Lacking {
		found.row("no target", visible(fmt.Sprintf("for %s: its alerts carry no %s", r.Rule, strings.Join(r.Lacks, " and no "))))
	}
	for _, line := range d.LeftOut {
		found.row("left out", visible(line))
	}
	for _, line := range d.Missing {
		found.row("missing", visible(line))
	}
	found.print(w, "")
	fmt.Fprintln(w)
	wrote := a.grid("WROTE", "")
	for _, f := range d.Files {
		wrote.row(visible(filepath.Join(d.Directory, f.Name)), f.About)
	}
	wrote.print(w, "")
	if len(d.Kept) > 0 {
		fmt.Fprintf(w, "Left as they were: %s\n", visible(strings.Join(d.Kept, ", ")))
	}
	if d.Errors > 0 {
		fmt.Fprintf(w, "\n%s\n", a.diagnostics(mistakes))
	}
	fmt.Fprintf(w, "\nChecked: %s. All of it observes: nothing is done until you say so.\n\n", wrongs(mistakes))
	next := a.grid("NEXT", "")
	for i, about := range []string{"all mistakes, with lines", "the rule test", "then put alertmanager-route.yml into Alertmanager's configuration"} {
		next.row(visible(d.Next[i]), about)
	}
	next.print(w, "")
}
