package repository_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/repository"
	"astern.dev/astern/actions/repository/repositorytest"
)

// land makes a commit on top of main and pushes it.
func land(t *testing.T, r *repository.Repository) (string, error) {
	t.Helper()
	if err := r.Fetch(t.Context()); err != nil {
		return "", err
	}
	head, err := r.Head(t.Context(), "")
	require.NoError(t, err)
	tree, err := r.Tree(t.Context(), head)
	require.NoError(t, err)
	commit, err := r.CommitTree(t.Context(), repository.CommitRequest{Tree: tree, Parent: head, Message: "on top\n", When: time.Unix(1_767_225_600, 0)})
	require.NoError(t, err)
	return commit, r.Push(t.Context(), commit, "main")
}

func newOrigin(t *testing.T) *repositorytest.Origin {
	o := repositorytest.New(t)
	o.Commit(t, "one", map[string]string{"a": "1"})
	return o
}

func TestByHTTPS(t *testing.T) {
	o := newOrigin(t)
	server := o.HTTPS(t)
	r := repositorytest.Open(t, server.Connection(t))
	commit, err := land(t, r)
	require.NoError(t, err)
	require.Equal(t, commit, o.Server(t, "rev-parse", "main"))
	require.NoError(t, r.Ready(t.Context(), "main"))
	require.ErrorContains(t, r.Ready(t.Context(), "nowhere"), "has no branch nowhere")
}

func TestByHTTPSRefused(t *testing.T) {
	o := newOrigin(t)
	for name, c := range map[string]struct {
		change    func(*repositorytest.HTTPS, *repository.Connection)
		want      string
		permanent bool
	}{
		"wrong token": {func(s *repositorytest.HTTPS, _ *repository.Connection) { s.SetToken(t, "x"+repositorytest.Canary) }, "the server refuses the credentials", true},
		"no token":    {func(_ *repositorytest.HTTPS, c *repository.Connection) { c.HTTPS.TokenFile = "" }, "the server refuses the credentials", true},
		"token as bearer": {func(_ *repositorytest.HTTPS, c *repository.Connection) {
			c.HTTPS.Username, c.HTTPS.Scheme = "", "bearer"
		}, "the server refuses the credentials", true},
		"token file gone":    {func(_ *repositorytest.HTTPS, c *repository.Connection) { c.HTTPS.TokenFile += ".gone" }, "read https.token_file", false},
		"token of two lines": {func(s *repositorytest.HTTPS, _ *repository.Connection) { s.SetToken(t, repositorytest.Canary+"\nx") }, "holds no secret of one line", false},
		"no authority":       {func(_ *repositorytest.HTTPS, c *repository.Connection) { c.HTTPS.CAFile = "" }, "the server's certificate is not trusted", true},
		"another repository": {func(_ *repositorytest.HTTPS, c *repository.Connection) {
			c.URL = strings.Replace(c.URL, "config", "none", 1)
		}, "there is no such repository", true},
		"redirect": {func(s *repositorytest.HTTPS, _ *repository.Connection) { s.SetStatus(302) }, "302", false},
		"away":     {func(s *repositorytest.HTTPS, _ *repository.Connection) { s.SetStatus(503) }, "503", false},
		"no answer in time": {func(s *repositorytest.HTTPS, c *repository.Connection) {
			s.Stall()
			c.Timeout = actions.Duration(200 * time.Millisecond)
		}, "deadline exceeded", false},
		"down": {func(s *repositorytest.HTTPS, _ *repository.Connection) { s.Close() }, "connection refused", false},
	} {
		t.Run(name, func(t *testing.T) {
			server := o.HTTPS(t)
			connection := server.Connection(t)
			c.change(server, connection)
			err := repositorytest.Open(t, connection).Fetch(t.Context())
			require.ErrorContains(t, err, c.want)
			require.Equal(t, c.permanent, actions.IsPermanent(err), "%v", err)
			require.NotContains(t, err.Error(), repositorytest.Canary)
		})
	}
}

// While git runs, nobody else can read the token: it is in no argument.
func TestTheTokenIsInNoArgument(t *testing.T) {
	o := newOrigin(t)
	server := o.HTTPS(t)
	dir := t.TempDir()
	real, err := exec.LookPath("git")
	require.NoError(t, err)
	script := "#!/bin/sh\nprintf '%s\\n' \"$@\" >>" + dir + "/args\nexec " + real + " \"$@\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "git"), []byte(script), 0o700))
	path := os.Getenv("PATH")
	t.Setenv("PATH", dir+":"+path)
	_, err = land(t, repositorytest.Open(t, server.Connection(t)))
	require.NoError(t, err)
	args, err := os.ReadFile(filepath.Join(dir, "args"))
	require.NoError(t, err)
	require.Contains(t, string(args), "push")
	require.NotContains(t, string(args), repositorytest.Canary)
	require.NotContains(t, string(args), "Authorization")
}

// Neither the name nor the address gets around the egress rules, and nothing is sent.
func TestEgressRules(t *testing.T) {
	o := newOrigin(t)
	server := o.HTTPS(t)
	byName := server.Connection(t)
	byName.URL = strings.Replace(byName.URL, "127.0.0.1", "localhost", 1)
	for _, c := range []*repository.Connection{server.Connection(t), byName} {
		opened, err := c.Open(client.NewDialer(nil))
		require.NoError(t, err)
		err = opened.(*repository.Repository).Fetch(t.Context())
		require.ErrorIs(t, err, client.ErrEgress)
		require.True(t, actions.IsPermanent(err))
	}
}

// git goes to the address that the rules let pass, whatever the name means to git.
func TestGitIsHeldToTheAddressThatPassed(t *testing.T) {
	o := newOrigin(t)
	server := o.HTTPS(t)
	to := server.Listener.Addr().String()
	c := server.Connection(t)
	c.URL = strings.Replace(c.URL, "127.0.0.1", "example.com", 1) // a name of the test's certificate
	commit, err := land(t, elsewhere(t, c, to))
	require.NoError(t, err)
	require.Equal(t, commit, o.Server(t, "rev-parse", "main"))
}

// elsewhere opens a connection whose name leads to an address of this machine.
func elsewhere(t *testing.T, c *repository.Connection, to string) *repository.Repository {
	opened, err := c.Open(func(ctx context.Context, network, asked string) (net.Conn, error) {
		require.True(t, strings.HasPrefix(asked, "example.com:"))
		return client.NewDialer([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})(ctx, network, to)
	})
	require.NoError(t, err)
	return opened.(*repository.Repository)
}

func TestPushesThatAreRefused(t *testing.T) {
	o := newOrigin(t)
	r := open(t, o)
	head, err := r.Head(t.Context(), "")
	require.NoError(t, err)
	o.Commit(t, "two", map[string]string{"a": "2"})
	tree, err := r.Tree(t.Context(), head)
	require.NoError(t, err)
	stale, err := r.CommitTree(t.Context(), repository.CommitRequest{Tree: tree, Parent: head, Message: "stale\n", When: time.Unix(0, 0)})
	require.NoError(t, err)
	state := o.Refs(t)
	require.ErrorIs(t, r.Push(t.Context(), stale, "main"), repository.ErrMoved)
	require.NoError(t, r.Fetch(t.Context()))
	require.ErrorIs(t, r.Push(t.Context(), stale, "main"), repository.ErrMoved, "also when git knows where the branch is")
	require.Equal(t, state, o.Refs(t), "nothing is ever forced")
	o.Protect(t)
	_, err = land(t, r)
	require.ErrorIs(t, err, repository.ErrProtected)
	require.NotErrorIs(t, err, repository.ErrMoved)
	require.ErrorContains(t, err, "protected branch: changes must be made through a pull request")
	o.Hook(t, "pre-receive", "exit 0\n")
	o.Hook(t, "update", "echo GH006: Protected branch update failed >&2; exit 1\n")
	_, err = land(t, r)
	require.ErrorIs(t, err, repository.ErrProtected)
	require.Equal(t, state, o.Refs(t))
	for _, branch := range []string{"-f", "../x", "refs/heads/../x", "a b", "", "+main", "main:other"} {
		require.Error(t, r.Push(t.Context(), stale, branch), "%q", branch)
	}
	require.Equal(t, state, o.Refs(t))
}

// What was refused at the door left no doubt; what broke off later did.
func TestPushesThatBreakOff(t *testing.T) {
	o := newOrigin(t)
	server := o.HTTPS(t)
	r := repositorytest.Open(t, server.Connection(t))
	require.NoError(t, r.Fetch(t.Context()))
	head, err := r.Head(t.Context(), "")
	require.NoError(t, err)
	tree, err := r.Tree(t.Context(), head)
	require.NoError(t, err)
	commit, err := r.CommitTree(t.Context(), repository.CommitRequest{Tree: tree, Parent: head, Message: "x\n", When: time.Unix(0, 0)})
	require.NoError(t, err)
	for status, permanent := range map[int]bool{503: false, 403: true} {
		server.SetStatus(status)
		err := r.Push(t.Context(), commit, "main")
		require.Error(t, err)
		require.NotErrorIs(t, err, repository.ErrUnknown)
		require.Equal(t, permanent, actions.IsPermanent(err), "%v", err)
	}
	server.SetStatus(0)
	server.LoseAnswers()
	err = r.Push(t.Context(), commit, "main")
	require.ErrorIs(t, err, repository.ErrUnknown)
	require.NotContains(t, err.Error(), repositorytest.Canary)
	require.Equal(t, commit, o.Server(t, "rev-parse", "main"))
}

// A lock that another push holds at the server is a race, and no protection.
func TestALockedBranchIsARace(t *testing.T) {
	o := newOrigin(t)
	require.NoError(t, os.WriteFile(filepath.Join(o.Bare, "refs/heads/main.lock"), nil, 0o600))
	_, err := land(t, open(t, o))
	require.ErrorIs(t, err, repository.ErrMoved)
}

func TestDifferencesOfTrees(t *testing.T) {
	o := repositorytest.New(t)
	o.Write(t, map[string]string{"kind": "a file\n", "bin": "\x00\x01\x02", "gone": "x\ny\n", "odd": "diff --git a/x b/x\n@@ -1 +1 @@\n", "mode": "#!/bin/sh\n"})
	first := o.Commit(t, "one", nil)
	require.NoError(t, os.Remove(filepath.Join(o.Work, "kind")))
	require.NoError(t, os.Symlink("gone", filepath.Join(o.Work, "kind")))
	require.NoError(t, os.Chmod(filepath.Join(o.Work, "mode"), 0o755))
	second := o.Commit(t, "two", map[string]string{"bin": "\x00\x03", "gone": repositorytest.Gone, "odd": "--- a\n+++ b\n", "new": "last line without an end"})
	r := open(t, o)
	changes, err := r.Diff(t.Context(), first, second)
	require.NoError(t, err)
	by := map[string]repository.FileChange{}
	for _, c := range changes {
		by[c.Path] = c
	}
	require.Len(t, by, 6)
	require.Empty(t, by["bin"].Patch)
	require.NotEmpty(t, by["bin"].New)
	require.Equal(t, []string{"@@", "-diff --git a/x b/x", "-@@ -1 +1 @@", "+--- a", "++++ b"}, by["odd"].Patch)
	require.Equal(t, 2, by["odd"].Added)
	require.Empty(t, by["gone"].New)
	require.Equal(t, []string{"@@", "-x", "-y"}, by["gone"].Patch)
	require.Equal(t, []string{"@@", "+last line without an end", `\ No newline at end of file`}, by["new"].Patch)
	require.Equal(t, "120000", by["kind"].NewMode)
	require.Equal(t, []string{"100644", "100755"}, []string{by["mode"].OldMode, by["mode"].NewMode})
	require.Empty(t, by["mode"].Patch)
	contents, err := r.Contents(t.Context(), changes)
	require.NoError(t, err)
	require.Equal(t, "\x00\x03", string(contents[by["bin"].New]))
	require.Equal(t, "gone", string(contents[by["kind"].New]))
}
