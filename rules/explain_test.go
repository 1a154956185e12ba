package rules

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/rules/expr"
)

const nearRules = `
groups:
  - name: g
    variables:
      - {name: production, value: 'alert.labels.environment == "production"'}
    rules:
      - {rule: OtherName, do: rollback, when: 'alert.labels.alertname == "B"'}
      - {rule: TwoOff, do: rollback, when: 'alert.labels.alertname == "B" && alert.labels.tier == "edge"'}
      - {rule: Nearly, do: rollback, when: 'alert.labels.alertname == "A" && production && alert.labels.service == "web"'}
      - {rule: Matches, do: rollback, when: 'alert.labels.alertname == "A"'}
      - {rule: Cannot, do: rollback, when: 'alert.labels.alertname == "A" && int(alert.labels.service) > 1'}
`

func TestNearestMissesComeFirst(t *testing.T) {
	set := load(t, nearRules)
	v := expr.Vars{Alert: expr.Alert{Labels: map[string]string{"alertname": "A", "service": "api", "environment": "production"}}}
	var got []string
	for _, r := range Nearest(set.Explain(v)) {
		var misses []string
		for _, m := range r.Misses {
			misses = append(misses, m.String())
		}
		got = append(got, r.Rule.Name+": "+strings.Join(misses, "; "))
	}
	require.Equal(t, []string{
		`Nearly: alert.labels.service == "web" (is "api")`,
		`Cannot: int(alert.labels.service) > 1 (type conversion error from 'string' to 'int')`,
		`OtherName: alert.labels.alertname == "B" (is "A")`,
		`TwoOff: alert.labels.alertname == "B" (is "A"); alert.labels.tier == "edge" (label tier is missing)`,
	}, got)
	v.Alert.Labels["alertname"] = "AsternStopped"
	require.Empty(t, Nearest(set.Explain(v)), "no rule acts on astern's own alerts, whatever it says")
}

func similarRules(n int) string {
	var text strings.Builder
	text.WriteString("groups:\n  - name: g\n    rules:\n")
	for n := range n {
		fmt.Fprintf(&text, "      - {rule: R%d, do: rollback, when: 'alert.labels.alertname == \"A%d\" && alert.labels.environment == \"production\"'}\n", n, n)
	}
	return text.String()
}

var nearSeven = expr.Vars{Alert: expr.Alert{Labels: map[string]string{"alertname": "A7", "environment": "test"}}}

func TestTheNearestOfMany(t *testing.T) {
	require.Equal(t, "R7", Nearest(load(t, similarRules(100)).Explain(nearSeven))[0].Rule.Name)
}

func BenchmarkExplain1000(b *testing.B) {
	set := load(b, similarRules(1000))
	for b.Loop() {
		Nearest(set.Explain(nearSeven))
	}
}
