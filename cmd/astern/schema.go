package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"astern.dev/astern/engine/simulate/ruletest"
	"astern.dev/astern/rules/expr"
	"astern.dev/astern/web"
)

// schemaKind is one kind of file and how its schema is made.
type schemaKind struct {
	name, about string
	make        func() (schema, error)
}

// schemaKinds are all kinds of file that a user writes.
var schemaKinds = []schemaKind{
	{"rules", "rule files: when to act", fixed(ruleSchema)},
	{"targets", "target files: what can be rolled back", fixed(targetSchema)},
	{"procedures", "procedure files: how", procedureSchema},
	{"communications", "communication files: who must be told, by when", communicationSchema},
	{"astern", "astern.yaml: the server", configSchema},
	{"tests", "rule tests, for astern test", fixed(func() schema { return ruletest.Schema() })},
}

func fixed(of func() schema) func() (schema, error) {
	return func() (schema, error) { return of(), nil }
}

func schemaCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "schema [KIND]", Short: "Print the JSON Schema of a kind of file, for editors that complete it",
		Long: "Print the JSON Schema (2020-12) of a kind of file, or list the kinds. It is made of what astern reads, the parameters\n" +
			"of every action among it. An editor with the YAML language server takes it from the first line of a file:\n\n" +
			"  # yaml-language-server: $schema=rules.schema.json\n\n" +
			"A schema knows shapes and words; `astern check` knows the rest.",
		Example: "  astern schema\n  astern schema rules > rules.schema.json",
		Args:    cobra.MaximumNArgs(1), ValidArgs: schemaNames(),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.schemaList()
			}
			return a.schema(args[0])
		},
	}
}

func schemaNames() []string {
	var names []string
	for _, k := range schemaKinds {
		names = append(names, k.name)
	}
	return names
}

// schemaEntry is one kind in `astern schema -o json`.
type schemaEntry struct {
	Name  string `json:"name"`
	About string `json:"about"`
}

func (a *app) schemaList() error {
	got, err := document("SchemaList", func(h web.Header) web.List[schemaEntry] {
		l := web.List[schemaEntry]{Header: h}
		for _, k := range schemaKinds {
			l.Items = append(l.Items, schemaEntry{k.name, k.about})
		}
		return l
	})
	if err != nil {
		return err
	}
	return show(a, got, func(web.List[schemaEntry]) []string { return schemaNames() }, func(w io.Writer, l web.List[schemaEntry]) {
		g := a.grid("KIND", "FOR")
		for _, e := range l.Items {
			g.row(e.Name, e.About)
		}
		g.print(w, "")
	})
}

func (a *app) schema(name string) error {
	for _, k := range schemaKinds {
		if k.name != name {
			continue
		}
		s, err := k.make()
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return fmt.Errorf("write the schema of %s: %w", name, err)
		}
		return a.write(append(text, '\n'))
	}
	hint := expr.Near(name, schemaNames())
	if hint == "" {
		hint = "known: " + strings.Join(schemaNames(), ", ")
	}
	return usageHint(hint, "there is no kind of file %q", name)
}
