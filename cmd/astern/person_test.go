package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

// These tests run a command in this process, where a terminal can be pretended, against a server in a process of its own.

// served starts a server on testdata/world and gives what runs commands against it.
func served(t *testing.T) (*running, string, func(change func(*app), args ...string) (int, string, string)) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, writeWorld(dir))
	s, err := startServer(dir, os.Environ(), "--web.listen-address=127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { s.end(os.Interrupt) })
	return s, dir, func(change func(*app), args ...string) (int, string, string) {
		t.Helper()
		return inProcess(change, append(args, "--server=http://"+s.address, "--token-file="+filepath.Join(dir, "admin.token"))...)
	}
}

// inProcess runs one command and gives its exit code and what it printed.
func inProcess(change func(*app), args ...string) (code int, out, said string) {
	a, printed := testApp()
	a.now = time.Now
	if change != nil {
		change(a)
	}
	code = run(args, a)
	return code, printed.String(), a.err.(*bytes.Buffer).String()
}

func record(t *testing.T, target string, astern func(func(*app), ...string) (int, string, string)) {
	t.Helper()
	for _, args := range [][]string{{"--version=v41", "--at=-2d", "--verdict=good"}, {"--version=v42", "--at=-20m"}} {
		code, _, said := astern(nil, append([]string{"release", "record", target}, args...)...)
		require.Zero(t, code, said)
	}
}

func TestRollbackAsksAPersonAndTakesOnlyAYes(t *testing.T) {
	_, _, astern := served(t)
	record(t, "api", astern)
	types := func(answer string) func(*app) {
		return func(a *app) { a.asks, a.in = true, strings.NewReader(answer) }
	}
	for _, answer := range []string{"n\n", "\n", "", "yess\n", "ja\n"} {
		code, out, said := astern(types(answer), "rollback", "api", "--reason=5xx")
		require.Equal(t, exitNo, code, answer)
		require.Contains(t, said, "Roll back api from v42 -> v41? [y/N] ")
		require.Contains(t, said, "not confirmed; nothing was started")
		require.Contains(t, out, "switch_version")
	}
	_, out, _ := astern(nil, "incidents", "-o", "name")
	require.Empty(t, out)

	code, out, said := astern(types("Y\n"), "rollback", "api", "--reason=5xx", "-o", "name")
	require.Zero(t, code, said)
	require.Equal(t, "api-1\n", out, "what is shown and asked stays off the output of a program")
	require.Contains(t, said, "switch_version")
}

func TestASignalEndsTheQuestion(t *testing.T) {
	a, _ := testApp()
	a.in, _ = io.Pipe() // nobody types
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err := a.line(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, exitInterrupted, a.report(ctx, err))
	require.Equal(t, exitInterrupted, a.report(ctx, fail(exitUnreachable, "open it in a browser", "it was stopped")), "a question cut short is no silent server")
	require.Equal(t, exitUsage, a.report(ctx, usage("a mistake of its own")))
}

func TestWatchOnATerminalRepaintsAndLeavesTheWholeStory(t *testing.T) {
	_, _, astern := served(t)
	record(t, "api", astern)
	code, out, said := astern(func(a *app) { a.paints, a.plain = true, false }, "rollback", "api", "--reason=5xx", "--yes", "--wait", "--timeout=60s")
	require.Zero(t, code, said)
	frames := strings.Split(out, clearScreen)
	last := frames[len(frames)-1]
	require.Contains(t, last, text.FgGreen.EscapeSeq()+"✓ succeeded"+text.EscapeReset)
	require.Contains(t, last, "sre-1 asks for a rollback: 5xx")
	require.Contains(t, last, "TIMELINE")
}

func TestWatchOutlivesARestartOfTheServer(t *testing.T) {
	s, dir, astern := served(t)
	record(t, "slow", astern)
	code, _, said := astern(nil, "rollback", "slow", "--reason=drill", "--yes")
	require.Zero(t, code, said)

	lines := &awaited{pattern: regexp.MustCompile("step 1 linger begins"), seen: make(chan struct{})}
	var watching sync.WaitGroup
	watching.Go(func() {
		code, _, said := astern(func(a *app) { a.out = lines }, "incidents", "show", "slow-1", "--watch", "--timeout=60s")
		require.Equal(t, exitNo, code, said)
	})
	<-lines.seen
	s.end(os.Kill)
	again, err := startServer(dir, os.Environ(), "--web.listen-address="+s.address)
	require.NoError(t, err)
	defer again.end(os.Interrupt)
	code, _, said = astern(nil, "abort", "slow-1", "--reason=drill is over")
	require.Zero(t, code, said)
	watching.Wait()
	require.Contains(t, lines.String(), "sre-1 aborts it: drill is over")
}

func TestAFrameFitsTheTerminal(t *testing.T) {
	got := history(t, takenUp()...)
	for _, size := range [][2]int{{120, 60}, {60, 24}, {40, 10}, {20, 5}} {
		a, out := testApp(func(a *app) {
			a.paints, a.plain = true, false
			a.size = func() (int, int) { return size[0], size[1] }
		})
		w := &watcher{app: a, last: answer[web.IncidentAnswer]{[]byte("{}"), got}}
		require.NoError(t, w.paintFrame())
		page, is := strings.CutPrefix(out.String(), clearScreen)
		require.True(t, is)
		page = strings.TrimSuffix(page, clearBelow)
		lines := strings.Split(strings.TrimSuffix(page, "\n"), "\n")
		require.Less(t, len(lines), size[1])
		require.Contains(t, lines[0], "honeylink-api-1")
		for _, line := range lines {
			require.LessOrEqual(t, text.StringWidthWithoutEscSequences(strings.TrimSuffix(line, clearLine)), size[0], line)
		}
		out.Reset()
		require.NoError(t, w.paintFrame())
		require.True(t, strings.HasPrefix(out.String(), home), "the second frame is painted over the first")
	}
}

func TestPlainOutputHasNoEscapes(t *testing.T) {
	for _, paints := range []bool{true, false} {
		a, _ := testApp(func(a *app) { a.paints, a.plain = paints, true })
		require.NotContains(t, a.incident(history(t, takenUp()...), true), "\x1b")
	}
	a, _ := testApp(func(a *app) { a.plain = false })
	require.Contains(t, a.phase(incident.Failed), "\x1b")
	require.NoError(t, rootCommand(a).ParseFlags([]string{"--no-color"}))
	require.NoError(t, a.checkFlags())
	require.NotContains(t, a.phase(incident.Failed), "\x1b")
}

// strangers are what may answer at a wrong address.
func TestWhatIsNotAsternIsSaidSo(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("canary-token"), 0o600))
	leaked := ""
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leaked += r.Header.Get("Authorization") }))
	defer elsewhere.Close()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		code   int
		said   string
	}{
		"a web page":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, exitUnreachable, "is not astern's API astern/v1"},
		"another JSON": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"status":"success"}`) }, exitUnreachable, "is not astern's API"},
		"a later API": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"apiVersion":"astern/v2","items":[]}`)
		}, exitUnreachable, "is not astern's API"},
		"another form": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"apiVersion":"astern/v1","items":7}`)
		}, exitUnreachable, "cannot be read"},
		"a proxy's 502": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, exitUnreachable, "answers 502 Bad Gateway"},
		"a redirect":    {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, exitUnreachable, "is not astern's API"},
		"half an answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
		}, exitUnreachable, "cannot reach"},
		"a hostile refusal": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, `{"error":{"message":"no\u001b[2J\u202e"}}`)
		}, exitNo, `no\x1b[2J\u202e`},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.answer)
			defer server.Close()
			code, out, said := inProcess(nil, "incidents", "--server="+server.URL, "--token-file="+token)
			require.Equal(t, c.code, code, said)
			require.Contains(t, said, c.said)
			require.Empty(t, out)
			require.NotContains(t, said, "canary")
		})
	}
	require.Empty(t, leaked, "the token follows no redirect")
}

func TestAWishWithoutAnAnswerSaysThatItMayHaveBeenTaken(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("canary-token"), 0o600))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }))
	defer server.Close()
	code, _, said := inProcess(nil, "arm", "--server="+server.URL, "--token-file="+token)
	require.Equal(t, exitUnreachable, code)
	require.Contains(t, said, "no answer came")
	require.Contains(t, said, "look what became of it before you try again")
}

func TestEveryAnswerHasItsExitCode(t *testing.T) {
	for status, want := range map[int]int{
		400: exitUsage, 401: exitNotAllowed, 403: exitNotAllowed, 404: exitNo, 409: exitConflict, 413: exitUsage, 422: exitNo, 500: exitUnreachable, 503: exitUnreachable,
	} {
		require.Equal(t, want, exitOf(status), status)
	}
}

func TestAFullDiskOrABrokenPipeIsAnError(t *testing.T) {
	code, _, said := inProcess(func(a *app) { a.out = broken{} }, "version")
	require.Equal(t, exitNo, code)
	require.Contains(t, said, "write the output: ")
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// awaited is an output that tells when a line came.
type awaited struct {
	pattern *regexp.Regexp
	seen    chan struct{}
	mu      sync.Mutex
	b       bytes.Buffer
	done    bool
}

func (a *awaited) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.b.Write(p)
	if !a.done && a.pattern.Match(a.b.Bytes()) {
		a.done = true
		close(a.seen)
	}
	return len(p), nil
}

func (a *awaited) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.b.String()
}
