package main

import (
	"github.com/spf13/cobra"

	"astern.dev/astern/web"
)

func armCommand(a *app) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "arm", Short: "Let automation act, up to the modes in force", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.wish(cmd.Context(), apiPath("arm"), web.ReasonRequest{Reason: reason}, "armed", "Armed: automation may act, up to the modes in force. Stop it: astern stop --reason WHY")
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; the next person reads it")
	return c
}
