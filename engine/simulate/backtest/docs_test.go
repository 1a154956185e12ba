package backtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The files in docs/backtest.md are read as they stand there.
func TestTheFilesInTheDocumentation(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "backtest.md"))
	require.NoError(t, err)
	read := map[string]int{}
	for _, m := range regexp.MustCompile("(?ms)^```yml\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		first, _, _ := strings.Cut(m[1], ":")
		read[first]++
		switch first {
		case "mappings":
			mappings, mistakes := ReadMappings("releases.yml", []byte(m[1]))
			require.NoError(t, mistakes.Err())
			require.Len(t, mappings, 1)
		case "releases":
			releases, words, err := ReadReleases("releases.yaml", []byte(m[1]))
			require.NoError(t, err)
			require.Len(t, releases, 3, "v41, v42, v41 again")
			require.Len(t, words, 1)
		default:
			t.Fatalf("nobody knows what this block is:\n%s", m[1])
		}
	}
	require.Equal(t, map[string]int{"mappings": 1, "releases": 1}, read)
}
