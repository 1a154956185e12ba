package main

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/spf13/cobra"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/all"
	"astern.dev/astern/rules/expr"
	"astern.dev/astern/web"
)

func actionsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "actions [NAME]", Short: "List the actions that procedures use and the channels that communications use, or show one",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			registry, err := all.Registry()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return a.action(registry, args[0])
			}
			got, err := document("ActionList", func(h web.Header) web.List[actionEntry] {
				return web.List[actionEntry]{Header: h, Items: actionEntries(registry)}
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
	Name string `json:"name"`
	Kind string `json:"kind"` // action or channel
	// Can is what it can do besides acting: verify, repair.
	Can        []string         `json:"can,omitempty"`
	Updates    bool             `json:"updates,omitempty"`
	Parameters []parameterEntry `json:"parameters"`
	Outputs    []parameterEntry `json:"outputs,omitempty"`
	Example    string           `json:"example"`
}

type parameterEntry struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

func actionEntries(r *actions.Registry) []actionEntry {
	var entries []actionEntry
	for _, name := range r.ActionNames() {
		e, _ := r.Action(name)
		entries = append(entries, actionEntryOf(name, "action", e))
	}
	for _, name := range r.ChannelNames() {
		e, _ := r.Channel(name)
		entries = append(entries, actionEntryOf(name, "channel", e))
	}
	return entries
}

func actionEntryOf(name, kind string, e actions.Entry) actionEntry {
	action := e.New()
	entry := actionEntry{Name: name, Kind: kind, Updates: e.Updates, Example: strings.TrimRight(e.Example, "\n")}
	if _, can := action.(actions.Verifier); can {
		entry.Can = append(entry.Can, "verify")
	}
	if _, can := action.(actions.Repairer); can {
		entry.Can = append(entry.Can, "repair")
	}
	entry.Parameters = parametersOf(reflect.TypeOf(action), "yaml")
	if outputs := action.Outputs(); outputs != nil {
		entry.Outputs = parametersOf(reflect.TypeOf(outputs), "json")
	}
	return entry
}

// parametersOf are the exported fields of a struct by the names that the given tag writes.
func parametersOf(t reflect.Type, tag string) []parameterEntry {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	all := []parameterEntry{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get(tag), ",")
		switch {
		case strings.Contains(options, "inline"), f.Anonymous && name == "":
			all = append(all, parametersOf(f.Type, tag)...)
		case !f.IsExported(), name == "-", name == "":
		default:
			all = append(all, parameterEntry{name, typeWords(f.Type)})
		}
	}
	return all
}

// typeWords is a Go type in a user's words.
func typeWords(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[actions.Duration]():
		return "duration"
	case reflect.TypeFor[actions.URL]():
		return "URL"
	case reflect.TypeFor[actions.PromQL]():
		return "PromQL"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeWords(t.Elem())
	case reflect.Slice:
		return "list: " + typeWords(t.Elem())
	case reflect.Map:
		return "map: name to " + typeWords(t.Elem())
	case reflect.Struct:
		var names []string
		for _, p := range parametersOf(t, "yaml") {
			names = append(names, p.Name)
		}
		return "{" + strings.Join(names, ", ") + "}"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Interface:
		return "any value"
	}
	return "number"
}

func (a *app) action(r *actions.Registry, name string) error {
	entries := actionEntries(r)
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

func namesOf(parameters []parameterEntry) []string {
	names := make([]string, len(parameters))
	for i, p := range parameters {
		names[i] = p.Name
	}
	return names
}

func (a *app) actionPage(w io.Writer, e actionEntry) {
	fmt.Fprintf(w, "%s   %s\n", a.paint(strong, e.Name), e.Kind)
	for _, part := range []struct {
		title  string
		fields []parameterEntry
	}{{"PARAMETERS", e.Parameters}, {"OUTPUTS", e.Outputs}} {
		if len(part.fields) == 0 {
			continue
		}
		a.head(w, part.title, "")
		g := a.grid()
		for _, p := range part.fields {
			g.row(p.Name, p.Type)
		}
		g.print(w, "  ")
	}
	if e.Example == "" {
		return
	}
	a.head(w, "EXAMPLE", "")
	for line := range strings.SplitSeq(e.Example, "\n") {
		fmt.Fprintln(w, "  "+line)
	}
}
