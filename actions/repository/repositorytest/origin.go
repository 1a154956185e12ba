// Package repositorytest is what tests of Git stand on: a real repository, served by git's own programs over HTTPS and SSH,
// and doubles of the APIs that make pull requests. Only tests import it.
package repositorytest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/repository"
)

// Origin is a bare repository, as a server has it, and a clone in which people work.
type Origin struct {
	Bare, Work string
}

// New makes an empty one with the branch main.
func New(t testing.TB) *Origin {
	t.Helper()
	return NewIn(t, t.TempDir())
}

// NewIn makes one in a directory that outlives the test.
func NewIn(t testing.TB, dir string) *Origin {
	t.Helper()
	o := &Origin{filepath.Join(dir, "team", "config.git"), filepath.Join(dir, "work")}
	run(t, dir, "init", "-q", "--bare", "--template=", o.Bare)
	run(t, o.Bare, "config", "http.receivepack", "true")
	run(t, o.Bare, "config", "gc.auto", "0")
	run(t, dir, "clone", "-q", "--template=", o.Bare, o.Work)
	o.Git(t, "checkout", "-q", "-B", "main")
	return o
}

// Git runs git as a person does, in the clone.
func (o *Origin) Git(t testing.TB, args ...string) string {
	t.Helper()
	return run(t, o.Work, args...)
}

// Server runs git where the server is.
func (o *Origin) Server(t testing.TB, args ...string) string {
	t.Helper()
	return run(t, o.Bare, args...)
}

func run(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := person(dir, args...).CombinedOutput()
	require.NoError(t, err, "git %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

// person is git with a name of its own and nobody's configuration.
func person(dir string, args ...string) *exec.Cmd {
	who := []string{"-C", dir, "-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"}
	cmd := exec.CommandContext(context.Background(), "git", append(who, args...)...)
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "GIT_") {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	cmd.Env = append(cmd.Env, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date)
	return cmd
}

// date makes the same history have the same hashes.
const date = "2026-01-01T00:00:00Z"

// Copy is the same repository once more, for a test of its own.
func (o *Origin) Copy(t testing.TB) *Origin {
	t.Helper()
	dir := t.TempDir()
	c := &Origin{filepath.Join(dir, "team", "config.git"), filepath.Join(dir, "work")}
	require.NoError(t, os.CopyFS(c.Bare, os.DirFS(o.Bare)))
	require.NoError(t, os.CopyFS(c.Work, os.DirFS(o.Work)))
	c.Git(t, "remote", "set-url", "origin", c.Bare)
	return c
}

// Gone is the text of a file that is to be removed.
const Gone = "\x00"

// Write puts files into the clone without committing them.
func (o *Origin) Write(t testing.TB, files map[string]string) {
	t.Helper()
	for name, text := range files {
		at := filepath.Join(o.Work, name)
		if text == Gone {
			require.NoError(t, os.RemoveAll(at))
			continue
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		require.NoError(t, os.WriteFile(at, []byte(text), 0o644))
	}
}

// Commit writes files, commits and pushes them, and gives the commit.
func (o *Origin) Commit(t testing.TB, message string, files map[string]string) string {
	t.Helper()
	o.Write(t, files)
	o.Git(t, "add", "-A")
	o.Git(t, "commit", "-q", "--allow-empty", "-m", message)
	o.Git(t, "push", "-q", "origin", "HEAD")
	return o.Git(t, "rev-parse", "HEAD")
}

// Pull brings the clone to what the server has.
func (o *Origin) Pull(t testing.TB) {
	t.Helper()
	o.Git(t, "fetch", "-q", "origin")
	o.Git(t, "reset", "-q", "--hard", "origin/main")
}

// Show is a file of the server's branch main.
func (o *Origin) Show(t testing.TB, file string) string {
	t.Helper()
	return o.Server(t, "show", "main:"+file)
}

// Refs is the state of the server: every branch and tag.
func (o *Origin) Refs(t testing.TB) string {
	t.Helper()
	return o.Server(t, "for-each-ref", "--format=%(refname) %(objectname)")
}

// Hook makes the server run a script at each push.
func (o *Origin) Hook(t testing.TB, name, script string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(o.Bare, "hooks"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(o.Bare, "hooks", name), []byte("#!/bin/sh\n"+script), 0o755))
}

// Protect makes the server decline every push to main.
func (o *Origin) Protect(t testing.TB) {
	o.Hook(t, "pre-receive", `while read old new ref; do
  if [ "$ref" = refs/heads/main ]; then echo "protected branch: changes must be made through a pull request" >&2; exit 1; fi
done
`)
}

// Local is a connection to the bare repository by its path, with a mirror of its own.
func (o *Origin) Local(t testing.TB) *repository.Connection {
	return &repository.Connection{URL: o.Bare, AllowLocal: true, Cache: t.TempDir()}
}

// Open opens a connection that may reach this machine.
func Open(t testing.TB, c *repository.Connection) *repository.Repository {
	t.Helper()
	require.NoError(t, c.Validate())
	opened, err := c.Open(client.NewDialer(loopback))
	require.NoError(t, err)
	return opened.(*repository.Repository)
}
