package engine

import (
	"context"
	"fmt"
	"slices"

	"astern.dev/astern/engine/incident"
)

// explainIncident tells from a stored history what was decided when, and explains the rules by the configuration of the
// moment the alert came.
func (e *Engine) explainIncident(ctx context.Context, id string) (Explanation, error) {
	inc, events, err := e.Incident(ctx, id)
	if err != nil {
		return Explanation{}, err
	}
	first := slices.IndexFunc(events, func(ev incident.Event) bool { f, ok := ev.Fact.(incident.AlertsSeen); return ok && f.Sample != nil })
	if first < 0 {
		return e.explainRequest(inc, events), nil
	}
	x := Explanation{Basis: AsItWas, At: events[first].At}
	seen, _ := events[first].Fact.(incident.AlertsSeen)
	a := *seen.Sample
	x.Alert = &a
	cfg, err := e.configAt(ctx, events[first].Config, &x)
	if err != nil {
		return x, err
	}
	x.Rules = explainRules(cfg.Rules, alertVars(a, x.At))
	x.compareWithNow(e.config.Load(), a)
	x.Cases = e.casesOf(cfg, inc, events, "")
	return x.concluded(), nil
}

// explainRequest is for an incident that a person began and no rule joined.
func (e *Engine) explainRequest(inc incident.Incident, events []incident.Event) Explanation {
	cfg := e.config.Load()
	x := Explanation{Basis: AsItWas, At: inc.OpenedAt, Config: ConfigWord{Digest: events[0].Config, InForce: events[0].Config == cfg.Digest}}
	x.note("no alert began %s: a person asked for it, and no rule decided", inc.ID)
	c := Case{Target: inc.Target, Incident: inc.ID, Course: courseOf(events, "")}
	if inc.Request != nil && inc.Request.Judgement != nil {
		c.take(*inc.Request.Judgement, inc.Request.Judgement.At)
	}
	c.settleThen(inc, "")
	x.Cases = []Case{c}
	return x.concluded()
}

// casesOf is one case a rule that joined, the leading one first; with only, that rule alone.
func (e *Engine) casesOf(cfg *Configuration, inc incident.Incident, events []incident.Event, only string) []Case {
	var cases []Case
	for _, name := range joinedEver(events) {
		if only != "" && name != only {
			continue
		}
		c := Case{Rule: name, Target: inc.Target, Incident: inc.ID, Course: courseOf(events, name)}
		c.recall(events)
		if j, joined := joinedRule(inc, name); joined {
			c.Timer = timerOf(j)
			if j.Judgement == nil && c.Mode == "" {
				c.Mode = j.Mode
			}
		}
		if target, known := cfg.Book.Target(inc.Target); known {
			if r, ok := cfg.Rules.Rule(name); ok {
				c.Levels = modeLevels(cfg, r, target, "")
			}
		}
		c.explainMode()
		c.settleThen(inc, name)
		cases = append(cases, c)
	}
	return cases
}

// joinedEver are the rules whose alerts were seen, in the order they joined; also those that were removed since.
func joinedEver(events []incident.Event) []string {
	var names []string
	for _, ev := range events {
		if f, ok := ev.Fact.(incident.AlertsSeen); ok && !slices.Contains(names, f.Rule) {
			names = append(names, f.Rule)
		}
	}
	return names
}

// recall takes the last judgement of the rule, and the plan it was about.
func (c *Case) recall(events []incident.Event) {
	for _, ev := range events {
		switch f := ev.Fact.(type) {
		case incident.AlertsSeen:
			if f.Rule == c.Rule {
				c.Mode = f.Mode
			}
		case incident.Judged:
			if f.Rule != c.Rule {
				continue
			}
			c.take(f.Judgement, ev.At)
			if f.Plan != nil {
				c.Plan, c.From, c.To = f.Plan.Hash, f.Plan.From.Version, f.Plan.To.Version
			}
		}
	}
}

// explainMode adds what held the mode lower than the files say: what the installation said then is in the judgement.
func (c *Case) explainMode() {
	switch {
	case len(c.Levels) == 0 || c.Mode == "" || c.Mode.Rank() >= lowestOf(c.Levels).Mode.Rank():
	case lowering(c.Findings) != "":
		c.Levels = append(c.Levels, ModeLevel{loweredLevel(lowering(c.Findings)), c.Mode})
	case c.Mode == incident.Observe:
		c.Levels = append(c.Levels, ModeLevel{unarmedLevel, c.Mode})
	}
}

// lowering is the guard that held the mode down for a while; empty when none did.
func lowering(findings []incident.Finding) string {
	for _, f := range findings {
		if f.Guard == changedGuard || f.Guard == flappingGuard {
			return f.Guard
		}
	}
	return ""
}

// courseOf are the decisions about a rule, each change once, and what people said.
func courseOf(events []incident.Event, rule string) []Turn {
	var course []Turn
	last := ""
	for _, ev := range events {
		text := ""
		switch f := ev.Fact.(type) {
		case incident.AlertsSeen:
			if f.Rule == rule && f.Sample != nil {
				text = fmt.Sprintf("joined: mode %s, for %s", f.Mode, short(f.For))
			}
		case incident.Judged:
			if said := fmt.Sprintf("%s: %s", f.Judgement.Verdict, f.Judgement.Reason); f.Rule == rule && said != last {
				text, last = said, said
			}
		default:
			text = saidByPeople(ev)
		}
		if text != "" {
			course = append(course, Turn{ev.At, ev.By, text})
		}
	}
	return course
}

func saidByPeople(ev incident.Event) string {
	switch f := ev.Fact.(type) {
	case incident.AlertsEnded:
		return fmt.Sprintf("%d alerts resolved", len(f.Alerts))
	case incident.Requested:
		return "asked for a rollback: " + f.Reason
	case incident.Approved:
		return "approved plan " + incident.Short(f.Plan)
	case incident.Declined:
		return "rejected: " + f.Reason
	case incident.Aborted:
		return "aborted: " + f.Reason
	case incident.StepHeld:
		return "the next step is held: " + f.Reason
	case incident.Reconfigured:
		return "the configuration changed"
	case incident.Ended:
		return fmt.Sprintf("%s: %s", f.Phase, f.Reason)
	}
	return ""
}

// settleThen says how the case ended, or how it stands.
func (c *Case) settleThen(inc incident.Incident, rule string) {
	led := inc.Lead == rule
	switch {
	case rule != "" && c.Mode.Rank() <= incident.Suggest.Rank() && c.Mode != "" && !led:
		c.End, c.Words = OnlyWatched, fmt.Sprintf("its mode was %s", c.Mode)
		if len(c.Levels) > 0 {
			c.Words += " (" + lowestOf(c.Levels).Level + ")"
		}
		if c.Would != "" {
			c.Words += ": " + wouldHave(c.Would, blockers(c.Findings))
		} else {
			c.Words += ", and it was never due"
		}
	case inc.Touched || inc.Phase == incident.Succeeded || underWay(inc):
		c.End, c.Words = ActedEnd, fmt.Sprintf("%s is %s: %s", inc.ID, inc.Phase, inc.Reason)
		if !led && inc.Lead != "" {
			c.End, c.Words = OvertakenEnd, fmt.Sprintf("rule %s led %s, which is %s: this one joined as evidence", inc.Lead, inc.ID, inc.Phase)
		}
	case inc.Phase == incident.Superseded:
		c.End, c.Words = OvertakenEnd, inc.Reason
	default:
		c.End, c.Words = HeldBack, c.heldWords(inc)
	}
}

// heldWords say what held it: the end of the case, and before that the last word of the guards.
func (c *Case) heldWords(inc incident.Incident) string {
	words := fmt.Sprintf("%s is %s: %s", inc.ID, inc.Phase, inc.Reason)
	switch {
	case inc.Phase.Final() && c.Verdict == "":
		return words + "; the rule was never due"
	case inc.Phase.Final():
		return fmt.Sprintf("%s; before that the guards said %s: %s", words, c.Verdict, c.Reason)
	case c.Verdict == "" && c.Timer != nil && !c.Timer.Due.IsZero():
		return fmt.Sprintf("%s waits for the rule's timer, due at %s (for: %s)", inc.ID, stamp(c.Timer.Due), short(c.Timer.For))
	}
	return words
}
