//go:build neighbours

package backtest

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/tools/neighbours"
)

// openMetrics writes a past that promtool makes blocks of.
type openMetrics struct {
	*bufio.Writer
	file *os.File
}

func newOpenMetrics(t testing.TB) openMetrics {
	f, err := os.Create(filepath.Join(t.TempDir(), "past.om"))
	require.NoError(t, err)
	return openMetrics{bufio.NewWriterSize(f, 1<<20), f}
}

// steady writes one value from a time to another, both included.
func (o openMetrics) steady(series string, value float64, from, to time.Time, every time.Duration) {
	for at := from; !at.After(to); at = at.Add(every) {
		fmt.Fprintf(o, "%s %g %d\n", series, value, at.Unix())
	}
}

func binary(t testing.TB, name string) string {
	t.Helper()
	found, err := neighbours.Find(t.Context(), name, t.Output())
	require.NoError(t, err)
	return found.Path
}

// prometheus is a real one whose blocks hold the past that was written.
func (o openMetrics) prometheus(t testing.TB) string {
	t.Helper()
	fmt.Fprintln(o, "# EOF")
	require.NoError(t, o.Flush())
	require.NoError(t, o.file.Close())
	data := t.TempDir()
	out, err := exec.CommandContext(t.Context(), binary(t, "promtool"), "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=64d", o.file.Name(), data).CombinedOutput()
	require.NoError(t, err, string(out))
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	require.NoError(t, os.WriteFile(config, []byte("global: {scrape_interval: 1h}\n"), 0o600))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	var said bytes.Buffer
	cmd := exec.Command(binary(t, "prometheus"), "--config.file="+config, "--storage.tsdb.path="+data, "--storage.tsdb.retention.time=100y", "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		t.Log("it ended: ", <-ended)
	})
	require.Eventually(t, func() bool {
		resp, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return len(ended) > 0
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, time.Minute, 20*time.Millisecond)
	require.Empty(t, ended, "%s", &said)
	return "http://" + address
}

// The story is told by a real Prometheus as by the simulated one: episodes, releases, gaps and what queries answered.
func TestARealPrometheusTellsTheStory(t *testing.T) {
	o := newOpenMetrics(t)
	for _, s := range story(t) {
		o.steady(s.series, s.value, s.from, s.to, s.every)
	}
	url := o.prometheus(t)
	before, after := tried(t, "old"), tried(t, "new")
	h, err := Read(t.Context(), options(t, url, "1d", "90d"), storySources(t), before, after)
	require.NoError(t, err)
	r, err := Run(t.Context(), h, before, "")
	require.NoError(t, err)
	tellsTheStory(t, h, r)
	golden(t, h, before, after)
}
