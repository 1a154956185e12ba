package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

func statusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show the installation: armed or stopped, what it hears, what is open", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			got, err := get[web.StatusAnswer](cmd.Context(), c, apiPath("status"), nil)
			if err != nil {
				return err
			}
			return show(a, got, func(web.StatusAnswer) []string { return []string{"status"} }, func(w io.Writer, s web.StatusAnswer) { a.status(w, s.Status) })
		},
	}
}

func (a *app) status(w io.Writer, s engine.Status) {
	g := a.grid()
	g.row("Automation", a.automation(s))
	if s.Store != "" {
		g.row("Store", a.paint(bad, "✗ takes nothing, and what is shown may be old: "+visible(s.Store)))
	}
	for _, scope := range slices.Sorted(maps.Keys(s.Installation.Stops)) {
		word := s.Installation.Stops[scope]
		g.row("Stopped", a.paint(bad, fmt.Sprintf("■ %s, by %s at %s: %s", visible(scope), visible(word.By), ago(word.At, a.now()), visible(word.Reason))))
	}
	if m := s.Installation.Mass; m != nil {
		g.row("Mass event", a.paint(bad, fmt.Sprintf("‖ since %s: %s; release it: astern resume --mass-event --reason WHY", ago(m.At, a.now()), visible(m.Reason))))
	}
	g.row("Incidents", fmt.Sprintf("%d open", s.Open))
	g.row("Config", dash(incident.Short(s.Config)))
	if s.ReloadError != "" {
		for mistake := range strings.Lines(s.ReloadError) {
			g.row("Reload", a.paint(bad, "✗ failed, the last good one stays in force: "+visible(strings.TrimSpace(mistake))))
		}
	}
	for _, cluster := range slices.Sorted(maps.Keys(s.Discovery)) {
		for _, problem := range s.Discovery[cluster] {
			g.row("Left out", a.paint(care, "! "+visible(cluster)+": "+visible(problem)))
		}
	}
	g.print(w, "")
	a.heard(w, s)
}

func (a *app) automation(s engine.Status) string {
	switch {
	case s.Anonymous:
		return a.paint(care, "‖ observes only: the door is open to everybody")
	case !s.Armed:
		return a.paint(care, "‖ not armed, it observes only; arm it: astern arm")
	case len(s.Installation.Stops) > 0:
		return a.paint(care, "■ armed, and stopped as below")
	}
	if by := s.Installation.Armed; by != nil {
		return a.paint(good, "✓ armed") + fmt.Sprintf(" by %s at %s", visible(by.By), ago(by.At, a.now()))
	}
	return a.paint(good, "✓ armed")
}

// heard shows who delivers alerts, and when their Watchdog was last seen.
func (a *app) heard(w io.Writer, s engine.Status) {
	senders := map[string]bool{}
	for _, told := range []map[string]time.Time{s.LastDelivery, s.Watchdogs} {
		for name := range told {
			senders[name] = true
		}
	}
	if len(senders) == 0 {
		fmt.Fprintln(w, "\nNo alert was ever delivered: does Alertmanager's route lead here?")
		return
	}
	a.head(w, "SENDERS", "")
	g := a.grid("SENDER", "LAST DELIVERY", "LAST WATCHDOG")
	for _, name := range slices.Sorted(maps.Keys(senders)) {
		g.row(visible(name), ago(s.LastDelivery[name], a.now()), ago(s.Watchdogs[name], a.now()))
	}
	g.print(w, "")
}
