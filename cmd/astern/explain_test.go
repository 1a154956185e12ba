package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
	"astern.dev/astern/web"
)

func ruleWord(name string, near int, misses ...expr.Miss) engine.RuleWord {
	w := engine.RuleWord{Rule: name, Group: "g", File: "rules.yaml", Line: 7, Mode: incident.Auto, Result: engine.RuleNot, Near: near, Misses: misses,
		Trace: expr.Trace{Source: "x", Outcome: expr.False}}
	if len(misses) > 0 {
		w.Why = misses[0].String()
	}
	return w
}

const nasty = "\x1b[2J\u202eevil\nRULES"

// heldByCooldown is what a server answers of an alert that a cooldown holds.
func heldByCooldown() engine.Explanation {
	miss := expr.Miss{Source: `alert.labels.signal == "latency"`, Want: expr.True, Got: expr.False, Why: `is "errors"`}
	matched := engine.RuleWord{Rule: "ErrorRateSpike", Mode: incident.Approve, Result: engine.RuleMatched, File: "rules.yaml", Line: 4}
	x := engine.Explanation{
		End: engine.HeldBack, Basis: engine.AsItWas, At: before(8 * time.Minute), Config: engine.ConfigWord{Digest: "9c1e4f9c1e4f9c1e"},
		Answer: "Nothing was started, rule ErrorRateSpike matched: honeylink-api-2 is held: honeylink-api-1 acted on this target; cooldown until 2026-11-22T12:30:00Z.",
		Alert:  anAlert(nasty),
		Received: &engine.Reception{At: before(8 * time.Minute), Source: "alertmanager-eu", Alerts: 3, Others: 1,
			Decisions: []incident.Decision{{Kind: "opened", Rule: "ErrorRateSpike", Incident: "honeylink-api-2"}}},
		Rules: []engine.RuleWord{matched},
		Cases: []engine.Case{{
			Rule: "ErrorRateSpike", Target: "honeylink-api", Incident: "honeylink-api-2", End: engine.HeldBack, Words: "said above", Mode: incident.Approve,
			Levels: []engine.ModeLevel{{Level: "rule ErrorRateSpike", Mode: incident.Approve}, {Level: "modes.production", Mode: incident.Auto}},
			Timer:  &engine.Timer{For: 5 * time.Minute, Since: before(8 * time.Minute), Due: before(3 * time.Minute)},
			Plan:   "4f2a9c12abcd77e0", From: "v42", To: "v41", JudgedAt: before(3 * time.Minute), Verdict: incident.Ask,
			Findings: []incident.Finding{
				{Guard: "stop", Rule: "S19", Verdict: incident.Go, Reason: "automation is on"},
				{Guard: "cooldown", Rule: "S10", Verdict: incident.Ask, Reason: "honeylink-api-1 acted on this target; cooldown until 2026-11-22T12:30:00Z"},
				{Guard: "confirm", Rule: "S7", Verdict: incident.Wait, Unknown: true, Reason: "query 1: unknown: " + nasty},
			},
			Course: []engine.Turn{{At: before(8 * time.Minute), By: "alertmanager-eu", Text: "joined: mode approve, for 5m0s"}, {At: before(3 * time.Minute), By: "astern", Text: "ask: " + nasty}},
		}},
		Changes: []string{"wait; a person's own: `astern rollback honeylink-api --reason WHY`"},
		Notes:   []string{"another configuration is in force now; by it the alert matches the same rules"},
	}
	for n := range 1000 {
		x.Rules = append(x.Rules, ruleWord(fmt.Sprintf("Rule%d", n), 1000-n, miss))
	}
	return x
}

func explainedPage(x engine.Explanation, q explaining, change ...func(*app)) string {
	a, _ := testApp(change...)
	var page strings.Builder
	a.explained(&page, web.ExplanationList{Items: []engine.Explanation{x}}, q)
	return page.String()
}

func TestExplainedPage(t *testing.T) {
	golden(t, "explain_held", explainedPage(heldByCooldown(), explaining{}))
	golden(t, "explain_coloured", explainedPage(heldByCooldown(), explaining{}, func(a *app) { a.plain = false }))
	all := explainedPage(heldByCooldown(), explaining{all: true})
	require.Equal(t, 1000, strings.Count(all, "no match"))
	require.NotContains(t, all, "others)")
	require.NotContains(t, all, "\x1b")
	require.NotContains(t, all, "\u202e")
}

func TestExplainedNothingReceived(t *testing.T) {
	golden(t, "explain_never_received", explainedPage(engine.Explanation{
		End: engine.NeverReceived, Basis: engine.AsItWas, Config: engine.ConfigWord{Digest: "9c1e4f", InForce: true, Lost: true},
		Answer: "It was never received: up to 2026-11-22T11:50:00Z no delivery holds an alert with service=\"api\" (2 deliveries were looked at, back to 2026-11-22T11:00:00Z).",
		Heard: &engine.Heard{Looked: 2, Watchdogs: map[string]time.Time{"am-eu": before(time.Minute), nasty: before(time.Hour)}, Last: []incident.Delivery{
			{At: before(11 * time.Minute), Source: nasty, Alerts: 2, Decisions: []incident.Decision{{Kind: "unmatched", Labels: map[string]string{"alertname": nasty}}, {Kind: "opened"}}}}},
		Changes: []string{"look in Alertmanager: does it fire there, is it silenced or inhibited, does a route lead here?"},
	}, explaining{}))
}

func TestExplainReadsItsArguments(t *testing.T) {
	q := explaining{}
	require.NoError(t, q.read([]string{`service="api"`, "alertname=A=B", "team="}))
	require.Equal(t, map[string]string{"service": "api", "alertname": "A=B", "team": ""}, q.labels)
	require.Empty(t, q.args)
	q = explaining{ago: "2d"}
	at, err := q.moment(noon)
	require.NoError(t, err)
	require.Equal(t, before(48*time.Hour), at)
	q = explaining{file: "x"}
	require.NoError(t, q.read([]string{"dir", "a=b"}))
	require.Equal(t, []string{"dir"}, q.args)
}

// Ctrl-C ends a command that waits for what nobody types.
func TestTheWaitForStandardInputEnds(t *testing.T) {
	silent, typed := io.Pipe()
	defer func() { _ = typed.Close() }()
	a, _ := testApp(func(a *app) { a.in = silent })
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err := a.payload(ctx, "-")
	require.ErrorIs(t, err, context.Canceled)
}
