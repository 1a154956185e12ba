//go:build e2e

package main_test

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// Alertmanager goes away and comes back without its alerts while an incident waits for its time: nothing is lost, and what
// is told once more belongs to the same incident.
func alertmanagerRestarted(w *world) {
	w.keepFiring()
	w.begin(edit{"rules.yaml", "for: 3s", "for: 20s"})
	w.heard()
	w.repeatOften()
	w.Green.Fail(0.25)
	id := w.opened()
	require.NoError(w.t, w.Alertmanager.Restart(w.ctx))
	before := len(w.deliveries(w.ctx, id))
	w.until("the new Alertmanager's delivery", func(ctx context.Context) (bool, error) {
		return len(w.deliveries(ctx, id)) > before, nil
	})
	w.sees(id, "pending", func(i incident.Incident) bool { return i.Phase == incident.Pending })
	now := w.succeeded(id)
	require.Equal(w.t, 1, count(now, "StepBegan", stepNumber(now.Incident, "switch_traffic")))
	w.onlyOne(id)
}

const secondAlert = `
      - alert: AnyErrors
        expr: demo:error_ratio:rate5s > 0.02
        for: 1s
        labels: {severity: warning, environment: demo}
`

const secondRule = `
      - rule: AnyErrors
        when: alert.labels.alertname == "AnyErrors"
        mode: auto
        for: 4s
        confirm: [{query: 'demo:error_ratio:rate5s{service="${target.name}"}', holds: value > 0.02}]
        do: rollback
`

// Two alerts, each with a rule of its own, about one target: the second one joins as evidence, and one procedure runs.
func twoRulesForOneTarget(w *world) {
	w.rewrite("prometheus-rules.yaml", "      - alert: Watchdog", secondAlert[1:]+"      - alert: Watchdog")
	require.NoError(w.t, w.Prometheus.Reload(w.ctx))
	w.begin(edit{"rules.yaml", "groups:\n  - name: honeylink-demo\n    rules:\n", "groups:\n  - name: honeylink-demo\n    rules:" + secondRule})
	w.heard()
	w.Green.Fail(0.25)
	id := w.opened()
	w.sees(id, "joined by both rules", func(i incident.Incident) bool { return len(i.Rules) == 2 })
	now := w.succeeded(id)
	require.Equal(w.t, 1, count(now, "StepBegan", stepNumber(now.Incident, "switch_traffic")))
	require.Equal(w.t, "critical", now.Incident.Severity)
	w.onlyOne(id)
}

// Prometheus is gone when the rule asks for its confirmation, while a peer of it still tells Alertmanager that the alert
// fires: nothing is done, it is held as unknown, and people are told. When Prometheus is back, it goes on by itself.
func prometheusCutOff(w *world) {
	w.keepFiring()
	w.begin(edit{"rules.yaml", "for: 3s", "for: 10s"})
	w.heard()
	w.Green.Fail(0.25)
	id := w.opened()
	w.Prometheus.Stop()
	alert := w.sees(id, "there", func(incident.Incident) bool { return true }).Incident.Rules[0].Sample
	require.NoError(w.t, w.Alertmanager.Post(w.ctx, alert.Labels, alert.StartsAt, time.Time{}))

	now := w.held(id, "unknown")
	require.Empty(w.t, now.Steps)
	require.False(w.t, now.Touched)
	w.untouched()
	w.onlyOne(id)

	require.NoError(w.t, w.Prometheus.Restart(w.ctx))
	w.succeeded(id)
	w.onlyOne(id)
}

// Without the Watchdog nobody knows whether the monitoring works: nothing is done until it comes.
func watchdogMissing(w *world) {
	w.keepFiring()
	w.rewrite("prometheus-rules.yaml", "expr: vector(1)", "expr: vector(1) > 2")
	require.NoError(w.t, w.Prometheus.Reload(w.ctx))
	w.begin()
	w.Green.Fail(0.25)
	id := w.opened()
	require.False(w.t, w.held(id, "no Watchdog").Touched)
	w.untouched()

	w.rewrite("prometheus-rules.yaml", "expr: vector(1) > 2", "expr: vector(1)")
	require.NoError(w.t, w.Prometheus.Reload(w.ctx))
	w.succeeded(id)
	w.onlyOne(id)
}
