package storetest

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// A fact type that the suite does not know would not be asked for; the list is held to the source.
func TestTheSuiteKnowsEveryFact(t *testing.T) {
	source, err := os.ReadFile("../../incident/facttypes.go")
	require.NoError(t, err)
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^\s+"(\w+)":\s+decode\[`).FindAllSubmatch(source, -1) {
		names = append(names, string(m[1]))
	}
	known := slices.Clone(factNames)
	slices.Sort(names)
	slices.Sort(known)
	require.NotEmpty(t, names)
	require.Equal(t, names, known)
}
