package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

type rollbackFlags struct {
	reason, plan string
	yes, wait    bool
	watchFlags
}

func rollbackCommand(a *app) *cobra.Command {
	var f rollbackFlags
	c := &cobra.Command{
		Use: "rollback TARGET --reason WHY", Short: "Roll a target back because you say so", Args: cobra.ExactArgs(1),
		Long: "Roll a target back because you say so. The plan is shown first and you are asked; --yes does not ask. What is\n" +
			"started is exactly the plan that was shown: if it is another one by then, nothing is started (exit code 6).",
		Example: "  astern rollback honeylink-api --reason \"5xx after 8841\"\n" +
			"  astern rollback honeylink-api --reason \"5xx after 8841\" --plan 4f2a9c --yes --wait",
		RunE: func(cmd *cobra.Command, args []string) error { return a.rollback(cmd.Context(), args[0], f) },
	}
	c.Flags().StringVar(&f.reason, "reason", "", "why; the next person reads it (required)")
	c.Flags().StringVar(&f.plan, "plan", "", "only if this is the plan: at least 6 characters of its hash")
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&f.wait, "wait", false, "follow it to its end: exit code 0 when it succeeded, 1 otherwise")
	c.Flags().DurationVar(&f.timeout, "timeout", 0, "with --wait: give up waiting after this long (exit code 5)")
	return c
}

func (a *app) rollback(ctx context.Context, target string, f rollbackFlags) error {
	if err := wantReason(f.reason); err != nil {
		return err
	}
	if f.plan != "" && len(f.plan) < 6 {
		return usage("--plan: name the plan by at least the first 6 characters of its hash")
	}
	if !f.yes && !a.asks {
		return usageHint("add --yes (and --plan HASH, so that it is the plan you have seen)", "there is no terminal to ask on")
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	planned, err := preview(ctx, c, target)
	if err != nil {
		return err
	}
	hash := planned.value.Plan.Hash
	if !strings.HasPrefix(hash, f.plan) {
		return fail(exitConflict, "look at it: astern plan "+target, "the plan is %s now, not %s; nothing was started", incident.Short(hash), incident.Short(f.plan))
	}
	if err := a.confirm(ctx, target, planned.value, f); err != nil {
		return err
	}
	started, err := post[web.RollbackAnswer](ctx, c, apiPath("rollbacks"), web.RollbackRequest{Target: target, Reason: f.reason, Plan: hash})
	if err != nil {
		return err
	}
	return a.started(ctx, c, started, f)
}

// confirm shows the plan and asks. What is asked and answered stays off the output when that is for a program.
func (a *app) confirm(ctx context.Context, target string, p web.PlanAnswer, f rollbackFlags) error {
	to := a.err
	if a.output == asTable || a.output == asWide {
		to = a.out
	} else if f.yes {
		return nil
	}
	var page bytes.Buffer
	a.plan(&page, p)
	fmt.Fprintf(&page, "\n%s\n", planSummary(p))
	if _, err := to.Write(page.Bytes()); err != nil || f.yes {
		return err
	}
	fmt.Fprintf(a.err, "Roll back %s from %s? [y/N] ", visible(target), change(p.Plan.From.Version, p.Plan.To.Version))
	switch said, err := a.line(ctx); {
	case err != nil:
		return err
	case said != "y" && said != "yes":
		return fail(exitNo, "", "not confirmed; nothing was started")
	}
	return nil
}

// line reads one line of what a person types, unless a signal comes first.
func (a *app) line(ctx context.Context) (string, error) {
	typed := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.in).ReadString('\n') // an ended input is no yes
		typed <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case line := <-typed:
		return line, nil
	case <-ctx.Done():
		fmt.Fprintln(a.err)
		return "", ctx.Err()
	}
}

func (a *app) started(ctx context.Context, c *apiClient, got answer[web.RollbackAnswer], f rollbackFlags) error {
	id := got.value.Incident
	if !f.wait {
		return show(a, got, func(r web.RollbackAnswer) []string { return []string{r.Incident} }, func(w io.Writer, r web.RollbackAnswer) {
			fmt.Fprintf(w, "\n%s: asked for. Follow it: astern incidents show %s --watch\n", visible(id), visible(id))
		})
	}
	f.watch = true
	return a.watch(ctx, c, id, f.watchFlags)
}
