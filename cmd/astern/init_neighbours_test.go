//go:build neighbours

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	programs "astern.dev/astern/tools/neighbours"
)

// What init writes for a real Prometheus and a real Alertmanager with the rules of examples/honeylink has no mistake,
// holds against these rules, and its route leads Alertmanager's alerts to astern and to people.
func TestInitFromRealServers(t *testing.T) {
	dir := t.TempDir()
	rules, err := os.ReadFile(filepath.Join("..", "..", "examples", "honeylink", "prometheus-rules.yaml"))
	require.NoError(t, err)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	write("prometheus-rules.yaml", strings.ReplaceAll(string(rules), "interval: 15s", "interval: 1s"))
	people := "route:\n  receiver: people\n  routes:\n    - {receiver: core, matchers: ['service=\"honeylink-api\"']}\nreceivers:\n" +
		"  - {name: people, webhook_configs: [{url: 'http://127.0.0.1:1/people'}]}\n  - {name: core, webhook_configs: [{url: 'http://127.0.0.1:1/core'}]}\n"
	alertmanager := startNeighbour(t, "alertmanager", "--config.file="+write("am.yml", people), "--storage.path="+t.TempDir(), "--cluster.listen-address=")
	prometheus := startNeighbour(t, "prometheus", "--storage.tsdb.path="+t.TempDir(), "--config.file="+write("prometheus.yml", fmt.Sprintf(
		"global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [prometheus-rules.yaml]\nalerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}\n"+
			"scrape_configs: [{job_name: honeylink, static_configs: [{targets: [%q]}]}]\n", strings.TrimPrefix(alertmanager, "http://"), failing(t))))
	require.Eventually(t, func() bool { return strings.Contains(page(alertmanager+"/api/v2/alerts"), `"ErrorRateSpike"`) }, time.Minute, 100*time.Millisecond)

	fresh := filepath.Join(dir, "fresh")
	code, out, said := inProcess(nil, "init", "--prometheus", prometheus, "--alertmanager", alertmanager, fresh)
	require.Zero(t, code, said+out)
	require.Contains(t, out, "rules    4; 4 of them with a query to confirm")
	require.Contains(t, out, "targets  1, chosen by service, environment")
	written, err := os.ReadFile(filepath.Join(fresh, "rules.yaml"))
	require.NoError(t, err)
	require.Contains(t, string(written), `query: honeylink:error_ratio:rate1m{environment="${target.environment}",service="${target.name}"}`)
	require.Contains(t, string(written), "tried: one series for honeylink-api")
	require.Contains(t, string(written), `# - query: sum(honeylink:requests:rate5m{service="${target.name}",environment="${target.environment}"})`)

	routed := write("routed.yml", withRoute(t, people, filepath.Join(fresh, "alertmanager-route.yml")))
	code, out, said = inProcess(nil, "check", "--strict", "--alertmanager", routed, "--prometheus-rules", filepath.Join(dir, "prometheus-rules.yaml"), fresh)
	require.Zero(t, code, said+out)
	require.Contains(t, out, "5 files, 4 rules, 1 target, 1 procedure: no mistakes")
	code, out, said = inProcess(nil, "test", fresh)
	require.Zero(t, code, said+out)
}

// withRoute puts the route where its file says: before all others.
func withRoute(t *testing.T, config, route string) string {
	var whole, part map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(config), &whole))
	text, err := os.ReadFile(route)
	require.NoError(t, err)
	require.Contains(t, string(text), `before the 1 route there: the one to "core" for [service="honeylink-api"].`)
	require.NoError(t, yaml.Unmarshal(text, &part))
	root := whole["route"].(map[string]any)
	root["routes"] = append(part["route"].(map[string]any)["routes"].([]any), root["routes"].([]any)...)
	whole["receivers"] = append(whole["receivers"].([]any), part["receivers"].([]any)...)
	merged, err := yaml.Marshal(whole)
	require.NoError(t, err)
	return string(merged)
}

// failing is a service whose answers fail too often, as Prometheus scrapes it.
func failing(t *testing.T) string {
	var scrapes atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := scrapes.Add(1) * 100
		labels := `service="honeylink-api",environment="production"`
		fmt.Fprintf(w, "http_requests_total{%s,code=\"200\"} %d\nhttp_requests_total{%[1]s,code=\"500\"} %d\nprobe_success{%[1]s} 1\n", labels, n, n/10)
		fmt.Fprintf(w, "http_request_duration_seconds_bucket{%s,le=\"0.1\"} %d\nhttp_request_duration_seconds_bucket{%[1]s,le=\"+Inf\"} %[2]d\n", labels, n)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// startNeighbour runs a real server on a free port until the test ends and waits until it is ready.
func startNeighbour(t *testing.T, name string, args ...string) string {
	found, err := programs.Find(t.Context(), name, t.Output())
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	var said bytes.Buffer
	cmd := exec.Command(found.Path, append(args, "--web.listen-address="+address)...)
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		t.Log(name, "ended:", <-ended)
	})
	require.Eventually(t, func() bool { return len(ended) > 0 || page("http://"+address+"/-/ready") != "" }, 30*time.Second, 50*time.Millisecond)
	require.Empty(t, ended, "%s ended: %s", name, &said)
	return "http://" + address
}

// page is a page's text; empty when there is none.
func page(address string) string {
	response, err := http.Get(address)
	if err != nil || response.StatusCode != http.StatusOK {
		return ""
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body) // what broke off is asked for again
	return string(text)
}
