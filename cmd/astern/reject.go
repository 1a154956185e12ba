package main

import "github.com/spf13/cobra"

func rejectCommand(a *app) *cobra.Command {
	return refusalCommand(a, "reject", "rejected. Its alerts start nothing again", &cobra.Command{
		Use: "reject ID --reason WHY", Short: "Say no to a plan before it runs; the incident ends",
	})
}
