package engine_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
)

// The identity stands in histories: it must be the same in every version.
func TestAnAlertsIdentityIsForEver(t *testing.T) {
	long := map[string]string{"alertname": "Hole", "service": "api", "environment": "production"}
	require.Equal(t, "f82ece94a110a3c725433a2675f38c33", engine.AlertID("am", long))
	require.Equal(t, "ba768b331fd86cec803be04e56ab2b3d", engine.AlertID("", nil))
	require.NotEqual(t, engine.AlertID("a", map[string]string{"b": "c"}), engine.AlertID("a1:b", map[string]string{"": "c"}))
	require.NotEqual(t, engine.AlertID("a", map[string]string{"b": "cd"}), engine.AlertID("a", map[string]string{"bc": "d"}))
}
