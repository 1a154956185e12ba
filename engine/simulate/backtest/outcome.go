package backtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

// Case is one rule in one incident: alerts of one target that fired at the same time. It is what a score counts.
type Case struct {
	Rule     string `json:"rule"`
	Target   string `json:"target"`
	Incident string `json:"incident"`
	// Began is when the first of its alerts began, Ended when the last ended; zero when it still fires.
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended,omitzero"`
	// Outcome is WouldAct, or the guard that kept the rule from it, or Resolved; Reason says it in words.
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
	Act     *Act   `json:"would,omitempty"`

	due    time.Time // when it was judged first
	alerts []episodeKey
	sample incident.Alert
}

// The outcomes beside the names of guards.
const (
	WouldAct = "would_roll_back"
	Resolved = "resolved"    // before the rule's `for` was over
	Pending  = "pending"     // the time looked at ended before
	Unknown  = "no_answer"   // a confirm query had no answer
	NoPlan   = "plan"        // the steps cannot be rendered
	Mass     = "mass_event"  // S8
	confirms = "confirm"     // S7
	NoMatch  = "not_matched" // of an alert
	NoTarget = "no_target"   // of an alert
)

// Act is a rollback that a rule would have begun.
type Act struct {
	At   time.Time `json:"at"`
	From string    `json:"from"`
	To   string    `json:"to"`
	Plan string    `json:"plan"`
	// ReleaseAge is how long the release had run when the alert began.
	ReleaseAge time.Duration `json:"release_age"`
	// Passed is every guard's word; Saw is what the confirm queries answered.
	Passed []incident.Finding `json:"passed"`
	Saw    []Values           `json:"saw,omitempty"`
	Label  incident.Label     `json:"label"`
	// Mark is what people said of the release, Person the move back by a person, HeadStart how much later that came.
	Mark      *incident.RuleMark `json:"mark,omitempty"`
	Person    *incident.MoveBack `json:"person,omitempty"`
	HeadStart time.Duration      `json:"head_start,omitempty"`

	would incident.WouldAct
}

// outcome is what a history came to with one configuration.
type outcome struct {
	history *History
	config  *Configuration
	server  *forward
	source  string
	became  map[episodeKey][]incident.Decision // at the delivery
	cases   []*Case
}

func (o *outcome) collect(ctx context.Context, e *engine.Engine) error {
	heads, err := e.Incidents(ctx, incident.HeadFilter{Limit: 1 << 30})
	if err != nil {
		return err
	}
	for _, h := range heads {
		i, events, err := e.Incident(ctx, h.ID)
		if err != nil {
			return fmt.Errorf("read the incident %s of the simulation: %w", h.ID, err)
		}
		o.cases = append(o.cases, casesOf(i, events)...)
	}
	slices.SortFunc(o.cases, func(a, b *Case) int {
		return cmp.Or(a.Began.Compare(b.Began), strings.Compare(a.Target, b.Target), strings.Compare(a.Rule, b.Rule), strings.Compare(a.Incident, b.Incident))
	})
	for _, c := range o.cases {
		o.finish(c)
	}
	for _, c := range o.cases {
		o.massEvent(c)
	}
	return nil
}

// casesOf are the rules of one incident, by its history.
func casesOf(i incident.Incident, events []incident.Event) []*Case {
	byRule := map[string]*Case{}
	var all []*Case
	var shadow incident.Shadow
	judged := map[string]incident.Judgement{}
	for _, ev := range events {
		before := len(shadow.Acts)
		shadow = incident.ApplyShadow(shadow, ev)
		switch f := ev.Fact.(type) {
		case incident.AlertsSeen:
			c, known := byRule[f.Rule]
			if !known {
				c = &Case{Rule: f.Rule, Target: i.Target, Incident: i.ID}
				byRule[f.Rule] = c
				all = append(all, c)
			}
			c.saw(f)
		case incident.Judged:
			c := byRule[f.Rule]
			if c == nil {
				continue
			}
			if c.due.IsZero() {
				c.due = ev.At
			}
			if nearest, was := judged[f.Rule]; !was || missing(f.Judgement) < missing(nearest) {
				judged[f.Rule] = f.Judgement
			}
			if len(shadow.Acts) > before {
				c.act(shadow.Acts[before], f)
			}
		}
	}
	for _, c := range all {
		c.end(i)
		j, was := judged[c.Rule]
		c.decide(j, was)
	}
	return all
}

func (c *Case) saw(f incident.AlertsSeen) {
	if f.Sample != nil && c.sample.Labels == nil {
		c.sample = *f.Sample
	}
	for _, a := range f.Alerts {
		if c.Began.IsZero() || a.StartsAt.Before(c.Began) {
			c.Began = a.StartsAt
		}
		if key := (episodeKey{a.ID, a.StartsAt.UnixMilli()}); !slices.Contains(c.alerts, key) {
			c.alerts = append(c.alerts, key)
		}
	}
}

func (c *Case) act(would incident.WouldAct, f incident.Judged) {
	c.Act = &Act{
		At: would.At, From: f.Plan.From.Version, To: f.Plan.To.Version, Plan: f.Plan.Hash,
		ReleaseAge: would.Began.Sub(f.Plan.From.At), Passed: f.Judgement.Findings, would: would,
	}
}

func (c *Case) end(i incident.Incident) {
	for _, key := range c.alerts {
		ep := i.Episodes[key.alert]
		if ep.Open() {
			c.Ended = time.Time{}
			return
		}
		c.Ended = later(c.Ended, ep.EndedAt)
	}
}

// missing is how far a judgement is from acting; a guard without an answer is a little farther than one that said no.
func missing(j incident.Judgement) int {
	n := 0
	for _, f := range j.Findings {
		if f.Verdict != incident.Go && f.Verdict != incident.Tell {
			n += 2
		}
		if f.Unknown {
			n++
		}
	}
	return n
}

// decide names what kept the rule from acting: of the judgement that came nearest to it, the first of those, the first
// guard, in the engine's own order, that was against it.
func (c *Case) decide(j incident.Judgement, judged bool) {
	switch {
	case c.Act != nil:
		c.Outcome = WouldAct
		return
	case !judged && !c.Ended.IsZero():
		c.Outcome, c.Reason = Resolved, "the alert resolved before the rule's `for` was over"
		return
	case !judged:
		c.Outcome, c.Reason = Pending, "the rule's `for` was not over at the end of the time"
		return
	}
	c.Outcome, c.Reason = "unknown", j.Reason
	for _, f := range j.Findings {
		if f.Verdict == incident.Go || f.Verdict == incident.Tell {
			continue
		}
		if c.Outcome, c.Reason = f.Guard, f.Reason; f.Unknown && f.Guard == confirms {
			c.Outcome = Unknown
		}
		return
	}
}

// finish adds to a would-act what the past tells of it.
func (o *outcome) finish(c *Case) {
	if c.Act == nil {
		return
	}
	a := c.Act
	a.would.Mark = o.history.markOf(c, a)
	moves := o.history.moves
	a.Mark, a.Label = a.would.Mark, incident.LabelOf(a.would, moves)
	unmarked := a.would
	unmarked.Mark = nil
	for n := range moves {
		if incident.LabelOf(unmarked, moves[n:n+1]) == incident.Right {
			a.Person, a.HeadStart = &moves[n], moves[n].At.Sub(a.At)
			break
		}
	}
	a.Saw = o.sawOf(c)
}

// markOf is what people said of the release that would have been left: that it was good makes leaving it wrong.
func (h *History) markOf(c *Case, a *Act) *incident.RuleMark {
	for _, w := range h.words {
		if w.Target != c.Target || w.Version != a.From || w.Verdict == incident.Unknown {
			continue
		}
		return &incident.RuleMark{Rule: c.Rule, Right: w.Verdict != incident.Good, By: w.By, Reason: "release " + w.Version + " was told to be " + string(w.Verdict)}
	}
	return nil
}

// sawOf finds what the rule's confirm queries answered when it would have acted.
func (o *outcome) sawOf(c *Case) []Values {
	rule, ok := o.config.Rules.Rule(c.Rule)
	target, there := o.config.Book.Target(c.Target)
	if !ok || !there {
		return nil
	}
	s := c.sample
	v := expr.Vars{Now: c.Act.At, Target: target.ExprTarget(), Alert: expr.Alert{Status: s.Status, Labels: s.Labels, StartsAt: s.StartsAt, Source: s.Source}}
	v.Release.Current.Version, v.Release.Previous.Version = c.Act.From, c.Act.To
	v.Incident.ID, v.Incident.Rule = c.Incident, c.Rule
	var saw []Values
	for _, q := range rule.Confirm.Queries {
		text, err := q.Render(v)
		if err != nil {
			continue // it names what only the engine knew; the guard's own word stands
		}
		if values, ok := o.server.seen(text, c.Act.At); ok {
			saw = append(saw, values)
		}
	}
	return saw
}

// massEvent keeps S8 for rules that all only watch, whose wishes the engine's guard does not count: a would-act that comes
// when as many targets want action as make a mass event would have been held.
func (o *outcome) massEvent(c *Case) {
	target, there := o.config.Book.Target(c.Target)
	rule, ok := o.config.Rules.Rule(c.Rule)
	if c.Act == nil || !there || !ok {
		return
	}
	nearest, _ := incident.GuardsFrom(rule.Guards) // the loader refused what does not parse
	g := incident.Merge(nearest, target.Guards, o.config.TeamGuards[target.Team], o.config.Guards, incident.DefaultGuards()).MassEvent
	if g.Off {
		return
	}
	wanting := map[string]bool{}
	for _, other := range o.cases {
		open := other.Ended.IsZero() || other.Ended.After(c.Act.At)
		if !other.due.IsZero() && !other.due.After(c.Act.At) && c.Act.At.Sub(other.due) <= g.Value.Within && open {
			wanting[other.Target] = true
		}
	}
	if n := len(wanting); g.Value.Mass(n, len(o.config.Book.Targets())) {
		c.Outcome, c.Reason = Mass, fmt.Sprintf("mass event: %d targets want action within %s", n, g.Value.Within)
		c.Act = nil
	}
}
