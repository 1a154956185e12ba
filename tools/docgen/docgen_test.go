package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatIsGeneratedIsCurrentAndDeterministic(t *testing.T) {
	text, data, err := generate()
	require.NoError(t, err)
	again, dataAgain, err := generate()
	require.NoError(t, err)
	require.Equal(t, string(text), string(again))
	require.Equal(t, string(data), string(dataAgain))
	for name, want := range map[string][]byte{"docs/actions.md": text, "cmd/astern/actions.json": data} {
		written, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
		require.NoError(t, err)
		require.Equal(t, string(want), string(written), "%s: run `make generate`", name)
	}
}

func TestNestedAndInlinedParametersAreListed(t *testing.T) {
	text, data, err := generate()
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
	require.Contains(t, string(data), `{"name":"weights[].weight","type":"whole number","meaning":"`)
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
