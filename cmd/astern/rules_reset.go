package main

import (
	"github.com/spf13/cobra"

	"astern.dev/astern/web"
)

func rulesResetCommand(a *app) *cobra.Command {
	var target, reason string
	c := &cobra.Command{
		Use: "reset NAME --target TARGET --reason WHY", Short: "Let a rule act again on a target where it flapped", Args: cobra.ExactArgs(1),
		Long: "A rule whose alert came and went too often on a target only suggests there for a day. This lets it do what its mode allows\n" +
			"at once. It is recorded with your name.",
		Example: "  astern rules reset ErrorRateSpike --target honeylink-api --reason \"the probe was broken, it is mended\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			if target == "" {
				return usageHint("name it with --target", "on which target?")
			}
			if err := wantReason(reason); err != nil {
				return err
			}
			return a.wish(cmd.Context(), apiPath("rules", args[0], "reset"), web.ResetRequest{Target: target, Reason: reason}, args[0],
				"%s: reset on %s. It may do what its mode allows from now on.", visible(args[0]), visible(target))
		},
	}
	c.Flags().StringVar(&target, "target", "", "the target where it flapped (required)")
	c.Flags().StringVar(&reason, "reason", "", "why; the next person reads it (required)")
	return c
}
