package main

import (
	"github.com/spf13/cobra"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

func markCommand(a *app) *cobra.Command {
	var rule, reason string
	c := &cobra.Command{
		Use: "mark ID right|wrong --reason WHY", Short: "Say whether a rule was right to want to act", Args: cobra.ExactArgs(2),
		Long: "Say of an incident, open or ended, whether a rule was right to want to act, whatever its mode let it do. What you say\n" +
			"counts before what is inferred from rollbacks, and the last word counts. `astern rules` shows the score.",
		Example: "  astern mark honeylink-api-1 wrong --reason \"the load test did it, not the release\"\n" +
			"  astern mark honeylink-api-2 right --rule ErrorRateSpike --reason \"we rolled it forward by hand\"",
		ValidArgs: []string{string(incident.Right), string(incident.Wrong)},
		RunE: func(cmd *cobra.Command, args []string) error {
			id, word := args[0], args[1]
			if word != string(incident.Right) && word != string(incident.Wrong) {
				return usage("was the rule %s or %s? %q is neither", incident.Right, incident.Wrong, word)
			}
			if err := wantReason(reason); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			got, err := post[web.Done](cmd.Context(), c, apiPath("incidents", id, "mark"), web.MarkRequest{Mark: word, Rule: rule, Reason: reason})
			if err != nil {
				return err
			}
			return said(a, got, id, "%s: %s.", visible(id), visible(got.value.Message))
		},
	}
	c.Flags().StringVar(&rule, "rule", "", "the rule, where several would have acted")
	c.Flags().StringVar(&reason, "reason", "", "why; the next person reads it (required)")
	return c
}
