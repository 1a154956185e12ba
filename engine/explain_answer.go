package engine

import (
	"fmt"
	"slices"
	"strings"

	"astern.dev/astern/engine/incident"
)

// weight orders the ends: what happened counts more than what did not.
var weight = []End{NoRule, OnlyWatched, HeldBack, OvertakenEnd, ActedEnd}

// concluded says the end of the whole, and what would change it.
func (x Explanation) concluded() Explanation {
	if x.Rules == nil {
		x.Rules = []RuleWord{}
	}
	slices.SortStableFunc(x.Cases, func(a, b Case) int { return slices.Index(weight, b.End) - slices.Index(weight, a.End) })
	if len(x.Cases) == 0 {
		x.Cases = []Case{}
		return x.unmatched()
	}
	first := x.Cases[0]
	x.End = first.End
	x.Answer = x.opening() + x.who(first) + ": " + strings.TrimSuffix(first.Words, ".") + "."
	for _, c := range x.Cases {
		for _, change := range c.changes(x.Basis == AsOfNow) {
			if !slices.Contains(x.Changes, change) {
				x.Changes = append(x.Changes, change)
			}
		}
	}
	return x
}

// opening is how the answer begins.
func (x Explanation) opening() string {
	would := "was"
	if x.Basis != AsItWas {
		would = "would be"
	}
	switch x.End {
	case ActedEnd:
		return ""
	case OvertakenEnd:
		return "Nothing new " + would + " started, "
	}
	return "Nothing " + would + " started, "
}

func (x Explanation) who(c Case) string {
	matched := len(matchedNames(x.Rules))
	name := "rule " + c.Rule + " matched"
	switch {
	case c.Rule == "":
		name = "a person asked"
	case matched > 1:
		name = fmt.Sprintf("%d of %d rules matched; %s", matched, len(x.Rules), c.Rule)
	}
	if c.End == ActedEnd {
		return strings.ToUpper(name[:1]) + name[1:]
	}
	return name
}

func (x Explanation) unmatched() Explanation {
	x.End = NoRule
	matched := matchedNames(x.Rules)
	switch {
	case len(matched) > 0 && x.Config.Lost:
		x.Answer = fmt.Sprintf("No rule matched it then; by the configuration in force now, %s would.", strings.Join(matched, ", "))
		return x
	case len(matched) > 0:
		x.Answer = fmt.Sprintf("Nothing was started: %s matched, and nothing was to be begun.", strings.Join(matched, ", "))
		return x
	case len(x.Rules) == 0:
		x.Answer = "No rule matched: there are none."
		return x
	}
	x.Answer = fmt.Sprintf("No rule matched: 0 of %d.", len(x.Rules))
	for _, w := range x.Rules {
		if w.Near == 1 {
			x.Changes = append(x.Changes, nearest(w))
		}
	}
	return x
}

func nearest(w RuleWord) string {
	var parts []string
	for _, m := range w.Misses {
		parts = append(parts, m.String())
	}
	return fmt.Sprintf("rule %s would match if this held: %s", w.Rule, strings.Join(parts, "; "))
}

// changes are what would change the outcome of one case. Of one that is over, they are what would have.
func (c Case) changes(live bool) []string {
	var all []string
	if c.Target == "" && c.Rule != "" {
		return []string{"a target whose `select` the labels meet, or `target:` on rule " + c.Rule}
	}
	if c.End == ActedEnd || c.End == OvertakenEnd {
		return nil
	}
	if len(c.Levels) > 0 && c.Mode.Rank() <= incident.Suggest.Rank() {
		all = append(all, c.modeChanges()...)
	}
	if live && c.Timer != nil && c.JudgedAt.Before(c.Timer.Due) {
		all = append(all, "wait until "+stamp(c.Timer.Due))
	}
	for _, f := range c.Findings {
		if way := c.wayAround(f); f.Verdict != incident.Go && way != "" && !slices.Contains(all, way) {
			all = append(all, way)
		}
	}
	return all
}

// modeChanges say who holds the mode down.
func (c Case) modeChanges() []string {
	var all []string
	for _, l := range c.Levels {
		switch {
		case l.Mode.Rank() > incident.Suggest.Rank():
		case l.Level == unarmedLevel:
			all = append(all, "`astern arm --reason WHY`: "+l.Level)
		case l.Level == changedLevel:
			all = append(all, fmt.Sprintf("`astern rules waive %s --reason WHY`: %s", c.Rule, l.Level))
		case l.Level == flappingLevel:
			all = append(all, fmt.Sprintf("`astern rules reset %s --target %s`: %s", c.Rule, c.Target, l.Level))
		case l.Level == anonymousLevel:
			all = append(all, "start without --insecure-allow-anonymous-webhook: "+l.Level)
		default:
			all = append(all, fmt.Sprintf("a higher mode: %s says %s", l.Level, l.Mode))
		}
	}
	return all
}

// wayAround is what lifts a guard's no.
func (c Case) wayAround(f incident.Finding) string {
	byHand := fmt.Sprintf("a person's own: `astern rollback %s --reason WHY`", c.Target)
	switch f.Guard {
	case "stop":
		return "`astern resume --reason WHY`, with the scope that `astern status` shows"
	case "hold":
		return fmt.Sprintf("ask who holds it, or `astern hold %s --lift`", c.Target)
	case "destination":
		return fmt.Sprintf("tell the releases: `astern release record %s`, or `astern release judge %s VERSION --verdict good`", c.Target, c.Target)
	case "recent_change":
		return fmt.Sprintf("tell what was deployed when: `astern release record %s`; or `guards: {recent_change: \"off\"}` on rule %s", c.Target, c.Rule)
	case "seen":
		return "what keeps the workload from being read: `astern targets`"
	case "watchdog":
		return "a Watchdog alert that is routed here, from the same sender"
	case massGuard, massCalledGuard:
		return "find the common cause; `astern resume --mass-event --reason WHY`"
	case "cooldown", "budget":
		return "wait; " + byHand
	case "confirm":
		return "what the query of rule " + c.Rule + " shows; " + byHand
	case "clock":
		return "wait: a clock that jumped holds for some minutes"
	case "fresh":
		return "a delivery that says that it still fires"
	case "silenced":
		return "end the silence in Alertmanager, or see to it that its API can be read: `connection` of the sender"
	case slotGuard:
		return "wait for the other procedure to end"
	case "plan":
		return "correct what the plan cannot be made of"
	case incident.ScoreGuard:
		return fmt.Sprintf("a better record of rule %s: `astern rules`", c.Rule)
	case incident.DrillGuard:
		return byHand
	}
	return ""
}
