package engine

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
)

// The guards that are asked before every changing step, and the claims that are taken with it.

// stepQuestion is a question about one step that is about to run.
type stepQuestion struct {
	question
	step    incident.Step
	run     incident.StepRun
	attempt int
	action  actions.Action
	// late says that the step waited for an earlier step's output: what it would find could not be read for the plan.
	late bool
}

// askStep asks the guards before one step. A step that only looks is asked for the kill switch alone.
func (e *Engine) askStep(ctx context.Context, q stepQuestion) []incident.Finding {
	findings := []incident.Finding{e.guardStop(ctx, q.question), e.guardArmed(q)}
	if !q.step.Change.Changes {
		return findings
	}
	return append(findings,
		e.guardHold(ctx, q.question),
		e.guardSameRelease(q),
		e.guardSameObject(q),
		e.guardUnchanged(ctx, q),
		e.guardDenied(q),
		e.guardSilenced(ctx, q),
	)
}

// guardArmed keeps S19 for a procedure under way: an installation that was disarmed, or whose door was opened to
// everybody, starts no further step of its own. A person's own request goes on.
func (e *Engine) guardArmed(q stepQuestion) incident.Finding {
	if !q.byRequest() && (e.anonymous || !e.armed()) {
		return *finding("armed", "S19", incident.Hold, "the installation is not armed: nothing goes on by itself")
	}
	return pass("armed", "S19", "armed, or asked for by a person")
}

// byRequest says whether a person's own request leads.
func (q question) byRequest() bool { return q.inc.Request != nil && q.inc.Lead == "" }

// guardSameRelease keeps S4: a deploy or a move by somebody else supersedes the plan.
func (e *Engine) guardSameRelease(q stepQuestion) incident.Finding {
	now, ok := q.history.Suspect()
	from := q.inc.Plan.From
	if !ok || now.Version != from.Version || now.Digest != from.Digest && now.Digest != "" && from.Digest != "" {
		return *finding("same_release", "S4", incident.Stop, "the plan leaves %s, but %s runs now: somebody moved it", from.Version, now.Version)
	}
	return pass("same_release", "S4", "%s still runs", now.Version)
}

// guardSameObject keeps S18: the object that runs the target is the one that the plan was made for, not another of its name.
func (e *Engine) guardSameObject(q stepQuestion) incident.Finding {
	planned, now := q.inc.Plan.Target.UID, q.history.UID
	if now != "" && planned != now && planned != q.target.UID {
		return *finding("same_object", "S18", incident.Stop, "the plan is for the object %s, but %s runs %s now: it was made anew", planned, now, q.target.Name)
	}
	return pass("same_object", "S18", "the object the plan was made for")
}

// guardUnchanged keeps S4: the step finds what the plan found. A second attempt finds its own half effect.
func (e *Engine) guardUnchanged(ctx context.Context, q stepQuestion) incident.Finding {
	switch {
	case q.attempt > 1:
		return pass("unchanged", "S4", "attempt %d: this step itself may have changed it", q.attempt)
	case q.late:
		return pass("unchanged", "S4", "it waited for an earlier step: what it finds was not known to the plan")
	}
	ctx, cancel := context.WithTimeout(ctx, planPatience)
	defer cancel()
	change, err := q.action.Plan(ctx, e.env(q.cfg, q.inc, q.target, q.step, q.attempt, 0))
	if actions.IsMoved(err) {
		return *finding("unchanged", "S4", incident.Stop, "step %s: %v", q.step.Name, err)
	}
	if err != nil {
		f := finding("unchanged", "S4", incident.Hold, "step %s: what it would change cannot be read: %v", q.step.Name, err)
		f.Unknown = true
		return *f
	}
	if change.Found != q.step.Change.Found {
		return *finding("unchanged", "S4", incident.Stop, "step %s finds something else than the plan did: %s", q.step.Name, change.Summary)
	}
	return pass("unchanged", "S4", "as the plan found it")
}

// guardDenied keeps S14 at execution: a version denied since the plan was made is no destination.
func (e *Engine) guardDenied(q stepQuestion) incident.Finding {
	for _, r := range slices.Backward(q.history.Releases) {
		if r.Version != q.inc.Plan.To.Version {
			continue
		}
		if r.Verdict.Barred() {
			return *finding("denied", "S14", incident.Stop, "%s is %s: %s", r.Version, r.Verdict, r.Reason)
		}
		return pass("denied", "S14", "%s is not denied", r.Version)
	}
	return *finding("denied", "S14", incident.Stop, "%s is no longer among the known releases", q.inc.Plan.To.Version)
}

// guardSilenced keeps S33: a person who silences the alert stops the next changing step. Alertmanager sends nothing
// then, so its API is asked. A person's own request has no alert to silence.
func (e *Engine) guardSilenced(ctx context.Context, q stepQuestion) incident.Finding {
	if q.byRequest() {
		return pass("silenced", "S33", "a person's own request")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for source, ours := range alertsBySource(q.inc) {
		var muted *incident.Finding
		err := e.eachAlertOf(ctx, q.cfg, source, func(a client.GettableAlert) {
			if muted == nil && len(a.Status.SilencedBy)+len(a.Status.InhibitedBy) > 0 && ours[AlertID(source, a.Labels)] {
				muted = mutedBy(a)
			}
		})
		if err != nil {
			f := finding("silenced", "S33", incident.Hold, "whether a person silenced the alert cannot be read from %s: %v", source, err)
			f.Unknown = true
			return *f
		}
		if muted != nil {
			return *muted
		}
	}
	return pass("silenced", "S33", "neither silenced nor inhibited")
}

func mutedBy(a client.GettableAlert) *incident.Finding {
	if len(a.Status.SilencedBy) > 0 {
		return finding("silenced", "S33", incident.Hold, "a person silenced %s (silence %s)", a.Labels["alertname"], strings.Join(a.Status.SilencedBy, ", "))
	}
	return finding("silenced", "S33", incident.Hold, "%s is inhibited by another alert", a.Labels["alertname"])
}

// alertsBySource are the alerts whose silence counts, by the sender they came from. Those that resolved count too: one that
// fires again while it is silenced sends nothing.
func alertsBySource(i incident.Incident) map[string]map[string]bool {
	sources := map[string]map[string]bool{}
	for id, ep := range i.Episodes {
		if sources[ep.Source] == nil {
			sources[ep.Source] = map[string]bool{}
		}
		sources[ep.Source][id] = true
	}
	return sources
}

// eachAlertOf reads the list of the Alertmanager behind a sender, one by one.
func (e *Engine) eachAlertOf(ctx context.Context, cfg *Configuration, source string, visit func(client.GettableAlert)) error {
	name, configured := cfg.Settings.SenderConnections[source]
	if !configured {
		return fmt.Errorf("sender %s names no alertmanager connection", source)
	}
	am, ok := cfg.Settings.Connections["alertmanager"][name].(*client.Alertmanager)
	if !ok {
		return fmt.Errorf("connection alertmanager/%s of sender %s is not configured", name, source)
	}
	return am.EachAlert(ctx, nil, visit)
}

// stoppedFor says why automation is stopped for a target; empty when it is not.
func (e *Engine) stoppedFor(team, target string) string {
	if why := e.stoppedByFile(); why != "" {
		return why
	}
	i, ok := e.installationNow()
	if !ok {
		return "stopped: the kill switch cannot be read"
	}
	if scope, word, stopped := i.StoppedFor(team, target); stopped {
		return fmt.Sprintf("stopped for %s by %s: %s", scope, word.By, word.Reason)
	}
	return ""
}

// stoppedByFile says that the stop file is there, or that nobody can tell.
func (e *Engine) stoppedByFile() string {
	if e.stopFile == "" {
		return ""
	}
	switch _, err := os.Lstat(e.stopFile); {
	case err == nil:
		return "stopped by the file " + e.stopFile
	case !os.IsNotExist(err):
		return fmt.Sprintf("stopped: whether the stop file is there cannot be read: %v", err)
	}
	return ""
}

// The pools of claims.
func lockPool(target string) string     { return "lock/" + target }
func cooldownPool(target string) string { return "cooldown/" + target }

// limit is one level that writes counted limits: they hold at every level that writes them.
type limit struct {
	level                   string
	atOnce, perHour, perDay int
}

func (q question) limits() []limit {
	installation := incident.Merge(q.cfg.Settings.Guards, incident.DefaultGuards())
	levels := []limit{limitOf("environment/"+q.target.Environment, installation)}
	nearer := append(slices.Clone(q.target.Levels), plan.Level{Scope: "team/" + q.target.Team, Guards: q.cfg.Settings.TeamGuards[q.target.Team]})
	for _, level := range nearer {
		if l := limitOf(level.Scope, level.Guards); l.atOnce+l.perHour+l.perDay > 0 {
			levels = append(levels, l)
		}
	}
	return levels
}

func limitOf(level string, g incident.Guards) limit {
	return limit{level, g.ChangingAtOnce.Value, g.MaxPerHour.Value, g.MaxPerDay.Value}
}

func (l limit) slots() []incident.Claim {
	if l.atOnce == 0 {
		return nil
	}
	return []incident.Claim{{Pool: "slot/" + l.level, Limit: l.atOnce}}
}

func (l limit) budgets(now time.Time) []incident.Claim {
	var claims []incident.Claim
	if l.perHour > 0 {
		claims = append(claims, incident.Claim{Pool: "hour/" + l.level, Limit: l.perHour, Until: now.Add(time.Hour)})
	}
	if l.perDay > 0 {
		claims = append(claims, incident.Claim{Pool: "day/" + l.level, Limit: l.perDay, Until: now.Add(24 * time.Hour)})
	}
	return claims
}

// unlimited is the limit of a pool that only remembers.
const unlimited = 1 << 20

// claims are what a changing step takes in the transaction that records its intent: the target's lock (S3), a slot (S9)
// and, with the first one, the budgets. A person's yes passes the budgets, never the slot; a person's own request is
// not counted and waits for no slot (T6), but others see the one it holds.
func (q stepQuestion) claims() []incident.Claim {
	if !q.step.Change.Changes {
		return nil
	}
	claims := []incident.Claim{{Pool: lockPool(q.target.Name), Limit: 1}}
	for _, l := range q.limits() {
		for _, c := range l.slots() {
			if q.byRequest() {
				c.Limit = unlimited
			}
			claims = append(claims, c)
		}
		if q.inc.Touched || q.byRequest() {
			continue
		}
		for _, c := range l.budgets(q.now) {
			if q.inc.Approval != nil {
				c.Limit = unlimited
			}
			claims = append(claims, c)
		}
	}
	return claims
}

func countPool(places []incident.Place, pool, except string) int {
	n := 0
	for _, p := range places {
		if p.Pool == pool && p.Holder != except {
			n++
		}
	}
	return n
}
