// Package rig puts up the world around astern for the demo and the end-to-end tests: a web service in two versions, a load
// generator, HAProxy, Prometheus and Alertmanager as real processes on 127.0.0.1, and astern itself as a built binary.
// It waits for events, never for time to pass, and takes everything down again. It imports the neighbours' finder and,
// of astern, nothing but the demo's configuration: what it proves it proves from outside.
package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a program in a process group of its own. It is safe for concurrent use.
type Process struct {
	Name string
	// Log is the path of a file with everything the program printed.
	Log string

	cmd     *exec.Cmd
	address chan string
	done    chan struct{}
	mu      sync.Mutex
	tail    []string
	ended   error
}

// Command says how to start a program.
type Command struct {
	Name, Path string
	Args       []string
	// Dir holds the log; Env is added to the environment; Files are handed over from descriptor 3 on.
	Dir   string
	Env   []string
	Files []*os.File
}

// Start starts the program. It lives until Stop, or until the process that started it ends.
func Start(c Command) (*Process, error) {
	p := &Process{
		Name: c.Name, Log: filepath.Join(c.Dir, c.Name+".log"),
		address: make(chan string, 1), done: make(chan struct{}),
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p.cmd = exec.Command(c.Path, c.Args...) //nolint:noctx // Stop ends it: gently first, and with its children
	p.cmd.Env = append(os.Environ(), c.Env...)
	p.cmd.ExtraFiles = c.Files
	p.cmd.SysProcAttr = ownGroup()
	printed, write, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	p.cmd.Stdout, p.cmd.Stderr = write, write
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, errors.Join(err, write.Close(), printed.Close(), log.Close()))
	}
	go p.follow(printed, log)
	return p, write.Close()
}

// A program tells where it listens in its log; port 0 is what it was asked for, not what it got.
var listening = regexp.MustCompile(`(?i)listening.*?(127\.0\.0\.1:[1-9]\d*)`)

func (p *Process) follow(printed io.ReadCloser, log io.WriteCloser) {
	told := false
	lines := bufio.NewScanner(printed)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fmt.Fprintln(log, lines.Text())
		p.keep(lines.Text())
		if m := listening.FindStringSubmatch(lines.Text()); m != nil && !told {
			told = true
			p.address <- m[1]
		}
	}
	err := p.cmd.Wait()
	p.mu.Lock()
	p.ended = err
	p.mu.Unlock()
	_, _ = printed.Close(), log.Close()
	close(p.done)
}

func (p *Process) keep(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tail = append(p.tail, line)
	p.tail = p.tail[max(0, len(p.tail)-15):]
}

// Address waits until the program tells in its log where it listens.
func (p *Process) Address(ctx context.Context) (string, error) {
	select {
	case address := <-p.address:
		return address, nil
	case <-p.done:
		return "", p.Ended()
	case <-ctx.Done():
		return "", fmt.Errorf("%s did not say where it listens: %w\n%s", p.Name, ctx.Err(), p.Tail())
	}
}

// ErrEnded is wrapped by what Ended returns.
var ErrEnded = errors.New("a program ended")

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Ended is an error that tells how the program ended and what it said last; nil while it runs.
func (p *Process) Ended() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	how := "exit code 0"
	if p.ended != nil {
		how = p.ended.Error()
	}
	return fmt.Errorf("%w: %s (%s):\n%s", ErrEnded, p.Name, how, strings.Join(p.tail, "\n"))
}

// Tail is what the program printed last.
func (p *Process) Tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.tail, "\n")
}

// Pid is the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal to the whole process group.
func (p *Process) Signal(s syscall.Signal) error { return syscall.Kill(-p.cmd.Process.Pid, s) }

// Kill ends the group at once, as kill -9 does, and waits for it.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
}

// Stop asks the program to end and waits; after ten seconds it kills it. It may be called twice.
func (p *Process) Stop() {
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		_ = p.Signal(syscall.SIGKILL) // what its children left running
	case <-time.After(10 * time.Second):
		p.Kill()
	}
}
