package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/examples/demo/config"
	"astern.dev/astern/examples/demo/rig"
)

func second(answered, failed int) rig.Count {
	return rig.Count{Answered: answered, Failed: failed, ByTrack: map[string]int{"green": answered}}
}

func TestTheSparklineShowsOneErrorAndLeavesAGapWithoutTraffic(t *testing.T) {
	line := sparkline([]rig.Count{second(60, 0), second(60, 1), second(0, 0), second(60, 10), second(60, 60)})
	require.Equal(t, "▁▂ ▄█", line)
	require.Equal(t, "████░░░░", bar(0.5, 8))
}

func TestPipedOutputHasNoEscapesAndNoLiveLine(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	clock := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := newScreen(out, func() time.Time { return clock })
	s.head("The story")
	s.begin()
	clock = clock.Add(75 * time.Second)
	s.tell(red, "green fails", "one in %d", 4)
	s.show("errors 1")
	s.show("errors 2") // within five seconds: not printed
	clock = clock.Add(6 * time.Second)
	s.show("errors 3")
	s.close()
	text, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	require.Equal(t, "\nThe story\n\n   1:15  green fails  one in 4\n         errors 1\n         errors 3\n", string(text))
}

func TestOnATerminalTheLiveLineIsPaintedOver(t *testing.T) {
	var out bytes.Buffer
	s := &screen{out: &out, now: time.Now, live: true}
	s.show("errors 1")
	s.tell(plain, "step", "done")
	s.close()
	require.Equal(t, "         errors 1\r\x1b[K         step         done\n         errors 1\r\x1b[K", out.String())
}

func TestTheProofRefusesARequestAfterTheDrain(t *testing.T) {
	green, err := rig.StartService("green", "v42")
	require.NoError(t, err)
	defer func() { _ = green.Stop() }()
	load := rig.StartLoad(green.URL, 50)
	defer load.Stop()
	require.NoError(t, rig.Await(t.Context(), "a request", func(context.Context) (bool, error) {
		count, _ := green.Arrivals()
		return count > 0, nil
	}))
	_, last := green.Arrivals()
	drained := func(at time.Time) theIncident {
		var i theIncident
		i.Plan = &thePlan{Steps: []theStep{{Name: "drain"}}}
		i.Steps = []theRun{{State: "done", EndedAt: at}}
		return i
	}
	require.NoError(t, noneAfterDrain(drained(last.Add(time.Hour)), green))
	require.ErrorContains(t, noneAfterDrain(drained(last.Add(-time.Millisecond)), green), "one arrived")
	require.ErrorContains(t, noneAfterDrain(theIncident{}, green), "not done")
	require.ErrorContains(t, succeeded(theIncident{Phase: "failed", Reason: "blue does not answer"}), "blue does not answer")
}

func TestEveryFileOfTheDemoIsFilled(t *testing.T) {
	for _, a := range []config.Addresses{{HAProxySocket: "/run/s"}, {ProxyURL: "http://127.0.0.1:1"}} {
		dir := t.TempDir()
		paths, err := config.Write(dir, a, append(config.Astern(a), "alertmanager.yml", "prometheus.yml", "prometheus-rules.yaml", "haproxy.cfg")...)
		require.NoError(t, err)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NotContains(t, string(text), "<no value>", path)
			require.NotContains(t, string(text), "<<", path)
		}
	}
}
