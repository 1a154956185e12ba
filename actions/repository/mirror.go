package repository

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"astern.dev/astern/actions"
)

// place is the directory of this repository in the cache: its lock and its mirror.
func (r *Repository) place() string {
	sum := sha256.Sum256([]byte(r.url))
	return filepath.Join(r.root(), hex.EncodeToString(sum[:8]))
}

func (r *Repository) root() string {
	if r.cache != "" {
		return r.cache
	}
	return filepath.Join(os.TempDir(), "astern-git-"+strconv.Itoa(os.Getuid()))
}

// Fetch brings the mirror to what the server has: all branches and tags. What a killed process left behind does no harm,
// and a mirror that is damaged is made anew.
func (r *Repository) Fetch(ctx context.Context) error {
	if !r.mirrored() {
		return r.fetchFirst(ctx)
	}
	return r.fetch(ctx, r.timeout)
}

func (r *Repository) mirrored() bool {
	_, err := os.Stat(filepath.Join(r.mirror(), "HEAD"))
	return err == nil
}

// firstFetch is under way; err is set when done is closed.
type firstFetch struct {
	done chan struct{}
	err  error
}

// fetchFirst fetches the whole history. That may take longer than whoever asked can wait: it goes on, and the next to ask
// finds it further.
func (r *Repository) fetchFirst(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("fetch %s: %w", r.url, err)
	}
	r.mu.Lock()
	first := r.first
	if first == nil {
		first = &firstFetch{done: make(chan struct{})}
		r.first = first
		go func() {
			first.err = r.fetch(context.WithoutCancel(ctx), firstFactor*r.timeout)
			r.mu.Lock()
			r.first = nil
			r.mu.Unlock()
			close(first.done)
		}()
	}
	r.mu.Unlock()
	select {
	case <-first.done:
		return first.err
	case <-ctx.Done():
		return fmt.Errorf("%s is still being fetched for the first time: %w", r.url, ctx.Err())
	}
}

const firstFactor = 10

func (r *Repository) fetch(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return r.alone(ctx, func() error {
		err := r.refresh(ctx)
		if err != nil && damaged.MatchString(err.Error()) {
			if err := os.RemoveAll(r.mirror()); err != nil {
				return fmt.Errorf("remove a damaged mirror: %w", err)
			}
			err = r.refresh(ctx)
		}
		return err
	})
}

var damaged = regexp.MustCompile(`(?i)corrupt|bad object|unable to read tree|not a git repository|invalid sha1 pointer|missing (blob|tree|commit)|did not send all necessary objects|bad signature|index-pack died`)

// refresh makes a mirror aside and moves it into place when it is whole, or brings the one that is there up to date. Locks
// inside it are of processes that are gone: whoever is here is alone.
func (r *Repository) refresh(ctx context.Context) error {
	if !r.mirrored() {
		return r.create(ctx)
	}
	if err := r.unlock(); err != nil {
		return err
	}
	if err := r.download(ctx, r.mirror()); err != nil {
		return err
	}
	return r.tidy(ctx)
}

func (r *Repository) create(ctx context.Context) error {
	if err := r.version(ctx); err != nil {
		return err
	}
	aside := r.mirror() + ".new"
	if err := errors.Join(os.RemoveAll(aside), os.RemoveAll(r.mirror())); err != nil {
		return fmt.Errorf("make a mirror: %w", err)
	}
	if _, err := r.must(ctx, call{args: []string{"init", "--quiet", "--bare", "--template=", aside}, env: []string{"GIT_DIR=" + aside}}); err != nil {
		return fmt.Errorf("make a mirror: %w", err)
	}
	if err := r.download(ctx, aside); err != nil {
		return err
	}
	if err := os.Rename(aside, r.mirror()); err != nil {
		return fmt.Errorf("make a mirror: %w", err)
	}
	return nil
}

func (r *Repository) download(ctx context.Context, into string) error {
	_, err := r.must(ctx, call{far: true, env: []string{"GIT_DIR=" + into}, args: []string{"fetch", "--quiet", "--force", "--prune", "--no-tags", "--no-recurse-submodules",
		"--no-write-fetch-head", "--no-auto-maintenance", r.url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"}})
	if err != nil {
		return fmt.Errorf("fetch %s: %w", r.url, judged(err))
	}
	return nil
}

// tidy packs a mirror that has grown. One that could not be tidied is as good.
func (r *Repository) tidy(ctx context.Context) error {
	loose, _ := os.ReadDir(filepath.Join(r.mirror(), "objects", "17")) // git's own way to guess how many there are
	packs, _ := os.ReadDir(filepath.Join(r.mirror(), "objects", "pack"))
	if len(loose) < 20 && len(packs) < 100 {
		return nil
	}
	_, err := r.must(ctx, call{args: []string{"-c", "gc.auto=6700", "-c", "gc.autoPackLimit=40", "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet"}})
	if ctx.Err() != nil {
		return err
	}
	return nil
}

func (r *Repository) unlock() error {
	return filepath.WalkDir(r.mirror(), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("read the mirror: %w", err)
		case entry.IsDir() && entry.Name() == "objects":
			return fs.SkipDir
		case !entry.IsDir() && strings.HasSuffix(entry.Name(), ".lock"):
			return os.Remove(path)
		}
		return nil
	})
}

// alone runs with the mirror's lock held: against other goroutines and other processes. The kernel gives it back when its
// holder dies.
func (r *Repository) alone(ctx context.Context, do func() error) error {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return fmt.Errorf("wait for the mirror of %s: %w", r.url, ctx.Err())
	}
	if err := r.ownPlace(); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(r.place(), "lock"), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("lock the mirror of %s: %w", r.url, err)
	}
	defer lock.Close()
	for {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return do()
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("lock the mirror of %s: %w", r.url, err)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("wait for the mirror of %s: %w", r.url, err)
		}
	}
}

// ownPlace makes the directory, and refuses one that another user could have put there.
func (r *Repository) ownPlace() error {
	if err := os.MkdirAll(r.place(), 0o700); err != nil {
		return fmt.Errorf("make the cache for git: %w", err)
	}
	for _, dir := range []string{r.root(), r.place()} {
		info, err := os.Lstat(dir)
		if err != nil {
			return fmt.Errorf("read the cache for git: %w", err)
		}
		owner, known := info.Sys().(*syscall.Stat_t)
		if r.cache == "" && (!info.IsDir() || !known || int(owner.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0) {
			return actions.Permanent(fmt.Errorf("the cache for git %s belongs to somebody else or can be written by others; name another with cache", dir))
		}
	}
	return nil
}

// pause waits, or ends with the context.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// version refuses a git that cannot merge without a work tree.
func (r *Repository) version(ctx context.Context) error {
	out, err := r.must(ctx, call{args: []string{"version"}})
	if err != nil {
		return err
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(out), "git version %d.%d", &major, &minor); err != nil {
		return actions.Permanent(fmt.Errorf("the git program names no version: %s", shown(string(out))))
	}
	if major < 2 || major == 2 && minor < 38 {
		return actions.Permanent(fmt.Errorf("git %d.%d is too old: 2.38 or newer is needed", major, minor))
	}
	return nil
}
