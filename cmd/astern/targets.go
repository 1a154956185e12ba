package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

func targetsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "targets [NAME]", Short: "List the targets: what runs, and where a rollback would go", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				got, err := get[web.TargetAnswer](cmd.Context(), c, apiPath("targets", args[0]), nil)
				if err != nil {
					return err
				}
				return show(a, got, func(t web.TargetAnswer) []string { return []string{t.Target.Name} },
					func(w io.Writer, t web.TargetAnswer) { a.target(w, t.Target) })
			}
			got, err := get[web.List[engine.TargetStatus]](cmd.Context(), c, apiPath("targets"), nil)
			if err != nil {
				return err
			}
			return show(a, got, targetNames, a.targetTable)
		},
	}
}

func targetNames(l web.List[engine.TargetStatus]) []string {
	names := make([]string, len(l.Items))
	for i, t := range l.Items {
		names[i] = t.Name
	}
	return names
}

func (a *app) targetTable(w io.Writer, l web.List[engine.TargetStatus]) {
	heads := []string{"TARGET", "NOW", "PREVIOUS", "SINCE", "AGE", "MODE", "STATE"}
	if a.wide() {
		heads = append(heads, "CLASS", "ENVIRONMENT", "OWNER")
	}
	g := a.grid(heads...)
	for _, t := range l.Items {
		var now incident.Release
		if t.Current != nil {
			now = *t.Current
		}
		cells := []string{visible(t.Name), dash(now.Version), dash(previousOf(t)), stamp(now.At), age(now.At, a.now()), visible(string(t.Mode)), a.targetState(t)}
		if a.wide() {
			cells = append(cells, dash(t.Class), dash(t.Environment), dash(t.Owner))
		}
		g.row(cells...)
	}
	g.print(w, "")
}

func previousOf(t engine.TargetStatus) string {
	if t.Previous == nil {
		return ""
	}
	return t.Previous.Version
}

// targetState is everything that matters before a rollback, in short.
func (a *app) targetState(t engine.TargetStatus) string {
	var states []string
	if t.Incident != "" {
		states = append(states, a.paint(busy, "▶ "+visible(t.Incident)))
	}
	if t.Stopped != "" {
		states = append(states, a.paint(bad, "■ stopped"))
	}
	if t.Hold != nil {
		states = append(states, a.paint(care, "‖ held until "+clock(t.Hold.Until, a.now())))
	}
	if t.CooldownUntil.After(a.now()) {
		states = append(states, a.paint(care, "‖ cooldown until "+clock(t.CooldownUntil, a.now())))
	}
	if t.Rolling != nil {
		states = append(states, a.paint(busy, "↻ "+visible(t.Rolling.Version)+" is rolling out"))
	}
	switch {
	case t.NoWayBack != "":
		states = append(states, a.paint(care, "! no way back"))
	case t.Readiness != nil && !t.Readiness.Ready():
		states = append(states, a.paint(care, "! not ready"))
	}
	if len(t.Troubles) > 0 {
		states = append(states, a.paint(care, "! look"))
	}
	return cmp.Or(strings.Join(states, ", "), "✓ ready")
}

// target shows one target with its releases.
func (a *app) target(w io.Writer, t engine.TargetStatus) {
	fmt.Fprintln(w, a.paint(strong, visible(t.Name)))
	g := a.grid()
	g.row("State", a.targetState(t))
	if t.Stopped != "" {
		g.row("Stopped", visible(t.Stopped))
	}
	if h := t.Hold; h != nil {
		g.row("Held", fmt.Sprintf("by %s since %s: %s", visible(h.By), ago(h.At, a.now()), visible(h.Reason)))
	}
	g.row("Environment", dash(t.Environment))
	g.row("Class", dash(t.Class))
	g.row("Owner", dash(t.Owner))
	if t.Workload != "" {
		g.row("Workload", visible(t.Workload)+"  "+a.paint(faint, "uid "+dash(t.UID)))
	}
	g.row("Mode", visible(string(t.Mode))+" at most")
	if t.NoWayBack != "" {
		g.row("Rollback", a.paint(care, "! "+visible(t.NoWayBack)))
	} else {
		g.row("Rollback", "to "+dash(previousOf(t)))
	}
	if t.Rolling != nil {
		g.row("Rolling out", visible(t.Rolling.Version)+" since "+ago(t.Rolling.At, a.now()))
	}
	a.readinessRows(g, t)
	g.print(w, "")
	if len(t.Releases) == 0 {
		return
	}
	a.head(w, "RELEASES", "")
	var rows []web.Release
	for i, r := range slices.Backward(t.Releases) {
		rows = append(rows, web.Release{Target: t.Name, Current: i == len(t.Releases)-1, Release: r})
	}
	a.releaseTable(w, rows, false)
}

// readinessRows say whether the way back is open, and what a person should know before it is needed.
func (a *app) readinessRows(g *grid, t engine.TargetStatus) {
	switch known := t.Readiness; {
	case known == nil: // not asked yet
	case known.Ready():
		g.row("Way back", a.paint(good, "✓ open")+", asked "+ago(known.At, a.now()))
	default:
		for _, problem := range known.Problems {
			g.row("Way back", a.paint(care, "! "+visible(problem))+", asked "+ago(known.At, a.now()))
		}
	}
	for _, trouble := range t.Troubles {
		g.row("Look", a.paint(care, "! "+visible(trouble)))
	}
}

// varsOf is a release's vars, by name.
func (a *app) varsOf(vars map[string]string) string {
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		pairs = append(pairs, k+"="+a.digestOf(vars[k]))
	}
	return strings.Join(pairs, ",")
}

// digestOf leaves of a digest what tells it apart; whole it is in the wide form and for programs.
func (a *app) digestOf(text string) string {
	const shown = len("sha256:") + 12
	if a.wide() || !strings.HasPrefix(text, "sha256:") || len(text) <= shown {
		return text
	}
	return text[:shown]
}
