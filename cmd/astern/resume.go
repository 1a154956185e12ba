package main

import (
	"github.com/spf13/cobra"

	"astern.dev/astern/web"
)

func resumeCommand(a *app) *cobra.Command {
	var f scopeFlags
	var reason string
	var mass bool
	c := &cobra.Command{
		Use: "resume", Short: "End a stop of the same scope, or release a mass event", Args: cobra.NoArgs,
		Example: "  astern resume\n  astern resume --target honeylink-api\n  astern resume --mass-event --reason \"one bad node, gone\"",
		RunE: func(cmd *cobra.Command, _ []string) error {
			scope, err := f.scope()
			if err != nil {
				return err
			}
			if !mass {
				return a.wish(cmd.Context(), apiPath("resume"), web.ScopeRequest{Scope: scope, Reason: reason}, scope, "Resumed: %s. What was held is judged again now.", visible(scope))
			}
			if scope != "all" {
				return usage("--mass-event holds everything: --target and --team do not go with it")
			}
			if err := wantReason(reason); err != nil {
				return err
			}
			return a.wish(cmd.Context(), apiPath("mass-event", "release"), web.ReasonRequest{Reason: reason}, "mass-event", "Released: the incidents that the mass event held are judged again now.")
		},
	}
	f.add(c)
	c.Flags().StringVar(&reason, "reason", "", "why; the next person reads it")
	c.Flags().BoolVar(&mass, "mass-event", false, "let the incidents go on that a mass event held")
	return c
}
