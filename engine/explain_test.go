package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// explain asks, and holds that asking changes nothing.
func (r *rig) explain(q engine.ExplainQuery) engine.Explanation {
	r.t.Helper()
	before := r.fingerprint()
	x, err := r.engine.Explain(r.t.Context(), q)
	require.NoError(r.t, err)
	require.Equal(r.t, before, r.fingerprint(), "an explanation changes nothing")
	return x
}

// fingerprint is everything that a judgement could leave behind.
func (r *rig) fingerprint() []any {
	heads, err := r.engine.Incidents(r.t.Context(), incident.HeadFilter{})
	require.NoError(r.t, err)
	claims, err := r.store.Claims(r.t.Context(), "", r.now())
	require.NoError(r.t, err)
	status, err := r.engine.Status(r.t.Context())
	require.NoError(r.t, err)
	lines, err := r.engine.Deliveries(r.t.Context(), 1000)
	require.NoError(r.t, err)
	return []any{heads, claims, status, len(lines), r.world.did()}
}

// given is an alert as a payload file gives it.
func given(alertname, service string, starts time.Time) engine.ExplainQuery {
	d := notification("firing", labels(alertname, service), starts).Alerts[0]
	return engine.ExplainQuery{Alert: &d, Source: "am"}
}

func only(t *testing.T, x engine.Explanation) engine.Case {
	t.Helper()
	require.Len(t, x.Cases, 1, x.Answer)
	return x.Cases[0]
}

func said(t *testing.T, c engine.Case, guard string, v incident.Verdict) {
	t.Helper()
	for _, f := range c.Findings {
		if f.Guard == guard {
			require.Equal(t, v, f.Verdict, f.Reason)
			return
		}
	}
	require.Fail(t, "no finding of "+guard, "%+v", c.Findings)
}

func TestExplainAnAlertAsIfItCameNow(t *testing.T) {
	for name, c := range map[string]struct {
		bend    func(*rig)
		alert   string
		service string
		old     time.Duration
		end     engine.End
		answer  string
		guard   string
		verdict incident.Verdict
		change  string
	}{
		"it would act": {alert: "Errors", old: 10 * time.Minute, end: engine.ActedEnd, answer: "Rule Errors matched: it would roll back from v42 to v41 now."},
		"a timer": {alert: "Errors", old: 2 * time.Minute, end: engine.HeldBack,
			answer: "Nothing would be started, rule Errors matched: it waits for its timer: firing since 2026-11-01T11:58:00Z, due at 2026-11-01T12:03:00Z (for: 5m0s).",
			change: "wait until 2026-11-01T12:03:00Z"},
		"settles first": {alert: "Hole", old: time.Minute, end: engine.HeldBack, guard: "mass_event", verdict: incident.Wait,
			answer: "Nothing would be started, rule Hole matched: it waits: a rule without `for` settles first: others may fire at the same moment."},
		"approve": {alert: "Asks", old: 5 * time.Minute, end: engine.HeldBack, answer: "Nothing would be started, rule Asks matched: a person would be asked: rule Asks asks before it acts."},
		"suggest": {alert: "Suggests", old: 5 * time.Minute, end: engine.OnlyWatched, change: "a higher mode: rule Suggests says suggest",
			answer: "Nothing would be started, rule Suggests matched: its mode is suggest (rule Suggests): it would have waited: a rule without `for` settles first: others may fire at the same moment."},
		"observe": {alert: "Observes", old: 5 * time.Minute, end: engine.OnlyWatched, change: "a higher mode: rule Observes says observe"},
		"not armed": {bend: func(r *rig) { require.NoError(r.t, r.engine.Disarm(r.t.Context(), sre, "test")) }, alert: "Errors", old: 10 * time.Minute, end: engine.OnlyWatched,
			answer: "Nothing would be started, rule Errors matched: its mode is observe (the installation is not armed): it would have rolled back.",
			change: "`astern arm --reason WHY`: the installation is not armed"},
		"kill switch": {bend: func(r *rig) { require.NoError(r.t, r.engine.Stop(r.t.Context(), sre, "all", "drill")) }, alert: "Errors", old: 10 * time.Minute,
			end: engine.HeldBack, guard: "stop", verdict: incident.Hold, change: "`astern resume --reason WHY`, with the scope that `astern status` shows",
			answer: "Nothing would be started, rule Errors matched: it is held: stopped for all by sre: drill."},
		"a hold": {bend: func(r *rig) {
			require.NoError(r.t, r.engine.Hold(r.t.Context(), engine.Person{Name: "ana"}, "api", "I have it", time.Hour))
		}, alert: "Errors", old: 10 * time.Minute, end: engine.HeldBack, guard: "hold", verdict: incident.Hold, change: "ask who holds it, or `astern hold api --lift`"},
		"silenced": {bend: func(r *rig) {
			l := labels("Errors", "api")
			r.world.list(l, r.now())
			r.world.silence(l)
		}, alert: "Errors", old: 10 * time.Minute, end: engine.HeldBack, guard: "silenced", verdict: incident.Hold,
			answer: "Nothing would be started, rule Errors matched: it would begin, and its first changing step would be held: a person silenced Errors (silence s-1)."},
		"Alertmanager cannot be asked": {bend: func(r *rig) { r.world.amDown = true }, alert: "Errors", old: 10 * time.Minute, end: engine.HeldBack,
			guard: "silenced", verdict: incident.Hold},
		"the query does not hold": {bend: func(r *rig) { r.world.good() }, alert: "Errors", old: 10 * time.Minute, end: engine.HeldBack, guard: "confirm", verdict: incident.Wait},
		"no label for the target": {alert: "Errors", service: "none", old: 10 * time.Minute, end: engine.HeldBack,
			answer: "Nothing would be started, rule Errors matched: it chooses no target: no single target: no target's select matches these labels.",
			change: "a target whose `select` the labels meet, or `target:` on rule Errors"},
		"no rule": {alert: "Erorrs", old: 10 * time.Minute, end: engine.NoRule, answer: "No rule matched: 0 of 5.",
			change: `rule Errors would match if this held: alert.labels.alertname == "Errors" (is "Erorrs")`},
		"the Watchdog":   {alert: "Watchdog", end: engine.NoRule, answer: "No rule is asked about it (watchdog): the way from Prometheus to here is alive."},
		"astern's alert": {alert: "AsternDown", end: engine.NoRule, answer: "No rule is asked about it (own): an alert about astern never matches a rule."},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t).ready()
			if c.bend != nil {
				c.bend(r)
			}
			service := c.service
			if service == "" {
				service = "api"
			}
			x := r.explain(given(c.alert, service, r.now().Add(-c.old)))
			require.Equal(t, c.end, x.End, x.Answer)
			if c.answer != "" {
				require.Equal(t, c.answer, x.Answer)
			}
			if c.change != "" {
				require.Contains(t, x.Changes, c.change)
			}
			if c.guard != "" {
				said(t, only(t, x), c.guard, c.verdict)
				require.GreaterOrEqual(t, len(only(t, x).Findings), 10, "every guard is asked, not only up to the first refusal")
			}
			raw, err := json.Marshal(x)
			require.NoError(t, err)
			var back engine.Explanation
			require.NoError(t, json.Unmarshal(raw, &back))
			require.Equal(t, x, back)
		})
	}
}

func TestExplainTheCooldown(t *testing.T) {
	r := newRig(t).ready()
	r.fire("Errors", "api")
	r.advance(5 * time.Minute)
	started := r.now().Add(-5 * time.Minute)
	x := r.explain(given("Asks", "api", started))
	require.Equal(t, engine.OvertakenEnd, x.End)
	require.Equal(t, "Nothing new would be started, rule Asks matched: api-1 is verifying for this target: the rule joins it as evidence.", x.Answer)

	r.world.good()
	r.advance(6 * time.Minute)
	r.phase("api", incident.Succeeded)
	x = r.explain(given("Errors", "api", started))
	require.Equal(t, engine.OvertakenEnd, x.End)
	require.Contains(t, x.Answer, "its episode belongs to api-1, which is succeeded: it starts nothing again")

	r.world.bad()
	r.releases("api")
	r.advance(10 * time.Minute)
	x = r.explain(given("Errors", "api", r.now().Add(-6*time.Minute)))
	require.Equal(t, engine.HeldBack, x.End)
	said(t, only(t, x), "cooldown", incident.Ask)
	require.Contains(t, x.Answer, "api-1 acted on this target; cooldown until 2026-11-01T13:10:15Z")
	require.Contains(t, x.Changes, "wait; a person's own: `astern rollback api --reason WHY`")
}

func TestExplainCallsNoMassEvent(t *testing.T) {
	names := []string{"one", "two", "three", "four", "five"}
	r := newRig(t, func(r *rig) { r.files.targets = targetsOf(names...) })
	require.NoError(t, r.engine.Arm(t.Context(), sre, "test"))
	r.releases(names...)
	r.barks, r.bark = true, r.now()
	r.settle()
	for _, name := range names[:4] {
		r.fire("Errors", name)
	}
	r.advance(time.Minute)
	x := r.explain(given("Errors", "five", r.now().Add(-6*time.Minute)))
	c := only(t, x)
	said(t, c, "mass_event", incident.Hold)
	require.Contains(t, x.Answer, "it would call a mass event: 5 targets want action within 10m0s")
	require.Contains(t, x.Changes, "find the common cause; `astern resume --mass-event --reason WHY`")
	status, err := r.engine.Status(t.Context())
	require.NoError(t, err)
	require.Nil(t, status.Installation.Mass)
}

func TestExplainAStoredIncident(t *testing.T) {
	r := newRig(t).ready()
	require.NoError(t, r.engine.Stop(t.Context(), sre, "target/api", "drill"))
	r.fire("Errors", "api")
	r.advance(time.Minute)
	x := r.explain(engine.ExplainQuery{Incident: "api-1"})
	require.Equal(t, "Nothing was started, rule Errors matched: api-1 waits for the rule's timer, due at 2026-11-01T12:05:00Z (for: 5m0s).", x.Answer)

	r.advance(5 * time.Minute)
	x = r.explain(engine.ExplainQuery{Incident: "api-1"})
	require.Equal(t, engine.HeldBack, x.End)
	require.Equal(t, "Nothing was started, rule Errors matched: api-1 is held: stopped for target/api by sre: drill.", x.Answer)
	require.Equal(t, engine.AsItWas, x.Basis)
	c := only(t, x)
	said(t, c, "stop", incident.Hold)
	require.Equal(t, []string{"joined: mode auto, for 5m0s", "hold: stopped for target/api by sre: drill"}, []string{c.Course[0].Text, c.Course[1].Text})
	require.Len(t, c.Course, 2, "what is said again and again is told once")

	require.NoError(t, r.engine.Resume(t.Context(), sre, "target/api", "over"))
	r.settle()
	x = r.explain(engine.ExplainQuery{Incident: "api-1"})
	require.Equal(t, engine.ActedEnd, x.End)
	require.Contains(t, x.Answer, "Rule Errors matched: api-1 is verifying")
	require.Empty(t, x.Changes)

	r.resolve("Observes", "web", r.now())
	r.fire("Observes", "web")
	r.advance(time.Minute)
	x = r.explain(engine.ExplainQuery{Incident: "web-1"})
	require.Equal(t, engine.OnlyWatched, x.End)
	require.Equal(t, "Nothing was started, rule Observes matched: its mode was observe (rule Observes): it would have held: no release of this target was ever told: run `astern release record`.", x.Answer)

	_, err := r.engine.Explain(t.Context(), engine.ExplainQuery{Incident: "none-1"})
	require.ErrorIs(t, err, engine.ErrNotFound)
}

func TestExplainARequestOfAPerson(t *testing.T) {
	r := newRig(t).ready()
	_, err := r.engine.Rollback(t.Context(), engine.Person{Name: "ana"}, "api", "I saw it", "")
	require.NoError(t, err)
	r.settle()
	x := r.explain(engine.ExplainQuery{Incident: "api-1"})
	require.Equal(t, engine.ActedEnd, x.End)
	require.Contains(t, x.Answer, "A person asked: api-1 is")
}

// decode reads the body "whole" as n, and no other.
func decode(n engine.Notification) func([]byte, time.Time) (engine.Notification, error) {
	return func(body []byte, _ time.Time) (engine.Notification, error) {
		if string(body) != "whole" {
			return engine.Notification{}, errors.New("cut off")
		}
		return n, nil
	}
}

func TestExplainTheAlertOfTenMinutesAgo(t *testing.T) {
	r := newRig(t).ready()
	x := r.explain(engine.ExplainQuery{At: r.now(), Labels: map[string]string{"service": "api"}})
	require.Equal(t, engine.NeverReceived, x.End)
	require.Equal(t, `It was never received: up to 2026-11-01T12:00:00Z no delivery holds an alert with service="api" (1 delivery was looked at, of 2026-11-01T12:00:00Z).`, x.Answer)
	require.Equal(t, map[string]time.Time{"am": start}, x.Heard.Watchdogs)

	r.advance(time.Minute)
	n := notification("firing", labels("Erors", "api"), r.now())
	n.Alerts[0].Alert.Annotations = map[string]string{"summary": "s"}
	n.Body = []byte("whole")
	other := notification("firing", labels("Other", "api"), r.now())
	n.Alerts = append(n.Alerts, other.Alerts[0])
	r.deliver(n)
	r.advance(10 * time.Minute)

	x = r.explain(engine.ExplainQuery{At: r.now(), Labels: map[string]string{"service": "api"}, Decode: decode(n)})
	require.Equal(t, engine.NoRule, x.End)
	require.Equal(t, "No rule matched: 0 of 5.", x.Answer)
	require.Equal(t, start.Add(time.Minute), x.Received.At)
	require.Equal(t, 1, x.Received.Others)
	require.Equal(t, "s", x.Alert.Annotations["summary"])
	require.True(t, x.Config.InForce)
	require.Nil(t, x.Heard)

	x = r.explain(engine.ExplainQuery{At: r.now(), Labels: map[string]string{"alertname": "Other"}})
	require.Contains(t, x.Notes, "the notification was not kept whole: annotations, group labels and the start of the alert are not known")
	require.Equal(t, "unmatched", x.Received.Decisions[0].Kind)
	x = r.explain(engine.ExplainQuery{Decode: decode(n)})
	require.Equal(t, "Erors", x.Alert.Labels["alertname"], "without labels the Watchdog is passed over")
	x = r.explain(engine.ExplainQuery{Labels: map[string]string{"alertname": "Watchdog"}})
	require.Contains(t, x.Answer, "(watchdog)")
	x = r.explain(engine.ExplainQuery{At: start, Labels: map[string]string{"service": "api"}})
	require.Equal(t, engine.NeverReceived, x.End, "it came later")

	r.fire("Errors", "api")
	r.fire("Errors", "nowhere")
	r.advance(time.Minute)
	x = r.explain(engine.ExplainQuery{Labels: map[string]string{"alertname": "Errors", "service": "api"}})
	require.Equal(t, "api-1", only(t, x).Incident)
	require.Contains(t, x.Answer, "api-1 waits for the rule's timer")
	x = r.explain(engine.ExplainQuery{Labels: map[string]string{"service": "nowhere"}})
	require.Equal(t, engine.HeldBack, x.End)
	require.Contains(t, x.Answer, "it chooses no target")
}

func TestExplainByTheConfigurationOfThatMoment(t *testing.T) {
	r, _ := remembering(t)
	r.ready()
	l := labels("Errors", "api")
	r.deliver(notification("firing", l, r.now()))
	r.files.rules = replace(r.files.rules, `alertname == "Errors"`, `alertname == "ErrorsNow"`)
	require.NoError(t, r.reload("two", "two"))
	r.advance(time.Minute)
	x := r.explain(engine.ExplainQuery{Labels: l})
	require.Equal(t, engine.ConfigWord{Digest: "config"}, x.Config)
	require.Equal(t, engine.RuleMatched, x.Rules[0].Result, "by the rules as they were")
	require.Contains(t, x.Notes, "another configuration is in force now; by it the alert matches no rule")

	forgetful := newRig(t).ready()
	forgetful.deliver(notification("firing", labels("ErrorsNow", "api"), forgetful.now()))
	forgetful.files.rules = r.files.rules
	require.NoError(t, forgetful.reload("two", ""))
	x = forgetful.explain(engine.ExplainQuery{Labels: labels("ErrorsNow", "api")})
	require.Equal(t, engine.ConfigWord{Digest: "two", InForce: true, Lost: true}, x.Config)
	require.Equal(t, "No rule matched it then; by the configuration in force now, Errors would.", x.Answer)
	require.Contains(t, x.Notes, "the configuration of that moment, config, is no longer kept: the rules are explained by the one in force now")
}

func TestAShortExplanationKeepsWhatMatters(t *testing.T) {
	x := engine.Explanation{Rules: []engine.RuleWord{{Rule: "far", Result: engine.RuleNot, Near: 6}, {Rule: "near", Result: engine.RuleNot, Near: 5},
		{Rule: "ours", Result: engine.RuleNot}, {Rule: "odd", Result: engine.RuleFailed, Near: 9}, {Rule: "yes", Result: engine.RuleMatched}}}
	var names []string
	for _, w := range x.Short().Rules {
		names = append(names, w.Rule)
	}
	require.Equal(t, []string{"odd", "yes", "near"}, names)
	require.Equal(t, 2, x.Short().RulesLeft)
	require.Len(t, x.Rules, 5)
}

func TestExplainWhatHoldsTheModeDown(t *testing.T) {
	r := newRig(t).ready()
	r.files.rules = replace(r.files.rules, "for: 5m", "for: 4m")
	require.NoError(t, r.reload("two", ""))
	x := r.explain(given("Errors", "api", r.now().Add(-time.Hour)))
	require.Equal(t, engine.OnlyWatched, x.End)
	require.Contains(t, x.Answer, "its mode is suggest (the rule was changed lately): it would have ")
	require.Contains(t, x.Changes, "`astern rules waive Errors --reason WHY`: the rule was changed lately")
	r.fire("Errors", "api")
	r.advance(5 * time.Minute)
	x = r.explain(engine.ExplainQuery{Incident: "api-1"})
	require.Contains(t, x.Answer, "its mode was suggest (the rule was changed lately): it would have rolled back")
	require.Contains(t, x.Changes, "`astern rules waive Errors --reason WHY`: the rule was changed lately")
}

// What the files alone name is what a server asks: a new guard is named here, too.
func TestTheGuardsNamedOfflineAreThoseThatAreAsked(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.files.rules = replace(r.files.rules, "for: 5m", "for: 5m\n        guards: {score: 0.6, drill: 90d}")
	}).ready()
	var asked, named []string
	for _, f := range only(t, r.explain(given("Errors", "api", r.now().Add(-time.Hour)))).Findings {
		asked = append(asked, f.Guard+" "+f.Rule)
	}
	for _, u := range engine.ExplainFiles(r.configuration(r.files), *given("Errors", "api", start).Alert, start).Cases[0].Unasked {
		named = append(named, u.Guard+" "+u.Rule)
	}
	require.ElementsMatch(t, asked, named)
}

func TestExplainSaysThatLongDeliveriesAreListedInPart(t *testing.T) {
	r := newRig(t).ready()
	n := notification("firing", labels("First", "api"), r.now())
	for i := range 150 {
		n.Alerts = append(n.Alerts, notification("firing", labels(fmt.Sprint("A", i), "api"), r.now()).Alerts...)
	}
	r.deliver(n)
	x := r.explain(engine.ExplainQuery{Labels: map[string]string{"alertname": "A149"}})
	require.Equal(t, engine.NeverReceived, x.End)
	require.Contains(t, x.Notes, "of a delivery with more than 100 alerts, only the first 100 are looked at")
}

func TestExplainFilesAlone(t *testing.T) {
	r := newRig(t)
	cfg := r.configuration(r.files)
	x := engine.ExplainFiles(cfg, *given("Errors", "api", start.Add(-time.Hour)).Alert, start)
	require.Equal(t, engine.OnFiles, x.Basis)
	require.Equal(t, "Rule Errors matched: it would act, if every guard lets it.", x.Answer)
	require.Equal(t, []engine.ModeLevel{{Level: "rule Errors", Mode: incident.Auto}, {Level: "modes.production", Mode: incident.Auto}}, x.Cases[0].Levels)
	require.Contains(t, x.Cases[0].Unasked, engine.GuardWord{Guard: "cooldown", Rule: "S10", Value: "1h"})
	require.Contains(t, x.Cases[0].Unasked, engine.GuardWord{Guard: "confirm", Rule: "S7", Value: "2 queries over 5m0s"})
	x = engine.ExplainFiles(cfg, *given("Hole", "api", start).Alert, start)
	require.Contains(t, x.Cases[0].Unasked, engine.GuardWord{Guard: "recent_change", Rule: "S13", Value: "off"})
	x = engine.ExplainFiles(cfg, *given("Errors", "api", start).Alert, start)
	require.Contains(t, x.Answer, "it would wait for its timer until 2026-11-01T12:05:00Z")
}
