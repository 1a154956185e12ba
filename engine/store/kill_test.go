package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/store"
)

// childEnv names the database that this test binary, started as a child, writes to until it is killed.
const childEnv = "ASTERN_STORE_CHILD"

// childMain is the child: many writers that tell on stdout what was acknowledged, a line each.
func childMain() {
	path := os.Getenv(childEnv)
	if path == "" {
		return
	}
	if err := writeUntilKilled(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func writeUntilKilled(path string) error {
	s, err := store.OpenSQLite(context.Background(), path, store.Options{})
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	errs := make([]error, 8)
	for w := range errs {
		all.Go(func() { errs[w] = childWriter(s, w) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// childWriter appends to its own history and, in turn, to one that all share.
func childWriter(s *store.SQLite, w int) error {
	for i := 0; ; i++ {
		stream := fmt.Sprint("own/", w)
		if i%2 == 1 {
			stream = "shared"
		}
		events, err := s.Load(context.Background(), stream)
		if err != nil {
			return err
		}
		a := opening(stream)
		a.After = len(events)
		done, err := s.Append(context.Background(), a)
		if errors.Is(err, incident.ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		last := done.Events[len(done.Events)-1]
		if _, err := fmt.Printf("%s %d %s\n", stream, last.Version, last.Hash); err != nil {
			return err
		}
	}
}

// A process killed at any moment loses nothing that was acknowledged, and its successor goes on with a whole chain.
func TestKill9LosesNothingAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "astern.db")
	acknowledged := map[string]map[int]string{}
	total := 0
	for range 50 {
		total += killOnce(t, path, rand.IntN(60), acknowledged)
		requireAcknowledged(t, path, acknowledged)
	}
	require.Greater(t, total, 50)
}

// killOnce starts a child, kills it after so many acknowledgements, and notes all that it told.
func killOnce(t *testing.T, path string, after int, acknowledged map[string]map[int]string) int {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+path)
	var complaint strings.Builder
	child.Stderr = &complaint
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	lines := bufio.NewReader(out)
	told := 0
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break // a half line is no acknowledgement
		}
		require.NoError(t, err)
		var stream, hash string
		var version int
		_, err = fmt.Sscan(line, &stream, &version, &hash)
		require.NoError(t, err)
		if acknowledged[stream] == nil {
			acknowledged[stream] = map[int]string{}
		}
		acknowledged[stream][version] = hash
		if told++; told == after+1 {
			require.NoError(t, child.Process.Kill())
		}
	}
	require.Error(t, child.Wait(), "it was killed")
	require.Empty(t, complaint.String())
	return told
}

func requireAcknowledged(t *testing.T, path string, acknowledged map[string]map[int]string) {
	s, err := store.OpenSQLite(t.Context(), path, store.Options{})
	require.NoError(t, err)
	for stream, versions := range acknowledged {
		events, err := s.Load(t.Context(), stream) // and its chain is whole
		require.NoError(t, err)
		for version, hash := range versions {
			require.GreaterOrEqual(t, len(events), version, "%s: an acknowledged event is lost", stream)
			require.Equal(t, hash, events[version-1].Hash)
		}
	}
	require.NoError(t, s.Close())
}
