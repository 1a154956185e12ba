//go:build neighbours

package rig

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/template"
	"github.com/stretchr/testify/require"

	"astern.dev/astern/tools/neighbours"
)

// door stands where astern will: it takes Alertmanager's deliveries.
func door(t *testing.T, token string) (*httptest.Server, <-chan template.Alert) {
	alerts := make(chan template.Alert, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var got template.Data
		if r.URL.Path != "/api/v1/alertmanager" || r.Header.Get("Authorization") != "Bearer "+token {
			http.Error(w, "not here", http.StatusUnauthorized)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, alert := range got.Alerts {
			alerts <- alert
		}
	}))
	t.Cleanup(server.Close)
	return server, alerts
}

func next(t *testing.T, alerts <-chan template.Alert, name, status string) {
	for {
		select {
		case alert := <-alerts:
			if alert.Labels["alertname"] == name && alert.Status == status {
				return
			}
		case <-t.Context().Done():
			t.Fatalf("no %s alert %s", status, name)
		}
	}
}

func TestTrafficFailsTheAlertArrivesAndTheWeightsMoveIt(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	programs, err := FindPrograms(ctx, t.Output(), func(n neighbours.Neighbour) { t.Log(n.Name, n.Version, n.From) })
	require.NoError(t, err)
	require.NotEmpty(t, programs.HAProxy.Path, "this test needs HAProxy")
	r, err := Up(ctx, programs, 50)
	require.NoError(t, err)
	defer r.Close()
	server, alerts := door(t, readFile(t, r.Addresses.SenderTokenFile))
	r.Addresses.AsternURL = server.URL
	require.NoError(t, r.Alertmanager.Route(ctx, r.Addresses))

	next(t, alerts, "Watchdog", "firing")
	require.NoError(t, Await(ctx, "a healthy baseline", func(ctx context.Context) (bool, error) {
		ratio, err := r.Prometheus.Value(ctx, `demo:error_ratio:rate5s{service="honeylink-api"}`)
		return ratio == 0, err
	}))
	require.InDelta(t, 1, r.Load.Total().Share("green"), 0.001)

	r.Green.Fail(0.3)
	next(t, alerts, "ErrorRateSpike", "firing")
	for _, command := range []string{"set server web/blue weight 100", "set server web/green weight 0"} {
		answer, err := r.HAProxy.Say(ctx, command)
		require.NoError(t, err)
		require.Empty(t, answer)
	}
	require.NoError(t, Await(ctx, "all traffic on blue", func(context.Context) (bool, error) {
		last := r.Load.Seconds(1)
		return len(last) == 1 && last[0].Share("blue") == 1, nil
	}))
	green, _ := r.Green.Arrivals()
	next(t, alerts, "ErrorRateSpike", "resolved")
	after, _ := r.Green.Arrivals()
	require.Equal(t, green, after)
	require.NoError(t, r.Ended())
}

func TestAlertmanagerKeepsItsAddressAndItsSilencesOverARestart(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	found, err := neighbours.Find(ctx, "alertmanager", t.Output())
	require.NoError(t, err)
	m, err := startAlertmanager(ctx, found.Path, t.TempDir())
	require.NoError(t, err)
	defer m.stop()
	url := m.URL
	id, err := m.Silence(ctx, "service", "honeylink-api", time.Now(), time.Hour)
	require.NoError(t, err)
	require.NoError(t, m.Restart(ctx))
	require.Equal(t, url, m.URL)
	require.NoError(t, getJSON(ctx, m.URL+"/api/v2/silence/"+id, nil))
}
