package backtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// edgesFrom reads edges written as "+v1@0 -v1@10": minutes since the beginning.
func edgesFrom(text string) []edge {
	var all []edge
	for word := range strings.FieldsSeq(text) {
		var minutes int
		version, at, _ := strings.Cut(word[1:], "@")
		_, _ = fmt.Sscan(at, &minutes)
		all = append(all, edge{At: begin.Add(time.Duration(minutes) * time.Minute).Unix(), Gone: word[0] == '-', Labels: map[string]string{"version": version}})
	}
	return all
}

func TestWhichVersionRuns(t *testing.T) {
	for name, c := range map[string]struct{ edges, want string }{
		"a rollout":                               {"+v1@0 +v2@60 -v1@62", "v1 v2@60"},
		"a canary that went away":                 {"+v1@0 +v2@60 -v2@80", "v1 v2@60 v1@80"},
		"back, while the old one was still there": {"+v1@0 +v2@60 -v1@70 +v1@90 -v2@91", "v1 v2@60 v1@90"},
		"undone within minutes":                   {"+v1@0 +v2@60 -v1@62 +v1@64 -v2@66", "v1 v2@60 v1@66"},
		"a scrape that failed":                    {"+v1@0 +v2@60 -v1@61 +v1@62 -v1@63", "v1 v2@60"},
		"what runs now blinks":                    {"+v1@0 +v2@60 -v2@61 +v2@63 -v1@70", "v1 v2@60"},
		"nothing was recorded for hours":          {"+v1@0 +v2@60 -v1@61 -v2@100 +v2@400", "v1 v2@60"},
		"another came while nothing was recorded": {"+v1@0 -v1@100 +v2@400", "v1 v2@400"},
		"several series of one version":           {"+v1@0 +v1@0 +v2@60 -v1@61 -v1@62 +v2@70 -v2@80", "v1 v2@60"},
		"it comes back a day later":               {"+v1@0 +v2@60 -v1@61 +v1@1500 -v2@1501", "v1 v2@60 v1@1500"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, r := range (Mapping{Version: "version"}).releasesOf("api", edgesFrom(c.edges), beginnings{begin: begin}) {
				if r.Before {
					got = append(got, r.Version)
					require.Equal(t, begin.Add(-before), r.At)
					continue
				}
				got = append(got, fmt.Sprintf("%s@%d", r.Version, int(r.At.Sub(begin)/time.Minute)))
			}
			require.Equal(t, c.want, strings.Join(got, " "))
		})
	}
}

// What is older than a Prometheus' retention is not known: that the series begin there is no release.
func TestRetention(t *testing.T) {
	past := aDay()
	past[`up{job="shop"}`] = "_x" + per("8h") + " 1x" + per("16h")
	past[`build_info{service="api",version="v1",instance="a"}`] = "_x" + per("8h1m") + " 1x" + per("15h")
	past[`ALERTS{alertname="Errors",alertstate="firing",service="api",level="bad"}`] = "_x" + per("8h11m") + " 1x" + per("30m") + " stale"
	past[`errors{service="api"}`] = "_x" + per("8h") + " 0.03x" + per("16h")
	s := serve(t, past)
	h, r := judge(t, s.options(t, "1h", "23h"), Sources{Mappings: DefaultMappings()}, configuration(t, ruleFile))
	require.Equal(t, []string{"v1 true", "v2 false", "v1 false"}, releasesShown(h.Releases))
	require.Equal(t, 1, r.Releases)
	require.Equal(t, []Silence{{at("1h"), at("8h")}}, r.Silences)
	require.Equal(t, "destination", r.Cases[0].Outcome)
}

// kube-state-metrics tells of Deployments: the ReplicaSets that have replicas, and when each was made.
func TestReplicaSets(t *testing.T) {
	series := aDay()
	delete(series, `build_info{service="api",version="v1",instance="a"}`)
	delete(series, `build_info{service="api",version="v2",instance="b"}`)
	for rs, values := range map[string]struct{ made, replicas string }{
		"api-1": {fmt.Sprintf("%dx%s", begin.Add(-100*time.Hour).Unix(), per("24h")), "2x" + per("10h3m") + " 0x" + per("23m") + " 2x" + per("13h")},
		"api-2": {fmt.Sprintf("_x%s %dx%s", per("10h"), at("9h59m41s").Unix(), per("14h")), "_x" + per("10h") + " 2x" + per("28m") + " 0x" + per("13h")},
	} {
		of := fmt.Sprintf(`{namespace="shop",replicaset=%q`, rs)
		series[`kube_replicaset_created`+of+`}`] = values.made
		series[`kube_replicaset_spec_replicas`+of+`}`] = values.replicas
		series[`kube_replicaset_owner`+of+`,owner_kind="Deployment",owner_name="api"}`] = "1x" + per("24h")
	}
	s := serve(t, series)
	h, r := judge(t, s.options(t, "1h", "23h"), Sources{Mappings: DefaultMappings()}, configuration(t, ruleFile))
	require.Len(t, h.Releases, 3)
	require.Equal(t, []string{"api-1 false", "api-2 false", "api-1 false"}, releasesShown(h.Releases))
	require.Equal(t, begin.Add(-100*time.Hour), h.Releases[0].At, "when it was made is known")
	require.Equal(t, at("9h59m41s"), h.Releases[1].At)
	require.WithinDuration(t, at("10h26m"), h.Releases[2].At, time.Minute)
	require.Equal(t, WouldAct, r.Cases[0].Outcome, r.Cases[0].Reason)
	require.Equal(t, incident.Right, r.Cases[0].Act.Label)
}

// A mapping names the labels, chooses by `select` when none names a target, and gives a release its vars.
func TestMappings(t *testing.T) {
	series := aDay()
	series[`deployed{app="api",tag="v2",colour="green"}`] = "_x" + per("10h") + " 1x" + per("5h")
	mappings, mistakes := ReadMappings("m.yaml", []byte("mappings:\n  - {name: deploys, query: deployed, version: tag, labels: {service: app}, vars: {track: colour}}\n"))
	require.NoError(t, mistakes.Err())
	s := serve(t, series)
	h, err := Read(t.Context(), s.options(t, "1h", "23h"), Sources{Mappings: mappings}, configuration(t, ruleFile))
	require.NoError(t, err)
	require.Len(t, h.Releases, 1)
	require.Equal(t, Release{Target: "api", Release: incident.Release{Version: "v2", At: at("10h"), By: "deploys", Vars: map[string]string{"track": "green"}}}, h.Releases[0])
	require.Zero(t, s.count("kube_"))
}

// Five targets that want action at once are infrastructure, not a deploy: the fifth is held, as it would be in earnest.
func TestMassEvent(t *testing.T) {
	series, names := map[string]string{`up{job="shop"}`: "1x" + per("24h")}, []string{"a", "b", "c", "d", "e", "f", "g"}
	text := targetFile[:strings.Index(targetFile, "targets:")] + "targets:\n"
	for n := range 20 {
		name := fmt.Sprint("s", n)
		if n < len(names) {
			name = names[n]
			series[fmt.Sprintf(`build_info{service=%q,version="v1"}`, name)] = "1x" + per("10h")
			series[fmt.Sprintf(`build_info{service=%q,version="v2"}`, name)] = "_x" + per("10h") + " 1x" + per("14h")
			series[fmt.Sprintf(`errors{service=%q}`, name)] = "1x" + per("24h")
			series[fmt.Sprintf(`ALERTS{alertname="Errors",alertstate="firing",service=%q}`, name)] = "_x" + per(fmt.Sprintf("10h%dm", 10+n)) + " 1x" + per("1h") + " stale"
		}
		text += fmt.Sprintf("  - {name: %s, class: web, select: {service: %s}, environment: production}\n", name, name)
	}
	s := serve(t, series)
	_, r := judge(t, s.options(t, "1h", "23h"), Sources{Mappings: DefaultMappings()}, withTargets(t, text))
	var got []string
	for _, c := range r.Cases {
		got = append(got, c.Outcome)
	}
	require.Equal(t, []string{WouldAct, WouldAct, WouldAct, WouldAct, Mass, Mass, Mass}, got)
	require.Equal(t, "mass event: 5 targets want action within 10m0s", r.Cases[4].Reason)
}
