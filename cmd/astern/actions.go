package main

import (
	_ "embed" // what docgen wrote
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"astern.dev/astern/rules/expr"
	"astern.dev/astern/web"
)

func actionsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "actions [NAME]", Short: "List the actions that procedures use and the channels that communications use, or show one",
		Args:    cobra.MaximumNArgs(1),
		Example: "  astern actions\n  astern actions haproxy/weights",
		RunE: func(_ *cobra.Command, args []string) error {
			entries, err := actionEntries()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return a.action(entries, args[0])
			}
			got, err := document("ActionList", func(h web.Header) web.List[actionEntry] {
				return web.List[actionEntry]{Header: h, Items: entries}
			})
			if err != nil {
				return err
			}
			return show(a, got, actionNames, a.actionTable)
		},
	}
}

// actionEntry is one action or channel as a user needs to know it.
type actionEntry struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"` // action or channel
	About string `json:"about"`
	// Can is what it can do besides acting: verify, repair.
	Can        []string         `json:"can,omitempty"`
	Updates    bool             `json:"updates,omitempty"`
	Parameters []parameterEntry `json:"parameters"`
	Outputs    []parameterEntry `json:"outputs,omitempty"`
	Example    string           `json:"example"`
}

// parameterEntry is one parameter or output; nested ones have a path, such as weights[].server.
type parameterEntry struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Meaning string `json:"meaning"`
}

// actionData is what tools/docgen writes from the registry and the doc comments: a binary has no sources to read.
//
//go:embed actions.json
var actionData []byte

func actionEntries() ([]actionEntry, error) {
	var entries []actionEntry
	if err := json.Unmarshal(actionData, &entries); err != nil {
		return nil, fmt.Errorf("read the embedded reference of actions: %w", err)
	}
	return entries, nil
}

func (a *app) action(entries []actionEntry, name string) error {
	for _, e := range entries {
		if e.Name != name {
			continue
		}
		got, err := document("Action", func(h web.Header) actionDocument { return actionDocument{h, e} })
		if err != nil {
			return err
		}
		return show(a, got, func(d actionDocument) []string { return []string{d.Action.Name} }, func(w io.Writer, d actionDocument) { a.actionPage(w, d.Action) })
	}
	return fail(exitNo, nearHint(name, entries), "there is no action or channel %q", name)
}

// actionDocument is `astern actions NAME -o json`.
type actionDocument struct {
	web.Header
	Action actionEntry `json:"action"`
}

func nearHint(name string, entries []actionEntry) string {
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	if near := expr.Near(name, names); near != "" {
		return near
	}
	return "`astern actions` lists them"
}

func actionNames(l web.List[actionEntry]) []string {
	names := make([]string, len(l.Items))
	for i, e := range l.Items {
		names[i] = e.Name
	}
	return names
}

func (a *app) actionTable(w io.Writer, l web.List[actionEntry]) {
	heads := []string{"NAME", "KIND", "PARAMETERS", "CAN"}
	if a.wide() {
		heads = append(heads, "OUTPUTS")
	}
	g := a.grid(heads...)
	for _, e := range l.Items {
		cells := []string{e.Name, e.Kind, dash(strings.Join(namesOf(e.Parameters), ", ")), dash(strings.Join(e.Can, ", "))}
		if a.wide() {
			cells = append(cells, dash(strings.Join(namesOf(e.Outputs), ", ")))
		}
		g.row(cells...)
	}
	g.print(w, "")
}

// namesOf are the names at the top; what is nested is shown with the action itself.
func namesOf(parameters []parameterEntry) []string {
	var names []string
	for _, p := range parameters {
		if !strings.ContainsAny(p.Name, ".[") {
			names = append(names, p.Name)
		}
	}
	return names
}

// textWidth is how wide running text is set.
const textWidth = 100

func (a *app) actionPage(w io.Writer, e actionEntry) {
	fmt.Fprintf(w, "%s   %s%s\n\n", a.paint(strong, e.Name), e.Kind, abilities(e))
	printIndented(w, "", text.WrapSoft(e.About, textWidth))
	for _, part := range []struct {
		title  string
		fields []parameterEntry
	}{{"PARAMETERS", e.Parameters}, {"OUTPUTS", e.Outputs}} {
		if len(part.fields) == 0 {
			continue
		}
		a.head(w, part.title, "")
		for _, p := range part.fields {
			fmt.Fprintf(w, "  %s  %s\n", a.paint(strong, p.Name), a.paint(faint, p.Type))
			printIndented(w, "      ", text.WrapSoft(p.Meaning, textWidth-6))
		}
	}
	if e.Example == "" {
		return
	}
	a.head(w, "EXAMPLE", "")
	printIndented(w, "  ", e.Example)
}

func abilities(e actionEntry) string {
	can := e.Can
	if e.Updates {
		can = append(can, "follow the incident after the first message")
	}
	if len(can) == 0 {
		return ""
	}
	return "   can " + strings.Join(can, " and ")
}

func printIndented(w io.Writer, margin, lines string) {
	for line := range strings.SplitSeq(lines, "\n") {
		fmt.Fprintln(w, strings.TrimRight(margin+line, " "))
	}
}
