package git

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/repository"
	"astern.dev/astern/actions/repository/repositorytest"
)

// many is an origin with n bad commits, each of a file of its own.
func many(t *testing.T, n int) (*repositorytest.Origin, []string) {
	o := repositorytest.New(t)
	var in bytes.Buffer
	commit := func(message string, files func()) {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter somebody <somebody@example.org> 1767225600 +0000\ndata %d\n%s\n", len(message), message)
		files()
		in.WriteString("\n")
	}
	put := func(k int, text string) {
		fmt.Fprintf(&in, "M 100644 inline f%d\ndata %d\n%s\n", k, len(text), text)
	}
	commit("good", func() {
		for k := range n {
			put(k, "good\n")
		}
	})
	for k := range n {
		commit(fmt.Sprintf("bad %d", k), func() { put(k, "bad\n") })
	}
	cmd := exec.Command("git", "-C", o.Bare, "fast-import", "--quiet")
	cmd.Stdin = &in
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	commits := strings.Fields(o.Server(t, "rev-list", "--reverse", "main"))
	require.Len(t, commits, n+1)
	return o, commits[1:]
}

// Two asterns revert 105 commits while a person pushes at random moments: each revert lands once, and nobody's commit is
// lost.
func TestPushRaces(t *testing.T) {
	const first, second = 90, 15
	o, bad := many(t, first+second)
	var left atomic.Int32
	left.Store(2)
	var all sync.WaitGroup
	for _, part := range [][2]int{{0, first}, {first, first + second}} {
		repo := repositorytest.Open(t, o.Local(t))
		all.Go(func() {
			defer left.Add(-1)
			for k := part[0]; k < part[1]; k++ {
				revertUntilDone(t, repo, k, bad[k])
			}
		})
	}
	pushed := personPushes(t, o, func() bool { return left.Load() > 0 })
	all.Wait()
	require.False(t, t.Failed())

	log := o.Server(t, "log", "--format=%H %(trailers:key=Astern-Key,valueonly,separator=%x2C)", "main")
	for k := range bad {
		require.Equal(t, 1, strings.Count(log, fmt.Sprintf(" race/%d\n", k))+strings.Count(log+"\n", fmt.Sprintf(" race/%d\n\n", k)), "%d", k)
		require.Equal(t, "good", o.Show(t, fmt.Sprintf("f%d", k)))
	}
	for _, commit := range pushed {
		require.Contains(t, log, commit, "somebody's commit is lost")
	}
	require.NotEmpty(t, pushed)
	require.Equal(t, 1+2*len(bad)+len(pushed), strings.Count(log, "\n")+1, "each once, and nothing else")
	t.Logf("%d reverts among %d pushes of a person", len(bad), len(pushed))
}

// revertUntilDone does as the engine does: what is no permanent failure is tried again.
func revertUntilDone(t *testing.T, repo *repository.Repository, k int, bad string) {
	e := env(repo)
	e.Key = fmt.Sprintf("race/%d", k)
	for attempt := 1; attempt <= 30; attempt++ {
		r := &Revert{Commit: bad}
		_, err := r.Run(t.Context(), e)
		if err == nil {
			return
		}
		if actions.IsPermanent(err) || actions.IsDoubtful(err) {
			t.Errorf("%d: %v", k, err)
			return
		}
	}
	t.Errorf("%d: never landed", k)
}

// personPushes commits and pushes, and takes what others pushed when refused. It gives the commits that were taken.
func personPushes(t *testing.T, o *repositorytest.Origin, on func() bool) []string {
	o.Git(t, "fetch", "-q", "origin")
	var pushed []string
	for on() {
		o.Git(t, "reset", "-q", "--hard", "origin/main")
		o.Git(t, "commit", "-q", "--allow-empty", "-m", "a person's")
		if exec.Command("git", "-C", o.Work, "push", "-q", "origin", "HEAD:main").Run() == nil {
			pushed = append(pushed, o.Git(t, "rev-parse", "HEAD"))
		}
		<-time.After(rand.N(250 * time.Millisecond))
		o.Git(t, "fetch", "-q", "origin")
	}
	return pushed
}

// Somebody pushes between the look and the push: the same change is made on top of theirs, another one is not, and there is an
// end to it.
func TestTheBranchMovesUnderARun(t *testing.T) {
	s := newScene(t)
	e := s.env(t)
	pushes := 0
	between := func(times int, files map[string]string) func() time.Time {
		pushes = 0
		return func() time.Time {
			if pushes < times {
				pushes++
				s.Pull(t)
				s.Commit(t, fmt.Sprintf("in between %d", pushes), files)
			}
			return time.Now()
		}
	}
	e.Now = between(9, map[string]string{"docs/x": "x"})
	_, err := run(t, decode(t, `{commit: `+s.bad+`}`), e)
	require.ErrorContains(t, err, "main moved 5 times")
	require.False(t, actions.IsPermanent(err) || actions.IsDoubtful(err))
	require.Equal(t, 5, pushes)
	e.Now = between(1, map[string]string{file: strings.Replace(deployment("api:3", "3"), "paused: false", "paused: true", 1)})
	_, err = run(t, decode(t, `{commit: `+s.bad+`}`), e)
	require.ErrorContains(t, err, "plan again")
	require.True(t, actions.IsPermanent(err))
	require.Contains(t, s.Show(t, file), "image: api:3")
	e.Now = between(2, map[string]string{"docs/y": "y"})
	_, err = run(t, decode(t, `{commit: `+s.bad+`}`), e)
	require.NoError(t, err)
	require.Contains(t, s.Show(t, file), "image: api:2")
	require.Equal(t, "y", s.Show(t, "docs/y"))
}

// Two workers with one key: one pushes, the other finds it done.
func TestTwoWithOneKey(t *testing.T) {
	const rounds = 8
	o, bad := many(t, rounds)
	mirrors := []*repository.Repository{repositorytest.Open(t, o.Local(t)), repositorytest.Open(t, o.Local(t))}
	for k := range rounds {
		var both sync.WaitGroup
		for _, repo := range mirrors {
			both.Go(func() { revertUntilDone(t, repo, k, bad[k]) })
		}
		both.Wait()
		require.False(t, t.Failed())
	}
	require.Len(t, strings.Fields(o.Server(t, "rev-list", "main")), 1+2*rounds)
}

// The push lands and its answer is lost.
func TestALostAnswerIsLookedUp(t *testing.T) {
	s := newScene(t)
	server := s.HTTPS(t)
	e := env(repositorytest.Open(t, server.Connection(t)))
	server.LoseAnswers()
	did, err := run(t, decode(t, `{commit: `+s.bad+`}`), e)
	require.NoError(t, err)
	require.Equal(t, s.Server(t, "rev-parse", "main"), outputs(t, did).Commit)
	require.Equal(t, s.other, s.Server(t, "rev-parse", "main^"))
}

// The time is over while the server still thinks: nobody knows, then it lands after all, once.
func TestAPushThatOutlastsItsTime(t *testing.T) {
	s := newScene(t)
	server := s.HTTPS(t)
	e := env(repositorytest.Open(t, server.Connection(t)))
	gate := filepath.Join(t.TempDir(), "gate")
	require.NoError(t, syscall.Mkfifo(gate, 0o600))
	s.Hook(t, "pre-receive", "touch "+gate+".begun; cat "+gate+" >/dev/null; exit 0\n")
	t.Cleanup(func() { // a test that failed leaves no hook behind that waits
		if end, err := os.OpenFile(gate, os.O_RDWR, 0); err == nil {
			_, _ = end.WriteString("go\n")
			_ = end.Close()
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := decode(t, `{commit: `+s.bad+`}`).Run(ctx, e)
		done <- err
	}()
	require.Eventually(t, func() bool { _, err := os.Stat(gate + ".begun"); return err == nil }, 30*time.Second, 5*time.Millisecond)
	cancel()
	err := <-done
	require.True(t, actions.IsDoubtful(err), "%v", err)
	require.NotContains(t, err.Error(), repositorytest.Canary)
	require.ErrorIs(t, decode(t, `{commit: `+s.bad+`}`).Verify(t.Context(), e), actions.ErrNotDone)
	require.NoError(t, os.WriteFile(gate, []byte("go\n"), 0))
	require.Eventually(t, func() bool { return s.Server(t, "rev-parse", "main") != s.other }, 30*time.Second, 20*time.Millisecond)
	require.NoError(t, decode(t, `{commit: `+s.bad+`}`).Verify(t.Context(), e))
	state := s.Refs(t)
	_, err = run(t, decode(t, `{commit: `+s.bad+`}`), e)
	require.NoError(t, err)
	require.Equal(t, state, s.Refs(t))
}

// astern is killed at random moments of its step, the mirror shared with the next one: one revert, whatever was left behind.
func TestKilledAtAnyMoment(t *testing.T) {
	const kills = 24
	o, bad := many(t, kills)
	c := o.Local(t)
	landed := 0
	for k := range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "ASTERN_TEST_REVERT="+strings.Join([]string{o.Bare, c.Cache, bad[k], fmt.Sprintf("race/%d", k)}, "\n"))
		require.NoError(t, cmd.Start())
		<-time.After(time.Duration(k) * 9 * time.Millisecond)
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		if strings.TrimSpace(o.Show(t, fmt.Sprintf("f%d", k))) == "good" {
			landed++
		}
		revertUntilDone(t, repositorytest.Open(t, c), k, bad[k])
		require.False(t, t.Failed())
	}
	log := o.Server(t, "log", "--format=%H", "main")
	require.Len(t, strings.Fields(log), 1+2*kills)
	t.Logf("%d of %d had landed when killed", landed, kills)
}

// revertAsChild is astern that runs one step.
func revertAsChild(what string) int {
	f := strings.Split(what, "\n")
	c := &repository.Connection{URL: f[0], AllowLocal: true, Cache: f[1]}
	opened, err := c.Open(nil)
	if err != nil {
		return 2
	}
	e := env(opened.(*repository.Repository))
	e.Key = f[3]
	if _, err := (&Revert{Commit: f[2]}).Run(context.Background(), e); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
