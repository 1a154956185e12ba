//go:build neighbours

package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/tools/neighbours"
)

// neighbour is the path of a real program: ASTERN_<NAME> names it, else it is found or made. (actiontest imports this
// package, so its own Neighbour cannot be used here.)
func neighbour(t *testing.T, name string) string {
	t.Helper()
	if path := os.Getenv("ASTERN_" + strings.ToUpper(name)); path != "" {
		return path
	}
	found, err := neighbours.Find(t.Context(), name, t.Output())
	require.NoError(t, err)
	return found.Path
}

// start runs a server on a free port until the test ends and waits until it is ready.
func start(t *testing.T, binary string, args ...string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	var said bytes.Buffer
	cmd := exec.Command(binary, append(args, "--web.listen-address="+address)...)
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		t.Log("it ended: ", <-ended)
	})
	require.Eventually(t, func() bool {
		resp, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return len(ended) > 0
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, 30*time.Second, 20*time.Millisecond)
	require.Empty(t, ended, "%s ended: %s", binary, &said)
	return "http://" + address
}

func file(t *testing.T, name, content string) string {
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestRealPrometheus(t *testing.T) {
	config := file(t, "prometheus.yml", "global: {scrape_interval: 1s}\n")
	root := start(t, neighbour(t, "prometheus"), "--config.file="+config, "--storage.tsdb.path="+t.TempDir())
	p := NewPrometheus(must(ParseRoot(root)), newHTTP(t, HTTPConfig{}))
	now := time.Now()
	sample, err := p.Query(t.Context(), "vector(42)", now)
	require.NoError(t, err)
	require.Equal(t, 42.0, sample.Value)
	require.WithinDuration(t, now, sample.At, time.Second)
	_, err = p.Query(t.Context(), "nothing_here", now)
	require.ErrorIs(t, err, ErrEmpty)
	_, err = p.Query(t.Context(), `label_replace(vector(1),"a","b","","") or vector(1)`, now)
	require.ErrorIs(t, err, ErrSeveral)
	_, err = p.Query(t.Context(), "up{", now)
	require.True(t, actions.IsPermanent(err))
	_, err = p.Query(t.Context(), "quantile(2, vector(1))", now)
	require.ErrorIs(t, err, ErrPartial)
	series, err := p.QueryRange(t.Context(), RangeQuery{Query: "vector(1)", Start: now.Add(-time.Minute), End: now, Step: 15 * time.Second, LookbackDelta: 30 * time.Second})
	require.NoError(t, err)
	require.Len(t, series, 1)
	require.Len(t, series[0].Points, 5)
	require.True(t, p.lookback.Load(), "the real one heeds lookback_delta")
}

func TestRealAlertmanager(t *testing.T) {
	config := file(t, "alertmanager.yml", "route: {receiver: none}\nreceivers: [{name: none}]\n")
	root := start(t, neighbour(t, "alertmanager"), "--config.file="+config, "--storage.path="+t.TempDir(), "--cluster.listen-address=")
	am := NewAlertmanager(must(ParseRoot(root)), newHTTP(t, HTTPConfig{}))
	alerts, err := am.Alerts(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, alerts)
	post(t, root+"/api/v2/silences", map[string]any{"createdBy": "sre-1", "comment": "x", "startsAt": time.Now(), "endsAt": time.Now().Add(time.Hour),
		"matchers": []any{map[string]any{"name": "alertname", "value": "Other", "isRegex": false, "isEqual": true}}})
	for _, name := range []string{"ErrorRateSpike", "Other"} {
		post(t, root+"/api/v2/alerts", []any{map[string]any{"labels": map[string]string{"alertname": name, "service": "a\"b"}}})
	}
	require.Eventually(t, func() bool {
		alerts, err := am.Alerts(t.Context(), []string{`service="a\"b"`})
		return err == nil && len(alerts) == 2
	}, 20*time.Second, 20*time.Millisecond)
	alerts, err = am.Alerts(t.Context(), []string{`alertname="Other"`})
	require.NoError(t, err)
	require.Len(t, alerts, 1)
	require.Equal(t, "suppressed", alerts[0].Status.State)
	require.Len(t, alerts[0].Status.SilencedBy, 1)
	_, err = am.Alerts(t.Context(), []string{`a"b"=`})
	require.True(t, actions.IsPermanent(err), "%v", err)
}

func post(t *testing.T, address string, body any) {
	t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	resp, err := http.Post(address, "application/json", bytes.NewReader(raw))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode, fmt.Sprint(body))
}
