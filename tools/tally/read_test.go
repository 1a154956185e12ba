package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadCountsAndShowsWhatFailed(t *testing.T) {
	in := strings.Join([]string{
		`{"Action":"output","Package":"p","Test":"TestA","Output":"quiet\n"}`,
		`{"Action":"pass","Package":"p","Test":"TestA"}`,
		`{"Action":"output","Package":"p","Test":"TestB","Output":"the reason\n"}`,
		`{"Action":"fail","Package":"p","Test":"TestB"}`,
		`{"Action":"skip","Package":"p","Test":"TestC"}`,
		`{"Action":"fail","Package":"p","Elapsed":1.5}`,
		`{"Action":"pass","Package":"q","Test":"TestD"}`,
		`{"Action":"pass","Package":"q","Elapsed":0.5}`,
		`{"Action":"skip","Package":"without tests"}`,
		`not json`,
	}, "\n")
	var out bytes.Buffer
	sum, err := read(strings.NewReader(in), &out)
	require.NoError(t, err)
	require.Equal(t, sums{passed: 2, failed: 2}, sum)
	require.Equal(t, 1, sum.exitCode())
	require.Contains(t, out.String(), "--- FAIL: p TestB\nthe reason\n")
	require.Contains(t, out.String(), "skipped")
	require.NotContains(t, out.String(), "quiet")
	require.Regexp(t, `ok   q +0.5s +1 tests`, out.String())
	require.Contains(t, out.String(), "not json")
}

func TestNoTestAtAllIsAFailure(t *testing.T) {
	sum, err := read(strings.NewReader(""), &bytes.Buffer{})
	require.NoError(t, err)
	require.Equal(t, 1, sum.exitCode())
}

func TestKeepAddsALineForEachRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tally")
	require.NoError(t, keep(path, sums{3, 1}))
	require.NoError(t, keep(path, sums{2, 0}))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "3 1\n2 0\n", string(text))
}
