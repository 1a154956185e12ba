//go:build neighbours

package rig

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/tools/neighbours"
)

const honeylink = "../../honeylink"

// HoneyLink's rules are read by the real Prometheus, and every one of them can be evaluated.
func TestPrometheusEvaluatesHoneyLinksRules(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	found, err := neighbours.Find(ctx, "prometheus", t.Output())
	require.NoError(t, err)
	dir := t.TempDir()
	rules, err := filepath.Abs(filepath.Join(honeylink, "prometheus-rules.yaml"))
	require.NoError(t, err)
	file := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, writeFile(file, "global: {evaluation_interval: 1s}\nrule_files: ["+rules+"]\n"))
	p, err := startServer(ctx, Command{Name: "prometheus", Path: found.Path, Dir: dir, Args: []string{
		"--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(dir, "data"),
	}}, "/-/ready")
	require.NoError(t, err)
	defer p.stop()

	require.NoError(t, Await(ctx, "every rule to be evaluated", func(ctx context.Context) (bool, error) {
		health, err := ruleHealth(ctx, p.URL)
		require.NotContains(t, health, "err")
		return len(health) == 9 && !slices.Contains(health, "unknown"), err
	}))
}

func ruleHealth(ctx context.Context, url string) ([]string, error) {
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct {
					Health string `json:"health"`
				} `json:"rules"`
			} `json:"groups"`
		} `json:"data"`
	}
	err := getJSON(ctx, url+"/api/v1/rules", &answer)
	health := []string{}
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			health = append(health, r.Health)
		}
	}
	return health, err
}

// HoneyLink's routes are read by the real Alertmanager: astern hears every alert and takes nobody's page away.
func TestAlertmanagerRoutesToAsternAndToPeople(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	found, err := neighbours.Find(ctx, "alertmanager", t.Output())
	require.NoError(t, err)
	dir := t.TempDir()
	m, err := startAlertmanager(ctx, found.Path, dir)
	require.NoError(t, err)
	defer m.stop()
	text, err := os.ReadFile(filepath.Join(honeylink, "alertmanager.yml"))
	require.NoError(t, err)
	require.NoError(t, writeFile(filepath.Join(dir, "alertmanager.yml"), string(text)))
	require.NoError(t, m.Reload(ctx))

	for _, name := range []string{"ErrorRateSpike", "Watchdog"} {
		require.NoError(t, m.Post(ctx, map[string]string{"alertname": name, "service": "honeylink-api"}, time.Now(), time.Time{}))
	}
	var to map[string][]string
	require.NoError(t, Await(ctx, "both alerts", func(ctx context.Context) (bool, error) {
		to, err = m.Receivers(ctx)
		return len(to) == 2, err
	}))
	require.Equal(t, []string{"astern", "people"}, to["ErrorRateSpike"])
	require.Equal(t, []string{"astern"}, to["Watchdog"])
}
