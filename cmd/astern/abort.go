package main

import (
	"github.com/spf13/cobra"

	"astern.dev/astern/web"
)

func abortCommand(a *app) *cobra.Command {
	return refusalCommand(a, "abort", "aborted. It stops before its next step; what was done stays done", &cobra.Command{
		Use: "abort ID --reason WHY", Short: "Stop an incident before its next step",
	})
}

// refusalCommand is a person's no to an incident; what is the API's name for it, became what is said when it is done.
func refusalCommand(a *app, what, became string, c *cobra.Command) *cobra.Command {
	var reason string
	c.Args = cobra.ExactArgs(1)
	c.Flags().StringVar(&reason, "reason", "", "why; the next person reads it (required)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := wantReason(reason); err != nil {
			return err
		}
		return a.wish(cmd.Context(), apiPath("incidents", args[0], what), web.ReasonRequest{Reason: reason}, args[0], "%s: %s.", visible(args[0]), became)
	}
	return c
}
