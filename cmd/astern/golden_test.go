package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

var update = flag.Bool("update", false, "write the golden files anew")

// noon is the present of every rendering.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) time.Time { return noon.Add(-d) }

// testApp is an app whose present is noon, with its output.
func testApp(change ...func(*app)) (*app, *bytes.Buffer) {
	var out bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, err: &bytes.Buffer{}, now: func() time.Time { return noon }, after: time.After,
		plain: true, output: asTable, size: func() (int, int) { return 80, 24 }}
	for _, c := range change {
		c(a)
	}
	return a, &out
}

// golden holds a rendering against testdata/golden/NAME.txt.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "write it with -update")
	require.Equal(t, string(want), got)
}

// told is a history: facts, each with how long before noon it was recorded and by whom.
type told struct {
	before time.Duration
	by     string
	fact   incident.Fact
}

// history makes the API's answer out of facts, as the server does.
func history(t *testing.T, facts ...told) web.IncidentAnswer {
	t.Helper()
	var got web.IncidentAnswer
	var events []incident.Event
	for n, f := range facts {
		e := incident.NewEvent(before(f.before), f.by, "9c1e4f", f.fact)
		e.Version = n + 1
		events = append(events, e)
		raw, err := incident.EncodeFact(f.fact)
		require.NoError(t, err)
		got.Events = append(got.Events, web.Event{Version: e.Version, Type: e.Type, Schema: e.Schema, At: e.At, By: e.By, Config: e.Config, Fact: raw})
	}
	got.Incident = incident.Replay(events)
	raw, err := json.Marshal(got)
	require.NoError(t, err)
	var back web.IncidentAnswer
	require.NoError(t, json.Unmarshal(raw, &back))
	return back
}

func examplePlan() incident.Plan {
	return incident.Plan{
		Hash: "4f2a9c12abcd77e0", Procedure: "blue_green", MadeAt: before(7 * time.Minute), Config: "9c1e4f",
		Target: incident.TargetRef{Name: "honeylink-api", Environment: "production", UID: "production/honeylink-api"},
		From:   incident.Release{Version: "v42", Commit: "8841cafe", At: before(20 * time.Minute), Verdict: incident.Unknown, By: "ci", Vars: map[string]string{"track": "green"}},
		To:     incident.Release{Version: "v41", At: before(52 * time.Hour), Verdict: incident.Good, By: "ci", Vars: map[string]string{"track": "blue"}},
		Steps: []incident.Step{
			{Name: "goal_ready", Uses: "http/smoke", Timeout: 30 * time.Second, Attempts: 1, OnFailure: incident.Escalate, Change: incident.Change{Summary: "asks http://blue.honeylink:8080/healthz"}},
			{Name: "switch_traffic", Uses: "haproxy/weights", Timeout: 30 * time.Second, Attempts: 3, OnFailure: incident.Repair, Connection: "edge",
				Change: incident.Change{Changes: true, Summary: "weights of web", Diff: []string{"~ blue 0 -> 100", "~ green 100 -> 0", "= spare 0"}}},
			{Name: "drain", Uses: "haproxy/drain", Timeout: time.Minute, Attempts: 1, OnFailure: incident.Continue, Change: incident.Change{Changes: true, Summary: "drains web/green"}},
		},
	}
}

// anAlert is the alert of the examples; hostile stands in one of its labels.
func anAlert(hostile string) *incident.Alert {
	return &incident.Alert{ID: "a1", Status: "firing", StartsAt: before(8 * time.Minute),
		Labels: map[string]string{"alertname": "ErrorRateSpike", "service": "honeylink-api", "note": hostile}}
}

func opened(alert *incident.Alert) []told {
	return []told{
		{8 * time.Minute, "alertmanager-eu", incident.Opened{ID: "honeylink-api-1", Target: "honeylink-api", Environment: "production"}},
		{8 * time.Minute, "alertmanager-eu", incident.AlertsSeen{Rule: "ErrorRateSpike", Mode: incident.Auto, For: time.Minute, Severity: "critical", Digest: "d",
			Sample: alert, Alerts: []incident.Seen{{ID: "a1", StartsAt: alert.StartsAt}}}},
		{7*time.Minute + 30*time.Second, "alertmanager-eu", incident.AlertsSeen{Rule: "ErrorRateSpike", Mode: incident.Auto, For: time.Minute, Digest: "d",
			Alerts: []incident.Seen{{ID: "a1", StartsAt: alert.StartsAt}}}},
	}
}

var passed = []incident.Finding{
	{Guard: "stop", Rule: "S19", Verdict: incident.Go, Reason: "nothing is stopped"},
	{Guard: "confirm", Rule: "S7", Verdict: incident.Go, Reason: "both queries hold"},
}

func takenUp() []told {
	plan := examplePlan()
	return append(opened(anAlert("")),
		told{7 * time.Minute, "astern", incident.Judged{Rule: "ErrorRateSpike", Plan: &plan, HealthFor: 5 * time.Minute, HealthPatience: 5 * time.Minute,
			Judgement: incident.Judgement{Verdict: incident.Go, Mode: incident.Auto, Reason: "all guards pass", Findings: passed}}},
		told{7 * time.Minute, "astern", incident.NoticesOwed{Story: 1, Notices: []incident.NoticeOwed{
			{ID: "n1", To: "engineering", Via: "slack", Updates: true, Due: before(7 * time.Minute)},
			{ID: "n2", To: "on_call", Via: "pagerduty", Due: before(7 * time.Minute)},
		}}},
		told{7*time.Minute - 100*time.Millisecond, "astern", incident.StepBegan{Step: 0, Attempt: 1}},
		told{7*time.Minute - 500*time.Millisecond, "astern", incident.StepSucceeded{Step: 0, Attempt: 1, Summary: "1 check passed"}},
		told{7*time.Minute - time.Second, "astern", incident.StepBegan{Step: 1, Attempt: 1}},
		told{7*time.Minute - 2*time.Second, "astern", incident.StepErred{Step: 1, Attempt: 1, Error: "connect /run/haproxy/admin.sock: connection refused", RetryAt: before(7*time.Minute - 4*time.Second)}},
		told{7*time.Minute - 3*time.Second, "astern", incident.NoticeBegan{ID: "n1", Story: 1, Attempt: 1}},
		told{7*time.Minute - 4*time.Second, "astern", incident.StepBegan{Step: 1, Attempt: 2}},
	)
}

func succeeded() []told {
	return append(takenUp(),
		told{7*time.Minute - 5*time.Second, "astern", incident.StepSucceeded{Step: 1, Attempt: 2, Summary: "weights of web: blue 0 -> 100, green 100 -> 0"}},
		told{7*time.Minute - 6*time.Second, "astern", incident.NoticeTold{ID: "n1", Story: 1, Ref: "r"}},
		told{7*time.Minute - 7*time.Second, "astern", incident.NoticeErred{ID: "n2", Story: 1, Error: "503 from events.pagerduty.com", RetryAt: before(6 * time.Minute)}},
		told{7*time.Minute - 8*time.Second, "astern", incident.StepBegan{Step: 2, Attempt: 1}},
		told{6 * time.Minute, "astern", incident.StepSucceeded{Step: 2, Attempt: 1, Summary: "green is empty"}},
		told{6 * time.Minute, "astern", incident.Marked{}},
		told{5*time.Minute + 45*time.Second, "astern", incident.HealthSeen{Findings: []incident.Finding{{Guard: "health", Rule: "S23", Verdict: incident.Wait, Reason: "query 1 does not hold yet: 0.02"}}}},
		told{5*time.Minute + 30*time.Second, "astern", incident.HealthSeen{Good: true, Findings: passed[:1]}},
		told{5*time.Minute + 15*time.Second, "astern", incident.HealthSeen{Good: true, Findings: passed[:1]}},
		told{5 * time.Minute, "alertmanager-eu", incident.AlertsEnded{Alerts: []incident.AlertEnd{{ID: "a1", EndsAt: before(5 * time.Minute)}}}},
		told{30 * time.Second, "astern", incident.Ended{Phase: incident.Succeeded, Reason: "healthy for 5m0s"}},
	)
}

func TestShowAnIncidentThatSucceeded(t *testing.T) {
	a, _ := testApp()
	got := history(t, succeeded()...)
	golden(t, "incident_succeeded", a.incident(got, false))
	golden(t, "incident_succeeded_all", a.incident(got, true))
	a.output = asWide
	golden(t, "incident_succeeded_wide", a.incident(got, false))
}

func TestShowAnIncidentThatRuns(t *testing.T) {
	a, _ := testApp()
	golden(t, "incident_running", a.incident(history(t, takenUp()...), false))
}

func TestShowAnIncidentThatWaitsForAYes(t *testing.T) {
	a, _ := testApp()
	plan := examplePlan()
	facts := append(opened(anAlert("")), told{7 * time.Minute, "astern", incident.Judged{Rule: "ErrorRateSpike", Plan: &plan, OfferedUntil: noon.Add(53 * time.Minute),
		Judgement: incident.Judgement{Verdict: incident.Ask, Mode: incident.Approve, Reason: "the rollout is 2h old", Findings: append([]incident.Finding{
			{Guard: "recent_change", Rule: "S13", Verdict: incident.Ask, Reason: "the rollout of v42 ended 2h before the alert began"}}, passed...)}}})
	golden(t, "incident_awaiting", a.incident(history(t, facts...), false))
	facts = append(facts, told{2 * time.Minute, "sre-1", incident.Declined{Reason: "the load test does it"}},
		told{2 * time.Minute, "astern", incident.Ended{Phase: incident.Rejected, Reason: "rejected by sre-1: the load test does it"}})
	golden(t, "incident_rejected", a.incident(history(t, facts...), false))
}

func TestShowAStepInDoubtSaysWhatToType(t *testing.T) {
	a, _ := testApp()
	facts := append(takenUp(), told{6 * time.Minute, "astern", incident.StepDoubted{Step: 1, Attempt: 2, Reason: "the process ended while it ran"}})
	golden(t, "incident_in_doubt", a.incident(history(t, facts...), false))
}

func TestShowAStepThatFailedForGood(t *testing.T) {
	a, _ := testApp()
	facts := append(takenUp(),
		told{6 * time.Minute, "astern", incident.StepErred{Step: 1, Attempt: 2, Error: "connection refused", RetryAt: before(6*time.Minute - 4*time.Second)}},
		told{5 * time.Minute, "astern", incident.StepErred{Step: 1, Attempt: 3, Error: "connection refused", RetryAt: before(5*time.Minute - 8*time.Second)}},
		told{5 * time.Minute, "astern", incident.Ended{Phase: incident.Failed, Reason: "step switch_traffic failed: connection refused"}},
	)
	page := a.incident(history(t, facts...), false)
	golden(t, "incident_failed", page)
	plan, timeline, _ := strings.Cut(page, "TIMELINE")
	require.NotContains(t, plan, "next try", "nothing is tried after the last try")
	require.Equal(t, 2, strings.Count(timeline, "; again at"), "two of three tries are followed by another")
}

func TestTheTimelineTellsANoticeOnce(t *testing.T) {
	a, _ := testApp()
	owes := func(story int, ids ...string) incident.NoticesOwed {
		f := incident.NoticesOwed{Story: story}
		for _, id := range ids {
			f.Notices = append(f.Notices, incident.NoticeOwed{ID: id, To: id, Via: "slack", Updates: true, Due: before(time.Minute)})
		}
		return f
	}
	got := history(t, append(opened(anAlert("")), told{7 * time.Minute, "astern", owes(1, "core")}, told{6 * time.Minute, "astern", incident.NoticeTold{ID: "core", Story: 1}},
		told{5 * time.Minute, "astern", owes(2, "core")}, told{4 * time.Minute, "astern", incident.NoticeTold{ID: "core", Story: 2}},
		told{3 * time.Minute, "astern", owes(3, "core", "boss")}, told{2 * time.Minute, "astern", incident.NoticeOverdue{ID: "boss"}},
		told{time.Minute, "astern", incident.NoticeErred{ID: "core", Story: 3, Error: "503"}})...)
	_, short, _ := strings.Cut(a.incident(got, false), "TIMELINE")
	require.Equal(t, 1, strings.Count(short, "owed: core via slack"))
	require.Equal(t, 1, strings.Count(short, "core via slack was told"))
	require.Contains(t, short, "owed: boss via slack")
	require.Contains(t, short, "boss via slack is OVERDUE")
	require.Contains(t, short, "core via slack could not be told: 503")
	_, long, _ := strings.Cut(a.incident(got, true), "TIMELINE")
	require.Contains(t, long, "an update is owed: core via slack")
	require.Equal(t, 2, strings.Count(long, "core via slack was told"))
}

func TestShowARequestThatIsHeld(t *testing.T) {
	a, _ := testApp()
	plan := examplePlan()
	facts := []told{
		{9 * time.Minute, "sre-1", incident.Opened{ID: "honeylink-api-2", Target: "honeylink-api", Environment: "production"}},
		{9 * time.Minute, "sre-1", incident.Requested{Reason: "5xx after 8841", Plan: plan.Hash}},
		{9 * time.Minute, "astern", incident.Judged{Plan: &plan, Judgement: incident.Judgement{Verdict: incident.Hold, Reason: "all is stopped by sre-2: maintenance",
			RetryAt: noon.Add(time.Minute), Findings: []incident.Finding{{Guard: "stop", Rule: "S19", Verdict: incident.Hold, Unknown: true, Reason: "the stop file cannot be read"}}}}},
	}
	golden(t, "incident_held", a.incident(history(t, facts...), false))
}

func TestHostileTextIsShownAndNeverInterpreted(t *testing.T) {
	a, out := testApp(func(a *app) { a.output = asWide })
	hostile := "\x1b[31mred\x1b[0m\r\x07 \u202egnp.exe \u009b2J a\nb \xff \u200b"
	alert := anAlert(hostile)
	alert.Labels["alertname"] = hostile
	facts := opened(alert)
	facts = append(facts, told{time.Minute, hostile, incident.Aborted{Reason: hostile}})
	page := a.incident(history(t, facts...), true)
	for _, r := range page {
		require.False(t, hidden(r) && r != '\n', "%U got through", r)
	}
	require.Contains(t, page, `\x1b[31mred\x1b[0m\x0d\x07 \u202egnp.exe \x9b2J a\nb`)
	require.Empty(t, out.String())
}

func TestAnEventOfANewerServerIsNamed(t *testing.T) {
	a, _ := testApp()
	got := history(t, opened(anAlert(""))...)
	got.Events = append(got.Events, web.Event{Version: 4, Type: "Teleported", Schema: 1, At: noon, Fact: json.RawMessage("{}")})
	require.Contains(t, a.incident(got, false), "Teleported (this astern is too old to say more)")
}

func TestShowAPlan(t *testing.T) {
	a, _ := testApp()
	p := web.PlanAnswer{Preview: engine.Preview{Plan: examplePlan(), Findings: append([]incident.Finding{
		{Guard: "cooldown", Rule: "S10", Verdict: incident.Ask, Reason: "honeylink-api-0 acted on this target"}}, passed...)}}
	var w bytes.Buffer
	a.plan(&w, p)
	golden(t, "plan", w.String()+planSummary(p)+"\n")
	w.Reset()
	a.output = asWide
	a.plan(&w, p)
	golden(t, "plan_wide", w.String())
}

func TestTables(t *testing.T) {
	a, _ := testApp()
	heads := web.List[incident.Head]{Items: []incident.Head{
		{ID: "honeylink-api-2", Target: "honeylink-api", Phase: incident.AwaitingApproval, Rule: "ErrorRateSpike", From: "v42", To: "v41", OpenedAt: before(4 * time.Minute), Next: "offer ends 12:56:00Z"},
		{ID: "search-1", Target: "search", Phase: incident.Succeeded, Rule: "request of sre-1", OpenedAt: before(50 * time.Hour), EndedAt: before(49 * time.Hour), Reason: "healthy for 5m0s"},
		{ID: "x-1", Target: "x", Phase: "teleported"},
	}}
	current, previous := examplePlan().From, examplePlan().To
	targets := web.List[engine.TargetStatus]{Items: []engine.TargetStatus{
		{Name: "honeylink-api", Class: "web", Environment: "production", Owner: "core", Mode: incident.Auto, Current: &current, Previous: &previous},
		{Name: "search", Mode: incident.Observe, NoWayBack: "no release before v9 is known", CooldownUntil: noon.Add(10 * time.Minute), Incident: "search-4",
			Hold: &incident.HoldState{By: "sre-1", Reason: "I look", At: before(time.Hour), Until: noon.Add(26 * time.Hour)}, Stopped: "all is stopped by sre-2: maintenance"},
	}}
	score := func(acts, right, wrong int) incident.Score {
		s := incident.Score{WouldAct: acts, Right: right, Wrong: wrong}
		s.Low, s.High = incident.Wilson(right, right+wrong)
		return s
	}
	rules := web.RuleList{Items: []engine.RuleStatus{
		{Name: "ErrorRateSpike", Group: "honeylink", File: "rules.yaml", Mode: incident.Auto, For: 5 * time.Minute, Do: "rollback", Digest: "0123456789abcdef",
			Effective: incident.Suggest, Held: "changed", HeldUntil: noon.Add(2*time.Hour + 2*time.Minute), Matched: 19, LastMatch: before(4 * time.Minute), Score: score(9, 7, 1), Demand: 0.5},
		{Name: "CriticalAlert", Group: "honeylink", File: "rules.yaml", Mode: incident.Approve, Do: "rollback", Digest: "f123456789abcdef",
			Effective: incident.Approve, Matched: 40, LastMatch: before(50 * time.Hour), Score: score(31, 12, 2), Demand: 0.6, Ready: true},
		{Name: "NeverSeen", Mode: incident.Auto, Effective: incident.Observe, Held: "not armed", Score: score(0, 0, 0), Demand: 0.5},
		{Name: "Young", Mode: incident.Approve, Effective: incident.Suggest, Held: "changed", HeldUntil: noon.Add(13 * time.Hour), Matched: 3, LastMatch: before(time.Hour), Score: score(3, 2, 0), Demand: 0.5},
		{Name: "Broken", Mode: incident.Observe, Effective: incident.Observe, Score: score(0, 0, 0), Demand: 0.5, Error: "no such\x1b[2J overload"},
	}, Missed: []engine.TargetMisses{{Target: "honeylink-api", Moves: []incident.MoveBack{
		{Target: "honeylink-api", From: "v42", To: "v41", By: "ci", At: before(26 * time.Hour)}, {Target: "honeylink-api", From: "v40", To: "v39", By: "sre-1", At: before(200 * time.Hour)},
	}}}}
	releases := []web.Release{{Target: "honeylink-api", Current: true, Release: current}, {Target: "honeylink-api", Release: previous}}
	target := targets.Items[1]
	target.Releases = []incident.Release{previous, current}
	var w bytes.Buffer
	for _, form := range []string{asTable, asWide} {
		a.output = form
		a.headTable(&w, heads)
		a.targetTable(&w, targets)
		a.ruleTable(&w, rules)
		a.releaseTable(&w, releases, true)
	}
	a.target(&w, target)
	golden(t, "tables", w.String())
	for line := range strings.SplitSeq(w.String(), "\n") {
		require.Equal(t, strings.TrimRight(line, " "), line, "no line ends in spaces")
	}
}

func TestStatus(t *testing.T) {
	a, _ := testApp()
	var w bytes.Buffer
	for _, s := range []engine.Status{
		{},
		{Anonymous: true},
		{Armed: true, Open: 2, Config: "9c1e4f0123456789", Installation: incident.Installation{Armed: &incident.Word{By: "sre-1", At: before(time.Hour)}},
			LastDelivery: map[string]time.Time{"am-eu": before(time.Minute)}, Watchdogs: map[string]time.Time{"am-eu": before(time.Minute), "am-us": before(time.Hour)}},
		{Armed: true, ReloadError: "rules.yaml:3:1: unknown key\ntargets.yaml:9:2: no such procedure", Installation: incident.Installation{Armed: &incident.Word{By: "sre-1", At: before(time.Hour)},
			Stops: map[string]incident.Word{"all": {By: "sre-2", Reason: "maintenance", At: before(2 * time.Hour)}},
			Mass:  &incident.Mass{Targets: []string{"a", "b"}, Reason: "5 targets within 10m", At: before(time.Minute)}}},
	} {
		a.status(&w, s)
		w.WriteString("----\n")
	}
	golden(t, "status", w.String())
}

func TestEveryPhaseHasAGlyphAndAWord(t *testing.T) {
	a, _ := testApp()
	seen := map[string]bool{}
	for _, p := range incident.Phases {
		require.Contains(t, phases, p)
		require.False(t, seen[a.phase(p)], p)
		seen[a.phase(p)] = true
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0ms", 120 * time.Millisecond: "120ms", 999700 * time.Microsecond: "1s", 35 * time.Second: "35s", 59700 * time.Millisecond: "1m",
		7*time.Minute + 44*time.Second: "7m44s", 5 * time.Minute: "5m", 72 * time.Minute: "1h12m", 52 * time.Hour: "2d4h", 48 * time.Hour: "2d", -time.Minute: "1m",
		time.Hour - 100*time.Millisecond: "1h",
	} {
		require.Equal(t, want, span(d), d)
	}
	require.Equal(t, "4m", age(before(4*time.Minute+31*time.Second), noon))
	require.Equal(t, "0ms", age(noon.Add(time.Minute), noon), "a clock that runs ahead is no age")
	require.Equal(t, "-", age(time.Time{}, noon))
}
