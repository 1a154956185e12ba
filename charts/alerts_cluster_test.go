//go:build cluster

package charts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"
)

// each alert of the chart: a series with which it fires, and one with which it does not.
var fires = map[string][2]string{
	"Watchdog":                 {"up 1x70", ""},
	"AsternDown":               {`up{job="a-astern"} 0x70`, `up{job="a-astern"} 1x70`},
	"AsternStopped":            {"astern_stopped 1x70", "astern_stopped 0x70"},
	"AsternStoppedForLong":     {"astern_stopped 2x70", "astern_stopped 1x50 0x20"},
	"AsternNotArmed":           {"astern_armed 0x70", "astern_armed 1x70"},
	"AsternHearsNoWatchdog":    {`astern_last_watchdog_timestamp_seconds{source="am"} 0x70`, `astern_last_watchdog_timestamp_seconds{source="am"} 0+60x70`},
	"AsternConfigReloadFailed": {"astern_config_last_reload_successful 0x70", "astern_config_last_reload_successful 1x70"},
	"AsternTargetNotReady":     {`astern_target_ready{target="api"} 0x70`, `astern_target_ready{target="api"} 1x70`},
	"AsternTargetNotSeen":      {`astern_target_seen{target="api"} 0x70`, `astern_target_seen{target="api"} 1x70`},
	"AsternBadReleaseRuns":     {`astern_target_bad_release{target="api"} 1x70`, `astern_target_bad_release{target="api"} 0x70`},
	"AsternDiscoveryProblems":  {`astern_discovery_problems{cluster="prod"} 2x70`, `astern_discovery_problems{cluster="prod"} 0x70`},
	"AsternRollbackFailed":     {`astern_incidents_ended_total{phase="failed"} 0x60 1x10`, `astern_incidents_ended_total{phase="succeeded"} 0x60 1x10`},
	"AsternStepInDoubt":        {`astern_steps_total{outcome="in_doubt"} 0x60 1x10`, `astern_steps_total{outcome="succeeded"} 0x60 1x10`},
	"AsternJournalWriteErrors": {`astern_deliveries_total{result="unavailable"} 0x63 3x10`, `astern_deliveries_total{result="stored"} 0x63 3x10`},
	"AsternNoticeOverdue":      {"astern_notices_overdue_total 0x60 2x10", "astern_notices_overdue_total 2x70"},
	"AsternStuck":              {"astern_retries_total 0+10x70", "astern_retries_total 0+1x70"},
}

func TestClusterChartAlertsFireAndRest(t *testing.T) {
	all := rendered(t, "--set", "metrics.prometheusRule.enabled=true")
	spec, _ := all["PrometheusRule/a-astern"].at("spec").(map[string]any)
	written, _ := object(spec).at("groups", 0, "rules").([]any)
	require.Len(t, written, len(fires), "each alert has its case here")

	runbooks, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	for name := range fires {
		require.True(t, name == "Watchdog" || strings.Contains(string(runbooks), "\n### "+name+"\n"), "docs/operations.md has no runbook of %s", name)
	}
	dir := t.TempDir()
	text, err := yaml.Marshal(spec)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), text, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tests.yaml"), []byte(promtests(t, written)), 0o600))
	for _, args := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "tests.yaml"}} {
		cmd := exec.CommandContext(t.Context(), program(t, "promtool"), args...)
		cmd.Dir = dir
		printed, err := cmd.CombinedOutput()
		require.NoError(t, err, string(printed))
	}
}

// promtests writes two of promtool's tests for each alert. What an alert says is compared whole, so it is taken as written
// where it has no template, and by its labels alone otherwise.
func promtests(t *testing.T, rules []any) string {
	var b strings.Builder
	b.WriteString("rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n")
	for _, r := range rules {
		name, _ := object(r.(map[string]any)).at("alert").(string)
		require.Contains(t, fires, name)
		for n, series := range fires[name] {
			if series == "" {
				continue
			}
			metric, values, _ := strings.Cut(series, " ")
			b.WriteString("  - interval: 1m\n    input_series: [{series: '" + metric + "', values: '" + values + "'}]\n    promql_expr_test:\n")
			b.WriteString("      - expr: count(ALERTS{alertname=\"" + name + "\",alertstate=\"firing\"}) or vector(0)\n        eval_time: 65m\n        exp_samples: [{labels: '{}', value: " + map[bool]string{true: "1", false: "0"}[n == 0] + "}]\n")
		}
	}
	return b.String()
}
