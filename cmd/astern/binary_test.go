package main_test

import (
	"debug/buildinfo"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The product is one static binary without C: nothing to link at run time, no interpreter, built with CGO_ENABLED=0. It
// is small: with C, kustomize could open Go plugins, and the linker would keep every exported method (25 MB).
func TestTheBinaryIsStaticSmallAndWithoutC(t *testing.T) {
	binary := build(t)
	size, err := os.Stat(binary)
	require.NoError(t, err)
	require.LessOrEqual(t, size.Size(), int64(60_000_000), "of what the program imports, what is it that weighs so much?")
	info, err := buildinfo.ReadFile(binary)
	require.NoError(t, err)
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	require.Equal(t, "0", settings["CGO_ENABLED"])

	file, err := elf.Open(binary)
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	for _, p := range file.Progs {
		require.NotEqual(t, elf.PT_INTERP, p.Type, "the binary asks for a dynamic linker")
		require.NotEqual(t, elf.PT_DYNAMIC, p.Type, "the binary is linked dynamically")
	}
	libraries, err := file.ImportedLibraries()
	require.NoError(t, err)
	require.Empty(t, libraries)
}

// build builds cmd/astern for Linux as it is shipped. The files it is made of were opened by sources, so that a kept
// result of these tests is not used after one of them changed.
func build(t *testing.T) string {
	require.NotEmpty(t, sources(t))
	binary := filepath.Join(t.TempDir(), "astern")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	printed, err := cmd.CombinedOutput()
	require.NoError(t, err, string(printed))
	return binary
}
