package engine

import (
	"context"
	"fmt"
	"slices"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules"
)

// A changed rule only suggests for a while (S20): what was in force when is in the installation's history, so that a
// restart, a reload and a file changed in between all count the same.

// rulesInFact is how many rules one fact names at most: the first start of a large installation tells them all.
const rulesInFact = 1000

// recordRules stores what a configuration changes among the rules, before any of them judges.
func (e *Engine) recordRules(ctx context.Context, c *Configuration) error {
	now := make(map[string]string, len(c.Rules.Rules()))
	for _, r := range c.Rules.Rules() {
		now[r.Name] = r.Digest
	}
	r := e.installation.record(ctx, installationStream, func(i incident.Installation) (draft, error) {
		changed, gone := i.RulesSince(now)
		var all []incident.Fact
		for part := range slices.Chunk(changed, rulesInFact) {
			all = append(all, incident.RulesLoaded{Config: c.Digest, Rules: part})
		}
		for part := range slices.Chunk(gone, rulesInFact) {
			all = append(all, incident.RulesLoaded{Config: c.Digest, Gone: part})
		}
		return facts(byAstern, all...), nil
	})
	if r.err != nil {
		return fmt.Errorf("record which rules come in force: %w", r.err)
	}
	return nil
}

// changeOf says whether a rule was changed so lately that it only suggests for the target. How long that lasts is not for
// the rule to say: a change could lift its own day.
func (e *Engine) changeOf(r *rules.Rule, t *plan.Target) (incident.RuleChange, bool) {
	i, _ := e.installationNow()
	while := guardsFor(e.config.Load(), t, nil).ChangedRule
	if while.Off {
		return incident.RuleChange{}, false
	}
	return i.Rules[r.Name].Change(r.Digest, e.now(), while.Value)
}

const changedGuard = "changed_rule"

func changedLately(r *rules.Rule, c incident.RuleChange) lowered {
	return lowered{*finding(changedGuard, "S20", incident.Tell, "rule changed %s; it only suggests until %s, unless `astern rules waive %s`",
		stamp(c.At), stamp(c.Until), r.Name), c.Until}
}

// ceilingEnded tells an incident that a rule which only suggested, because it was changed, may do more now. Then it is
// judged anew, like a rule that was reloaded.
func (e *Engine) ceilingEnded(ctx context.Context, inc incident.Incident, c incident.Judge) (bool, error) {
	j, joined := joinedRule(inc, c.Rule)
	if !joined || j.Judgement == nil || j.Judgement.Until.IsZero() || e.now().Before(j.Judgement.Until) {
		return false, nil
	}
	told := false
	r := e.incidents.record(ctx, incidentStream(inc.ID), func(i incident.Incident) (draft, error) {
		f := e.reconfiguration(e.config.Load(), i)
		f.Rules = slices.DeleteFunc(f.Rules, func(r incident.Reconfiguration) bool { return r.Rule != c.Rule })
		if told = len(f.Rules) > 0 && e.stillWished(i, c); !told {
			return draft{}, nil
		}
		return facts(byAstern, f), nil
	})
	if r.err != nil { // the draft may still be asked
		return false, r.err
	}
	return told, nil
}

// WaiveRule lets a changed rule act at once. It is a named person's word for the content in force, and for no other.
func (e *Engine) WaiveRule(ctx context.Context, p Person, name, reason string) error {
	if reason == "" {
		return refused("a reason is needed: it is what the next person reads")
	}
	e.reloading.Lock()
	defer e.reloading.Unlock()
	rule, ok := e.config.Load().Rules.Rule(name)
	if !ok {
		return missing("rule", name)
	}
	err := e.sayToAll(ctx, p, func(i incident.Installation) (incident.Fact, error) {
		h := i.Rules[name]
		if w := h.Waived; w != nil && w.Digest == rule.Digest {
			return nil, stale("rule %s is waived already by %s: %s", name, w.By, w.Reason)
		}
		if !e.changedAnywhere(rule) {
			return nil, stale("rule %s is not held back: nothing is to be waived", name)
		}
		return incident.RuleWaived{Rule: name, Digest: rule.Digest, Reason: reason}, nil
	})
	err = e.andReconfigure(ctx, err)
	e.reconsider(func(i incident.Incident) bool { _, joined := joinedRule(i, name); return joined })
	return err
}

// changedAnywhere says whether the change still holds the rule down for any target: each may have a while of its own.
func (e *Engine) changedAnywhere(r *rules.Rule) bool {
	return slices.ContainsFunc(e.config.Load().Book.Targets(), func(t *plan.Target) bool {
		_, held := e.changeOf(r, t)
		return held
	})
}
