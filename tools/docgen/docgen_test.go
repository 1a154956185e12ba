package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheDocumentIsCurrentAndDeterministic(t *testing.T) {
	first, err := generate()
	require.NoError(t, err)
	second, err := generate()
	require.NoError(t, err)
	require.Equal(t, string(first), string(second))
	written, err := os.ReadFile(filepath.Join("..", "..", "docs", "actions.md"))
	require.NoError(t, err)
	require.Equal(t, string(first), string(written), "run `make generate`")
}

func TestNestedAndInlinedParametersAreListed(t *testing.T) {
	text, err := generate()
	require.NoError(t, err)
	for _, line := range []string{
		"| `weights[].weight` | whole number | `weight` is from 0",
		"| `verify.url` | URL | ",
		"| `http_config` | as in Prometheus, optional | ",
		"| `steps.<name>.previous` | map of names to whole number | ",
		"### connections.alertmanager",
	} {
		require.Contains(t, string(text), line)
	}
}

func TestACommentThatIsMissingIsAnError(t *testing.T) {
	type silent struct {
		X string `yaml:"x"`
	}
	root, err := moduleRoot()
	require.NoError(t, err)
	p := &page{comments: comments{root: root}}
	p.parameters(reflect.TypeOf(silent{}))
	require.ErrorContains(t, p.err(), "silent.X has no doc comment")
}
