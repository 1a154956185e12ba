package controlplane

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"
)

// mirrors are bare copies of the Git repositories that GitOps controllers read, one for each URL. A URL may be a path.
type mirrors struct {
	dir  string
	mu   sync.Mutex
	seen map[string]fetched
}

type fetched struct {
	at          time.Time
	dir, commit string
}

// recent is what a fetch gave less than a second ago, or a fetch.
func (m *mirrors) recent(ctx context.Context, url, ref string) (dir, commit string, err error) {
	m.mu.Lock()
	last := m.seen[url+" "+ref]
	m.mu.Unlock()
	if time.Since(last.at) < time.Second {
		return last.dir, last.commit, nil
	}
	return m.fetch(ctx, url, ref)
}

func newMirrors(dir string) *mirrors { return &mirrors{dir: dir, seen: map[string]fetched{}} }

func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(said.String()))
	}
	return out.Bytes(), nil
}

var wholeHash = regexp.MustCompile(`^[0-9a-f]{40}$`)

// fetch brings the mirror of a URL up to date and gives its directory and the commit that a branch, tag or commit names.
func (m *mirrors) fetch(ctx context.Context, url, ref string) (dir, commit string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum := sha256.Sum256([]byte(url))
	dir = m.dir + "/mirror-" + hex.EncodeToString(sum[:8])
	if _, err := git(ctx, m.dir, "init", "--quiet", "--bare", dir); err != nil {
		return "", "", err
	}
	if _, err := git(ctx, dir, "fetch", "--quiet", "--prune", "--force", url, "+refs/*:refs/*", "HEAD"); err != nil {
		return "", "", err
	}
	tries := []string{"refs/heads/" + ref, "refs/tags/" + ref, ref}
	if ref == "" || ref == "HEAD" {
		tries = []string{"FETCH_HEAD"}
	}
	var missed []error
	for _, try := range tries {
		out, err := git(ctx, dir, "rev-parse", "--verify", "--quiet", try+"^{commit}")
		if hash := strings.TrimSpace(string(out)); err == nil && wholeHash.MatchString(hash) {
			m.seen[url+" "+ref] = fetched{time.Now(), dir, hash}
			return dir, hash, nil
		}
		missed = append(missed, err)
	}
	return "", "", fmt.Errorf("%s has no %q: %w", url, ref, errors.Join(missed...))
}

// extract writes the files of a commit below path into a new directory; the caller removes it.
func (m *mirrors) extract(ctx context.Context, mirror, commit, path string) (string, error) {
	into, err := os.MkdirTemp(m.dir, "tree-*")
	if err != nil {
		return "", err
	}
	packed := into + ".tar"
	defer os.Remove(packed)
	if _, err := git(ctx, mirror, "archive", "--format=tar", "--output="+packed, commit, "--", path); err != nil {
		return "", errors.Join(err, os.RemoveAll(into))
	}
	if said, err := exec.CommandContext(ctx, "tar", "-xf", packed, "-C", into).CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("tar: %w: %s", err, said), os.RemoveAll(into))
	}
	return into, nil
}
