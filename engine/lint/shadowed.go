package lint

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

// shadowed finds rules that can never lead. The first rule that is due leads and the others join as evidence (S2): a rule
// whose alerts all match another one that is due no later, asks no more and may do the same, changes nothing. Rules that
// only watch hide nothing: people compare rules in observe on purpose. Two rules that say the same are told in any mode.
func shadowed(w *world) {
	places := map[*rules.Rule]int{}
	for n, s := range w.subjects {
		places[s.Rule] = n
	}
	for n, s := range w.subjects {
		for _, r := range w.mayCover(s) {
			m, known := places[r]
			if n == m || !known || !s.covered(w.subjects[m]) {
				continue
			}
			by := w.subjects[m]
			if at := fmt.Sprintf("%s:%d", by.File, by.Line); s.twin(by) {
				if m < n {
					w.report(s.Node().Get("rule"), "rule/shadowed", fmt.Sprintf("says the same as the rule %s", by.Name), "first at "+at)
					break
				}
			} else if s.outrun(by, m < n) {
				w.report(s.Node().Get("rule"), "rule/shadowed", fmt.Sprintf("never leads: the rule %s matches the same alerts and is due no later", by.Name), "it is at "+at)
				break
			}
		}
	}
}

// mayCover are the rules that could match every alert that s does: each of them is a candidate for an alert that has only
// the values s demands. To hold every rule against every other takes minutes with 10,000 of them.
func (w *world) mayCover(s *subject) []*rules.Rule {
	n := slices.IndexFunc(s.branches, branch.possible)
	if n < 0 {
		return nil
	}
	labels, annotations, group := map[string]string{}, map[string]string{}, map[string]string{}
	v := expr.Vars{Alert: expr.Alert{Status: "firing", Labels: labels, Annotations: annotations}, Group: expr.Group{Labels: group}}
	for path, state := range s.branches[n].states {
		values, bound := state.values()
		if !bound {
			continue
		}
		for prefix, into := range map[string]map[string]string{"alert.labels.": labels, "alert.annotations.": annotations, "group.labels.": group} {
			if key, ok := strings.CutPrefix(path, prefix); ok {
				into[key] = values[0]
			}
		}
		switch path {
		case "alert.source":
			v.Alert.Source = values[0]
		case "alert.status":
			v.Alert.Status = values[0]
		}
	}
	return w.in.Rules.Candidates(v)
}

// covered says that by matches every alert that s does and would do the same to the same target.
func (s *subject) covered(by *subject) bool {
	if s.branches == nil || by.branches == nil || s.Do != by.Do || !s.sameTarget(by) || !slices.ContainsFunc(s.branches, branch.possible) {
		return false
	}
	return !slices.ContainsFunc(s.branches, func(b branch) bool { return b.possible() && !implied(b, by.branches) })
}

func (s *subject) sameTarget(by *subject) bool {
	if s.TargetProgram() == nil || by.TargetProgram() == nil {
		return s.Target == "" && by.Target == ""
	}
	return textOf(s.TargetProgram().Expr()) == textOf(by.TargetProgram().Expr())
}

// twin says that two rules differ in their words alone.
func (s *subject) twin(by *subject) bool {
	return by.covered(s) && s.Mode == by.Mode && s.For == by.For && s.sameGuards(by) && asksNoMore(s.Confirm, by.Confirm) && asksNoMore(by.Confirm, s.Confirm) &&
		s.Labels["severity"] == by.Labels["severity"]
}

// outrun says that by leads whenever s could.
func (s *subject) outrun(by *subject, earlier bool) bool {
	own, other := incident.Mode(s.Mode).Rank(), incident.Mode(by.Mode).Rank()
	due := by.For < s.For || by.For == s.For && earlier
	return own >= incident.Approve.Rank() && other >= own && due && s.sameGuards(by) && asksNoMore(by.Confirm, s.Confirm) &&
		s.Labels["severity"] == by.Labels["severity"]
}

func (s *subject) sameGuards(by *subject) bool {
	return len(s.Guards) == 0 && len(by.Guards) == 0 || reflect.DeepEqual(s.Guards, by.Guards)
}

// asksNoMore says that a holds whenever b does: each of its questions is among b's.
func asksNoMore(a, b rules.Confirm) bool {
	return !slices.ContainsFunc(a.Queries, func(q rules.Query) bool {
		return !slices.ContainsFunc(b.Queries, func(other rules.Query) bool { return q.Query == other.Query && q.Condition == other.Condition })
	})
}
