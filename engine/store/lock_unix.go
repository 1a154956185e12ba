//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package store

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// fileLock keeps other processes from a database file. The kernel gives it back when the process ends, however it ends.
type fileLock struct{ file *os.File }

// lockFile takes the lock of the database at path. The lock file stays behind on purpose: removing it would let two
// processes lock two different files of the same name.
func lockFile(path string) (*fileLock, error) {
	name := path + ".lock"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock file: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := lockHolder(f)
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another process%s holds %s: stop it, or name another database", holder, name)
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	// The number in the file only helps a person to find the holder, so failing to write it is no failure.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(fmt.Sprintf("%d\n", os.Getpid())), 0)
	}
	return &fileLock{file: f}, nil
}

func lockHolder(f *os.File) string {
	var pid [20]byte
	n, _ := f.ReadAt(pid[:], 0)
	if text := strings.TrimSpace(string(pid[:n])); text != "" {
		return " (pid " + text + ")"
	}
	return ""
}

func (l *fileLock) release() error { return l.file.Close() }
