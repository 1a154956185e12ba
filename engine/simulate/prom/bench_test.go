package prom

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const monthRules = `
groups:
- name: errors
  rules:
  - record: service:errors:rate5m
    expr: sum by (service) (rate(errors_total[5m]))
  - record: service:requests:rate5m
    expr: sum by (service) (rate(requests_total[5m]))
  - alert: ErrorRateSpike
    expr: service:errors:rate5m / service:requests:rate5m > 0.05
    for: 5m
    labels: {severity: page}
    annotations: {summary: "{{ $labels.service }} fails {{ $value | humanizePercentage }}"}
  - alert: NoTraffic
    expr: service:requests:rate5m == 0
    for: 10m
  - alert: Saturated
    expr: max by (service) (saturation) > 0.9
    for: 15m
    annotations: {summary: "full"}
`

const month = 30 * 24 * 60

// A month of a rule group: 43,200 evaluations of 3 alert rules and 2 recording rules over 10 series.
func BenchmarkMonth(b *testing.B) {
	for b.Loop() {
		s := New(Options{Start: start})
		for n := range 4 {
			require.NoError(b, s.Load(fmt.Sprintf(`requests_total{service="s%d"}`, n), "0+600x"+fmt.Sprint(month)))
			require.NoError(b, s.Load(fmt.Sprintf(`errors_total{service="s%d"}`, n), fmt.Sprintf("0+6x%d 129600+60x60 133200+6x%d", month/2, month/2)))
		}
		require.NoError(b, s.Load(`saturation{service="s0"}`, fmt.Sprintf("0.3x%d 0.95x30 0.3x%d", month/3, month)))
		require.NoError(b, s.Load(`saturation{service="s1"}`, strings.Repeat("0.2 0.4 0.6 ", month/3)))
		require.NoError(b, s.Rules(map[string][]byte{"rules.yaml": []byte(monthRules)}))
		sent, end := 0, start.Add(month*time.Minute)
		for due := s.Next(); due.Before(end); due = s.Next() {
			alerts, err := s.Evaluate(b.Context(), due)
			require.NoError(b, err)
			sent += len(alerts)
		}
		require.NotZero(b, sent)
	}
}
