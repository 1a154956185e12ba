package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	floorArgument = "floor"
	pathSenders   = 8
	pathRounds    = 5
)

// measurePath sends notifications that no rule matches to the built binary with 10,000 rules, and the same ones to a
// server that only reads them, in turn, and asks how much CPU each process took for one.
func measurePath(ctx context.Context, dir string) error {
	url, ours, err := startLoaded(ctx, filepath.Join(dir, "path"))
	if err != nil {
		return err
	}
	defer func() { _ = ours.kill() }()
	floorURL, floor, err := startFloor(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = floor.kill() }()
	for _, alerts := range []int{1, 10, 100} {
		body, err := notification(alerts, "Unknown")
		if err != nil {
			return err
		}
		var whole, least time.Duration
		for range pathRounds {
			a, err := ours.cpuFor(ctx, url+"/api/v1/alertmanager", body, 4_000/(3+alerts))
			if err != nil {
				return err
			}
			b, err := floor.cpuFor(ctx, floorURL, body, 4_000/(3+alerts))
			if err != nil {
				return err
			}
			whole, least = whole+a, least+b
		}
		name := fmt.Sprintf("cpu-notification-%d-alerts", alerts)
		figure(name, float64(whole.Microseconds())/pathRounds, "µs")
		figure(name+"-reading-only", float64(least.Microseconds())/pathRounds, "µs")
		ratio(name+"-vs-reading", float64(whole)/float64(least))
	}
	return nil
}

// process is a server whose CPU time is looked at.
type process struct {
	pid  int
	kill func() error
}

// cpuFor sends a body so many times from each sender and gives the CPU time that the process took for one.
func (p process) cpuFor(ctx context.Context, url string, body []byte, each int) (time.Duration, error) {
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	c := newCaller()
	defer c.http.CloseIdleConnections()
	group, ctx := errgroup.WithContext(ctx)
	for range pathSenders {
		group.Go(func() error {
			for range each {
				if err := c.post(ctx, url, body); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	after, err := p.cpu()
	return (after - before) / time.Duration(pathSenders*each), err
}

// cpu is the process's time in user and kernel so far, in the kernel's ticks of 10 ms.
func (p process) cpu() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+2:]))
	ticks := 0
	for _, field := range fields[11:13] { // utime and stime
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

func (c *caller) post(ctx context.Context, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
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
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the door answered %d: %s", resp.StatusCode, said)
	}
	return err
}

// startLoaded starts the built binary on files of its own with 10,000 rules.
func startLoaded(ctx context.Context, dir string) (string, process, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", process{}, err
	}
	for name, text := range restartFiles {
		if name == "rules.yaml" {
			text = strings.ReplaceAll(manyRules(mostRules), "mode: auto", "mode: observe")
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", process{}, err
		}
	}
	s, err := startServer(ctx, dir)
	if err != nil {
		return "", process{}, err
	}
	figure("start-to-ready-10k-rules", s.ready.Seconds(), "s")
	return s.url, process{s.pid, s.kill}, nil
}

// startFloor starts this program once more as a server that reads what it is sent.
func startFloor(ctx context.Context) (string, process, error) {
	self, err := os.Executable()
	if err != nil {
		return "", process{}, err
	}
	cmd := exec.CommandContext(ctx, self, floorArgument)
	printed, err := cmd.StdoutPipe()
	if err != nil {
		return "", process{}, err
	}
	if err := cmd.Start(); err != nil {
		return "", process{}, err
	}
	p := process{cmd.Process.Pid, func() error {
		err := cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		return err
	}}
	var address string
	if _, err := fmt.Fscanln(printed, &address); err != nil {
		return "", process{}, errors.Join(err, p.kill())
	}
	return "http://" + address, p, nil
}

// serveFloor is the least that any server of notifications does: net/http and the body.
func serveFloor(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
	})}
	return server.Serve(listener)
}
