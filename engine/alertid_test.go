package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
)

// Histories name alerts by these: they must never change.
func TestAnAlertsIdentityStaysWhatItWas(t *testing.T) {
	many := map[string]string{}
	for n := range 40 {
		many[fmt.Sprintf("label%d", n)] = strings.Repeat("x", n)
	}
	for want, got := range map[string]string{
		"e8bab6f5a8b2623d777c66082b2886d7": engine.AlertID("am", map[string]string{"alertname": "A", "service": "api"}),
		"ba768b331fd86cec803be04e56ab2b3d": engine.AlertID("", nil),
		"9f4e732c1be23237f974ad5b142cd1eb": engine.AlertID("am", many),
		"d973d54458fd79b5eea533f03c5d42f0": engine.AlertID("ä", map[string]string{"": "", "zwei": "Größe"}),
	} {
		require.Equal(t, want, got)
	}
	require.NotEqual(t, engine.AlertID("a", map[string]string{"b": "c"}), engine.AlertID("a1:b", map[string]string{"": "c"}))
}
