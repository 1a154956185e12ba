package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"astern.dev/astern/examples/demo/rig"
	"astern.dev/astern/tools/neighbours"
)

const (
	target     = "honeylink-api"
	perSecond  = 60
	longest    = 3 * time.Minute // of the story, once everything is built
	badAnswers = 0.25
)

// show is the demo from the first to the last line.
func show(ctx context.Context, s *screen, o options) error {
	s.print(s.paint(bold, "astern demo") + ": a new version starts to fail; astern puts the traffic back and proves that it helped")
	s.head("Getting ready (the first time builds what is missing; nothing needs root, nothing leaves this machine)")
	programs, err := rig.FindPrograms(ctx, s, func(n neighbours.Neighbour) { s.tell(green, "ready", "%-13s %-8s from %s", n.Name, n.Version, n.From) })
	if err != nil {
		return err
	}
	binary, err := ownBinary(ctx, s, o.astern)
	if err != nil {
		return err
	}
	if o.proxy {
		programs.HAProxy = neighbours.Neighbour{}
	}
	story, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	r, err := rig.Up(story, programs, perSecond)
	if err != nil {
		return err
	}
	defer r.Close()
	id, err := play(story, s, r, binary)
	if err != nil {
		return withLog(err, r)
	}
	return end(ctx, s, r, id, o.keep)
}

// ownBinary builds astern from this checkout unless a binary was named.
func ownBinary(ctx context.Context, s *screen, named string) (string, error) {
	if named != "" {
		return filepath.Abs(named)
	}
	root, err := neighbours.Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "bin", "astern")
	fmt.Fprintln(s, "astern: building it without cgo")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./cmd/astern")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if printed, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build astern: %w\n%s", err, printed)
	}
	s.tell(green, "ready", "%-13s %-8s built from this checkout", "astern", "")
	return path, nil
}

// play tells the story and gives the incident's id once it is at its end.
func play(ctx context.Context, s *screen, r *rig.Rig, binary string) (string, error) {
	if err := r.StartAstern(ctx, binary); err != nil {
		return "", err
	}
	s.head("The story")
	s.begin()
	painting, stop := context.WithCancel(ctx)
	var painter sync.WaitGroup
	painter.Go(func() { watchLoad(painting, s, r.Load) })
	painter.Go(func() { watchSlack(painting, s, r.Slack) })
	defer painter.Wait()
	defer stop()
	s.tell(cyan, "traffic", "%s enters at %s; v41 is blue, v42 is green and has all of it", target, r.EntryURL())
	if err := prepare(ctx, s, r); err != nil {
		return "", err
	}
	r.Green.Fail(badAnswers)
	s.tell(red, "green fails", "v42 now answers one request in four with an error")
	return follow(ctx, s, r)
}

// prepare does what an operator and a CI pipeline do once: arm, and tell the releases. Each command is shown as typed.
func prepare(ctx context.Context, s *screen, r *rig.Rig) error {
	for _, args := range [][]string{
		{"release", "record", target, "--version=v41", "--at=-2d", "--verdict=good", "--var=track=blue"},
		{"release", "record", target, "--version=v42", "--at=-20m", "--var=track=green"},
		{"arm", "--reason=the demo may act"},
	} {
		if _, err := r.Astern.Run(ctx, args...); err != nil {
			return err
		}
		s.tell(cyan, "you", "$ astern %s", quoted(args))
	}
	return baseline(ctx, s, r)
}

// baseline waits until Prometheus has seen healthy seconds and astern has heard the Watchdog.
func baseline(ctx context.Context, s *screen, r *rig.Rig) error {
	err := rig.Await(ctx, "a healthy baseline", func(ctx context.Context) (bool, error) {
		ratio, err := r.Prometheus.Value(ctx, `demo:error_ratio:rate5s{service="`+target+`"}`)
		return ratio == 0 && len(r.Load.Seconds(5)) == 5, errors.Join(err, r.Ended())
	})
	if err != nil {
		return err
	}
	s.tell(green, "healthy", "Prometheus sees no errors")
	err = rig.Await(ctx, "the Watchdog", func(ctx context.Context) (bool, error) {
		var now struct {
			Status struct {
				Armed     bool                 `json:"armed"`
				Watchdogs map[string]time.Time `json:"watchdogs"`
			} `json:"status"`
		}
		err := errors.Join(r.Astern.Get(ctx, "/api/v1/status", &now), r.Ended())
		return now.Status.Armed && len(now.Status.Watchdogs) > 0, err
	})
	if err == nil {
		s.tell(green, "armed", "astern may act; Prometheus' Watchdog reaches it over Alertmanager")
	}
	return err
}

func quoted(args []string) string {
	shown := []string{}
	for _, arg := range args {
		name, value, hasValue := strings.Cut(arg, "=")
		if hasValue && strings.Contains(value, " ") {
			arg = name + "=" + `"` + value + `"`
		}
		shown = append(shown, arg)
	}
	return strings.Join(shown, " ")
}

// withLog adds what astern said last: on a failure the reason is there.
func withLog(err error, r *rig.Rig) error {
	if ended := r.Ended(); ended != nil {
		return errors.Join(err, ended)
	}
	if r.Astern == nil || r.Astern.Process == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w\nastern said last:\n%s\nall logs: %s", err, r.Astern.Tail(), keepLogs(r))
}

// keepLogs copies what the programs printed to where it outlives the demo.
func keepLogs(r *rig.Rig) string {
	dir, err := os.MkdirTemp("", "astern-demo-logs-")
	if err != nil {
		return err.Error()
	}
	logs, _ := filepath.Glob(filepath.Join(r.Dir, "*.log"))
	for _, name := range logs {
		text, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(name)), text, 0o600)
		}
		if err != nil {
			return err.Error()
		}
	}
	return dir
}
