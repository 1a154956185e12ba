package main_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/examples/demo/config"
)

// The examples are what people copy: not even a warning, with the Prometheus rules and the routes beside them.
func TestTheExamplesAreWise(t *testing.T) {
	binary := build(t)
	a := config.Addresses{HAProxySocket: "/run/haproxy/admin.sock", AsternURL: "http://127.0.0.1:9494", SenderTokenFile: "sender.token"}
	dir := demo(t, a)
	_, err := config.Write(dir, a, "alertmanager.yml", "prometheus-rules.yaml")
	require.NoError(t, err)
	for _, dir := range append(examples(t), dir) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), binary, "check", "--strict", dir)
			cmd.Dir = t.TempDir()
			printed, err := cmd.CombinedOutput()
			require.NoError(t, err, string(printed))
			require.Regexp(t, `(?m): no mistakes$`, string(printed))
			require.Contains(t, string(printed), "alertmanager.yml")
			require.Contains(t, string(printed), "prometheus-rules.yaml")
		})
	}
}
