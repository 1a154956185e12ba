//go:build e2e

package main_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/examples/demo/rig"
	"astern.dev/astern/tools/neighbours"
)

// TestE2E runs the built binary beside a real Prometheus, Alertmanager and HAProxy, with traffic that is counted. Each
// scenario has a world of its own, so that they may run side by side: nearly all of their time is spent waiting for events.
func TestE2E(t *testing.T) {
	binary := build(t)
	programs, err := rig.FindPrograms(t.Context(), t.Output(), func(n neighbours.Neighbour) { t.Log(n.Name, n.Version, "from", n.From) })
	require.NoError(t, err)
	require.NotEmpty(t, programs.HAProxy.Path, "these tests need HAProxy")
	for _, scenario := range []struct { // the longest first
		name string
		run  func(w *world)
	}{
		{"PrometheusCutOff", prometheusCutOff},
		{"SilencedAndStoppedBetween", silencedAndStoppedBetween},
		{"WatchdogMissing", watchdogMissing},
		{"AlertmanagerRestarted", alertmanagerRestarted},
		{"RollsBackReloadsAndStops", rollsBackReloadsAndStops},
		{"KilledInTheMiddle", killedInTheMiddle},
		{"TwoRulesForOneTarget", twoRulesForOneTarget},
		{"Approve", approve},
		{"DiskFull", diskFull},
		{"FileSizeLimit", fileSizeLimit},
	} {
		t.Run(scenario.name, func(t *testing.T) {
			t.Parallel()
			scenario.run(newWorld(t, programs, binary))
		})
	}
}
