//go:build linux || darwin

package store_test

import (
	"os"
	"os/signal"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/store"
)

// A write that the kernel refuses is the same: here the write-ahead log may not grow any more.
func TestWriteErrorOfTheKernel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "astern.db")
	s := openAt(t, path, store.Options{})
	all := []*filler{{stream: "a"}, {stream: "b"}}
	for _, f := range all {
		require.NoError(t, f.append(t, s))
	}
	wal, err := os.Stat(path + "-wal")
	require.NoError(t, err)
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	for level := range 10 {
		limitFiles(t, uint64(wal.Size())+uint64(level)*1000, func() {
			fill(t, s, all)
			require.ErrorIs(t, s.Healthy(t.Context()), incident.ErrUnavailable)
			requireStored(t, s, all)
		})
		require.NoError(t, s.Healthy(t.Context()))
		for _, f := range all {
			require.NoError(t, f.append(t, s))
		}
		wal, err = os.Stat(path + "-wal")
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	requireStored(t, openAt(t, path, store.Options{}), all)
}

// limitFiles runs work while no file of this process may grow beyond size.
func limitFiles(t *testing.T, size uint64, work func()) {
	var before unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &before))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: before.Max}))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &before)) }()
	work()
}
