//go:build neighbours

package actiontest

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/tools/neighbours"
)

// Neighbour gives the path of a real program to test against: ASTERN_<NAME> names it, else it is found or made. A test
// whose neighbour cannot be had fails.
func Neighbour(t *testing.T, name string) string {
	t.Helper()
	if path := os.Getenv("ASTERN_" + strings.ToUpper(name)); path != "" {
		return path
	}
	found, err := neighbours.Find(t.Context(), name, t.Output())
	require.NoError(t, err)
	return found.Path
}
