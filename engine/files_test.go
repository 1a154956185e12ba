package engine_test

import (
	"net/netip"
	"strings"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// defaultFiles are a team's files in small: rules of every mode, and a class whose procedure moves the world in two steps.
var defaultFiles = files{
	rules: `
groups:
  - name: all
    rules:
      - rule: Errors
        when: alert.labels.alertname == "Errors"
        mode: auto
        for: 5m
        confirm:
          - {query: 'errors{service="${target.name}"}', holds: value > 0.01}
          - {query: 'requests{service="${target.name}"}', holds: value > 1.0}
        do: rollback
        labels: {severity: critical}
        annotations: {summary: "errors of ${target.name}"}
      - rule: Asks
        when: alert.labels.alertname == "Asks"
        mode: approve
        for: 1m
        confirm:
          - {query: 'errors{service="${target.name}"}', holds: value > 0.01}
        do: rollback
      - rule: Suggests
        when: alert.labels.alertname == "Suggests"
        mode: suggest
        do: rollback
      - rule: Observes
        when: alert.labels.alertname == "Observes"
        do: rollback
      - rule: Hole
        when: alert.labels.alertname == "Hole"
        mode: auto
        confirm: {waived: no metric can show an exploited hole}
        guards: {recent_change: "off"}
        do: rollback
`,
	targets: targetsOf("api", "web", "pay"),
	procedures: `
procedures:
  - name: two_moves
    steps:
      - name: look
        uses: world/move
        with: {to: "${release.previous.vars.track}", look: true}
        timeout: 10s
      - name: switch
        uses: world/move
        with: {to: "${release.previous.vars.track}"}
        timeout: 10s
        retry: {attempts: 3, backoff: 2s}
      - name: drain
        uses: world/move
        with: {to: "drained-${release.current.vars.track}"}
        timeout: 10s
  - name: in_the_dark
    steps:
      - {name: leap, uses: world/blind, with: {to: x}, timeout: 10s}
`,
	communications: `
communications:
  - {to: everybody, via: webhook, within: 1m}
`,
}

func replace(s, old, with string) string { return strings.Replace(s, old, with, 1) }

func targetsOf(names ...string) string {
	out := `
classes:
  - name: service
    procedure: two_moves
    healthy:
      for: 5m
      all:
        - {query: 'errors{service="${target.name}"}', holds: value < 0.005}
        - {query: 'requests{service="${target.name}"}', holds: value > 1.0}
targets:
`
	for _, name := range names {
		out += `
  - name: ` + name + `
    class: service
    select: {service: ` + name + `}
    environment: production
    owner: {team: core}
    connections: {prometheus: eu}
`
	}
	return out
}
