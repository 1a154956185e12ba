package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"astern.dev/astern/engine"
	"astern.dev/astern/web"
)

type approveFlags struct {
	plan, comment, step, reason string
	done, repeat                bool
}

func approveCommand(a *app) *cobra.Command {
	var f approveFlags
	c := &cobra.Command{
		Use: "approve ID --plan HASH", Short: "Say yes to exactly one plan, or settle a step in doubt", Args: cobra.ExactArgs(1),
		Long: "Say yes to exactly one plan, named by at least the first 6 characters of its hash; or say of a step in doubt whether\n" +
			"its effect is there (--done: the procedure goes on) or not (--repeat: the step runs again).",
		Example: "  astern approve honeylink-api-1 --plan 4f2a9c --comment \"seen on the graph\"\n" +
			"  astern approve honeylink-api-1 --step switch_traffic --done",
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.step != "" || f.done || f.repeat {
				return a.settle(cmd.Context(), args[0], f)
			}
			return a.approve(cmd.Context(), args[0], f)
		},
	}
	c.Flags().StringVar(&f.plan, "plan", "", "the plan: at least 6 characters of its hash")
	c.Flags().StringVar(&f.comment, "comment", "", "a word for the record")
	c.Flags().StringVar(&f.step, "step", "", "the step in doubt")
	c.Flags().BoolVar(&f.done, "done", false, "with --step: its effect is there")
	c.Flags().BoolVar(&f.repeat, "repeat", false, "with --step: its effect is not there; run it again")
	c.Flags().StringVar(&f.reason, "reason", "", "with --step: how you know")
	return c
}

func (a *app) approve(ctx context.Context, id string, f approveFlags) error {
	switch {
	case len(f.plan) < 6:
		return usageHint("astern incidents show "+id+" shows the plan", "--plan: name the plan by at least the first 6 characters of its hash")
	case f.reason != "":
		return usage("--reason is for --step; write --comment")
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	got, err := post[web.Done](ctx, c, apiPath("incidents", id, "approve"), web.ApproveRequest{Plan: f.plan, Comment: f.comment})
	if err != nil {
		return err
	}
	return said(a, got, id, "%s: approved, plan %s. Follow it: astern incidents show %s --watch", visible(id), visible(f.plan), visible(id))
}

func (a *app) settle(ctx context.Context, id string, f approveFlags) error {
	switch {
	case f.step == "":
		return usage("--step NAME: which step?")
	case f.done == f.repeat:
		return usageHint("--done: its effect is there; --repeat: it is not, run it again", "--step %s: say either --done or --repeat", f.step)
	case f.plan != "" || f.comment != "":
		return usage("--plan and --comment are for a plan, --step for a step in doubt: one at a time")
	}
	wish := web.SettleRequest{Step: f.step, Settlement: engine.ItHappened, Reason: f.reason}
	word := "done, the procedure goes on"
	if f.repeat {
		wish.Settlement, word = engine.ItDidNot, "not done, it runs again"
	}
	if wish.Reason == "" {
		wish.Reason = fmt.Sprintf("said with --%s", wish.Settlement)
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	got, err := post[web.Done](ctx, c, apiPath("incidents", id, "settle"), wish)
	if err != nil {
		return err
	}
	return said(a, got, id, "%s: step %s settled as %s.", visible(id), visible(f.step), word)
}

func wantReason(reason string) error {
	if reason == "" {
		return usage("--reason is needed: the next person reads it")
	}
	return nil
}
