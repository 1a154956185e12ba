package repository

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/process"
)

const (
	grace     = 2 * time.Second // between SIGTERM and SIGKILL
	maxOutput = 8 << 20
	maxStderr = 8 << 10
)

// call is one run of git.
type call struct {
	args  []string
	stdin []byte
	env   []string
	limit int // of standard output; 0 is maxOutput
	far   bool
}

// ran is what came of it.
type ran struct {
	code   int
	out    []byte
	stderr string
}

// failure is a run of git that ended with an error. Its text holds no secret.
type failure struct {
	what   string
	code   int
	stderr string
}

func (f *failure) Error() string {
	return fmt.Sprintf("git %s: exit %d%s", f.what, f.code, lastLines(f.stderr))
}

// must runs git and takes any other exit code than 0 as an error.
func (r *Repository) must(ctx context.Context, c call) ([]byte, error) {
	did, err := r.git(ctx, c)
	if err == nil && did.code != 0 {
		err = &failure{c.args[0], did.code, did.stderr}
	}
	return did.out, err
}

// git runs git in the mirror. An error means that it did not come to an end of its own, or that it said too much.
func (r *Repository) git(ctx context.Context, c call) (ran, error) {
	if err := ctx.Err(); err != nil {
		return ran{}, fmt.Errorf("git %s: %w", c.args[0], err)
	}
	program, err := exec.LookPath("git")
	if err != nil {
		return ran{}, actions.Permanent(errNoGit)
	}
	env, secrets, err := r.environ(ctx, c.far)
	if err != nil {
		return ran{}, err
	}
	cmd := exec.CommandContext(ctx, program, c.args...)
	cmd.Env, cmd.Stdin, cmd.Dir = append(env, c.env...), bytes.NewReader(c.stdin), "/"
	out, stderr := &bounded{limit: c.limit}, &bounded{limit: maxStderr, cuts: true}
	if c.limit == 0 {
		out.limit = maxOutput
	}
	cmd.Stdout, cmd.Stderr = out, stderr
	err = process.Run(cmd, grace)
	did := ran{cmd.ProcessState.ExitCode(), out.buf.Bytes(), scrub(stderr.buf.String(), secrets)}
	return did, ended(ctx, c.args[0], cmd, out, err)
}

// ended tells an end of its own from one that was made.
func ended(ctx context.Context, what string, cmd *exec.Cmd, out *bounded, err error) error {
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil && err != nil:
		return &brokenOff{what, ctx.Err()}
	case out.over:
		return actions.Permanent(fmt.Errorf("git %s: %w", what, ErrTooMuch))
	case err == nil, errors.As(err, &exit) && exit.Exited():
		return nil
	case cmd.ProcessState == nil:
		return fmt.Errorf("start git: %w", err)
	}
	return &brokenOff{what, err}
}

// brokenOff is a run of git that began and did not come to an end of its own.
type brokenOff struct {
	what  string
	cause error
}

func (b *brokenOff) Error() string { return "git " + b.what + " was ended: " + b.cause.Error() }

func (b *brokenOff) Unwrap() error { return b.cause }

var errNoGit = errors.New("there is no git program: this image has none; use the one with git, or put git 2.38 or newer on the PATH")

// ErrTooMuch is wrapped when a repository holds more under a path, or in a change, than astern takes.
var ErrTooMuch = errors.New("more than astern takes")

// setting is one value of git's configuration.
type setting struct{ key, value string }

// environ is the whole environment of git: none of ours, no configuration but this, and only for an exchange with the
// server what it needs to name itself. Secrets stand in the environment alone, which no other user can read.
func (r *Repository) environ(ctx context.Context, far bool) (env, secrets []string, err error) {
	env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.DevNull, "LC_ALL=C", "TZ=UTC", "GIT_DIR=" + r.mirror(),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=",
		"SSH_ASKPASS_REQUIRE=never", "GIT_LITERAL_PATHSPECS=1", "GIT_NO_REPLACE_OBJECTS=1", "GIT_OPTIONAL_LOCKS=0",
		"GIT_ALLOW_PROTOCOL=" + r.protocol(), "GIT_PROTOCOL_FROM_USER=0",
	}
	settings := []setting{
		{"core.hooksPath", os.DevNull}, {"core.quotePath", "false"}, {"core.attributesFile", os.DevNull},
		{"gc.auto", "0"}, {"maintenance.auto", "false"}, {"credential.helper", ""}, {"advice.detachedHead", "false"},
	}
	if far {
		more, secret, err := r.reach(ctx)
		if err != nil {
			return nil, nil, err
		}
		settings, secrets = append(settings, more.settings...), secret
		env = append(env, more.env...)
	}
	env = append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(settings)))
	for n, s := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", n, s.key), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", n, s.value))
	}
	return env, secrets, nil
}

// secret reads a file that holds one. It is read at each use, because secrets are changed under a running program.
func secret(field, file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", field, err)
	}
	text := strings.TrimSpace(string(raw))
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' }) {
		return "", fmt.Errorf("read %s: %s holds no secret of one line", field, file)
	}
	return text, nil
}

func scrub(text string, secrets []string) string {
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "<secret>")
	}
	return text
}

func encoded(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// bounded keeps what is written up to a limit. More is an error of the run, or is dropped.
type bounded struct {
	buf   bytes.Buffer
	limit int
	cuts  bool
	over  bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.limit - b.buf.Len(); len(p) > room {
		b.over = true
		b.buf.Write(p[:max(room, 0)])
		if b.cuts {
			return len(p), nil
		}
		return max(room, 0), io.ErrShortWrite
	}
	return b.buf.Write(p)
}

var noise = regexp.MustCompile(`^(hint: |remote: *$|To |Total |Enumerating |Counting |Compressing |Writing |Delta |error: failed to push some refs)`)

// lastLines is what git said at the end, as one line.
func lastLines(stderr string) string {
	var lines []string
	for line := range strings.Lines(stderr) {
		if line = strings.TrimSpace(line); line != "" && !noise.MatchString(line) {
			lines = append(lines, line)
		}
	}
	text := strings.Join(lines[max(0, len(lines)-4):], "; ")
	if text == "" {
		return ""
	}
	return ": " + Clean(text, 400)
}

// Clean makes a stranger's text one line that can be shown: no control characters, no changes of direction, a bounded length.
func Clean(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}

// mirror is the directory of the mirror.
func (r *Repository) mirror() string { return filepath.Join(r.place(), "mirror") }
