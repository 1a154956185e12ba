package repository_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/repository"
	"astern.dev/astern/actions/repository/repositorytest"
)

func TestMain(m *testing.M) {
	if what := os.Getenv("ASTERN_TEST_FETCH"); what != "" {
		os.Exit(fetchAsChild(what))
	}
	os.Exit(m.Run())
}

// fetchAsChild is another process that uses the same cache.
func fetchAsChild(what string) int {
	url, cache, _ := strings.Cut(what, "\n")
	opened, err := (&repository.Connection{URL: url, AllowLocal: true, Cache: cache}).Open(nil)
	if err != nil || opened.(*repository.Repository).Fetch(context.Background()) != nil {
		return 1
	}
	return 0
}

func TestConnections(t *testing.T) {
	for text, want := range map[string]string{
		`{url: "https://git.example.org/team/config.git", https: {token_file: t}}`:                         "",
		`{url: "ssh://git@git.example.org:2222/team/config.git", ssh: {key_file: k, known_hosts_file: h}}`: "",
		`{url: "http://git.internal/team/config.git"}`:                                                     "",
		`{}`:                         "url",
		`{url: /srv/git/config.git}`: "allow_local",
		`{url: "git@github.com:team/config.git"}`:                                                                          "url",
		`{url: "ext::sh -c id"}`:                                                                                           "url",
		`{url: "file:///srv/git"}`:                                                                                         "url",
		`{url: "git://git.example.org/x"}`:                                                                                 "must begin with https:// or ssh://",
		`{url: "https://user:hunter2@git.example.org/x"}`:                                                                  "must not hold credentials",
		`{url: "https://git.example.org/x?y=z"}`:                                                                           "url",
		`{url: "https://-oProxyCommand=id/x"}`:                                                                             "url",
		`{url: "ssh://-oProxyCommand=id/x", ssh: {key_file: k, known_hosts_file: h}}`:                                      "url",
		`{url: "ssh://-l@host/x", ssh: {key_file: k, known_hosts_file: h}}`:                                                "the user must be a plain name",
		`{url: "ssh://git@host/x y", ssh: {key_file: k, known_hosts_file: h}}`:                                             "url",
		`{url: "ssh://git@host/x"}`:                                                                                        "key_file and known_hosts_file",
		`{url: "ssh://git@host/x", ssh: {key_file: "a'b", known_hosts_file: h}}`:                                           "must not hold spaces",
		`{url: "http://git.internal/x", https: {token_file: t}}`:                                                           "would show the token",
		`{url: "https://h/x", ssh: {key_file: k}}`:                                                                         "does not begin with ssh://",
		`{url: "https://h/x", branch: "../x"}`:                                                                             "branch",
		`{url: "https://h/x", https: {scheme: digest}}`:                                                                    "neither basic nor bearer",
		`{url: "https://h/x", author: {name: "a\nb"}}`:                                                                     "author.name",
		`{url: "https://h/x", timeout: -1s}`:                                                                               "timeout",
		`{url: "https://h/x", api: {kind: gitea, project: a/b, token_file: t}}`:                                            "neither github nor gitlab",
		`{url: "https://h/x", api: {kind: github, project: a, token_file: t}}`:                                             "api.project",
		`{url: "https://h/x", api: {kind: github, project: a/b/c, token_file: t}}`:                                         "api.project",
		`{url: "https://h/x", api: {kind: gitlab, project: a/../b, token_file: t}}`:                                        "api.project",
		`{url: "https://h/x", api: {kind: gitlab, project: a/b}}`:                                                          "api.token_file",
		`{url: "https://h/x", api: {project: a/b}}`:                                                                        "api.kind",
		`{url: "https://h/x", api: {kind: gitlab, project: a/b, token_file: t, http_config: {basic_auth: {username: x}}}}`: "must not hold credentials",
	} {
		var c repository.Connection
		require.NoError(t, yaml.Load([]byte(text), &c, yaml.WithKnownFields()), text)
		err := c.Validate()
		if want == "" {
			require.NoError(t, err, text)
			continue
		}
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func open(t *testing.T, o *repositorytest.Origin) *repository.Repository {
	t.Helper()
	r := repositorytest.Open(t, o.Local(t))
	require.NoError(t, r.Fetch(t.Context()))
	return r
}

func TestFilesOfACommit(t *testing.T) {
	o := repositorytest.New(t)
	first := o.Commit(t, "one", map[string]string{"apps/api/deploy.yaml": "image: one\n", "apps/web/empty": "", "apps/apiary/x": "x"})
	second := o.Commit(t, "two", map[string]string{"apps/api/deploy.yaml": "image: two\n"})
	o.Git(t, "tag", "-a", "-m", "release", "v1", first)
	o.Git(t, "push", "-q", "origin", "v1")
	r := open(t, o)
	for ref, want := range map[string]string{first[:7]: first, first: first, "main": second, "v1": first} {
		found, err := r.Resolve(t.Context(), ref)
		require.NoError(t, err, ref)
		require.Equal(t, want, found, ref)
	}
	files, err := r.Files(t.Context(), first, "apps/api")
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"apps/api/deploy.yaml": []byte("image: one\n")}, files)
	files, err = r.Files(t.Context(), second, "")
	require.NoError(t, err)
	require.Len(t, files, 3)
	require.Empty(t, files["apps/web/empty"])
	files, err = r.Files(t.Context(), second, "apps/web/", "apps/apiary/x")
	require.NoError(t, err)
	require.Len(t, files, 2)
	log, err := r.Log(t.Context(), first, second, "apps/api")
	require.NoError(t, err)
	require.Len(t, log, 1)
	require.Equal(t, repository.Commit{Hash: second, Author: "somebody", Subject: "two", When: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Parents: []string{first}}, log[0])
	log, err = r.Log(t.Context(), "", second)
	require.NoError(t, err)
	require.Len(t, log, 2)
}

// Whoever may push a branch cannot say which commit is meant.
func TestABranchThatLooksLikeAHash(t *testing.T) {
	o := repositorytest.New(t)
	first := o.Commit(t, "one", map[string]string{"a": "1"})
	second := o.Commit(t, "two", map[string]string{"a": "2"})
	for _, name := range []string{first[:7], first[:12], first, "0123456"} {
		require.NoError(t, os.WriteFile(filepath.Join(o.Bare, "refs/heads", name), []byte(second+"\n"), 0o600))
	}
	r := open(t, o)
	for _, hash := range []string{first[:7], first[:12], first} {
		found, err := r.Resolve(t.Context(), hash)
		require.NoError(t, err)
		require.Equal(t, first, found)
	}
	_, err := r.Resolve(t.Context(), "0123456")
	require.ErrorContains(t, err, "has no commit 0123456")
}

func TestWhatIsNotThere(t *testing.T) {
	o := repositorytest.New(t)
	first := o.Commit(t, "one", map[string]string{"a/b": "1"})
	r := open(t, o)
	for _, ref := range append([]string{"nowhere", "0123456", "HEAD", "FETCH_HEAD", "main~0", "main^{tree}", ":/one", "@", "-h", "--all", "refs/heads/../../x"}, actiontest.Hostile()...) {
		_, err := r.Resolve(t.Context(), ref)
		require.Error(t, err, "%q", ref)
	}
	for _, path := range []string{"nothing", "a/b/c", "../a", "/a", "a/../a", "./a", ".git/config", "a/.GIT/x", "a\x00b", ":(glob)**", "*", "a/"} {
		_, err := r.Files(t.Context(), first, path)
		if path != "a/" {
			require.Error(t, err, "%q", path)
			require.True(t, actions.IsPermanent(err), "%q", path)
		}
	}
}

func TestLinksAndSubmodules(t *testing.T) {
	o := repositorytest.New(t)
	o.Write(t, map[string]string{"base/x.yaml": "x\n", "good/own": "own\n"})
	require.NoError(t, os.Symlink("../base/x.yaml", filepath.Join(o.Work, "good", "link.yaml")))
	for name, to := range map[string]string{"out": "../../etc/passwd", "absolute": "/etc/passwd", "dir": "../base", "nowhere": "none", "git": "../.git/config"} {
		require.NoError(t, os.MkdirAll(filepath.Join(o.Work, name), 0o755))
		require.NoError(t, os.Symlink(to, filepath.Join(o.Work, name, "link")))
	}
	commit := o.Commit(t, "links", nil)
	o.Git(t, "update-index", "--add", "--cacheinfo", "160000,"+commit+",sub/module")
	o.Git(t, "commit", "-q", "-m", "submodule")
	o.Git(t, "push", "-q", "origin", "HEAD")
	commit = o.Git(t, "rev-parse", "HEAD")
	r := open(t, o)
	files, err := r.Files(t.Context(), commit, "good")
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{"good/own": []byte("own\n"), "good/link.yaml": []byte("x\n")}, files)
	for _, name := range []string{"out", "absolute", "dir", "nowhere", "git"} {
		_, err := r.Files(t.Context(), commit, name)
		require.ErrorContains(t, err, "is a symbolic link", name)
	}
	_, err = r.Files(t.Context(), commit, "sub")
	require.ErrorContains(t, err, "is a submodule")
}

func TestTooMuchIsRefused(t *testing.T) {
	o := repositorytest.New(t)
	o.Write(t, map[string]string{"x": strings.Repeat("0123456789abcdef", 1<<18)}) // 4 MiB, and 17 names for it
	hash := o.Git(t, "hash-object", "-w", "x")
	for n := range 17 {
		o.Git(t, "update-index", "--add", "--cacheinfo", "100644,"+hash+",big/"+strings.Repeat("a", n+1))
	}
	o.Git(t, "commit", "-q", "-m", "big")
	o.Git(t, "push", "-q", "origin", "HEAD")
	r := open(t, o)
	head, err := r.Head(t.Context(), "")
	require.NoError(t, err)
	_, err = r.Files(t.Context(), head, "big")
	require.ErrorIs(t, err, repository.ErrTooMuch)
	require.True(t, actions.IsPermanent(err))
	files, err := r.Files(t.Context(), head, "big/a")
	require.NoError(t, err)
	require.Len(t, files["big/a"], 4<<20)
}

// Nothing of the machine's reaches git: no variable, no configuration, no hook.
func TestNothingOfTheMachineIsUsed(t *testing.T) {
	o := repositorytest.New(t)
	first := o.Commit(t, "one", map[string]string{"a": "1"})
	home, trap := t.TempDir(), filepath.Join(t.TempDir(), "sprung")
	require.NoError(t, os.WriteFile(filepath.Join(home, ".gitconfig"), []byte("[url \"file:///nowhere\"]\n\tinsteadOf = "+o.Bare+"\n[core]\n\thooksPath = "+home+"\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(home, "pre-push"), []byte("#!/bin/sh\ntouch "+trap+"\n"), 0o700))
	for name, value := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": home, "GIT_DIR": "/nowhere", "GIT_CONFIG_GLOBAL": filepath.Join(home, ".gitconfig"), "GIT_CONFIG_PARAMETERS": "'core.hookspath'='" + home + "'",
		"GIT_SSH_COMMAND": "touch " + trap, "GIT_ASKPASS": "touch " + trap, "GIT_OBJECT_DIRECTORY": "/nowhere", "GIT_INDEX_FILE": "/nowhere", "GIT_TRACE": trap, "GIT_EXTERNAL_DIFF": "touch " + trap,
		"GIT_NAMESPACE": "other", "LANG": "de_DE.UTF-8",
	} {
		t.Setenv(name, value)
	}
	r := open(t, o)
	tree, err := r.Tree(t.Context(), first)
	require.NoError(t, err)
	commit, err := r.CommitTree(t.Context(), repository.CommitRequest{Tree: tree, Parent: first, Message: "two\n", When: time.Unix(1_767_225_600, 0)})
	require.NoError(t, err)
	require.NoError(t, r.Push(t.Context(), commit, "main"))
	require.NoFileExists(t, trap)
	for _, name := range []string{"GIT_DIR", "GIT_OBJECT_DIRECTORY", "GIT_INDEX_FILE", "GIT_NAMESPACE", "GIT_TRACE", "GIT_CONFIG_PARAMETERS"} {
		require.NoError(t, os.Unsetenv(name))
	}
	require.Equal(t, commit, o.Server(t, "rev-parse", "main"))
}

func TestNoGit(t *testing.T) {
	o := repositorytest.New(t)
	r := repositorytest.Open(t, o.Local(t))
	t.Setenv("PATH", t.TempDir())
	err := r.Ready(t.Context(), "main")
	require.ErrorContains(t, err, "there is no git program: this image has none; use the one with git")
	require.True(t, actions.IsPermanent(err))
	require.ErrorContains(t, r.Fetch(t.Context()), "there is no git program")
}

func TestAnOldGit(t *testing.T) {
	o := repositorytest.New(t)
	r := repositorytest.Open(t, o.Local(t))
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "git"), []byte("#!/bin/sh\necho git version 2.37.9\n"), 0o700))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	require.ErrorContains(t, r.Ready(t.Context(), "main"), "git 2.37 is too old: 2.38 or newer is needed")
}

// What a killed process, a full disk or a cleaner of temporary files left behind is made good by the next fetch.
func TestADamagedMirrorIsMadeAnew(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, mirror string){
		"half made": func(t *testing.T, mirror string) {
			require.NoError(t, os.RemoveAll(mirror))
			require.NoError(t, os.MkdirAll(filepath.Join(mirror+".new", "objects"), 0o700))
		},
		"locks": func(t *testing.T, mirror string) {
			for _, lock := range []string{"packed-refs.lock", "refs/heads/main.lock", "config.lock", "HEAD.lock", "shallow.lock"} {
				require.NoError(t, os.WriteFile(filepath.Join(mirror, lock), nil, 0o600))
			}
		},
		"objects gone": func(t *testing.T, mirror string) {
			require.NoError(t, os.RemoveAll(filepath.Join(mirror, "objects")))
			require.NoError(t, os.MkdirAll(filepath.Join(mirror, "objects"), 0o700))
		},
		"objects cut": func(t *testing.T, mirror string) {
			require.NoError(t, filepath.WalkDir(filepath.Join(mirror, "objects"), func(path string, d os.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					require.NoError(t, os.Chmod(path, 0o600))
					err = os.Truncate(path, 10)
				}
				return err
			}))
		},
		"a branch is empty": func(t *testing.T, mirror string) {
			require.NoError(t, os.WriteFile(filepath.Join(mirror, "refs/heads/main"), nil, 0o600))
		},
		"HEAD gone": func(t *testing.T, mirror string) { require.NoError(t, os.Remove(filepath.Join(mirror, "HEAD"))) },
		"HEAD wrong": func(t *testing.T, mirror string) {
			require.NoError(t, os.WriteFile(filepath.Join(mirror, "HEAD"), []byte("x"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := repositorytest.New(t)
			o.Commit(t, "one", map[string]string{"a": "1"})
			c := o.Local(t)
			r := repositorytest.Open(t, c)
			require.NoError(t, r.Fetch(t.Context()))
			mirrors, err := filepath.Glob(filepath.Join(c.Cache, "*", "mirror"))
			require.NoError(t, err)
			require.Len(t, mirrors, 1)
			damage(t, mirrors[0])
			second := o.Commit(t, "two", map[string]string{"a": "2"})
			require.NoError(t, r.Fetch(t.Context()))
			files, err := r.Files(t.Context(), second, "a")
			require.NoError(t, err)
			require.Equal(t, "2", string(files["a"]))
		})
	}
}

// Goroutines and processes share a mirror, some of them are killed.
func TestManyFetchAtOnce(t *testing.T) {
	o := repositorytest.New(t)
	head := o.Commit(t, "one", map[string]string{"a": "1"})
	c := o.Local(t)
	errs := make(chan error)
	const each = 6
	for n := range each {
		r := repositorytest.Open(t, c)
		go func() { errs <- r.Fetch(t.Context()) }()
		go func() { errs <- r.Fetch(t.Context()) }()
		go func() {
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), "ASTERN_TEST_FETCH="+o.Bare+"\n"+c.Cache)
			err := child.Start()
			if err == nil && n%2 == 0 {
				<-time.After(time.Duration(n) * 5 * time.Millisecond)
				_ = child.Process.Kill()
				_ = child.Wait()
			} else if err == nil {
				err = child.Wait()
			}
			errs <- err
		}()
	}
	for range 3 * each {
		require.NoError(t, <-errs)
	}
	found, err := open(t, o).Head(t.Context(), "main")
	require.NoError(t, err)
	require.Equal(t, head, found)
}

func TestBranchesThatGoAndComeBackOtherwise(t *testing.T) {
	o := repositorytest.New(t)
	first := o.Commit(t, "one", map[string]string{"a": "1"})
	o.Server(t, "update-ref", "refs/heads/topic", first)
	r := open(t, o)
	there, err := r.HasBranch(t.Context(), "topic")
	require.NoError(t, err)
	require.True(t, there)
	o.Server(t, "update-ref", "-d", "refs/heads/topic")
	o.Server(t, "update-ref", "refs/heads/topic/deeper", first)
	second := o.Git(t, "commit-tree", first+"^{tree}", "-m", "rewritten")
	o.Git(t, "push", "-q", "-f", "origin", second+":main")
	require.NoError(t, r.Fetch(t.Context()))
	there, err = r.HasBranch(t.Context(), "topic")
	require.NoError(t, err)
	require.False(t, there)
	head, err := r.Head(t.Context(), "main")
	require.NoError(t, err)
	require.Equal(t, second, head)
}

func TestTheWaitForTheMirrorEnds(t *testing.T) {
	o := repositorytest.New(t)
	o.Commit(t, "one", map[string]string{"a": "1"})
	server := o.HTTPS(t)
	c := server.Connection(t)
	holder, waiter := repositorytest.Open(t, c), repositorytest.Open(t, c)
	require.NoError(t, holder.Fetch(t.Context()))
	server.Stall()
	ctx, release := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- holder.Fetch(ctx) }()
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, waiter.Fetch(short), context.DeadlineExceeded)
	release()
	require.ErrorIs(t, <-done, context.Canceled)
}

// Whoever cannot wait for the whole history finds it there later.
func TestTheFirstFetchGoesOn(t *testing.T) {
	o := repositorytest.New(t)
	head := o.Commit(t, "one", map[string]string{"a": "1"})
	server := o.HTTPS(t)
	resume := server.Pause()
	r := repositorytest.Open(t, server.Connection(t))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- r.Fetch(ctx) }()
	server.Paused(t)
	cancel()
	err := <-done
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "still being fetched for the first time")
	go func() { done <- r.Fetch(t.Context()) }()
	resume()
	require.NoError(t, <-done)
	require.Equal(t, 1, server.Asked("info/refs"), "the second asked for nothing of its own")
	found, err := r.Head(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, head, found)
}

func TestACacheThatIsSomebodyElses(t *testing.T) {
	o := repositorytest.New(t)
	o.Commit(t, "one", map[string]string{"a": "1"})
	t.Setenv("TMPDIR", t.TempDir())
	c := o.Local(t)
	c.Cache = ""
	opened, err := c.Open(client.NewDialer(nil))
	require.NoError(t, err)
	require.NoError(t, opened.(*repository.Repository).Fetch(t.Context()))
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), "astern-git-*"))
	require.NoError(t, err)
	require.Len(t, dirs, 1)
	require.NoError(t, os.Chmod(dirs[0], 0o777))
	require.ErrorContains(t, opened.(*repository.Repository).Fetch(t.Context()), "can be written by others")
}
