package engine

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"astern.dev/astern/engine/incident"
)

// A log line about trouble says what it is, in fields that every format can print.
func TestTroubleIsLoggedInFlatFields(t *testing.T) {
	inc := incident.Incident{ID: "api-1", Plan: &incident.Plan{Steps: []incident.Step{{Name: "switch_traffic"}}}}
	for _, c := range []struct {
		fact incident.Fact
		says map[string]any
	}{
		{incident.StepErred{Attempt: 2, Error: "refused"}, map[string]any{"step": "switch_traffic", "attempt": int64(2), "error": "refused"}},
		{incident.StepDoubted{Attempt: 1, Reason: "no answer"}, map[string]any{"step": "switch_traffic", "attempt": int64(1), "reason": "no answer"}},
		{incident.StepHeld{Reason: "silenced"}, map[string]any{"step": "switch_traffic", "reason": "silenced"}},
		{incident.StepHeld{Step: 7, Reason: "silenced"}, map[string]any{"step": int64(7), "reason": "silenced"}},
		{incident.NoticeErred{ID: "api-1/ops/slack", Error: "503"}, map[string]any{"notice": "api-1/ops/slack", "error": "503"}},
		{incident.NoticeOverdue{ID: "api-1/ops/slack"}, map[string]any{"notice": "api-1/ops/slack"}},
	} {
		core, lines := observer.New(zapcore.InfoLevel)
		e := &Engine{log: zap.New(core)}
		e.logFacts(inc, []incident.Event{{Type: "trouble", Fact: c.fact}})
		require.Equal(t, 1, lines.Len())
		for _, field := range lines.All()[0].Context {
			require.NotEqual(t, zapcore.ReflectType, field.Type, "%T: %s is no flat field", c.fact, field.Key)
		}
		c.says["incident"] = "api-1"
		require.Equal(t, c.says, lines.All()[0].ContextMap())
	}
}
