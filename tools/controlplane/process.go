package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"astern.dev/astern/tools/neighbours"
)

func find(ctx context.Context, log io.Writer, names ...string) (map[string]string, error) {
	paths := map[string]string{}
	for _, name := range names {
		found, err := neighbours.Find(ctx, name, log)
		if err != nil {
			return nil, err
		}
		paths[name] = found.Path
	}
	return paths, nil
}

// process is a program in a process group of its own, that ends when this process does.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// start runs a program; what it prints goes to <dir>/<name>.log.
func start(dir, name, path string, args ...string) (*process, error) {
	return startWith(dir, nil, name, path, args...)
}

// startWith adds to the environment.
func startWith(dir string, env []string, name, path string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p.cmd = exec.Command(path, args...) //nolint:noctx // stop and kill end it, with its children
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	p.cmd.SysProcAttr = ownGroup()
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	go func() {
		_ = p.cmd.Wait()
		_ = log.Close()
		close(p.done)
	}()
	return p, nil
}

func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// kill ends it at once, as kill -9 does.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// ended is an error once the program has ended.
func (p *process) ended() error {
	select {
	case <-p.done:
		text, _ := os.ReadFile(p.log)
		return fmt.Errorf("%w: %s (%s):\n%s", errEnded, p.name, p.cmd.ProcessState, text[max(0, len(text)-3000):])
	default:
		return nil
	}
}

var errEnded = errors.New("a program ended")

// Await asks probe until it says yes. A program that ended will not come back, so errEnded is returned at once.
func Await(ctx context.Context, what string, probe func(context.Context) error) error {
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for {
		err := probe(ctx)
		if err == nil || errors.Is(err, errEnded) {
			return err
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, errors.Join(ctx.Err(), err))
		}
	}
}

// ports are those of one control plane, all on 127.0.0.1.
type ports struct{ etcd, peer, api, kubelet int }

func (c *ControlPlane) choosePorts(ctx context.Context) error {
	for _, port := range []*int{&c.ports.etcd, &c.ports.peer, &c.ports.api, &c.ports.kubelet} {
		var err error
		if *port, err = freePort(ctx); err != nil {
			return err
		}
	}
	c.URL = "https://" + local(c.ports.api)
	return nil
}

// freePort finds a port below those the kernel gives away by itself, so that nobody takes it while the API server is down.
func freePort(ctx context.Context) (int, error) {
	for {
		port := 12000 + rand.IntN(18000)
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", local(port))
		if err == nil {
			return port, listener.Close()
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("find a free port: %w", errors.Join(ctx.Err(), err))
		}
	}
}

func local(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
