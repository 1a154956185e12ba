package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// The binary and its files for the restart: anybody may knock, so everything is only observed.
const (
	binary      = "bin/astern"
	restarts    = 20
	restartOpen = 200 // incidents that are open at each restart
)

var restartFiles = map[string]string{
	"astern.yaml":     "storage: {url: \"sqlite:astern.db\"}\nrule_files: [rules.yaml]\ntarget_files: [targets.yaml]\nprocedure_files: [procedures.yaml]\nsenders: [{name: am, type: alertmanager, bearer_token_file: token}]\n",
	"rules.yaml":      "groups:\n  - name: all\n    rules:\n      - {rule: Waits, when: 'alert.labels.alertname == \"Waits\"', for: 1h, do: rollback}\n",
	"procedures.yaml": "procedures:\n  - name: mark\n    steps:\n      - {name: pause, uses: wait, with: {for: 1s}}\n",
	"targets.yaml":    benchTargets(restartOpen),
	"token":           token,
}

// measureRestart kills the built binary with 200 incidents open, again and again, and asks how long the next one takes from
// its start until it says that it is ready.
func measureRestart(ctx context.Context, dir string) error {
	dir = filepath.Join(dir, "restart")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for name, text := range restartFiles {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	var readies []time.Duration
	for n := range restarts + 1 {
		server, err := startServer(ctx, dir)
		if err != nil {
			return err
		}
		if n == 0 {
			err = openMany(ctx, server.url)
		} else {
			readies = append(readies, server.ready)
		}
		if err = errors.Join(err, server.kill()); err != nil {
			return err
		}
	}
	spread("restart-to-ready", readies)
	return nil
}

func openMany(ctx context.Context, url string) error {
	c := newCaller()
	defer c.http.CloseIdleConnections()
	for n := range restartOpen {
		if err := c.send(ctx, url, map[string]string{"alertname": "Waits", "service": fmt.Sprintf("t%d", n)}); err != nil {
			return err
		}
	}
	return nil
}

var listens = regexp.MustCompile(`listening.*?(127\.0\.0\.1:\d+)`)

// server is a run of the built binary.
type server struct {
	url   string
	pid   int
	ready time.Duration // from its start until it says so
	kill  func() error
}

func startServer(ctx context.Context, dir string) (server, error) {
	cmd := exec.CommandContext(ctx, binary, "serve", "--config.file="+filepath.Join(dir, "astern.yaml"), "--web.listen-address=127.0.0.1:0")
	printed, err := cmd.StderrPipe()
	if err != nil {
		return server{}, err
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return server{}, fmt.Errorf("start %s (`make build` makes it): %w", binary, err)
	}
	s := server{pid: cmd.Process.Pid, kill: func() error {
		err := cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		return err
	}}
	lines := bufio.NewScanner(printed)
	last := ""
	for lines.Scan() {
		if last = lines.Text(); listens.MatchString(last) {
			go func() { _, _ = io.Copy(io.Discard, printed) }()
			s.url = "http://" + listens.FindStringSubmatch(last)[1]
			if err := awaitReady(ctx, s.url); err != nil {
				return server{}, errors.Join(err, s.kill())
			}
			s.ready = time.Since(begun)
			return s, nil
		}
	}
	return server{}, errors.Join(fmt.Errorf("the server ended: %s", last), cmd.Wait())
}

func awaitReady(ctx context.Context, url string) error {
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/-/ready", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			continue // it told its address before it took connections
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
	}
	return ctx.Err()
}
