package rules

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestContentIsWhatTheRuleSays(t *testing.T) {
	set := load(t, `
groups:
  - name: g
    variables:
      - {name: production, value: 'alert.labels.environment == "production"'}
      - {name: unused, value: 'alert.labels.x == "y"'}
    rules:
      - rule: R
        when: alert.labels.alertname == "A" && production
        mode: auto
        for: 5m
        confirm: [{query: up, holds: value < 1.0}, {query: requests, holds: value > 1.0}]
        do: rollback
        labels: {severity: critical}
        guards: {recent_change: "off", mass_event: {targets: 5}}
`)
	r := set.Rules()[0]
	digest := r.Digest
	require.Equal(t, map[string]string{
		"when": `alert.labels.alertname == "A" && production`, "mode": "auto", "for": "5m", "do": "rollback",
		"confirm[1].query": "up", "confirm[1].holds": "value < 1.0", "confirm[2].query": "requests", "confirm[2].holds": "value > 1.0",
		"labels.severity": "critical", "guards.recent_change": "off", "guards.mass_event.targets": "5",
		"variables.production": `alert.labels.environment == "production"`,
	}, r.Content())
	require.Equal(t, digest, r.Digest)
}
