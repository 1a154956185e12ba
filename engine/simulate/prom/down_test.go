package prom

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const spikeFor = `groups: [{name: g, rules: [{alert: Spike, expr: "errors > 0", for: 15m}]}]`

// A dead Prometheus sends nothing, so Alertmanager lets its alerts end; back again it has a gap and restores what it can.
func TestADeadPrometheus(t *testing.T) {
	now := start
	s := server(t, Options{Now: func() time.Time { return now }}, series{"errors": "1x60"}, spikeFor)
	require.Len(t, news(play(t, s, 20*time.Minute)), 1)
	now = start.Add(20 * time.Minute)
	require.Len(t, s.Active(), 1)
	require.Equal(t, start.Add(15*time.Minute), s.Active()[0].StartsAt)

	s.SetDown(true)
	require.Zero(t, s.Next())
	alerts, err := s.Evaluate(t.Context(), now.Add(time.Minute))
	require.NoError(t, err)
	require.Empty(t, alerts)
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/query?query=1", nil))
	require.Equal(t, http.StatusServiceUnavailable, answer.Code)
	now = start.Add(23*time.Minute - time.Second)
	require.Len(t, s.Active(), 1, "it was sent at 19m for the last time")
	now = start.Add(23 * time.Minute)
	require.Empty(t, s.Active())

	now = start.Add(24*time.Minute + 30*time.Second)
	s.SetDown(false)
	require.Equal(t, start.Add(25*time.Minute), s.Next())
	told := play(t, s, 26*time.Minute)
	require.Empty(t, told, "it is pending until the second evaluation restored it")
	told = news(play(t, s, 60*time.Minute))
	require.Equal(t, lines(`27m0s firing {alertname="Spike"} from 27m0s till 31m0s`), told)
	now = start.Add(36 * time.Minute)
	gap, err := open(t, s).Query(t.Context(), "count_over_time(errors[10m] offset 9m)", start.Add(36*time.Minute))
	require.NoError(t, err)
	require.Equal(t, 6.0, gap.Value, "18m to 20m and 25m to 27m; 21m to 24m were not scraped")
}

// What was pending goes on pending, for ten minutes at least: Prometheus' grace after a restart.
func TestARestartRestoresWhatWasPending(t *testing.T) {
	now := start
	s := server(t, Options{Now: func() time.Time { return now }}, series{"errors": "1x60"}, spikeFor)
	require.Empty(t, play(t, s, 10*time.Minute))
	now = start.Add(10*time.Minute + 30*time.Second)
	s.SetDown(true)
	now = start.Add(12 * time.Minute)
	s.SetDown(false)
	require.Equal(t, lines(`23m0s firing {alertname="Spike"} from 23m0s till 27m0s`), news(play(t, s, 30*time.Minute)))
}

func TestAShortRestartIsSeamlessForAlertmanager(t *testing.T) {
	now := start
	s := server(t, Options{Now: func() time.Time { return now }}, series{"errors": "1x60"}, `groups: [{name: g, rules: [{alert: Spike, expr: "errors > 0"}]}]`)
	require.Len(t, news(play(t, s, 20*time.Minute)), 1)
	now = start.Add(20*time.Minute + time.Second)
	s.SetDown(true)
	s.SetDown(true)
	now = start.Add(20*time.Minute + 30*time.Second)
	s.SetDown(false)
	s.SetDown(false)
	require.Equal(t, lines(`21m0s firing {alertname="Spike"} from 21m0s till 25m0s again`), play(t, s, 21*time.Minute))
	now = start.Add(21 * time.Minute)
	require.Equal(t, start, s.Active()[0].StartsAt)
}
