package incident_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"astern.dev/astern/engine/incident"
)

// world is a random engine around the judgement: it performs what Decide wishes with random outcomes, lets people and
// alerts speak at random moments, crashes anywhere, and watches what must never happen.
type world struct {
	t        *rapid.T
	now      time.Time
	log      []incident.Event
	inc      incident.Incident
	shadow   incident.Shadow
	effects  map[string]int // what the steps really did, by step and plan
	effectOn map[int]bool   // whether the world has the effect of the step under way
	planAt   int            // the length of the log when the present plan came
}

// TestModel draws random lives of an incident; -rapid.checks says how many.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, now: epoch, effects: map[string]int{}, effectOn: map[int]bool{}}
		w.record("astern", incident.Opened{ID: "api-1", Target: "api", Environment: "production"})
		if rapid.IntRange(0, 9).Draw(t, "manual") == 0 {
			w.record("sre", incident.Requested{Reason: "by hand"})
		} else {
			w.alertsSpeak()
		}
		for range rapid.IntRange(5, 60).Draw(t, "turns") {
			w.turn()
		}
		w.checkHistory()
	})
}

func (w *world) turn() {
	switch rapid.IntRange(0, 9).Draw(w.t, "who") {
	case 0:
		w.alertsSpeak()
	case 1:
		w.personSpeaks()
	case 2:
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 1200).Draw(w.t, "seconds")) * time.Second)
	default:
		w.engineWorks()
	}
}

func (w *world) record(by string, f incident.Fact) {
	before := w.inc
	shape, err := json.Marshal(before)
	require.NoError(w.t, err)
	e := incident.NewEvent(w.now, by, "", f)
	e.Version = before.Version + 1
	w.log = append(w.log, e)
	w.inc = incident.Apply(before, e)
	w.shadow = incident.ApplyShadow(w.shadow, e)
	w.checkShadow()
	after, err := json.Marshal(before)
	require.NoError(w.t, err)
	require.JSONEq(w.t, string(shape), string(after), "Apply changed the incident it was given")
	w.checkStep(before, f)
}

// checkShadow holds what is said of the rules: each would have acted once at most, from a release that is known, and
// what is called healed was moved by a rule and ended well.
func (w *world) checkShadow() {
	seen := map[string]bool{}
	for _, a := range w.shadow.Acts {
		require.False(w.t, seen[a.Rule], "one would-act for each incident and rule")
		seen[a.Rule] = true
		require.NotEmpty(w.t, a.Release)
		if a.Healed {
			require.Equal(w.t, incident.Succeeded, w.inc.Phase)
			require.Equal(w.t, w.inc.Lead, a.Rule)
		}
	}
	if len(w.shadow.Moves) > 0 {
		require.Empty(w.t, w.inc.Lead, "what a person asked for is the person's move")
		require.True(w.t, w.inc.Marked)
	}
	if w.inc.Marked && w.inc.Lead == "" {
		require.Len(w.t, w.shadow.Moves, 1)
	}
}

// checkStep holds what must be true of every single transition.
func (w *world) checkStep(before incident.Incident, f incident.Fact) {
	if before.Plan != w.inc.Plan {
		w.planAt = len(w.log)
	}
	if before.Phase.Final() {
		require.Equal(w.t, before.Phase, w.inc.Phase, "a final phase is final")
		require.Equal(w.t, before.Steps, w.inc.Steps)
	}
	if _, began := f.(incident.StepBegan); began && before.Lead != "" {
		for _, j := range before.Rules {
			if j.Rule == before.Lead {
				require.GreaterOrEqual(w.t, j.Judgement.Mode.Rank(), incident.Approve.Rank(), "only approve and auto act")
			}
		}
	}
	under := 0
	for _, s := range w.inc.Steps {
		if s.State == incident.Started {
			under++
		}
	}
	require.LessOrEqual(w.t, under, 1, "one step at a time")
	if w.inc.Phase == incident.Running && before.Phase != incident.Running && before.Steps == nil {
		w.checkTakenUp()
	}
	require.GreaterOrEqual(w.t, w.inc.Story, before.Story)
	w.checkAlive()
}

// checkAlive holds that nothing hangs unseen: what can go on wishes something, or says when to look again (S22).
func (w *world) checkAlive() {
	firing := func(j incident.Joined) bool {
		return !j.Since.IsZero() && j.Mode.Rank() >= incident.Approve.Rank() && (j.Judgement == nil || j.Judgement.Verdict != incident.Ask && j.Judgement.Verdict != incident.Watch)
	}
	switch phase := w.inc.Phase; {
	case phase.Final(), phase == incident.InDoubt, phase == incident.Pending && !slices.ContainsFunc(w.inc.Rules, firing):
		return
	}
	for _, c := range incident.Decide(w.inc.At(w.now)) {
		if c.Lane() == incident.ProcedureLane {
			return
		}
	}
	require.Fail(w.t, "it hangs", "%s: %s", w.inc.Phase, w.inc.Reason)
}

// checkFirstChange holds what must be true when the world is about to be changed for the first time.
func (w *world) checkFirstChange(c incident.Start) {
	if w.inc.Touched || !w.inc.Plan.Steps[c.Step].Change.Changes || w.inc.Lead == "" {
		return
	}
	for _, j := range w.inc.Rules {
		if j.Rule == w.inc.Lead {
			require.False(w.t, j.Since.IsZero(), "its alert fires")
			require.Equal(w.t, incident.Go, j.Judgement.Verdict)
			require.LessOrEqual(w.t, w.now.Sub(j.Judgement.At), incident.ProofLife, "it was proven right before (S7)")
			return
		}
	}
	require.Fail(w.t, "the leading rule has left")
}

func (w *world) checkTakenUp() {
	if w.inc.Approval != nil {
		require.Equal(w.t, w.inc.Plan.Hash, w.inc.Approval.Plan, "a yes to another plan is none")
	}
	if w.inc.Touched {
		require.NotNil(w.t, w.inc.Approval, "no second automatic procedure (S12)")
		require.Equal(w.t, w.inc.Plan.Hash, w.inc.Approval.Plan)
	}
	for _, j := range w.inc.Rules {
		if j.Rule == w.inc.Lead && j.Judgement.Mode == incident.Approve {
			require.NotNil(w.t, w.inc.Approval)
			require.Equal(w.t, w.inc.Plan.Hash, w.inc.Approval.Plan, "approve runs the approved plan and no other")
			require.True(w.t, w.now.Before(w.inc.Approval.Until), "an approval that lapsed is used no more")
		}
	}
}

func (w *world) alertsSpeak() {
	rule := rapid.SampledFrom([]string{"A", "B"}).Draw(w.t, "rule")
	alert := rapid.SampledFrom([]string{"a1", "a2", "a3"}).Draw(w.t, "alert")
	if rapid.IntRange(0, 3).Draw(w.t, "resolved") == 0 {
		w.record("am", incident.AlertsEnded{Alerts: []incident.AlertEnd{{ID: alert, EndsAt: w.now}}})
		return
	}
	mode := map[string]incident.Mode{"A": incident.Approve, "B": incident.Auto}[rule]
	if rapid.IntRange(0, 5).Draw(w.t, "observe") == 0 {
		mode = rapid.SampledFrom([]incident.Mode{incident.Observe, incident.Suggest}).Draw(w.t, "low mode")
	}
	w.record("am", incident.AlertsSeen{
		Rule: rule, Mode: mode, For: time.Duration(rapid.IntRange(0, 300).Draw(w.t, "for")) * time.Second,
		Alerts: []incident.Seen{{ID: alert, Source: "am", StartsAt: w.now}},
	})
}

func (w *world) personSpeaks() {
	hash := "P1"
	if w.inc.Offer != nil && rapid.Bool().Draw(w.t, "right plan") {
		hash = w.inc.Offer.Plan
	}
	switch rapid.IntRange(0, 7).Draw(w.t, "word") {
	case 0, 1, 2:
		w.record("sre", incident.Approved{Plan: hash, Until: w.now.Add(5 * time.Minute)})
	case 3:
		w.record("sre", incident.Declined{Reason: "no"})
	case 4:
		w.record("sre", incident.Aborted{Reason: "enough"})
	case 5:
		w.record("sre", incident.StepSettled{Step: 0, Done: rapid.Bool().Draw(w.t, "done")})
	case 7:
		w.record("sre", incident.WouldActMarked{Rule: "A", Right: rapid.Bool().Draw(w.t, "right"), Reason: "drawn"})
	case 6:
		w.record("astern", incident.Reconfigured{Rules: []incident.Reconfiguration{{Rule: "A", Mode: incident.Auto, Gone: rapid.Bool().Draw(w.t, "gone")}}})
	}
}

// engineWorks performs one wish of the judgement.
func (w *world) engineWorks() {
	commands := incident.Decide(w.inc.At(w.now))
	require.Equal(w.t, commands, incident.Decide(w.inc.At(w.now)), "asking twice gives the same")
	if w.inc.Phase.Final() {
		for _, c := range commands {
			require.Equal(w.t, incident.NoticeLane, c.Lane(), "after the end nothing is done but telling")
		}
	}
	for _, c := range commands {
		if wake, ok := c.(incident.WakeAt); ok {
			require.True(w.t, wake.At.After(w.now), "a wake-up lies ahead")
			continue
		}
		w.perform(c)
		return
	}
	if len(commands) > 0 && rapid.Bool().Draw(w.t, "wait for it") {
		w.now = commands[0].(incident.WakeAt).At
	}
}

func (w *world) perform(c incident.Command) {
	switch c := c.(type) {
	case incident.Judge:
		w.judge(c)
	case incident.Start:
		w.start(c)
	case incident.Settle:
		w.settle(c)
	case incident.RepairStep:
		w.record("astern", incident.StepRepaired{Step: c.Step})
	case incident.Mark:
		for _, s := range w.inc.Steps {
			require.Contains(w.t, []incident.StepState{incident.Done, incident.Skipped}, s.State, "marked only when every step is done")
		}
		w.record("astern", incident.Marked{})
	case incident.AskHealth:
		w.record("astern", incident.HealthSeen{Good: rapid.Bool().Draw(w.t, "good")})
	case incident.End:
		w.record("astern", incident.Ended{Phase: c.Phase, Reason: c.Reason})
		require.True(w.t, w.inc.Phase.Final())
		if w.inc.Phase == incident.Cancelled || w.inc.Phase == incident.Rejected {
			require.False(w.t, w.inc.Touched, "what was changed is never called cancelled or rejected")
		}
	case incident.Owe:
		w.record("astern", incident.NoticesOwed{Story: c.Story, Notices: []incident.NoticeOwed{{ID: "n1", Via: "slack", Updates: true, Due: w.now.Add(time.Minute)}}})
	case incident.Send:
		w.send(c)
	case incident.CallOverdue:
		w.record("astern", incident.NoticeOverdue{ID: c.Notice})
	}
}

func (w *world) judge(c incident.Judge) {
	mode := incident.Auto
	for _, j := range w.inc.Rules {
		if j.Rule == c.Rule {
			mode = j.Mode
		}
	}
	verdicts := []incident.Verdict{incident.Go, incident.Ask, incident.Hold, incident.Wait, incident.Stop}
	var would incident.Verdict
	var until time.Time
	if mode == incident.Observe || mode == incident.Suggest {
		verdicts = []incident.Verdict{map[incident.Mode]incident.Verdict{incident.Observe: incident.Watch, incident.Suggest: incident.Tell}[mode], incident.Go}
		would = rapid.SampledFrom([]incident.Verdict{incident.Go, incident.Ask, incident.Hold, incident.Wait}).Draw(w.t, "would")
		if rapid.Bool().Draw(w.t, "ceiling") {
			until = w.now.Add(10 * time.Minute)
		}
	}
	f := incident.Judged{
		Rule: c.Rule, Again: c.Again, OfferedUntil: w.now.Add(time.Hour), HealthFor: time.Minute, HealthPatience: 5 * time.Minute,
		Judgement: incident.Judgement{Verdict: rapid.SampledFrom(verdicts).Draw(w.t, "verdict"), Mode: mode, Reason: "drawn", RetryAt: w.now.Add(30 * time.Second), Would: would, Until: until},
	}
	if v := f.Judgement.Verdict; v == incident.Go || v == incident.Ask || rapid.IntRange(0, 4).Draw(w.t, "no plan") > 0 {
		f.Plan = planOf(fmt.Sprintf("P%d", rapid.IntRange(1, 2).Draw(w.t, "plan")), "check,switch!,drain!", rapid.SampledFrom([]incident.OnFailure{incident.Escalate, incident.Repair, incident.Continue}).Draw(w.t, "on failure"), w.now)
	}
	w.record("astern", f)
}

// start runs a step: the effect may come or not, the outcome may be lost in a crash, the error may be wrong.
func (w *world) start(c incident.Start) {
	require.Nil(w.t, w.inc.Refusal, "nothing starts after a person said stop")
	w.checkFirstChange(c)
	for n := range c.Step {
		require.Contains(w.t, []incident.StepState{incident.Done, incident.Skipped}, w.inc.Steps[n].State, "steps run in order")
	}
	if rapid.IntRange(0, 4).Draw(w.t, "guard") == 0 {
		v := rapid.SampledFrom([]incident.Verdict{incident.Hold, incident.Stop, incident.Ask}).Draw(w.t, "guard says")
		w.record("astern", incident.StepHeld{Step: c.Step, Reason: "guard", RetryAt: w.now.Add(30 * time.Second), Findings: []incident.Finding{{Guard: "g", Verdict: v, Reason: "guard"}}})
		return
	}
	w.record("astern", incident.StepBegan{Step: c.Step, Attempt: c.Attempt})
	require.Equal(w.t, incident.Started, w.inc.Steps[c.Step].State)
	if w.effectOn[c.Step] = rapid.Bool().Draw(w.t, "effect"); w.effectOn[c.Step] {
		w.effects[fmt.Sprintf("%s/%d/%s", w.inc.Plan.Hash, c.Step, w.inc.Plan.MadeAt)]++
	}
	if rapid.IntRange(0, 3).Draw(w.t, "crash") == 0 {
		return
	}
	w.outcome(c.Step, c.Attempt)
}

func (w *world) outcome(step, attempt int) {
	switch {
	case w.effectOn[step]:
		w.record("astern", incident.StepSucceeded{Step: step, Attempt: attempt})
		require.Equal(w.t, incident.Done, w.inc.Steps[step].State, "what was recorded as done is done")
	case rapid.IntRange(0, 4).Draw(w.t, "unknown") == 0:
		w.record("astern", incident.StepDoubted{Step: step, Attempt: attempt, Reason: "no answer"})
	default:
		w.record("astern", incident.StepErred{Step: step, Attempt: attempt, Error: "refused", Permanent: rapid.Bool().Draw(w.t, "permanent"), RetryAt: w.now.Add(2 * time.Second)})
	}
}

// settle asks the world: an effect that is there is never made a second time.
func (w *world) settle(c incident.Settle) {
	if w.effectOn[c.Step] {
		w.record("astern", incident.StepSucceeded{Step: c.Step, Attempt: c.Attempt, Settled: true})
		return
	}
	w.record("astern", incident.StepDidNotHappen{Step: c.Step, Attempt: c.Attempt, Reason: "not there"})
}

func (w *world) send(c incident.Send) {
	w.record("astern", incident.NoticeBegan{ID: c.Notice, Story: c.Story, Attempt: c.Attempt})
	switch rapid.IntRange(0, 3).Draw(w.t, "telling") {
	case 0: // a crash: the next wish is in doubt
	case 1:
		w.record("astern", incident.NoticeErred{ID: c.Notice, Story: c.Story, Error: "down", Permanent: rapid.Bool().Draw(w.t, "for good"), RetryAt: w.now.Add(5 * time.Second)})
	default:
		w.record("astern", incident.NoticeTold{ID: c.Notice, Story: c.Story, Ref: "ref"})
	}
}

// checkHistory holds what must be true of a whole life.
func (w *world) checkHistory() {
	require.Equal(w.t, w.inc, incident.Replay(w.log), "replaying the history gives the same incident")
	for key, n := range w.effects {
		require.LessOrEqual(w.t, n, 1, "effect %s was made %d times", key, n)
	}
	doubled := w.inc
	for _, e := range w.log[max(w.planAt, len(w.log)-10):] {
		switch e.Fact.(type) {
		case incident.StepBegan, incident.StepSucceeded, incident.StepErred, incident.Ended, incident.Marked, incident.Opened, incident.NoticeTold:
			again := incident.Apply(doubled, e)
			require.Equal(w.t, w.inc.Phase, again.Phase, "a double %s changed the phase", e.Type)
			require.Equal(w.t, w.inc.Steps, again.Steps, "a double %s changed the steps", e.Type)
		}
	}
}
