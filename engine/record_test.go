package engine_test

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// A rule's record: what it would have done against what people did.

func (r *rig) ruleStatus(name string) engine.RuleStatus {
	r.t.Helper()
	for _, s := range r.report().Rules {
		if s.Name == name {
			return s
		}
	}
	require.Fail(r.t, "no rule "+name)
	return engine.RuleStatus{}
}

func (r *rig) report() engine.RuleReport {
	r.t.Helper()
	report, err := r.engine.Rules(r.t.Context())
	require.NoError(r.t, err)
	return report
}

func (r *rig) rolledOut(target, version string) {
	r.t.Helper()
	vars := map[string]string{"track": version}
	require.NoError(r.t, r.engine.RecordRelease(r.t.Context(), engine.Person{Name: "ci"}, target, incident.Release{Version: version, At: r.now(), Vars: vars}))
}

// episode lets an alert fire for two minutes, and gives the incident.
func (r *rig) episode(alertname string) string {
	r.t.Helper()
	began := r.now()
	r.fire(alertname, "api")
	r.advance(2 * time.Minute)
	id := r.incident("api").ID
	r.resolve(alertname, "api", began)
	r.advance(time.Minute)
	return id
}

func TestAWatchingRuleIsScoredByWhatPeopleDo(t *testing.T) {
	r := newRig(t).ready()
	r.episode("Observes")
	s := r.ruleStatus("Observes")
	require.Equal(t, incident.Score{WouldAct: 1, High: 1}, s.Score, "nothing is known yet")
	require.Equal(t, 1, s.Matched)
	require.Equal(t, start, s.LastMatch)
	r.rolledOut("api", "v41") // a person moves it back, and CI tells
	require.Equal(t, 1, r.ruleStatus("Observes").Score.Right)
	require.Empty(t, r.report().Missed)
	require.NoError(t, r.engine.DenyRelease(t.Context(), sre, "api", "v41", "x"))
	r.restart()
	require.Equal(t, 1, r.ruleStatus("Observes").Score.Right, "it is read from the histories")
	r.barks = false
	r.advance(31 * 24 * time.Hour)
	require.Equal(t, incident.Score{High: 1}, r.ruleStatus("Observes").Score, "what is older than the window counts no more")
	require.Zero(t, r.ruleStatus("Observes").Matched)
	_, err := r.engine.MarkWouldAct(t.Context(), sre, "api-1", "", true, "late")
	require.NoError(t, err)
	require.Zero(t, r.ruleStatus("Observes").Score.WouldAct, "a late mark does not make it younger")
}

func TestNotificationsAreNoEpisodes(t *testing.T) {
	r := newRig(t).ready()
	for range 20 {
		r.deliver(notification("firing", labels("Observes", "api"), start))
		other := labels("Observes", "api")
		other["pod"] = "two"
		r.deliver(notification("firing", other, start))
		r.advance(20 * time.Second)
	}
	require.Equal(t, 1, r.ruleStatus("Observes").Score.WouldAct)
}

func TestMarksCountAlsoAfterTheEnd(t *testing.T) {
	r := newRig(t).ready()
	id := r.episode("Observes")
	rule, err := r.engine.MarkWouldAct(t.Context(), sre, id, "", false, "the load test did it")
	require.NoError(t, err)
	require.Equal(t, "Observes", rule)
	i := r.phase("api", incident.Cancelled)
	require.Equal(t, "the load test did it", i.Labels[0].Reason)
	require.Equal(t, 1, r.ruleStatus("Observes").Score.Wrong)
	r.rolledOut("api", "v41")
	require.Equal(t, 1, r.ruleStatus("Observes").Score.Wrong, "a mark counts before a move back")
	_, err = r.engine.MarkWouldAct(t.Context(), sre, id, "Observes", true, "no, it was right")
	require.NoError(t, err)
	require.Equal(t, 1, r.ruleStatus("Observes").Score.Right)
	r.restart()
	_, err = r.engine.MarkWouldAct(t.Context(), sre, id, "", false, "wrong after all")
	require.NoError(t, err)
	require.Equal(t, incident.Score{WouldAct: 1, Wrong: 1}, without(r.ruleStatus("Observes").Score), "what came before the start is read with it")

	for _, c := range []struct{ id, rule, reason, says string }{
		{id, "", "", "a reason is needed"}, {id, "Errors", "x", "would not have acted"}, {"none-1", "", "x", "not found"},
	} {
		_, err := r.engine.MarkWouldAct(t.Context(), sre, c.id, c.rule, true, c.reason)
		require.ErrorContains(t, err, c.says)
	}
}

// without leaves out the interval.
func without(s incident.Score) incident.Score {
	s.Low, s.High = 0, 0
	return s
}

func TestAsternsOwnGoodRollbackIsRight(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	r.rolledOut("api", "v41") // CI tells what astern did
	require.Zero(t, r.ruleStatus("Hole").Score.Right, "not before it is known to have helped")
	r.world.good()
	r.advance(6 * time.Minute)
	r.phase("api", incident.Succeeded)
	s := r.ruleStatus("Hole")
	require.Equal(t, []int{1, 1}, []int{s.Score.WouldAct, s.Score.Right})
	require.Empty(t, r.report().Missed)
}

func TestAPersonsRequestIsAMoveBack(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Suggests", "api")
	r.advance(20 * time.Second)
	_, err := r.engine.Rollback(t.Context(), sre, "api", "I see it, too", "")
	require.NoError(t, err)
	r.world.good()
	r.advance(6 * time.Minute)
	r.phase("api", incident.Succeeded)
	require.Equal(t, 1, r.ruleStatus("Suggests").Score.Right)
	require.Empty(t, r.report().Missed)
}

func TestWhatNoRuleWouldHaveStartedIsMissed(t *testing.T) {
	r := newRig(t).ready()
	r.releases("web")
	r.advance(time.Minute)
	r.rolledOut("api", "v41")
	_, err := r.engine.Rollback(t.Context(), sre, "web", "by hand", "")
	require.NoError(t, err)
	r.world.good()
	r.advance(6 * time.Minute)
	missed := r.report().Missed
	require.Len(t, missed, 2)
	require.Equal(t, incident.MoveBack{Target: "api", From: "v42", To: "v41", By: "ci", At: start.Add(time.Minute)}, missed[0].Moves[0])
	require.Equal(t, []string{"web", "v42", "v41", "sre"}, []string{missed[1].Moves[0].Target, missed[1].Moves[0].From, missed[1].Moves[0].To, missed[1].Moves[0].By})
}

// A rule that only watches is looked at until it would have acted, as one that acts is.
func TestAWatchingRuleWaitsLikeOneThatActs(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.files.rules = replace(r.files.rules, "mode: auto\n        for: 5m", "mode: suggest\n        for: 5m")
	}).ready()
	r.world.set(`errors{service="api"}`, "0.001")
	r.fire("Errors", "api")
	r.advance(7 * time.Minute)
	require.Zero(t, r.ruleStatus("Errors").Score.WouldAct)
	told := len(r.world.told)
	require.Equal(t, 1, told, "people hear of a suggestion once")
	r.world.bad()
	r.advance(25 * time.Minute)
	require.Equal(t, 1, r.ruleStatus("Errors").Score.WouldAct)
	require.Greater(t, len(r.world.told), told, "and again when it comes to another answer")
	_, events, err := r.engine.Incident(t.Context(), "api-1")
	require.NoError(t, err)
	require.Less(t, len(events), 40, "a history stays short")
	r.barks = false
	r.advance(24 * time.Hour)
	_, later, err := r.engine.Incident(t.Context(), "api-1")
	require.NoError(t, err)
	require.Len(t, later, len(events), "what would have acted is not asked again")
}

func TestTheHistoryOfAWatchingRuleThatNeverActsStaysShort(t *testing.T) {
	r := newRig(t).ready()
	require.NoError(t, r.engine.DenyRelease(t.Context(), sre, "api", "v41", "leaked")) // no way back: it would hold
	r.barks = false
	r.fire("Observes", "api")
	r.advance(24 * time.Hour)
	_, events, err := r.engine.Incident(t.Context(), "api-1")
	require.NoError(t, err)
	require.Less(t, len(events), 140)
}

func TestARuleDemandsARecordBeforeItActsAlone(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.files.rules = replace(r.files.rules, `guards: {recent_change: "off"}`, `guards: {recent_change: "off", cooldown: "off", score: 0.6}`)
	}).ready()
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	asked(t, r, "score")
	require.Contains(t, r.incident("api").Reason, "none labelled; 10 labelled cases are needed; the rule demands 60 %")
	require.Equal(t, 1, r.ruleStatus("Hole").Score.WouldAct, "what only the record refuses counts: it would never grow otherwise")
	_, err := r.engine.MarkWouldAct(t.Context(), sre, "api-1", "", true, "yes")
	require.NoError(t, err)
	require.NoError(t, r.engine.Reject(t.Context(), sre, "api-1", "by hand"))
	r.advance(time.Minute)
	r.resolve("Hole", "api", start)
	r.barks = false
	again := func(right bool) string {
		r.advance(2 * time.Hour)
		r.watchdog()
		began := r.now()
		r.fire("Hole", "api")
		r.advance(20 * time.Second)
		asked(t, r, "score")
		i := r.incident("api")
		r.resolve("Hole", "api", began)
		r.settle()
		_, err := r.engine.MarkWouldAct(t.Context(), sre, i.ID, "", right, "seen")
		require.NoError(t, err)
		return i.Reason
	}
	for _, right := range []bool{true, false, true, true, true, true, true, false} {
		again(right)
	}
	require.Equal(t, "7 of 9 right, at least 45 %; 10 labelled cases are needed; the rule demands 60 %", again(true))
	for range 3 {
		again(true)
	}
	require.Equal(t, "11 of 13 right, at least 57 %; the rule demands 60 %", again(true))
	require.True(t, r.ruleStatus("Hole").Score.Low > 0.6)
	r.advance(2 * time.Hour)
	r.watchdog()
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	r.phase("api", incident.Verifying)
}

func TestARuleDemandsADrill(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.files.rules = replace(r.files.rules, `guards: {recent_change: "off"}`, `guards: {recent_change: "off", cooldown: "off", drill: 90d}`)
	}).ready()
	r.episode("Observes") // an incident that ended otherwise is no drill
	began := r.now()
	r.fire("Hole", "api")
	r.advance(20 * time.Second)
	asked(t, r, "drill")
	i := r.incident("api")
	require.Contains(t, i.Reason, "no rollback of api succeeded yet; the rule demands one within 90d")
	require.NoError(t, r.engine.Approve(t.Context(), sre, i.ID, i.Offer.Plan, "the drill"))
	r.settle()
	r.world.good()
	r.advance(6 * time.Minute)
	r.phase("api", incident.Succeeded)
	r.resolve("Hole", "api", began)

	r.barks = false
	again := func(version string, after time.Duration) {
		r.advance(after)
		r.watchdog()
		r.rolledOut("api", version)
		r.world.bad()
		r.fire("Hole", "api")
		r.advance(20 * time.Second)
	}
	again("v43", 90*24*time.Hour)
	require.Contains(t, r.phase("api", incident.AwaitingApproval).Reason, "the last rollback of api that succeeded, api-2, is 90d old")
	i = r.incident("api")
	require.NoError(t, r.engine.Approve(t.Context(), sre, i.ID, i.Offer.Plan, "again"))
	r.settle()
	r.world.good()
	r.advance(6 * time.Minute)
	r.phase("api", incident.Succeeded)
	r.resolve("Hole", "api", i.Rules[0].Since)
	again("v44", 24*time.Hour)
	r.phase("api", incident.Verifying)
}

func TestARuleThatCannotBeEvaluatedIsNotReady(t *testing.T) {
	broken := `when: alert.labels.alertname == "Observes" && duration(alert.labels.wait) > duration("1s")`
	r := newRig(t, func(r *rig) {
		r.files.rules = replace(r.files.rules, `when: alert.labels.alertname == "Observes"`, broken)
	}).ready()
	l := labels("Observes", "api")
	l["wait"] = "soon"
	r.deliver(notification("firing", l, r.now()))
	s := r.ruleStatus("Observes")
	require.NotEmpty(t, s.Error)
	require.False(t, s.Ready)
	require.Contains(t, s.NotReady, "its condition could not be evaluated")
	r.restart()
	require.Equal(t, s.Error, r.ruleStatus("Observes").Error, "it is stored")
	r.files.rules = replace(r.files.rules, broken, `when: alert.labels.alertname == "Observes"`)
	r.restart()
	require.Empty(t, r.ruleStatus("Observes").Error, "another content has its own record")
}

// failing is a store that takes nothing for one history while it is told so.
type failing struct {
	engine.Store
	stream string
}

func (f *failing) Append(ctx context.Context, a incident.Append) (incident.Appended, error) {
	if a.Stream == f.stream {
		return incident.Appended{}, incident.ErrUnavailable
	}
	return f.Store.Append(ctx, a)
}

func TestAFailureThatCannotBeStoredIsNotForgotten(t *testing.T) {
	var disk *failing
	r := newRig(t, func(r *rig) {
		r.files.rules = replace(r.files.rules, `alert.labels.alertname == "Observes"`, `alert.labels.alertname == "Observes" && "x".matches(alert.labels.n)`)
		r.opts = func(o *engine.Options) { disk = &failing{Store: o.Store}; o.Store = disk }
	}).ready()
	l := labels("Observes", "api")
	l["n"] = "(" + strings.Repeat("é", 6<<10)
	disk.stream = "installation"
	r.deliver(notification("firing", l, r.now()))
	require.Empty(t, r.ruleStatus("Observes").Error, "what is known is shown all the same")
	disk.stream = ""
	why := r.ruleStatus("Observes").Error
	require.Contains(t, why, "é")
	require.Less(t, len(why), 510, "a stranger's text is not kept whole")
	require.True(t, utf8.ValidString(why))
}

// full is a store on a disk without room.
type full struct{ engine.Store }

func (full) Healthy(context.Context) error { return incident.ErrUnavailable }

func TestTheStatusSaysThatNothingCanBeStored(t *testing.T) {
	r := newRig(t)
	now, err := r.engine.Status(t.Context())
	require.NoError(t, err)
	require.Empty(t, now.Store)
	r = newRig(t, func(r *rig) { r.opts = func(o *engine.Options) { o.Store = full{o.Store} } })
	now, err = r.engine.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, incident.ErrUnavailable.Error(), now.Store)
}

// Nobody may ever ask for a score: what none asks for any more is forgotten all the same.
func TestOldShadowsAreForgottenUnasked(t *testing.T) {
	r := newRig(t).ready()
	r.episode("Observes")
	require.Equal(t, 1, r.engine.RememberedShadows())
	r.engine.ReconcileTick(t.Context())
	require.Equal(t, 1, r.engine.RememberedShadows())
	r.barks = false
	r.advance(31 * 24 * time.Hour)
	r.engine.ReconcileTick(t.Context())
	require.Zero(t, r.engine.RememberedShadows())
}
