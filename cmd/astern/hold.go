package main

import (
	"time"

	"github.com/spf13/cobra"

	"astern.dev/astern/actions"
	"astern.dev/astern/web"
)

func holdCommand(a *app) *cobra.Command {
	var length, reason string
	var lift bool
	c := &cobra.Command{
		Use: "hold TARGET --for TIME --reason WHY", Short: "\"I have it\": keep automation away from a target for a time", Args: cobra.ExactArgs(1),
		Example: "  astern hold honeylink-api --for 1h --reason \"looking into it\"\n  astern hold honeylink-api --lift",
		RunE: func(cmd *cobra.Command, args []string) error {
			path := apiPath("targets", args[0], "hold")
			if lift {
				if length != "" {
					return usage("--lift and --for exclude each other")
				}
				return a.wish(cmd.Context(), path, web.HoldRequest{Reason: reason, Lift: true}, args[0], "%s: the hold is lifted.", visible(args[0]))
			}
			d, err := positive(length)
			if err != nil {
				return err
			}
			if err := wantReason(reason); err != nil {
				return err
			}
			until := a.now().Add(d)
			return a.wish(cmd.Context(), path, web.HoldRequest{Reason: reason, For: d.String()}, args[0],
				"%s: held until %s. Lift it: astern hold %s --lift", visible(args[0]), ago(until, a.now()), visible(args[0]))
		},
	}
	c.Flags().StringVar(&length, "for", "", "how long, such as 30m, 4h or 2d")
	c.Flags().StringVar(&reason, "reason", "", "why; the next person reads it")
	c.Flags().BoolVar(&lift, "lift", false, "end the hold")
	return c
}

func positive(length string) (time.Duration, error) {
	if length == "" {
		return 0, usage("--for TIME is needed, such as 30m, 4h or 2d (or --lift to end a hold)")
	}
	d, err := actions.ParseDuration(length)
	if err != nil {
		return 0, usage("--for: %s", err)
	}
	if d <= 0 {
		return 0, usage("--for: want more than nothing")
	}
	return d, nil
}
