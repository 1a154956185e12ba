package rules

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAlertnames(t *testing.T) {
	rule := func(name, when string) string { return "{rule: " + name + ", do: rollback, when: '" + when + "'}" }
	for _, c := range []struct {
		name, file string
		want       []string
		all        bool
	}{
		{"each its own", rule("A", `alert.labels.alertname == "B" && alert.labels.x == "y"`) + "," + rule("C", `"A" == alert.labels.alertname`), []string{"A", "B"}, false},
		{"one of several", rule("A", `alert.labels.alertname in ["B", "A", "B"]`), []string{"A", "B"}, false},
		{"either", rule("A", `alert.labels.alertname == "A" || alert.labels.alertname == "B" && alert.labels.x == "y"`), []string{"A", "B"}, false},
		{"either, and one does not say", rule("A", `alert.labels.alertname == "A" || alert.labels.x == "y"`), nil, true},
		{"a rule that does not say", rule("A", `alert.labels.alertname == "A"`) + "," + rule("B", `alert.labels.x == "y"`), nil, true},
		{"not", rule("A", `!(alert.labels.alertname == "A")`), nil, true},
		{"another map's", rule("A", `alert.annotations.alertname == "A"`), nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			names, all := load(t, "groups: [{name: g, rules: ["+c.file+"]}]").Alertnames()
			require.Equal(t, c.all, all)
			require.Equal(t, c.want, names)
		})
	}
}
