package repository

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/client"
)

// sh runs git as a person would, in a directory.
func sh(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "git %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

// origin is a bare repository and a clone to work in.
type origin struct{ bare, work string }

func newOrigin(t testing.TB) origin {
	dir := t.TempDir()
	o := origin{filepath.Join(dir, "origin.git"), filepath.Join(dir, "work")}
	sh(t, dir, "init", "-q", "--bare", o.bare)
	sh(t, dir, "clone", "-q", o.bare, o.work)
	sh(t, o.work, "checkout", "-q", "-B", "main")
	return o
}

// commit writes files (nil removes) and gives the commit, pushed.
func (o origin) commit(t testing.TB, message string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		at := filepath.Join(o.work, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		require.NoError(t, os.WriteFile(at, []byte(text), 0o644))
	}
	sh(t, o.work, "add", "-A")
	sh(t, o.work, "commit", "-q", "-m", message)
	sh(t, o.work, "push", "-q", "origin", "HEAD")
	return sh(t, o.work, "rev-parse", "HEAD")
}

func (o origin) open(t testing.TB) *Repository {
	t.Helper()
	c := &Connection{URL: o.bare, AllowLocal: true, Cache: t.TempDir()}
	require.NoError(t, c.Validate())
	opened, err := c.Open(client.NewDialer(actiontest.Loopback))
	require.NoError(t, err)
	return opened.(*Repository)
}

func TestFilesOfACommit(t *testing.T) {
	o := newOrigin(t)
	first := o.commit(t, "one", map[string]string{"apps/api/deploy.yaml": "image: one\n", "apps/web/deploy.yaml": "image: web\n"})
	second := o.commit(t, "two", map[string]string{"apps/api/deploy.yaml": "image: two\n"})
	r := o.open(t)
	require.NoError(t, r.Fetch(t.Context()))
	head, err := r.Head(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, second, head)
	found, err := r.Resolve(t.Context(), first[:8])
	require.NoError(t, err)
	require.Equal(t, first, found)
	files, err := r.Files(t.Context(), first, "apps/api")
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"apps/api/deploy.yaml": []byte("image: one\n")}, files)
	files, err = r.Files(t.Context(), second, "")
	require.NoError(t, err)
	require.Len(t, files, 2)
	log, err := r.Log(t.Context(), first, second, "apps")
	require.NoError(t, err)
	require.Len(t, log, 1)
	require.Equal(t, "two", log[0].Subject)
}
