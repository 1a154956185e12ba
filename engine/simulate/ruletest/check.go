package ruletest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"astern.dev/astern/engine/incident"
)

// check holds one expectation against what happened.
func (s Story) check(e Expectation) []Failure {
	var failures []Failure
	if e.ofIncident() {
		failures = append(failures, s.checkStates(e)...)
	}
	if isKind(e.Decision) {
		failures = append(failures, s.checkLedger(e)...)
	}
	if e.NoNewPlan {
		failures = append(failures, s.checkNoPlan(e)...)
	}
	if e.NoIncident || e.Incidents != nil {
		failures = append(failures, s.checkCount(e)...)
	}
	return failures
}

// checkStates finds the first moment at which something is not as expected.
func (s Story) checkStates(e Expectation) []Failure {
	for _, now := range s.states(e) {
		if now.history == nil {
			f := e.failed(now.at, Field{"incident", "one of " + e.subject(), "none"})
			f.Why = s.whyNone(e, now.at)
			return []Failure{f}
		}
		if wrong := s.wrong(e, now); len(wrong) > 0 {
			f := e.failed(now.at, wrong...)
			f.History, f.Version, f.Why = now.history, now.version, whyState(e, now)
			return []Failure{f}
		}
	}
	return nil
}

func (e Expectation) failed(at time.Duration, wrong ...Field) Failure {
	return Failure{Line: e.Line, At: at, From: e.From, Until: e.Until, IsSpan: e.IsSpan, Fields: wrong}
}

func (e Expectation) subject() string {
	switch {
	case e.Incident != "":
		return e.Incident
	case e.Target != "":
		return e.Target
	}
	return "any target"
}

// judgement is the one that an expectation is about: of the rule it names, else of the one that leads, else the newest.
func judgement(i incident.Incident, rule string) (incident.Joined, *incident.Judgement, bool) {
	if rule == "" {
		rule = i.Lead
	}
	var joined incident.Joined
	var found *incident.Judgement
	ok := false
	if rule == "" && i.Request != nil {
		return joined, i.Request.Judgement, true
	}
	for _, j := range i.Rules {
		newer := rule == "" && (!ok || j.Judgement != nil && (found == nil || !j.Judgement.At.Before(found.At)))
		if j.Rule == rule || newer {
			joined, found, ok = j, j.Judgement, true
		}
	}
	return joined, found, ok
}

// wrong lists what is not as expected in one state.
func (s Story) wrong(e Expectation, now state) []Field {
	i := now.incident()
	joined, j, ok := judgement(i, e.Rule)
	c := &comparison{}
	if e.Rule != "" && !ok {
		c.is("rule", e.Rule, orNone(joinedNames(i)))
		return c.wrong
	}
	plan := incident.Plan{}
	if p := now.plan(j); p != nil {
		plan = *p
	}
	if j == nil {
		j = &incident.Judgement{Mode: joined.Mode}
	}
	if len(e.Phase) > 0 && !slices.Contains(e.Phase, string(i.Phase)) {
		c.add("phase", strings.Join(e.Phase, " or "), string(i.Phase))
	}
	if !isKind(e.Decision) {
		c.is("decision", e.Decision, orNone(string(j.Verdict)))
		s.reasons(c, e, i.Reason, j.Reason)
	}
	c.is("would", e.Would, orNone(string(j.Would)))
	c.is("lead", e.Lead, orNone(i.Lead))
	c.is("plan", e.Plan, orNone(plan.Procedure))
	c.is("to", e.To, orNone(plan.To.Version))
	c.is("leaves", e.Leaves, orNone(plan.From.Version))
	c.is("mode", e.Mode, string(j.Mode))
	if refused := refusers(i, j); e.Guard != "" && !slices.Contains(refused, e.Guard) {
		c.add("guard", e.Guard, orNone(strings.Join(refused, ", ")))
	}
	if done := doneSteps(i); e.hasSteps && !slices.Equal(done, e.Steps) {
		c.add("steps", list(e.Steps), list(done))
	}
	for _, n := range e.Notices {
		s.notice(c, n, now)
	}
	return c.wrong
}

type comparison struct{ wrong []Field }

func (c *comparison) add(name, want, got string) {
	c.wrong = append(c.wrong, Field{name, want, got})
}

// is compares where something is expected at all.
func (c *comparison) is(name, want, got string) {
	if want != "" && want != got {
		c.add(name, want, got)
	}
}

func (s Story) reasons(c *comparison, e Expectation, reasons ...string) {
	got := strings.Join(slices.Compact(slices.DeleteFunc(reasons, func(r string) bool { return r == "" })), "; ")
	if e.Reason != "" && !strings.Contains(got, e.Reason) {
		c.add("reason", "… "+e.Reason+" …", orNone(got))
	}
	if e.ReasonMatches == "" {
		return
	}
	if fits, err := regexp.MatchString(e.ReasonMatches, got); err != nil || !fits {
		c.add("reason", "/"+e.ReasonMatches+"/", orNone(got))
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func list(words []string) string { return "[" + strings.Join(words, ", ") + "]" }

func joinedNames(i incident.Incident) string {
	var names []string
	for _, j := range i.Rules {
		names = append(names, j.Rule)
	}
	return strings.Join(names, ", ")
}

// refusers are the guards that do not pass: of the judgement, and of the next step.
func refusers(i incident.Incident, j *incident.Judgement) []string {
	var names []string
	for _, f := range slices.Concat(j.Findings, i.Findings) {
		if name := guardName(f.Guard); f.Verdict != incident.Go && name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// guardName is the name that a guard is known by: the incident that calls a mass event has a word of its own for it.
func guardName(guard string) string { return strings.TrimSuffix(guard, "_called") }

func doneSteps(i incident.Incident) []string {
	done := []string{}
	for n, run := range i.Steps {
		if run.State == incident.Done && i.Plan != nil && n < len(i.Plan.Steps) {
			done = append(done, i.Plan.Steps[n].Name)
		}
	}
	return done
}

// checkNoPlan: a plan is new when it is taken up, offered or suggested for the first time.
func (s Story) checkNoPlan(e Expectation) []Failure {
	for n := range s.Histories {
		h := &s.Histories[n]
		if !e.about(h) {
			continue
		}
		known := map[string]bool{}
		from, until := s.span(e, h)
		for v := 1; v <= until; v++ {
			f, ok := h.Events[v-1].Fact.(incident.Judged)
			if !ok || f.Plan == nil || !slices.Contains([]incident.Verdict{incident.Go, incident.Ask, incident.Tell}, f.Judgement.Verdict) {
				continue
			}
			if v > from && !known[f.Plan.Hash] {
				fail := e.failed(s.Offset(h, v), Field{"no_new_plan", "no further plan", planText(h.ID, f)})
				fail.History, fail.Version, fail.Why = h, v, whyState(e, state{fail.At, h, v})
				return []Failure{fail}
			}
			known[f.Plan.Hash] = true
		}
	}
	return nil
}

func planText(id string, f incident.Judged) string {
	return fmt.Sprintf("%s: %s from %s to %s (%s)", id, f.Plan.Procedure, f.Plan.From.Version, f.Plan.To.Version, f.Judgement.Verdict)
}

// checkCount counts the incidents that were opened in an expectation's time.
func (s Story) checkCount(e Expectation) []Failure {
	var opened []state
	for n := range s.Histories {
		h := &s.Histories[n]
		from, until := s.span(e, h)
		if e.about(h) && from == 0 && until > 0 {
			opened = append(opened, state{s.Offset(h, 1), h, until})
		}
	}
	name, want := "incidents", 0
	if e.NoIncident {
		name = "no_incident"
	} else {
		want = *e.Incidents
	}
	if len(opened) == want {
		return nil
	}
	f := e.failed(e.Until, Field{name, strconv.Itoa(want), strconv.Itoa(len(opened))})
	for _, o := range opened {
		f.Why = append(f.Why, fmt.Sprintf("%s was opened at %s", o.history.ID, OffsetText(o.at)))
		f.History, f.Version = o.history, o.version
	}
	if len(opened) == 0 {
		f.Why = s.whyNone(e, e.Until)
	}
	return []Failure{f}
}
