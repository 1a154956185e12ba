package main

import (
	"archive/tar"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"
)

// made writes an image whose astern is this test's own program, and reads it back.
func made(t *testing.T, o options) (v1.Image, string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	o.binary, o.out, o.tag = self, filepath.Join(t.TempDir(), "image.tar"), "astern:test"
	digest, err := write(t.Context(), o)
	require.NoError(t, err)
	image, err := tarball.ImageFromPath(o.out, nil)
	require.NoError(t, err)
	return image, digest
}

// unpacked writes the files of all layers below a directory, and gives their modes by path.
func unpacked(t *testing.T, image v1.Image) (root string, modes map[string]*tar.Header) {
	t.Helper()
	root, modes = t.TempDir(), map[string]*tar.Header{}
	layers, err := image.Layers()
	require.NoError(t, err)
	for _, layer := range layers {
		packed, err := layer.Uncompressed()
		require.NoError(t, err)
		for r := tar.NewReader(packed); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			modes["/"+strings.TrimSuffix(h.Name, "/")] = h
			where := filepath.Join(root, h.Name)
			if h.Typeflag == tar.TypeDir {
				require.NoError(t, os.MkdirAll(where, 0o755))
				continue
			}
			body, err := io.ReadAll(r)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(where, body, h.FileInfo().Mode()))
		}
		require.NoError(t, packed.Close())
	}
	return root, modes
}

func TestTheSameInputsGiveTheSameImage(t *testing.T) {
	for name, o := range map[string]options{"scratch": {version: "1"}, "git": {version: "1", git: true}} {
		t.Run(name, func(t *testing.T) {
			_, first := made(t, o)
			_, second := made(t, o)
			require.Equal(t, first, second)
			o.version = "2"
			_, other := made(t, o)
			require.NotEqual(t, first, other)
		})
	}
}

func TestTheImageHasOneProgramAndNobodyRunsIt(t *testing.T) {
	image, _ := made(t, options{version: "1"})
	config, err := image.ConfigFile()
	require.NoError(t, err)
	require.Equal(t, "65532:65532", config.Config.User)
	require.Equal(t, []string{"/usr/bin/astern"}, config.Config.Entrypoint)
	root, modes := unpacked(t, image)
	for path, h := range modes {
		if h.Typeflag == tar.TypeReg && h.Mode&0o111 != 0 {
			require.Equal(t, "/usr/bin/astern", path)
		}
		require.Zero(t, h.ModTime.Unix(), path)
	}
	require.Equal(t, 65532, modes["/var/lib/astern"].Uid)
	require.Equal(t, int64(0o1777), modes["/tmp"].Mode)
	signers, err := os.ReadFile(filepath.Join(root, certificates))
	require.NoError(t, err)
	require.True(t, x509.NewCertPool().AppendCertsFromPEM(signers))
}

func TestGitRunsOnWhatTheImageHas(t *testing.T) {
	image, _ := made(t, options{git: true})
	root, modes := unpacked(t, image)
	loader, libraries := "", []string{}
	for path := range modes {
		switch name := filepath.Base(path); {
		case strings.HasPrefix(name, "ld-linux"):
			loader = filepath.Join(root, path)
		case strings.Contains(name, ".so."):
			libraries = append(libraries, filepath.Join(root, filepath.Dir(path)))
		}
	}
	require.NotEmpty(t, loader)
	for _, program := range append([]string{"/usr/bin/git"}, parts(modes)...) {
		printed, err := exec.CommandContext(t.Context(), loader, "--inhibit-cache", "--library-path", strings.Join(libraries, ":"), "--list", filepath.Join(root, program)).CombinedOutput()
		require.NoError(t, err, "%s: %s", program, printed)
		for line := range strings.Lines(string(printed)) {
			require.NotContains(t, line, "not found", program)
			if _, where, found := strings.Cut(line, "=> "); found {
				require.True(t, strings.HasPrefix(where, root), "%s: %s", program, line)
			}
		}
	}
}

// parts are the programs of git's own directory.
func parts(modes map[string]*tar.Header) []string {
	var all []string
	for path := range modes {
		if strings.HasPrefix(filepath.Base(path), "git-remote-") {
			all = append(all, path)
		}
	}
	return all
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	_, err := write(t.Context(), options{binary: "nowhere", out: filepath.Join(t.TempDir(), "x"), tag: "astern:test"})
	require.ErrorContains(t, err, "put /usr/bin/astern into the image: open nowhere")
	_, err = write(t.Context(), options{tag: "No Tag"})
	require.ErrorContains(t, err, `read the tag "No Tag"`)
	_, err = library("libnothing.so.9")
	require.ErrorContains(t, err, "this machine has no such library")
}
