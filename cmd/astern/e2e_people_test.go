//go:build e2e

package main_test

import (
	"context"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// staged is the demo's procedure in two stages with a rest after each of them.
var staged = edit{"procedures.yaml", "", `procedures:
  - name: blue_green
    steps:
      - name: share_traffic
        uses: haproxy/weights
        with:
          backend: web
          weights:
            - {server: "${release.previous.vars.track}", weight: 50}
            - {server: "${release.current.vars.track}", weight: 50}
      - name: first_rest
        uses: wait
        with: {for: 4s}
      - name: switch_traffic
        uses: haproxy/weights
        with:
          backend: web
          continues: true
          weights:
            - {server: "${release.previous.vars.track}", weight: 100}
            - {server: "${release.current.vars.track}", weight: 0}
      - name: second_rest
        uses: wait
        with: {for: 4s}
      - name: drain
        uses: haproxy/drain
        with: {backend: web, server: "${release.current.vars.track}", within: 5s}
        timeout: 15s
`}

// A person silences the alert in the middle of the procedure, another one pulls the brake later: each time it holds where
// it is and says so, and it goes on when the word is taken back.
func silencedAndStoppedBetween(w *world) {
	w.keepFiring()
	w.begin(staged)
	w.heard()
	w.Green.Fail(0.25)
	id := w.opened()

	w.inStep(id, "first_rest")
	silence, err := w.Alertmanager.Silence(w.ctx, "service", target, time.Now(), time.Hour)
	require.NoError(w.t, err)
	now := w.held(id, "a person silenced ErrorRateSpike (silence "+silence+")")
	require.Equal(w.t, incident.NotStarted, stepOf(now, "switch_traffic").State)
	w.weights("50", "50")
	w.shared()
	require.NoError(w.t, w.Alertmanager.Unsilence(w.ctx, silence))

	w.inStep(id, "second_rest")
	w.weights("100", "0")
	w.run("stop", "--reason=the balancer is being changed")
	now = w.held(id, "the balancer is being changed")
	require.Equal(w.t, incident.NotStarted, stepOf(now, "drain").State)
	require.Contains(w.t, w.refuses(6, "stop", "--reason=twice"), "stopped already")
	w.run("resume")
	w.succeeded(id)
	w.onlyOne(id)
}

// shared shows that both versions answer: the procedure stays where it is.
func (w *world) shared() {
	before := w.Load.Total()
	w.until("answers of both versions", func(context.Context) (bool, error) {
		after := w.Load.Total()
		return after.ByTrack["blue"] > before.ByTrack["blue"] && after.ByTrack["green"] > before.ByTrack["green"], nil
	})
}

// A rule in approve does nothing until a person says yes to exactly this plan.
func approve(w *world) {
	w.begin(edit{"rules.yaml", "mode: auto", "mode: approve"})
	w.heard()
	w.Green.Fail(0.25)
	id := w.opened()
	now := w.inPhase(id, incident.AwaitingApproval).Incident
	w.told("waits for approval")
	w.untouched()

	plan := incident.Short(now.Plan.Hash)
	other := strings.Map(func(r rune) rune { return map[bool]rune{true: '1', false: '0'}[r == '0'] }, plan)
	w.refuses(6, "approve", id, "--plan="+other)
	w.untouched()
	w.run("approve", id, "--plan="+plan, "--comment=seen on the graph")
	w.succeeded(id)
	w.refuses(6, "approve", id, "--plan="+plan)
	w.onlyOne(id)
}
