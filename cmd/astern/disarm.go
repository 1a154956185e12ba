package main

import (
	"github.com/spf13/cobra"

	"astern.dev/astern/web"
)

func disarmCommand(a *app) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "disarm --reason WHY", Short: "Make automation judge without acting", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := wantReason(reason); err != nil {
				return err
			}
			return a.wish(cmd.Context(), apiPath("disarm"), web.ReasonRequest{Reason: reason}, "disarmed", "Disarmed: everything is only observed. Arm it: astern arm")
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; the next person reads it (required)")
	return c
}
