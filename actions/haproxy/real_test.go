//go:build neighbours

package haproxy

import (
	"context"
	"fmt"
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

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/actiontest"
)

const realConfig = `
global
  stats socket %[1]s/admin level admin
  stats socket %[1]s/operator level operator
defaults
  mode http
  timeout connect 5s
  timeout client 1m
  timeout server 1m
frontend web
  bind unix@%[1]s/web
  default_backend web
backend web
  server blue %[2]s weight 0 check inter 1h
  server green %[2]s weight 100 check inter 1h
  server grey %[2]s weight 0
  server brown %[2]s weight 0 check inter 1h
backend lone
  server only %[2]s weight 100 check inter 1h
`

func TestHAProxy(t *testing.T) {
	binary := actiontest.Neighbour(t, "haproxy")
	suite(t, func(t *testing.T, n int) rig { return startReal(t, binary, n) })
}

// startReal runs HAProxy processes. Checks run once an hour, so that a state which a test sets stays.
func startReal(t *testing.T, binary string, n int) rig {
	service := &holding{quit: make(chan struct{}), held: make(chan struct{}, 100)}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(service.quit) })
	var r rig
	var first string
	for i := range n {
		dir := runReal(t, binary, server.Listener.Addr().String())
		r.sockets, r.operators = append(r.sockets, dir+"/admin"), append(r.operators, dir+"/operator")
		if i == 0 {
			first = dir + "/web"
		}
	}
	for process := range r.sockets {
		r.by(t, process, "set server web/brown health down")
	}
	r.hold = func(t *testing.T, n int) func() { return service.hold(t, first, n) }
	return r
}

func runReal(t *testing.T, binary, server string) string {
	dir, err := os.MkdirTemp("", "hap")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	file := filepath.Join(dir, "haproxy.cfg")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, realConfig, dir, server), 0o600))
	var said strings.Builder
	cmd := exec.Command(binary, "-db", "-f", file)
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		t.Log("it ended: ", <-ended)
	})
	p := &process{dir + "/admin", "unix", dir + "/admin", actiontestDial}
	until(t, "haproxy answers", func() bool {
		_, err := p.read(context.Background(), "web")
		return err == nil || len(ended) > 0
	})
	require.Empty(t, ended, "haproxy ended")
	return dir
}

// holding is the service behind HAProxy: it answers nothing under /hold until it is told to.
type holding struct {
	quit, held chan struct{}
	release    atomic.Pointer[chan struct{}]
}

func (s *holding) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/hold" {
		return
	}
	release := *s.release.Load()
	s.held <- struct{}{}
	select {
	case <-release:
	case <-s.quit:
	case <-r.Context().Done():
	}
}

// hold opens requests through HAProxy and waits until the service has them all.
func (s *holding) hold(t *testing.T, frontend string, n int) func() {
	release := make(chan struct{})
	s.release.Store(&release)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", frontend)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	for range n {
		go func() {
			resp, err := (&http.Client{Transport: transport}).Get("http://web/hold")
			if err == nil {
				resp.Body.Close()
			}
		}()
	}
	for range n {
		<-s.held
	}
	return func() { close(release) }
}
