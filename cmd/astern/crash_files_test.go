//go:build crash

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/slack/slacktest"
)

const (
	senderToken = "sender-token-of-the-crash-tests"
	adminToken  = "admin-token-of-the-crash-tests"
)

// crashFiles writes what a team writes: rules, targets, a procedure of six steps, who is told, and the server's own file.
// Two targets share an environment. Half of the targets ask their health queries, the other half waive them.
func crashFiles(t *testing.T, w *crashWorld, targets []string) string {
	t.Helper()
	dir := t.TempDir()
	fill := strings.NewReplacer("PROMETHEUS", w.prometheus.URL, "ALERTMANAGER", w.alertmanager.URL,
		"SLACK", w.slackServer.URL+"/api", "SERVICES", w.services.URL)
	for name, text := range map[string]string{
		"astern.yaml": crashServer, "rules.yaml": crashRules, "procedures.yaml": crashProcedures, "communications.yaml": crashCommunications,
		"targets.yaml": crashTargets(targets), "sender.token": senderToken, "admin.token": adminToken, "slack.token": slacktest.Token,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(fill.Replace(text)), 0o600))
	}
	return dir
}

const crashServer = `
storage: {url: "sqlite:astern.db"}
rule_files: [rules.yaml]
target_files: [targets.yaml]
procedure_files: [procedures.yaml]
communication_files: [communications.yaml]
senders:
  - {name: am, type: alertmanager, bearer_token_file: sender.token, connection: only}
connections:
  alertmanager: {only: {url: "ALERTMANAGER"}}
  prometheus: {only: {url: "PROMETHEUS"}}
  slack: {only: {url: "SLACK", token_file: slack.token, recheck: 5ms}}
modes: {default: auto}
guards:
  cooldown: "off"
  flapping: "off"
  mass_event: "off"
  settle: "off"
  watchdog: "off"
  destination_healthy: "off"
  recent_change: "off" # a rollout and its alert are milliseconds apart here, by two processes' clocks
  changing_at_once: 2
  max_per_hour: 1000000
  max_per_day: 1000000
egress: {allow: [127.0.0.0/8]}
people:
  - {name: on-call, role: admin, token_file: admin.token}
`

const crashRules = `
groups:
  - name: all
    rules:
      - rule: Errors
        when: alert.labels.alertname == "Errors"
        mode: auto
        confirm:
          - {query: 'errors{service="${target.name}"}', holds: value > 0.01}
          - {query: 'requests{service="${target.name}"}', holds: value > 1.0}
        do: rollback
        labels: {severity: critical}
`

const crashProcedures = `
procedures:
  - name: six_steps
    steps:
      - name: goal_ready
        uses: http/smoke
        with: {base: "SERVICES", checks: [{path: /healthz, status: 200}]}
      - name: switch_traffic
        uses: http
        with:
          method: PUT
          url: "SERVICES/${target.name}/${incident.id}/traffic"
          body: {to: "${release.previous.vars.track}"}
          verify: {url: "SERVICES/${target.name}/${incident.id}/traffic", contains: '"done":true'}
      - name: flip_once
        uses: http
        with:
          method: POST
          url: "SERVICES/${target.name}/${incident.id}/flip"
          verify: {url: "SERVICES/${target.name}/${incident.id}/flip", contains: '"done":true'}
      - name: settle
        uses: wait
        with: {for: 20ms}
      - name: drain
        uses: http
        with: {method: PUT, url: "SERVICES/${target.name}/${incident.id}/drained"}
      - name: verify_health
        uses: http/smoke
        with: {base: "SERVICES", checks: [{path: /healthz, status: 200}]}
`

const crashCommunications = `
communications:
  - {to: engineering, via: slack, channel: "#${target.name}", within: 1h}
`

func crashTargets(names []string) string {
	var b strings.Builder
	b.WriteString(`
classes:
  - name: proven
    procedure: six_steps
    healthy:
      for: 1s
      all:
        - {query: 'errors{service="${target.name}"}', holds: value < 0.005}
        - {query: 'requests{service="${target.name}"}', holds: value > 1.0}
  - name: believed
    procedure: six_steps
    healthy: {waived: the steps look at it themselves}
targets:
`)
	for n, name := range names {
		class := []string{"proven", "believed"}[n%2]
		fmt.Fprintf(&b, "  - {name: %s, class: %s, select: {service: %s}, environment: place-%d, connections: {prometheus: only}}\n", name, class, name, n/2)
	}
	return b.String()
}
