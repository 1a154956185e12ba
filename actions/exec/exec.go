// Package exec runs a program of the user's own: an argv, never a shell, in a clean environment, with bounded output, and
// ended with all its children when its time is over. It imports actions alone.
package exec

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"astern.dev/astern/actions"
)

const execExample = `- name: revert_flag
  uses: exec
  with:
    argv: [/opt/rollback/revert-flag, --service, "${target.name}", --to, "${release.previous.version}"]
    verify: [/opt/rollback/revert-flag, --check, --service, "${target.name}"]
    env: {REGION: eu}
    env_files: {FLAG_TOKEN: /run/secrets/flag-token}
  timeout: 60s
`

// Family brings exec.
func Family() actions.Family {
	return actions.Family{Actions: []actions.Entry{{New: func() actions.Action { return &Exec{} }, Example: execExample}}}
}

// Exec runs a program. It gets no shell, no environment but what is written here, and on its standard input one JSON
// object: key, incident, target, environment, attempt, token. The key is the same for every attempt of the step: a
// program that changes something uses it to have one effect however often it is called.
//
// Exit code 0 is success. Any other fails the attempt, which is repeated as the step's retry says. What the program
// prints is recorded, 64 KiB at most. When the time is over the program and all its children get SIGTERM, two seconds
// later SIGKILL; children that it leaves behind are ended, too. A program that did not end by itself leaves a doubt: it
// runs again only when verify says that its effect is not there.
type Exec struct {
	// Argv is the program, by its absolute path, and its arguments.
	Argv []actions.Arg `yaml:"argv"`
	// Env is the whole environment, beside env_files.
	Env map[string]string `yaml:"env,omitempty"`
	// EnvFiles adds variables whose values are read from files when the program starts: secrets stand in no plan, and they
	// are taken out of what is recorded.
	EnvFiles map[string]string `yaml:"env_files,omitempty"`
	// Cwd is the directory to run in, an absolute path; / without a word.
	Cwd string `yaml:"cwd,omitempty"`
	// Reads says that the program changes nothing.
	Reads bool `yaml:"reads,omitempty"`
	// Permanent lists exit codes that no further attempt can mend.
	Permanent []int `yaml:"permanent,omitempty"`
	// Verification is an argv that tells by its exit code whether the effect is there: 0 it is, 1 it certainly is not,
	// anything else: it cannot tell. Without it a person is asked after a crash.
	Verification []actions.Arg `yaml:"verify,omitempty"`

	succeeded bool // by this value, with nothing to ask about it
}

// Outputs is what later steps can read.
type Outputs struct {
	// ExitCode is the program's exit code.
	ExitCode int `json:"exit_code"`
	// Stdout is what it printed to its standard output, trimmed, 4 KiB at most.
	Stdout string `json:"stdout"`
}

// Name is exec.
func (e *Exec) Name() string { return "exec" }

// Outputs types steps.<name>.exit_code and stdout.
func (e *Exec) Outputs() any { return Outputs{} }

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Validate checks the form; whether the program is there is Plan's to say.
func (e *Exec) Validate() error {
	failed := []error{checkArgv("argv", e.Argv)}
	if len(e.Verification) > 0 {
		failed = append(failed, checkArgv("verify", e.Verification))
	}
	if e.Cwd != "" && !filepath.IsAbs(e.Cwd) {
		failed = append(failed, fmt.Errorf("cwd: %q is not an absolute path", e.Cwd))
	}
	for name, value := range e.Env {
		failed = append(failed, checkVariable("env", name, value))
	}
	for name, path := range e.EnvFiles {
		failed = append(failed, checkVariable("env_files", name, path))
		if _, twice := e.Env[name]; twice {
			failed = append(failed, fmt.Errorf("env_files: %s stands in env, too", name))
		}
		if !filepath.IsAbs(path) {
			failed = append(failed, fmt.Errorf("env_files: %s: %q is not an absolute path", name, path))
		}
	}
	for _, code := range e.Permanent {
		if code < 1 || code > 255 {
			failed = append(failed, fmt.Errorf("permanent: %d is no exit code of a failure", code))
		}
	}
	return errors.Join(failed...)
}

func checkArgv(what string, argv []actions.Arg) error {
	if len(argv) == 0 {
		return fmt.Errorf("%s: a program is required", what)
	}
	if !filepath.IsAbs(string(argv[0])) {
		return fmt.Errorf("%s: %q is not the absolute path of a program; there is no shell and no PATH", what, argv[0])
	}
	for n, arg := range argv {
		if strings.ContainsRune(string(arg), 0) {
			return fmt.Errorf("%s[%d]: holds a NUL character", what, n)
		}
	}
	return nil
}

func checkVariable(what, name, value string) error {
	if !variable.MatchString(name) {
		return fmt.Errorf("%s: %q is no name of a variable", what, name)
	}
	if strings.ContainsRune(value, 0) {
		return fmt.Errorf("%s: the value of %s holds a NUL character", what, name)
	}
	return nil
}

// OnlyLooks is what `reads` says.
func (e *Exec) OnlyLooks() bool { return e.Reads }

// Plan looks at the program: what it finds is the digest of its file, so that another program under the same name is
// noticed before it runs.
func (e *Exec) Plan(context.Context, actions.Env) (actions.Change, error) {
	if err := e.Validate(); err != nil {
		return actions.Change{}, actions.Permanent(err)
	}
	found, err := fileDigest(string(e.Argv[0]))
	if err != nil {
		return actions.Change{}, fmt.Errorf("exec: read the program: %w", err)
	}
	c := actions.Change{Changes: !e.Reads, Summary: "run " + quoted(e.Argv), Found: found}
	for _, name := range slices.Sorted(maps.Keys(e.Env)) {
		c.Diff = append(c.Diff, fmt.Sprintf("= env %s=%q", name, e.Env[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(e.EnvFiles)) {
		c.Diff = append(c.Diff, fmt.Sprintf("= env %s from %s", name, e.EnvFiles[name]))
	}
	return c, nil
}

func fileDigest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("%s is no program that can be run", path)
	}
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// quoted shows an argv as people write one: plain words as they are, others quoted.
func quoted(argv []actions.Arg) string {
	words := make([]string, len(argv))
	for n, arg := range argv {
		words[n] = string(arg)
		if !plainWord.MatchString(words[n]) {
			words[n] = fmt.Sprintf("%q", words[n])
		}
	}
	return strings.Join(words, " ")
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)
