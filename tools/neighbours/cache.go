package neighbours

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// CacheDir is where made neighbours are kept: ${XDG_CACHE_HOME:-~/.cache}/astern/neighbours.
func CacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory (set HOME or XDG_CACHE_HOME): %w", err)
	}
	return filepath.Join(base, "astern", "neighbours"), nil
}

// fromCache gives the program out of the cache, and makes it first when it is not there.
func (r recipe) fromCache(ctx context.Context, log io.Writer) (Neighbour, error) {
	cache, err := CacheDir()
	if err != nil {
		return Neighbour{}, err
	}
	versioned, err := r.dirName()
	if err != nil {
		return Neighbour{}, err
	}
	dir := filepath.Join(cache, versioned)
	found := Neighbour{Name: r.name, Path: filepath.Join(dir, r.name), From: "cache"}
	if !executable(found.Path) {
		found.From = r.madeAs
		if err := r.makeOnce(ctx, dir, log); err != nil {
			return Neighbour{}, err
		}
	}
	if _, found.Version, _ = askVersion(ctx, found.Path, r.args); found.Version == "" { // it does not say
		found.Version, _, _ = strings.Cut(strings.TrimPrefix(versioned, r.name+"-v"), "-")
	}
	return found, nil
}

// makeOnce makes the program into dir under a lock, so that a second process waits instead of making it again. The
// directory appears whole, by a rename, or not at all.
func (r recipe) makeOnce(ctx context.Context, dir string, log io.Writer) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	unlock, err := lock(dir+".lock", func() { fmt.Fprintf(log, "%s: another process is making it, waiting\n", r.name) })
	if err != nil {
		return err
	}
	defer unlock()
	if executable(filepath.Join(dir, r.name)) {
		return nil
	}
	return r.makeWhole(ctx, dir, log)
}

func (r recipe) makeWhole(ctx context.Context, dir string, log io.Writer) error {
	half, err := os.MkdirTemp(filepath.Dir(dir), ".half-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(half)
	if err := os.Chmod(half, 0o755); err != nil {
		return err
	}
	fmt.Fprintf(log, "%s: making it once, %s\n", r.name, r.about)
	if err := r.maker(ctx, half, log); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(half, dir)
}

// lock takes an exclusive lock on a file; busy is called once when it has to wait. The kernel frees it when the process
// ends, however it ends.
func lock(path string, busy func()) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		busy()
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
