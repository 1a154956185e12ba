package lint

import (
	"fmt"
	"slices"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
)

// looking are actions that change nothing: a procedure of these alone goes nowhere, and need not say where.
var looking = []string{"http/smoke", "wait", "prometheus/wait"}

// noWayBack finds targets that nothing can take back: those without a procedure of their own, and those whose procedure
// never names the release to go back to.
func noWayBack(w *world) {
	if w.in.Book == nil || len(w.in.Book.Procedures()) == 0 {
		return
	}
	for _, t := range w.in.Book.Targets() {
		if t.Procedure == "" {
			w.report(t.Node().Get("name"), "target/no-way-back", fmt.Sprintf("the target %s has no procedure of its own: `astern rollback %s` and rules with `do: rollback` can do nothing", t.Name, t.Name),
				"write `procedure:` in it or in its class")
			continue
		}
		p, ok := w.in.Book.Procedure(t.Procedure)
		if ok && acts(p) && !p.Names("release") { // told once: what is found twice counts once
			w.report(p.Node().Get("name"), "target/no-way-back", fmt.Sprintf("no step of the procedure %s names the release to go back to: it would lead to the same place every time", p.Name),
				"write ${release.previous.…} where the version, or its track, belongs")
		}
	}
}

func acts(p *plan.Procedure) bool {
	return slices.ContainsFunc(p.Steps, func(s *plan.Step) bool { return !slices.Contains(looking, s.Uses) })
}

// ceilings finds rules that the installation's modes keep from ever acting.
func ceilings(w *world) {
	if w.in.Config == nil {
		return
	}
	for _, s := range w.subjects {
		own := incident.Mode(s.Mode)
		if own.Rank() < incident.Approve.Rank() || len(s.targets) == 0 {
			continue
		}
		highest := incident.Observe
		for _, t := range s.targets {
			if c := t.Ceiling(w.in.Config.Modes.Ceiling(t.Environment)); c.Rank() > highest.Rank() {
				highest = c
			}
		}
		if highest.Rank() < incident.Approve.Rank() {
			w.report(s.Node().Get("mode"), "mode/ceiling", fmt.Sprintf("runs as %s: the ceiling of every target that the rule can reach is %s", highest, highest),
				"`modes:` in astern.yaml and `mode:` of a target are the ceilings")
		}
	}
}
