package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

func planCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "plan TARGET", Short: "Show what a rollback would do now, as a diff; it changes nothing", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			got, err := preview(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return show(a, got, func(p web.PlanAnswer) []string { return []string{p.Plan.Hash} }, func(w io.Writer, p web.PlanAnswer) {
				a.plan(w, p)
				fmt.Fprintf(w, "\n%s Nothing has been changed.\n", planSummary(p))
			})
		},
	}
}

func preview(ctx context.Context, c *apiClient, target string) (answer[web.PlanAnswer], error) {
	return get[web.PlanAnswer](ctx, c, apiPath("plan", target), nil)
}

// plan shows a plan as a person approves it: the releases, each step with what it would change, and the guards' words.
func (a *app) plan(w io.Writer, p web.PlanAnswer) {
	plan := p.Plan
	place := visible(plan.Target.Name)
	if plan.Target.Environment != "" {
		place += " (" + visible(plan.Target.Environment) + ")"
	}
	fmt.Fprintf(w, "%s for %s, made %s\n\n", a.paint(strong, "Plan "+visible(incident.Short(plan.Hash))), place, stamp(plan.MadeAt))
	g := a.grid()
	g.row("release", change(plan.From.Version, plan.To.Version), visible(plan.Procedure))
	g.row("  leaves", dash(plan.From.Version), a.releaseWords(plan.From))
	g.row("  goes to", dash(plan.To.Version), a.releaseWords(plan.To))
	g.print(w, "  ")
	fmt.Fprintln(w)
	a.planSteps(w, plan)
	a.findings(w, "GUARDS", p.Findings)
}

// releaseWords is what is known of a release, in one line.
func (a *app) releaseWords(r incident.Release) string {
	words := []string{"since " + ago(r.At, a.now()), string(r.Verdict)}
	for _, known := range []struct{ name, value string }{{"commit", r.Commit}, {"digest", r.Digest}, {"schema", r.Schema}, {"told by", r.By}} {
		if known.value != "" {
			words = append(words, known.name+" "+a.digestOf(known.value))
		}
	}
	if len(r.Vars) > 0 {
		words = append(words, a.varsOf(r.Vars))
	}
	return visible(strings.Join(words, ", "))
}

func (a *app) planSteps(w io.Writer, plan incident.Plan) {
	g := a.grid("STEP", "NAME", "ACTION", "LIMIT", "TRIES", "IF IT FAILS", "WHAT")
	for n, s := range plan.Steps {
		what := append([]string{dash(s.Change.Summary)}, a.diff(s.Change)...)
		if !s.Change.Changes {
			what[0] = a.paint(faint, "looks only: ") + what[0]
		}
		uses := visible(s.Uses)
		if s.Connection != "" {
			uses += " (" + visible(s.Connection) + ")"
		}
		g.row(fmt.Sprint(n+1), visible(s.Name), uses, span(s.Timeout), fmt.Sprint(s.Attempts), visible(string(s.OnFailure)), strings.Join(what, "\n"))
	}
	g.print(w, "  ")
}

var diffTones = map[byte]tone{'+': good, '-': bad, '~': care, '=': faint}

// diff is the step's diff; what stays as it is only when wide.
func (a *app) diff(c incident.Change) []string {
	var lines []string
	same := 0
	for _, line := range c.Diff {
		switch {
		case line == "":
		case line[0] == '=' && !a.wide():
			same++
		default:
			lines = append(lines, a.paint(diffTones[line[0]], visible(line)))
		}
	}
	if same > 0 {
		lines = append(lines, a.paint(faint, fmt.Sprintf("= %d unchanged (-o wide shows them)", same)))
	}
	return lines
}

// planSummary is the plan in one line.
func planSummary(p web.PlanAnswer) string {
	changing, warnings := 0, 0
	for _, s := range p.Plan.Steps {
		if s.Change.Changes {
			changing++
		}
	}
	for _, f := range p.Findings {
		if f.Verdict != incident.Go {
			warnings++
		}
	}
	line := fmt.Sprintf("Plan: %s, %d of them changing something", count(len(p.Plan.Steps), "step"), changing)
	if warnings > 0 {
		line += fmt.Sprintf(", %s by a guard", count(warnings, "objection"))
	}
	return line + "."
}
