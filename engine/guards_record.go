package engine

import (
	"context"
	"fmt"
	"time"

	"astern.dev/astern/engine/incident"
)

// recordGuards are those that ask for the rule's own record, where that is demanded (S20). They ask in every mode, so that
// people see what auto would say; what they refuse still counts as a would-act, or the record would never grow.
func (q question) recordGuards() []openingGuard {
	var guards []openingGuard
	if !q.guards.Score.Off {
		guards = append(guards, (*Engine).guardScore)
	}
	if !q.guards.Drill.Off {
		guards = append(guards, (*Engine).guardDrill)
	}
	return guards
}

// guardScore lets a rule act alone only when it was right often enough.
func (e *Engine) guardScore(ctx context.Context, q question) incident.Finding {
	all, err := e.scores(ctx)
	if err != nil {
		return *finding(incident.ScoreGuard, "S20", incident.Ask, "the record of rule %s cannot be read: %v", q.rule.Name, err)
	}
	score, demand := all.of[q.rule.Name], q.guards.Score.Value
	if lacks := score.Lacks(demand); lacks != "" {
		return *finding(incident.ScoreGuard, "S20", incident.Ask, "%s; the rule demands %s", lacks, percent(demand))
	}
	return pass(incident.ScoreGuard, "S20", "%s; the rule demands %s", score.Fraction(), percent(demand))
}

// percent shows a share without saying more than was written: 60 %, 62.5 %.
func percent(share float64) string { return fmt.Sprintf("%.4g %%", share*100) }

// drillHeads is how many incidents of a target are asked for the last rollback that succeeded.
const drillHeads = 10_000

// guardDrill lets a rule act alone only where the way back was gone lately: by a drill, by a person or by a rule.
func (e *Engine) guardDrill(ctx context.Context, q question) incident.Finding {
	within := q.guards.Drill.Value
	heads, err := e.store.Heads(ctx, incident.HeadFilter{Target: q.target.Name, Ended: true, Limit: drillHeads})
	if err != nil {
		return *finding(incident.DrillGuard, "S20", incident.Ask, "whether a rollback of %s succeeded lately cannot be read: %v", q.target.Name, err)
	}
	var last incident.Head
	for _, h := range heads {
		if h.Phase == incident.Succeeded && h.EndedAt.After(last.EndedAt) {
			last = h
		}
	}
	age := q.now.Sub(last.EndedAt)
	switch {
	case last.ID == "":
		return *finding(incident.DrillGuard, "S20", incident.Ask, "no rollback of %s succeeded yet; the rule demands one within %s", q.target.Name, days(within))
	case age > within:
		return *finding(incident.DrillGuard, "S20", incident.Ask, "the last rollback of %s that succeeded, %s, is %s old; the rule demands one within %s", q.target.Name, last.ID, days(age), days(within))
	}
	return pass(incident.DrillGuard, "S20", "%s succeeded %s ago; the rule demands one within %s", last.ID, days(age), days(within))
}

// days is a length of time as people say it: whole days from two days on.
func days(d time.Duration) string {
	if d >= 48*time.Hour {
		return fmt.Sprintf("%dd", int(d/(24*time.Hour)))
	}
	return short(d)
}
