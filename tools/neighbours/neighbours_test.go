package neighbours

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnOldProgramOnPathIsNotGoodEnough(t *testing.T) {
	for name, c := range map[string]struct {
		neighbour, prints string
		good              bool
	}{
		"prometheus without lookback_delta":   {"prometheus", "prometheus, version 2.42.0+ds (branch: debian/sid)", false},
		"prometheus of today":                 {"prometheus", "prometheus, version 3.15.0 (branch: , revision: x)", true},
		"alertmanager without timeout":        {"alertmanager", "alertmanager, version 0.25.0 (branch: debian)", false},
		"alertmanager of today":               {"alertmanager", "alertmanager, version 0.31.1 (branch: HEAD)", true},
		"haproxy of Debian 12":                {"haproxy", "HAProxy version 2.6.12-1+deb12u4 2026/05/30", true},
		"ssh of Debian 12":                    {"ssh", "OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL 3.0.17 1 Jul 2025", true},
		"an ssh that is too old":              {"ssh", "OpenSSH_7.9p1 Debian-10", false},
		"a program that tells nothing useful": {"haproxy", "hello", false},
		"an API server of today":              {"kube-apiserver", "Kubernetes v1.37.2", true},
		"an API server of the year before":    {"kube-apiserver", "Kubernetes v1.33.9", false},
		"etcd says it in capitals":            {"etcd", "etcd Version: 3.4.23", true},
		"nft says it in its own way":          {"nft", "nftables v1.0.6 (Lester Gooch #5)", true},
		"helm prints a struct":                {"helm", `version.BuildInfo{Version:"v4.3.1", GoVersion:"go1.26.8"}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			script := "#!/bin/sh\necho '" + c.prints + "'\n"
			require.NoError(t, os.WriteFile(filepath.Join(dir, c.neighbour), []byte(script), 0o755))
			t.Setenv("PATH", dir+":/bin:/usr/bin")
			found, ok := onPath(t.Context(), recipeOf(t, c.neighbour))
			require.Equal(t, c.good, ok)
			if ok {
				require.Equal(t, filepath.Join(dir, c.neighbour), found.Path)
			}
		})
	}
}

func recipeOf(t *testing.T, name string) recipe {
	for _, r := range recipes {
		if r.name == name {
			return r
		}
	}
	t.Fatalf("no recipe for %s", name)
	return recipe{}
}

func TestEveryPinIsFound(t *testing.T) {
	for _, name := range []string{"prometheus", "alertmanager", "kube-apiserver", "kwok", "helm"} {
		dir, err := recipeOf(t, name).dirName()
		require.NoError(t, err)
		require.Regexp(t, `^`+name+`-v\d+\.\d+\.\d+-`, dir)
	}
	require.Equal(t, "3.15.0", released("v0.315.0"))
	require.Equal(t, "3.5.2", released("v0.305.2"))
	require.Equal(t, "0.31.1", released("v0.31.1"))
}

// scripted is a recipe whose program is a script that the maker writes, counting how often it was made.
func scripted(made *atomic.Int32, fail error) recipe {
	return recipe{
		name: "fake", args: []string{"--version"}, madeAs: "built", about: "at once",
		dirName: func() (string, error) { return "fake-1", nil },
		maker: func(_ context.Context, dir string, _ io.Writer) error {
			made.Add(1)
			if fail != nil {
				return fail
			}
			return os.WriteFile(filepath.Join(dir, "fake"), []byte("#!/bin/sh\necho fake, version 1.2.3\n"), 0o755)
		},
	}
}

func TestManyAskersMakeItOnce(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var made atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			found, err := scripted(&made, nil).fromCache(t.Context(), io.Discard)
			if err != nil || found.Version != "1.2.3" {
				t.Errorf("got %+v, %v", found, err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, made.Load())
}

func TestAFailedBuildLeavesNothingBehind(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var made atomic.Int32
	var log bytes.Buffer
	_, err := scripted(&made, errors.New("disk full")).fromCache(t.Context(), &log)
	require.ErrorContains(t, err, "disk full")
	require.Contains(t, log.String(), "making it once")

	found, err := scripted(&made, nil).fromCache(t.Context(), io.Discard)
	require.NoError(t, err)
	require.Equal(t, "built", found.From)
	again, err := scripted(&made, nil).fromCache(t.Context(), io.Discard)
	require.NoError(t, err)
	require.Equal(t, "cache", again.From)
	left, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(found.Path)), ".half-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestUnknownNeighbourNamesTheKnown(t *testing.T) {
	_, err := Find(t.Context(), "grafana", io.Discard)
	require.ErrorContains(t, err, "alertmanager, amtool, etcd, haproxy, helm, ")
}

func run(t *testing.T, path string, args ...string) string {
	printed, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	require.NoError(t, err)
	return string(printed)
}

func TestTheLauncherFindsItsLibrariesAndIsTheProgram(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "root/usr/sbin"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "root/usr/lib/x86_64-linux-gnu"), 0o755))
	program := "#!/bin/sh\necho version 9.9.9 libs=$LD_LIBRARY_PATH arg=$1\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "root/usr/sbin/haproxy"), []byte(program), 0o755))
	require.NoError(t, launcher(dir, "haproxy", "usr/sbin/haproxy"))
	require.ErrorContains(t, launcher(dir, "haproxy", "usr/sbin/other"), "the package holds no usr/sbin/other")

	printed := run(t, filepath.Join(dir, "haproxy"), "-v")
	require.Contains(t, printed, "root/usr/lib/x86_64-linux-gnu arg=-v")
}
