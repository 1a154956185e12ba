//go:build neighbours

package prom

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/rules"
	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/actiontest"
)

const agreedRules = `
groups:
- name: records
  rules:
  - {record: "e:rate5m", expr: "sum by (service) (rate(errors_total[5m]))"}
  - {record: "r:rate5m", expr: "sum by (service) (rate(requests_total[5m]))"}
- name: alerts
  labels: {team: shop}
  rules:
  - {alert: Spike, expr: "e:rate5m / r:rate5m > 0.05", for: 5m, annotations: {summary: "{{ $labels.service }} at {{ $value | humanizePercentage }}"}}
  - {alert: Kept, expr: "ratio > 0.2", keep_firing_for: 7m, labels: {severity: "{{ if gt $value 0.4 }}page{{ else }}ticket{{ end }}"}}
  - {alert: Gone, expr: "absent(late)", for: 1m30s}
  - {alert: Follows, expr: "ALERTS{alertname=\"Spike\",alertstate=\"pending\"}", for: 2m}
- name: last
  rules:
  - {alert: Slow, expr: "sum(odd) > 10 or sum(odd) < 5", annotations: {rates: "{{ range query \"e:rate5m{service='a'}\" }}{{ .Labels.service }}={{ .Value }} {{ end }}"}}
`

type fires struct {
	Time      string     `json:"eval_time"`
	Alertname string     `json:"alertname"`
	Alerts    []expected `json:"exp_alerts"`
}

type expected struct {
	Labels      map[string]string `json:"exp_labels"`
	Annotations map[string]string `json:"exp_annotations,omitempty"`
}

// Prometheus' own test of rules agrees, minute by minute, on what fires here.
func TestPromtoolAgrees(t *testing.T) {
	s := New(Options{Start: time.Unix(0, 0)})
	input := []map[string]string{}
	for name, values := range compared {
		require.NoError(t, s.Load(name, values))
		input = append(input, map[string]string{"series": name, "values": values})
	}
	require.NoError(t, s.Rules(map[string][]byte{"rules.yaml": []byte(agreedRules)}))
	agreed, total := []fires{}, 0
	for minute := range 260 {
		at := time.Unix(0, 0).Add(time.Duration(minute) * time.Minute)
		_, err := s.Evaluate(t.Context(), at)
		require.NoError(t, err)
		for _, g := range s.groups {
			eachAlerting(g, func(r *rules.AlertingRule) {
				f := fires{at.Sub(time.Unix(0, 0)).String(), r.Name(), []expected{}}
				for _, a := range r.ActiveAlerts() {
					if a.State == rules.StateFiring {
						f.Alerts = append(f.Alerts, expected{a.Labels.Map(), a.Annotations.Map()})
					}
				}
				total += len(f.Alerts)
				agreed = append(agreed, f)
			})
		}
		require.Len(t, s.Active(), firing(agreed[len(agreed)-5:]), "and Alertmanager would know of each")
	}
	require.Greater(t, total, 200)
	agree(t, input, agreed)
}

func firing(all []fires) (n int) {
	for _, f := range all {
		n += len(f.Alerts)
	}
	return n
}

func agree(t *testing.T, input []map[string]string, agreed []fires) {
	dir := t.TempDir()
	text, err := json.Marshal(map[string]any{
		"rule_files": []string{"rules.yaml"}, "evaluation_interval": "1m",
		"group_eval_order": []string{"records", "alerts", "last"}, // without it promtool takes them as a map gives them
		"tests":            []any{map[string]any{"interval": "1m", "input_series": input, "alert_rule_test": agreed}},
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte(agreedRules), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "test.yaml"), text, 0o600))
	said, err := exec.CommandContext(t.Context(), actiontest.Neighbour(t, "promtool"), "test", "rules", filepath.Join(dir, "test.yaml")).CombinedOutput()
	require.NoError(t, err, "%s", said)
	require.Contains(t, string(said), "SUCCESS")
}
