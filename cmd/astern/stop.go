package main

import (
	"github.com/spf13/cobra"

	"astern.dev/astern/web"
)

// scopeFlags say what a stop covers.
type scopeFlags struct{ target, team string }

func (f *scopeFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.target, "target", "", "this target alone")
	c.Flags().StringVar(&f.team, "team", "", "the targets of this team alone")
}

// scope is all, team/NAME or target/NAME.
func (f *scopeFlags) scope() (string, error) {
	switch {
	case f.target != "" && f.team != "":
		return "", usage("--target and --team exclude each other")
	case f.target != "":
		return "target/" + f.target, nil
	case f.team != "":
		return "team/" + f.team, nil
	}
	return "all", nil
}

func stopCommand(a *app) *cobra.Command {
	var f scopeFlags
	var reason string
	c := &cobra.Command{
		Use: "stop --reason WHY", Short: "Stop automation now: no further step starts", Args: cobra.NoArgs,
		Example: "  astern stop --reason \"bad release of the load balancer\"\n  astern stop --team core --reason \"maintenance\"",
		RunE: func(cmd *cobra.Command, _ []string) error {
			scope, err := f.scope()
			if err != nil {
				return err
			}
			if err := wantReason(reason); err != nil {
				return err
			}
			return a.wish(cmd.Context(), apiPath("stop"), web.ScopeRequest{Scope: scope, Reason: reason}, scope,
				"Stopped: %s. No further step starts; incidents are still formed, as held. Go on: astern resume", visible(scope))
		},
	}
	f.add(c)
	c.Flags().StringVar(&reason, "reason", "", "why; the next person reads it (required)")
	return c
}
