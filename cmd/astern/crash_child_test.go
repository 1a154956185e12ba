//go:build crash

package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// crashBuild builds the real binary, with the tags given.
func crashBuild(t *testing.T, tags string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "astern"+tags)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags="+tags, "-o", binary, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	printed, err := cmd.CombinedOutput()
	require.NoError(t, err, string(printed))
	return binary
}

// process is one life of the server: from its start to its end.
type process struct {
	url   string
	ready time.Duration // from the start to the first 200 of /-/ready
	cmd   *exec.Cmd
	tail  *tail
	ended chan struct{}
	err   error // why it ended; read after ended
}

var listens = regexp.MustCompile(`listening.*?(127\.0\.0\.1:\d+)`)

// startProcess starts the server on the given files and gives its address once it listens.
func startProcess(t *testing.T, binary, dir string, env ...string) *process {
	t.Helper()
	p := &process{tail: &tail{}, ended: make(chan struct{})}
	p.cmd = exec.Command(binary, "serve", "--config.file="+filepath.Join(dir, "astern.yaml"), "--web.listen-address=127.0.0.1:0")
	p.cmd.Env = append(os.Environ(), env...)
	printed, write, err := os.Pipe()
	require.NoError(t, err)
	p.cmd.Stderr = write
	require.NoError(t, p.cmd.Start())
	require.NoError(t, write.Close())
	address := make(chan string, 1)
	go p.follow(printed, address)
	select {
	case at := <-address:
		p.url = "http://" + at
	case <-p.ended:
	}
	return p
}

func (p *process) follow(printed io.ReadCloser, address chan<- string) {
	lines := bufio.NewScanner(printed)
	lines.Buffer(nil, 16<<20)
	told := false
	for lines.Scan() {
		p.tail.add(lines.Text())
		if at := listens.FindStringSubmatch(lines.Text()); at != nil && !told {
			told = true
			address <- at[1]
		}
	}
	p.err = p.cmd.Wait()
	printed.Close()
	close(p.ended)
}

// awaitReady asks /-/ready until it says yes, or the process has ended.
func (p *process) awaitReady(begun time.Time) bool {
	every := time.NewTicker(2 * time.Millisecond)
	defer every.Stop()
	for p.url != "" {
		if resp, err := http.Get(p.url + "/-/ready"); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				p.ready = time.Since(begun)
				return true
			}
		}
		select {
		case <-p.ended:
			return false
		case <-every.C:
		}
	}
	return false
}

// kill is kill -9, and waits until the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone already
	<-p.ended
}

// peakMemory is VmHWM: the most memory the process ever held, in MiB.
func (p *process) peakMemory(t *testing.T) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(t, err)
	_, after, found := strings.Cut(string(raw), "VmHWM:")
	require.True(t, found)
	var kb float64
	_, err = fmt.Sscan(after, &kb)
	require.NoError(t, err)
	return kb / 1024
}

// tail keeps the last lines that a process printed.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines = append(t.lines, line); len(t.lines) > 400 {
		t.lines = t.lines[200:]
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

// caller speaks to whichever process lives now.
type caller struct {
	mu      sync.Mutex
	current *process
	http    http.Client
}

func newCaller() *caller {
	return &caller{http: http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 128}}}
}

func (c *caller) to(p *process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = p
}

// once makes one call. An error or a status that is not 2xx says nothing about what was done.
func (c *caller) once(ctx context.Context, method, path, token string, body []byte, out any) error {
	c.mu.Lock()
	p := c.current
	c.mu.Unlock()
	if p == nil {
		return fmt.Errorf("no process lives")
	}
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %d: %s", method, path, resp.StatusCode, raw)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(raw, out)
}

// until calls again and again, over as many lives as it takes, until a process acknowledges.
func (c *caller) until(ctx context.Context, method, path, token string, body any, out any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if text, is := body.([]byte); is {
		raw = text
	}
	again := time.NewTicker(15 * time.Millisecond)
	defer again.Stop()
	for {
		if err = c.once(ctx, method, path, token, raw, out); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; the last answer: %w", ctx.Err(), err)
		case <-again.C:
		}
	}
}
