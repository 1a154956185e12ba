package main

import (
	"io"

	"github.com/spf13/cobra"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

func rulesCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rules", Short: "List the rules in force", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			got, err := get[web.List[engine.RuleStatus]](cmd.Context(), c, apiPath("rules"), nil)
			if err != nil {
				return err
			}
			return show(a, got, ruleNames, a.ruleTable)
		},
	}
}

func ruleNames(l web.List[engine.RuleStatus]) []string {
	names := make([]string, len(l.Items))
	for i, r := range l.Items {
		names[i] = r.Name
	}
	return names
}

func (a *app) ruleTable(w io.Writer, l web.List[engine.RuleStatus]) {
	heads := []string{"RULE", "MODE", "FOR", "DO", "GROUP"}
	if a.wide() {
		heads = append(heads, "FILE", "DIGEST")
	}
	g := a.grid(heads...)
	for _, r := range l.Items {
		length := "at once"
		if r.For > 0 {
			length = span(r.For)
		}
		cells := []string{visible(r.Name), visible(string(r.Mode)), length, dash(r.Do), dash(r.Group)}
		if a.wide() {
			cells = append(cells, dash(r.File), visible(incident.Short(r.Digest)))
		}
		g.row(cells...)
	}
	g.print(w, "")
}
