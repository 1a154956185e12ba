package exec_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	astern "astern.dev/astern/actions/exec"
)

// The test binary is the program that is run: no shell, no other program is needed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "as-program" {
		os.Exit(program(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func newExec() actions.Action { return &astern.Exec{} }

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	return path
}

// argv is this test binary as a program, in YAML.
func argv(t *testing.T, words ...string) string {
	t.Helper()
	raw, err := json.Marshal(append([]string{self(t), "as-program"}, words...))
	require.NoError(t, err)
	return string(raw)
}

func run(t *testing.T, parameters string, change ...func(*actions.Env)) (actions.Result, error) {
	t.Helper()
	action, err := actiontest.Decode(newExec, parameters)
	require.NoError(t, err)
	env := actiontest.Env(&actiontest.World{})
	for _, do := range change {
		do(&env)
	}
	return action.Run(t.Context(), env)
}

func TestExec(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	require.NoError(t, os.WriteFile(secret, []byte(actiontest.Canary+"\n"), 0o600))
	world := func(t *testing.T) *actiontest.World {
		effects := filepath.Join(dir, "effects")
		require.NoError(t, os.RemoveAll(effects))
		broken := filepath.Join(dir, "broken")
		require.NoError(t, os.RemoveAll(broken))
		return &actiontest.World{
			State: func() string { raw, _ := os.ReadFile(effects); return string(raw) }, Canary: actiontest.Canary,
			Break: map[string]func(){"the program fails and tells all it knows": func() {
				require.NoError(t, os.WriteFile(broken, nil, 0o600))
			}},
		}
	}
	actiontest.Run(t, newExec,
		actiontest.Case{Name: "converging program", World: world,
			YAML: fmt.Sprintf("{argv: %s, env: {DIR: %s}, env_files: {SECRET: %s}, cwd: /}", argv(t, "effect-once"), dir, secret)},
		actiontest.Case{Name: "with verify", World: world,
			YAML: fmt.Sprintf("{argv: %s, verify: %s, env: {DIR: %s}, env_files: {SECRET: %s}}", argv(t, "effect-once"), argv(t, "is-there"), dir, secret)},
	)
}

func TestCleanEnvironmentAndStdin(t *testing.T) {
	t.Setenv("ASTERN_LEAK", "leaked")
	did, err := run(t, fmt.Sprintf("{argv: %s, env: {B: two, A: '${x}; $(y)'}, cwd: %s}", argv(t, "tell"), os.TempDir()))
	require.NoError(t, err)
	var told struct {
		Environ []string
		Args    []string
		Dir     string
		Stdin   map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(did.Outputs.(astern.Outputs).Stdout), &told))
	require.ElementsMatch(t, []string{"A=${x}; $(y)", "B=two"}, told.Environ)
	require.Equal(t, os.TempDir(), told.Dir)
	require.Equal(t, map[string]any{"key": "incident-1/step-2", "incident": "incident-1", "target": "honeylink-api",
		"environment": "production", "attempt": 1.0, "token": 7.0}, told.Stdin)
	require.Empty(t, told.Args)
}

func TestExitCodes(t *testing.T) {
	for code, permanent := range map[string]bool{"1": false, "7": true, "3": false} {
		did, err := run(t, fmt.Sprintf("{argv: %s, permanent: [7]}", argv(t, "exit", code, "last words")))
		require.ErrorContains(t, err, "exited with "+code+": last words")
		require.Equal(t, permanent, actions.IsPermanent(err))
		require.False(t, actions.IsDoubtful(err), "a program that ends by itself is believed")
		require.Equal(t, "last words\n", did.Output)
	}
	_, err := run(t, "{argv: [/nonexistent/program]}")
	require.ErrorContains(t, err, "start /nonexistent/program")
	require.False(t, actions.IsDoubtful(err))
	_, err = run(t, fmt.Sprintf("{argv: %s}", argv(t, "signal")))
	require.True(t, actions.IsDoubtful(err), "%v", err)
}

func TestVerifyByExitCode(t *testing.T) {
	for code, check := range map[string]func(error){
		"0": func(err error) { require.NoError(t, err) },
		"1": func(err error) { require.ErrorIs(t, err, actions.ErrNotDone) },
		"2": func(err error) {
			require.ErrorContains(t, err, "cannot tell")
			require.NotErrorIs(t, err, actions.ErrNotDone)
		},
	} {
		action, err := actiontest.Decode(newExec, fmt.Sprintf("{argv: [/x], verify: %s}", argv(t, "exit", code)))
		require.NoError(t, err)
		check(action.(actions.Verifier).Verify(t.Context(), actiontest.Env(&actiontest.World{})))
	}
	for parameters, again := range map[string]bool{"{argv: [/x]}": false, "{argv: [/x], reads: true}": true} {
		action, err := actiontest.Decode(newExec, parameters)
		require.NoError(t, err)
		err = action.(actions.Verifier).Verify(t.Context(), actiontest.Env(&actiontest.World{}))
		require.Error(t, err)
		require.Equal(t, again, strings.HasPrefix(err.Error(), actions.ErrNotDone.Error()))
	}
}

func TestFurtherAttemptAsksVerifyFirst(t *testing.T) {
	did, err := run(t, fmt.Sprintf("{argv: %s, verify: %s}", argv(t, "exit", "9"), argv(t, "exit", "0")), func(e *actions.Env) { e.Attempt = 2 })
	require.NoError(t, err)
	require.Contains(t, did.Summary, "was there already")
}

func TestOutputIsBounded(t *testing.T) {
	did, err := run(t, fmt.Sprintf("{argv: %s}", argv(t, "flood")))
	require.NoError(t, err)
	require.Less(t, len(did.Output), 65<<10)
	require.True(t, strings.HasPrefix(did.Output, "begin"), "the beginning is kept")
	require.True(t, strings.HasSuffix(did.Output, "end"), "the end is kept")
	require.Contains(t, did.Output, "bytes left out")
	require.LessOrEqual(t, len(did.Outputs.(astern.Outputs).Stdout), 5<<10)
	did, err = run(t, fmt.Sprintf("{argv: %s}", argv(t, "exit", "0", "\x1b[2J\x7fx")))
	require.NoError(t, err)
	require.Equal(t, "\uFFFD[2J\uFFFDx\n", did.Output)
}

func TestSecretsOfFilesAreNotRecorded(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte(actiontest.Canary+"\nsecond-"+actiontest.Canary+"\n"), 0o600))
	for _, what := range []string{"secret", "secret-flood"} {
		did, err := run(t, fmt.Sprintf("{argv: %s, env_files: {SECRET: %s}}", argv(t, what), secret))
		require.NoError(t, err)
		for n := range actiontest.Canary[4:] { // no four characters of it, where the output was cut neither
			require.False(t, strings.Contains(did.Output+did.Outputs.(astern.Outputs).Stdout, actiontest.Canary[n:n+4]), actiontest.Canary[n:n+4])
		}
		require.Contains(t, did.Output, "<secret>")
	}
}

// The program ignores SIGTERM, its child too, and the child keeps the output open: both must be gone when Run returns.
func TestCancelEndsTheWholeGroup(t *testing.T) {
	dir := t.TempDir()
	ready, alive := fifo(t, filepath.Join(dir, "ready")), fifo(t, filepath.Join(dir, "alive"))
	ctx, cancel := context.WithCancel(t.Context())
	action, err := actiontest.Decode(newExec, fmt.Sprintf("{argv: %s, env: {DIR: %s}}", argv(t, "stubborn"), dir))
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := action.Run(ctx, actiontest.Env(&actiontest.World{}))
		done <- err
	}()
	_, err = ready.Read(make([]byte, 1))
	require.NoError(t, err)
	cancel()
	err = <-done
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, actions.IsDoubtful(err))
	// Both programs hold the pipe open for writing: it ends when both are gone, else this waits for the test's deadline.
	reader, err := os.OpenFile(filepath.Join(dir, "alive"), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer reader.Close()
	require.NoError(t, alive.Close())
	_, err = reader.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

// fifo makes a pipe with a name and opens both its ends, so that nobody waits for the other.
func fifo(t *testing.T, path string) *os.File {
	t.Helper()
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { file.Close() })
	return file
}

func TestChildrenLeftBehindAreEnded(t *testing.T) {
	dir := t.TempDir()
	_, err := run(t, fmt.Sprintf("{argv: %s, env: {DIR: %s}}", argv(t, "leave-child"), dir))
	require.ErrorContains(t, err, "left children behind")
	require.True(t, actions.IsDoubtful(err))
}

func TestPlanFindsTheProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(path, []byte("one"), 0o700))
	plan := func() (actions.Change, error) {
		action, err := actiontest.Decode(newExec, fmt.Sprintf("{argv: [%s, a b, --x], env: {K: v}, env_files: {S: /run/s}}", path))
		require.NoError(t, err)
		return action.Plan(t.Context(), actiontest.Env(&actiontest.World{}))
	}
	one, err := plan()
	require.NoError(t, err)
	require.True(t, one.Changes)
	require.Equal(t, "run "+path+` "a b" --x`, one.Summary)
	require.Equal(t, []string{`= env K="v"`, "= env S from /run/s"}, one.Diff)
	require.NoError(t, os.WriteFile(path, []byte("two"), 0o700))
	two, err := plan()
	require.NoError(t, err)
	require.NotEqual(t, one.Found, two.Found, "another program under the same name is noticed")
	require.NoError(t, os.Chmod(path, 0o600))
	_, err = plan()
	require.ErrorContains(t, err, "no program that can be run")
}

func TestExecIsRefused(t *testing.T) {
	for parameters, message := range map[string]string{
		"{argv: []}":                                         "argv",
		"{argv: [sh, -c, x]}":                                "absolute path",
		"{argv: [./x]}":                                      "absolute path",
		`{argv: [/x, "a\0b"]}`:                               "NUL",
		"{argv: [/x], verify: [y]}":                          "verify",
		"{argv: [/x], cwd: tmp}":                             "cwd",
		"{argv: [/x], env: {A-B: x}}":                        "env",
		`{argv: [/x], env: {A: "x\0LD_PRELOAD=y"}}`:          "NUL",
		"{argv: [/x], env_files: {A: secret}}":               "env_files",
		"{argv: [/x], env: {A: x}, env_files: {A: /secret}}": "stands in env",
		"{argv: [/x], permanent: [0]}":                       "permanent",
	} {
		action, err := actiontest.Decode(newExec, parameters)
		require.NoError(t, err, parameters)
		require.ErrorContains(t, action.Validate(), message, parameters)
	}
}

// Every hostile string arrives as the one argument and the one variable it is, or is refused.
func TestHostileArgumentsStayOneElement(t *testing.T) {
	corpus := actiontest.Hostile()
	require.GreaterOrEqual(t, len(corpus), 200)
	var plain []string
	for _, hostile := range corpus {
		action := &astern.Exec{Argv: []actions.Arg{"/x", actions.Arg(hostile)}, Env: map[string]string{"A": hostile}}
		if strings.ContainsRune(hostile, 0) {
			require.Error(t, action.Validate(), "%q", hostile)
			continue
		}
		require.NoError(t, action.Validate(), "%q", hostile)
		plain = append(plain, hostile)
	}
	const batch = 60
	for begin := 0; begin < len(plain); begin += batch {
		part := plain[begin:min(begin+batch, len(plain))]
		action := &astern.Exec{Argv: []actions.Arg{actions.Arg(self(t)), "as-program", "write-args"}, Env: map[string]string{"DIR": t.TempDir()}}
		for n, hostile := range part {
			action.Argv = append(action.Argv, actions.Arg(hostile))
			action.Env[fmt.Sprintf("V%d", n)] = hostile
		}
		_, err := action.Run(t.Context(), actiontest.Env(&actiontest.World{}))
		require.NoError(t, err)
		var args, vars []string
		read(t, filepath.Join(action.Env["DIR"], "args"), &args)
		read(t, filepath.Join(action.Env["DIR"], "vars"), &vars)
		require.Equal(t, part, args)
		require.Equal(t, part, vars)
	}
	require.NoFileExists(t, "/tmp/pwned")
}

func read(t *testing.T, path string, into *[]string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	for part := range strings.SplitSeq(strings.TrimSuffix(string(raw), "\x00"), "\x00") {
		*into = append(*into, part)
	}
}

func TestTimeIsOver(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	action, err := actiontest.Decode(newExec, fmt.Sprintf("{argv: %s}", argv(t, "hang")))
	require.NoError(t, err)
	_, err = action.Run(ctx, actiontest.Env(&actiontest.World{}))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.True(t, actions.IsDoubtful(err))
}
