package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules"
)

// Rules are all rules in the order of the files, with what the last days say of them.
func (e *Engine) Rules(ctx context.Context) (RuleReport, error) {
	if err := e.keepFailures(ctx); err != nil { // a full disk must not hide what is known
		e.log.Warn("which rules could not be evaluated could not be stored", logError(err))
	}
	all, err := e.scores(ctx)
	if err != nil {
		return RuleReport{}, err
	}
	i, err := e.installation.load(ctx, installationStream)
	if err != nil {
		return RuleReport{}, err
	}
	report := RuleReport{Since: e.now().Add(-incident.ScoreWindow), Missed: missesByTarget(all.missed)}
	cfg := e.config.Load()
	highest := e.highestCeiling(cfg.Book.Targets())
	for _, r := range cfg.Rules.Rules() {
		report.Rules = append(report.Rules, e.ruleStatus(cfg, r, all, i.Rules[r.Name], highest))
	}
	return report, nil
}

func missesByTarget(missed []incident.MoveBack) []TargetMisses {
	byTarget := map[string][]incident.MoveBack{}
	for _, m := range missed {
		byTarget[m.Target] = append(byTarget[m.Target], m)
	}
	var out []TargetMisses
	for _, target := range slices.Sorted(maps.Keys(byTarget)) {
		out = append(out, TargetMisses{target, byTarget[target]})
	}
	return out
}

// highestCeiling is the ceiling of the target that allows most.
func (e *Engine) highestCeiling(targets []*plan.Target) incident.Mode {
	highest := incident.Observe
	for _, t := range targets {
		if c := e.ceiling(t); c.Rank() > highest.Rank() {
			highest = c
		}
	}
	return highest
}

func (e *Engine) ruleStatus(cfg *Configuration, r *rules.Rule, all *scores, h incident.RuleHistory, highest incident.Mode) RuleStatus {
	s := RuleStatus{
		Name: r.Name, Group: r.Group, File: r.File, Mode: incident.Mode(r.Mode), For: r.For, Do: r.Do, Digest: r.Digest, Content: r.Content(),
		Matched: all.matched[r.Name].count, LastMatch: all.matched[r.Name].last, Score: all.of[r.Name], Demand: incident.DefaultScore,
	}
	if s.Score.Labelled() == 0 {
		s.Score.Low, s.Score.High = incident.Wilson(0, 0)
	}
	if own, _ := incident.GuardsFrom(r.Guards); own.Score.Written && !own.Score.Off {
		s.Demand = own.Score.Value
	} else if wide := cfg.Settings.Guards.Score; !own.Score.Written && wide.Written && !wide.Off {
		s.Demand = wide.Value
	}
	if h.Error != nil && h.Error.Digest == r.Digest && e.now().Sub(h.Error.At) < incident.ScoreWindow {
		s.Error = h.Error.Error
	}
	var target *plan.Target
	if name, fixed := r.TargetConstant(); fixed {
		if target, _ = cfg.Book.Target(name); target != nil {
			highest = e.ceiling(target)
		}
	}
	e.effective(&s, r, cfg, target, highest)
	s.NotReady = s.lacks()
	s.Ready = s.NotReady == ""
	return s
}

// effective says which mode counts now and what holds it below the rule's own (S19, S20).
func (e *Engine) effective(s *RuleStatus, r *rules.Rule, cfg *Configuration, target *plan.Target, highest incident.Mode) {
	s.Effective = incident.Lowest(s.Mode, highest)
	switch {
	case s.Effective == s.Mode:
	case e.anonymous:
		s.Held = "the door is open to all"
	case !e.armed():
		s.Held = "not armed"
	default:
		s.Held = "ceiling"
	}
	if s.Effective.Rank() <= incident.Suggest.Rank() {
		return
	}
	targets := cfg.Book.Targets()
	if target != nil {
		targets = []*plan.Target{target}
	}
	l, held := e.loweredEverywhere(r, targets)
	if !held {
		return
	}
	s.Effective, s.Held, s.HeldUntil = incident.Suggest, "changed", l.until
	if l.why.Guard == flappingGuard {
		s.Held = "flapping"
	}
}

// loweredEverywhere is what ends first of what holds the rule down, when something does for every target.
func (e *Engine) loweredEverywhere(r *rules.Rule, targets []*plan.Target) (lowered, bool) {
	var first lowered
	for _, t := range targets {
		l, held := e.loweredOn(r, t)
		if !held {
			return lowered{}, false
		}
		if first.until.IsZero() || l.until.Before(first.until) {
			first = l
		}
	}
	return first, !first.until.IsZero()
}

// lacks says what the rule is missing for the next mode.
func (s RuleStatus) lacks() string {
	lacks := s.Score.Lacks(s.Demand)
	switch {
	case s.Mode == incident.Auto:
		return "it is in auto already"
	case s.Error != "":
		return "its condition could not be evaluated: " + s.Error
	case lacks != "":
		return fmt.Sprintf("%s; a lower bound of %s is demanded", lacks, percent(s.Demand))
	}
	return ""
}

// MarkWouldAct is a person's word on whether a rule was right to want to act in an incident, which may have ended. Without
// a name it is the only rule that would have.
func (e *Engine) MarkWouldAct(ctx context.Context, p Person, id, rule string, right bool, reason string) (string, error) {
	if reason == "" {
		return "", refused("a reason is needed: it is what the next person reads")
	}
	_, events, err := e.Incident(ctx, id)
	if err != nil {
		return "", err
	}
	var s incident.Shadow
	for _, ev := range events {
		s = incident.ApplyShadow(s, ev)
	}
	if rule, err = s.Meant(rule); err != nil {
		return "", &RefusedError{err.Error()}
	}
	return rule, e.say(ctx, p, id, func(incident.Incident) (incident.Fact, error) {
		return incident.WouldActMarked{Rule: rule, Right: right, Reason: reason}, nil
	})
}
