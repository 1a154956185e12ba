package engine

import (
	"fmt"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

// explainRules is every rule's word on an alert.
func explainRules(set *rules.Set, v expr.Vars) []RuleWord {
	reasons := set.Explain(v)
	near := map[string]int{}
	for n, r := range rules.Nearest(reasons) {
		near[r.Rule.Name] = n + 1
	}
	words := make([]RuleWord, len(reasons))
	for n, r := range reasons {
		words[n] = RuleWord{
			Rule: r.Rule.Name, Group: r.Rule.Group, File: r.Rule.File, Line: r.Rule.Line, Mode: incident.Mode(r.Rule.Mode),
			Result: resultOf(r), Why: firstReason(r), Near: near[r.Rule.Name], Misses: r.Misses, Trace: r.Trace,
		}
	}
	return words
}

func resultOf(r rules.Reason) RuleResult {
	switch {
	case r.Matched:
		return RuleMatched
	case r.Failed:
		return RuleFailed
	}
	return RuleNot
}

func firstReason(r rules.Reason) string {
	switch {
	case r.Matched:
		return ""
	case len(r.Misses) == 0:
		return r.Why
	case len(r.Misses) == 1:
		return r.Misses[0].String()
	}
	return fmt.Sprintf("%s, and %d more", r.Misses[0], len(r.Misses)-1)
}

func matchedNames(words []RuleWord) []string {
	var names []string
	for _, w := range words {
		if w.Result == RuleMatched {
			names = append(names, w.Rule)
		}
	}
	return names
}

// modeLevels are all that have a say in a rule's mode for a target. above is what the installation as a whole says: empty
// when it lets things act.
func modeLevels(cfg *Configuration, r *rules.Rule, t *plan.Target, above string) []ModeLevel {
	levels := []ModeLevel{{"rule " + r.Name, incident.Mode(r.Mode)}}
	if t.Mode != "" {
		levels = append(levels, ModeLevel{"target " + t.Name, t.Mode})
	}
	if mode, written := cfg.Settings.Modes[t.Environment]; written {
		levels = append(levels, ModeLevel{"modes." + t.Environment, mode})
	} else {
		levels = append(levels, ModeLevel{"modes.default", incident.Lowest(cfg.Settings.DefaultMode)}) // none written is observe, as in ceiling
	}
	if above != "" {
		levels = append(levels, ModeLevel{above, incident.Observe})
	}
	return levels
}

func lowestOf(levels []ModeLevel) ModeLevel {
	lowest := levels[0]
	for _, l := range levels[1:] {
		if l.Mode.Rank() < lowest.Mode.Rank() {
			lowest = l
		}
	}
	return lowest
}

const (
	unarmedLevel   = "the installation is not armed"
	anonymousLevel = "the door is open to everybody"
	changedLevel   = "the rule was changed lately"
	flappingLevel  = "the rule came again and again on this target"
)

// loweredLevel names what holds a rule's mode down for a while, by the guard that says so.
func loweredLevel(guard string) string {
	if guard == flappingGuard {
		return flappingLevel
	}
	return changedLevel
}

// above is what the installation says against acting.
func (e *Engine) above() string {
	switch {
	case e.anonymous:
		return anonymousLevel
	case !e.armed():
		return unarmedLevel
	}
	return ""
}

// unasked are the guards that are asked before a rule acts, each with its bound.
func unasked(cfg *Configuration, r *rules.Rule, t *plan.Target) []GuardWord {
	written := guardsFor(cfg, t, r).Written()
	words := []GuardWord{
		{"stop", "S19", "the kill switch"}, {"hold", "S33", "a person's hold"},
		{"destination", "S14", "a good release before this one, there for " + written["destination_healthy"]},
		{"clock", "S30", "a clock that did not jump"},
		{"fresh", "S6", "said to fire within " + written["fresh_evidence"]},
		{"watchdog", "S8", "the Watchdog within " + written["watchdog"]}, {massGuard, "S8", written["mass_event"]},
		{"recent_change", "S13", "a rollout within " + written["recent_change"] + " before the alert"},
		{"cooldown", "S10", written["cooldown"]},
		{"budget", "S9", written["max_per_hour"] + " an hour, " + written["max_per_day"] + " a day"},
		{"confirm", "S7", confirmWord(r)},
		{"silenced", "S33", "Alertmanager's silences and inhibitions"}, {slotGuard, "S9", written["changing_at_once"] + " at once"},
	}
	if t.Workload != nil {
		words = append(words, GuardWord{"seen", "S13", t.Workload.String() + " read within " + short(unseenFor)})
	}
	for _, record := range []GuardWord{{incident.ScoreGuard, "S20", written["score"]}, {incident.DrillGuard, "S20", written["drill"]}} {
		if record.Value != "" && record.Value != off {
			words = append(words, record)
		}
	}
	for n, w := range words {
		if bound, named := written[w.Guard]; named && bound == off {
			words[n].Value = off
		}
	}
	return words
}

const off = "off"

func confirmWord(r *rules.Rule) string {
	switch n := len(r.Confirm.Queries); {
	case r.Confirm.Waived != "":
		return "waived: " + r.Confirm.Waived
	case n == 1:
		return "1 query over " + short(r.For)
	default:
		return fmt.Sprintf("%d queries over %s", n, short(r.For))
	}
}
