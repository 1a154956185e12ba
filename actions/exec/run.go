package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/process"
)

const (
	maxOutput = 64 << 10
	maxStdout = 4 << 10
	grace     = 2 * time.Second // between SIGTERM and SIGKILL
)

// Run runs the program once. A further attempt asks verify first: an effect that is there is not made again.
func (e *Exec) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	if err := e.Validate(); err != nil {
		return actions.Result{}, actions.Permanent(err)
	}
	if env.Attempt > 1 && len(e.Verification) > 0 && e.Verify(ctx, env) == nil {
		return actions.Result{Summary: fmt.Sprintf("%s: its effect was there already", e.Argv[0])}, nil
	}
	ran, err := e.program(ctx, env, e.Argv)
	did := actions.Result{Output: ran.output, Outputs: Outputs{ran.code, ran.stdout},
		Summary: fmt.Sprintf("%s exited with %d", e.Argv[0], ran.code)}
	switch {
	case err != nil:
		return did, err
	case ran.code == 0:
		e.succeeded = true
		return did, nil
	}
	err = fmt.Errorf("%s exited with %d%s", e.Argv[0], ran.code, lastLine(ran.output))
	if slices.Contains(e.Permanent, ran.code) {
		err = actions.Permanent(err)
	}
	return did, err
}

// Verify runs the verify program. Without one nobody can tell.
func (e *Exec) Verify(ctx context.Context, env actions.Env) error {
	if len(e.Verification) == 0 {
		switch {
		case e.succeeded:
			return nil
		case e.Reads:
			return actions.NotDone("%s only looks: it may run again", e.Argv[0])
		}
		return fmt.Errorf("%s: whether it had its effect cannot be asked: the step has no verify", e.Argv[0])
	}
	ran, err := e.program(ctx, env, e.Verification)
	switch {
	case err != nil:
		return fmt.Errorf("verify: %w", err)
	case ran.code == 0:
		return nil
	case ran.code == 1:
		return actions.NotDone("%s says it is not done%s", e.Verification[0], lastLine(ran.output))
	}
	return fmt.Errorf("verify: %s exited with %d and cannot tell%s", e.Verification[0], ran.code, lastLine(ran.output))
}

type ended struct {
	code           int
	output, stdout string
}

// told is what the program reads on its standard input.
type told struct {
	Key         string `json:"key"`
	Incident    string `json:"incident"`
	Target      string `json:"target"`
	Environment string `json:"environment"`
	Attempt     int    `json:"attempt"`
	Token       int64  `json:"token"`
}

// program runs an argv to its end. An error means that it did not come to an end of its own.
func (e *Exec) program(ctx context.Context, env actions.Env, argv []actions.Arg) (ended, error) {
	environ, secrets, err := e.environ()
	if err != nil {
		return ended{}, err
	}
	input, err := json.Marshal(told{env.Key, env.Incident, env.Target, env.Environment, env.Attempt, env.Token})
	if err != nil {
		return ended{}, fmt.Errorf("encode standard input: %w", err)
	}
	cmd := command(ctx, argv)
	cmd.Env, cmd.Dir, cmd.Stdin = environ, e.Cwd, bytes.NewReader(input)
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	output, stdout := &tape{limit: maxOutput}, &tape{limit: maxStdout}
	cmd.Stdout, cmd.Stderr = io.MultiWriter(output, stdout), output
	err = process.Run(cmd, grace)
	ran := ended{cmd.ProcessState.ExitCode(), output.text(secrets), strings.TrimSpace(stdout.text(secrets))}
	return ran, e.judge(ctx, string(argv[0]), cmd, err)
}

func command(ctx context.Context, argv []actions.Arg) *exec.Cmd {
	args := make([]string, len(argv))
	for n, arg := range argv {
		args[n] = string(arg)
	}
	return exec.CommandContext(ctx, args[0], args[1:]...)
}

// judge tells an end of its own from one that was made.
func (e *Exec) judge(ctx context.Context, program string, cmd *exec.Cmd, err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case cmd.ProcessState == nil:
		return fmt.Errorf("start %s: %w", program, err)
	case ctx.Err() != nil:
		return e.doubt(fmt.Errorf("%s was ended: %w", program, ctx.Err()))
	case errors.Is(err, exec.ErrWaitDelay):
		return e.doubt(fmt.Errorf("%s left children behind that kept its output open; they were ended", program))
	case errors.As(err, &exit) && exit.Exited():
		return nil
	}
	return e.doubt(fmt.Errorf("%s: %w", program, err))
}

// doubt: what a program did before it was ended, nobody knows.
func (e *Exec) doubt(err error) error {
	if e.Reads {
		return err
	}
	return actions.Doubtful(err)
}

func (e *Exec) environ() (environ, secrets []string, err error) {
	environ = []string{} // not nil, or the program would inherit ours
	for name, value := range e.Env {
		environ = append(environ, name+"="+value)
	}
	for name, path := range e.EnvFiles {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, fmt.Errorf("env_files: %s: %w", name, err)
		}
		value := strings.TrimRight(string(raw), "\r\n")
		if strings.ContainsRune(value, 0) {
			return nil, nil, actions.Permanent(fmt.Errorf("env_files: %s: %s holds a NUL character", name, path))
		}
		environ, secrets = append(environ, name+"="+value), append(secrets, value)
	}
	return environ, secrets, nil
}

func lastLine(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	last := lines[len(lines)-1]
	if last == "" {
		return ""
	}
	if len(last) > 200 {
		last = strings.ToValidUTF8(last[:200], "") + "…"
	}
	return ": " + last
}
