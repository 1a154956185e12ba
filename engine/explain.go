package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules"
)

// Explain says why something happened to an alert, or why nothing did: every rule's word, every guard's word, and what
// would change the outcome. It reads; nothing is recorded, taken or told.
func (e *Engine) Explain(ctx context.Context, q ExplainQuery) (Explanation, error) {
	switch {
	case q.Alert != nil:
		return e.explainNow(ctx, *q.Alert, q.Source)
	case q.Incident != "":
		return e.explainIncident(ctx, q.Incident)
	}
	return e.explainPast(ctx, q)
}

// explainNow judges an alert as if it were delivered now.
func (e *Engine) explainNow(ctx context.Context, d Delivered, source string) (Explanation, error) {
	cfg := e.config.Load()
	x := Explanation{Basis: AsOfNow, At: e.now(), Config: ConfigWord{Digest: cfg.Digest, InForce: true}}
	d.Alert.Source = cmp.Or(source, e.onlySource(&x))
	return x.supposing(cfg, d, func(rule *rules.Rule, target *plan.Target, a incident.Alert) (Case, error) {
		return e.caseNow(ctx, cfg, rule, target, a)
	})
}

// ExplainFiles says of an alert what the files alone decide: the rules, the target, the mode and the timer. The guards
// need a server; they are named with their bounds.
func ExplainFiles(cfg *Configuration, d Delivered, now time.Time) Explanation {
	x := Explanation{Basis: OnFiles, At: now, Config: ConfigWord{Digest: cfg.Digest, InForce: true}}
	x, _ = x.supposing(cfg, d, func(rule *rules.Rule, target *plan.Target, a incident.Alert) (Case, error) {
		return caseOfFiles(cfg, rule, target, a, now), nil
	})
	return x
}

// supposing explains an alert as if it fired now: every rule's word, and a case for each that matches.
func (x Explanation) supposing(cfg *Configuration, d Delivered, caseOf func(*rules.Rule, *plan.Target, incident.Alert) (Case, error)) (Explanation, error) {
	a := x.suppose(d)
	if kind, why := setAside(d); kind != "" {
		return x.setAside(kind, why), nil
	}
	vars := alertVars(a, x.At)
	x.Rules = explainRules(cfg.Rules, vars)
	for _, name := range matchedNames(x.Rules) {
		rule, _ := cfg.Rules.Rule(name)
		target, err := cfg.targetOf(rule, vars)
		var c Case
		if err != nil {
			c = withoutTarget(name, err.Error())
		} else if c, err = caseOf(rule, target, a); err != nil {
			return x, err
		}
		x.Cases = append(x.Cases, c)
	}
	return x.concluded(), nil
}

// suppose takes an alert as one that fires.
func (x *Explanation) suppose(d Delivered) incident.Alert {
	a := d.Alert
	if a.Status == "resolved" {
		x.note("the alert is resolved, which starts nothing: it is explained as if it still fired")
		a.Status, a.EndsAt = "firing", time.Time{}
	}
	if d.Note != "" {
		x.note("%s", d.Note)
	}
	a.ID = AlertID(a.Source, a.Labels)
	x.Alert = &a
	return a
}

func (x *Explanation) note(format string, args ...any) {
	x.Notes = append(x.Notes, fmt.Sprintf(format, args...))
}

func (x Explanation) setAside(kind, why string) Explanation {
	x.End, x.Answer = NoRule, fmt.Sprintf("No rule is asked about it (%s): %s.", kind, why)
	return x
}

// onlySource is the sender an alert of nobody in particular counts as: the only one there is.
func (e *Engine) onlySource(x *Explanation) string {
	e.index.mu.RLock()
	heard := slices.Sorted(maps.Keys(e.index.delivery))
	e.index.mu.RUnlock()
	if len(heard) == 0 {
		heard = slices.Sorted(maps.Keys(e.config.Load().Settings.SenderConnections))
	}
	if len(heard) != 1 {
		x.note("the alert counts as no sender's (known: %s): what asks for the sender, such as the Watchdog guard, says no", cmp.Or(strings.Join(heard, ", "), "none"))
		return ""
	}
	return heard[0]
}

func withoutTarget(rule, why string) Case {
	return Case{Rule: rule, End: HeldBack, Words: "it chooses no target: " + why}
}

func caseOfFiles(cfg *Configuration, rule *rules.Rule, target *plan.Target, a incident.Alert, now time.Time) Case {
	levels := modeLevels(cfg, rule, target, "")
	lowest := lowestOf(levels)
	j := incident.Joined{Rule: rule.Name, For: rule.For, Since: a.StartsAt}
	c := Case{
		Rule: rule.Name, Target: target.Name, Mode: lowest.Mode, Levels: levels, Timer: timerOf(j), Unasked: unasked(cfg, rule, target),
	}
	switch {
	case c.Mode.Rank() <= incident.Suggest.Rank():
		c.End, c.Words = OnlyWatched, fmt.Sprintf("its mode is %s (%s)", c.Mode, lowest.Level)
	case now.Before(c.Timer.Due):
		c.End, c.Words = HeldBack, fmt.Sprintf("it would wait for its timer until %s (for: %s), then the guards are asked", stamp(c.Timer.Due), short(rule.For))
	case c.Mode == incident.Approve:
		c.End, c.Words = HeldBack, "the guards are asked, then a person"
	default:
		c.End, c.Words = ActedEnd, "it would act, if every guard lets it"
	}
	return c
}

// configAt is the configuration of that moment, or the one in force where it is no longer kept.
func (e *Engine) configAt(ctx context.Context, digest string, x *Explanation) (*Configuration, error) {
	running := e.config.Load()
	x.Config = ConfigWord{Digest: digest, InForce: digest == running.Digest}
	cfg, err := e.ConfigurationAt(ctx, digest)
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		x.note("the configuration of that moment cannot be read: %v", err)
	default:
		return cfg, nil
	}
	x.Config = ConfigWord{Digest: running.Digest, InForce: true, Lost: true}
	x.note("the configuration of that moment, %s, is no longer kept: the rules are explained by the one in force now", incident.Short(digest))
	return running, ctx.Err()
}

// compareWithNow says what the configuration in force makes of the alert, where it differs.
func (x *Explanation) compareWithNow(running *Configuration, a incident.Alert) {
	if x.Config.InForce {
		return
	}
	then := matchedNames(x.Rules)
	var now []string
	for _, m := range running.Rules.Match(alertVars(a, x.At)) {
		now = append(now, m.Rule.Name)
	}
	if !slices.Equal(then, now) {
		x.note("another configuration is in force now; by it the alert matches %s", cmp.Or(strings.Join(now, ", "), "no rule"))
		return
	}
	x.note("another configuration is in force now; by it the alert matches the same rules")
}
