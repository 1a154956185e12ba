package lint

import (
	"slices"

	"astern.dev/astern/engine/config"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

// Input is what is looked at. Whatever is absent is not held against anything.
type Input struct {
	Rules *rules.Set
	Book  *plan.Book
	// Config is nil for files that no astern.yaml holds together.
	Config *config.Config
	// PrometheusRules and Alertmanager are texts by the names of their files.
	PrometheusRules, Alertmanager map[string][]byte
}

// Check looks at everything and gives what it found, sorted.
func Check(in Input) expr.Diagnostics {
	w := &world{in: in}
	w.readPrometheus()
	w.readSubjects()
	for _, look := range lints {
		look(w)
	}
	return w.found.Sorted()
}

// lints are all there are, each in a file of its own.
var lints = []func(*world){
	unreachable, shadowed, secondFor, unknownAlerts, missingLabels, missingFloor, invalidQueries, hiddenGaps, severalSeries,
	noWayBack, ceilings, watchdogAlert, routes,
}

// world is what the lints look at, read once.
type world struct {
	in         Input
	prometheus *prometheus // nil when no rule files were given, or when they have a mistake
	subjects   []*subject
	found      expr.Diagnostics
}

// subject is one rule with what follows from its condition.
type subject struct {
	*rules.Rule
	// branches are the alternatives of `when`: the rule matches when all tests of one of them hold. Nil when the condition
	// is too large to be told apart.
	branches []branch
	// targets are those that the rule can choose.
	targets []*plan.Target
	// alerts are Prometheus' rules whose alerts it can match, by name.
	alerts []*promRule
}

func (w *world) readSubjects() {
	if w.in.Rules == nil {
		return
	}
	for _, r := range w.in.Rules.Rules() {
		if r.Condition() == nil {
			continue // its mistake is told already
		}
		s := &subject{Rule: r, branches: branchesOf(r.Condition().Expr())}
		s.targets = w.targetsOf(s)
		s.alerts = w.alertsOf(s)
		w.subjects = append(w.subjects, s)
	}
}

// targetsOf are the targets that a rule can choose, as far as constants tell; it errs on the side of yes.
func (w *world) targetsOf(s *subject) []*plan.Target {
	if w.in.Book == nil {
		return nil
	}
	only, constant := s.TargetConstant()
	var all []*plan.Target
	for _, t := range w.in.Book.Targets() {
		switch {
		case constant && t.Name != only, s.Target == "" && len(t.Select) == 0, s.Target == "" && !s.may(t.Select):
			continue
		}
		all = append(all, t)
	}
	return all
}

// may says whether an alert that the rule matches can have all of these labels.
func (s *subject) may(labels map[string]string) bool {
	return s.branches == nil || slices.ContainsFunc(s.branches, func(b branch) bool { return b.possible() && b.may(labels) })
}

// report tells something at a node, as severe as its code is.
func (w *world) report(at *expr.Node, code, message, hint string) {
	w.add(at.Diagnostic(code, message, hint))
}

func (w *world) add(d expr.Diagnostic) {
	severity := severityOf(d.Code)
	d.Warning, d.Info = severity != Error, severity == Info
	w.found = append(w.found, d)
}
