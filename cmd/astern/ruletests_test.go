package main_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The rule tests of the examples pass, from wherever they are run.
func TestExamplesPassTheirRuleTests(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), build(t), "test", filepath.Join(root(t), "examples"))
	cmd.Dir = t.TempDir()
	printed, err := cmd.CombinedOutput()
	require.NoError(t, err, string(printed))
	for _, dir := range examples(t) {
		require.Contains(t, string(printed), filepath.Base(dir)+"/rules_test.yaml")
	}
}
