package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/engine/discover"
)

const clustered = `
storage: {url: "sqlite:astern.db"}
rule_files: [rules.yaml]
target_files: [targets.yaml, extra.yaml]
procedure_files: [procedures.yaml]
senders: [{name: am, type: alertmanager, bearer_token_file: am.token}]
connections:
  prometheus: {eu: {url: "http://127.0.0.1:1"}}
  kubernetes: {prod: {kubeconfig: none}}
people: [{name: sre-1, role: admin, token_file: admin.token}]
discover: [{connection: prod, environment: production, namespaces: [shop]}]
`

const byHand = `
classes: [{name: calm, procedure: switch, healthy: {waived: a test}}]
targets: [{name: by-hand, class: calm, environment: production, select: {service: by-hand, zone: a}, workload: {kind: Deployment, namespace: shop, name: by-hand}}]
`

func clusteredWorld(t *testing.T) (dir string, start func() *server) {
	dir = t.TempDir()
	require.NoError(t, writeWorld(dir))
	for name, text := range map[string]string{"astern.yaml": clustered, "extra.yaml": byHand} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir, func() *server {
		s, err := wire(t.Context(), serveFlags{configFile: filepath.Join(dir, "astern.yaml")}, zap.NewNop())
		require.NoError(t, err)
		return s
	}
}

// annotated is what annotations of one Deployment each name, the oldest first.
func annotated(targets ...map[string]string) discover.Found {
	var all []cluster.Marked
	for n, annotations := range targets {
		full := map[string]string{}
		for key, value := range annotations {
			full["astern.dev/"+key] = value
		}
		name := annotations["target"]
		all = append(all, cluster.Marked{Ref: cluster.Ref{Kind: "Deployment", Namespace: "shop", Name: name}, UID: "uid-" + name,
			Created: time.Unix(int64(n), 0), Annotations: full})
	}
	return discover.Read("prod", discover.Place{Namespace: "shop", Environment: "production"}, all)
}

func (s *server) targetNames(t *testing.T) string {
	t.Helper()
	all, err := s.engine.Targets(t.Context())
	require.NoError(t, err)
	var names []string
	for _, each := range all {
		if each.Workload != "" {
			names = append(names, each.Name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func (s *server) leftOut(t *testing.T) string {
	t.Helper()
	status, err := s.engine.Status(t.Context())
	require.NoError(t, err)
	return strings.Join(status.Discovery["prod"], "\n")
}

// Targets of a cluster come in force as those of a file do; one with a mistake is left out alone, and said. What was known
// when astern ended is known when it starts.
func TestDiscoveredTargetsComeInForce(t *testing.T) {
	dir, start := clusteredWorld(t)
	s := start()
	require.Equal(t, "by-hand", s.targetNames(t))

	s.found(t.Context(), "prod", annotated(map[string]string{"target": "shop-api", "class": "calm", "select": "service=shop-api,zone=a"}))
	require.Equal(t, "by-hand shop-api", s.targetNames(t))
	require.Empty(t, s.leftOut(t))
	before := s.digest(t)
	s.found(t.Context(), "prod", annotated(map[string]string{"target": "shop-api", "class": "calm", "select": "service=shop-api,zone=a"}))
	require.Equal(t, before, s.digest(t), "the same targets are the same configuration")

	// Newcomers: each is wrong in its own way, some only beside what is in force, where another file's line is blamed.
	s.found(t.Context(), "prod", annotated(
		map[string]string{"target": "shop-api", "class": "calm", "select": "service=shop-api,zone=a"},
		map[string]string{"target": "good", "class": "calm"},
		map[string]string{"target": "classless"},
		map[string]string{"target": "unknown-class", "class": "clam"},
		map[string]string{"target": "unknown-procedure", "class": "calm", "procedure": "rolback"},
		map[string]string{"target": "by-hand", "class": "calm"},
		map[string]string{"target": "thief", "class": "calm", "select": "zone=a"}))
	require.Equal(t, "by-hand good shop-api", s.targetNames(t))
	for _, why := range []string{
		"classless is not taken as the target classless: nothing says when the target is healthy",
		`unknown-class is not taken as the target unknown-class: there is no class "clam"`,
		`unknown-procedure is not taken as the target unknown-procedure: there is no procedure "rolback"`,
		`by-hand is not taken as the target by-hand: the target "by-hand" stands twice`,
		"thief is not taken as the target thief: ",
	} {
		require.Contains(t, s.leftOut(t), why)
	}
	in, err := s.engine.ConfigurationAt(t.Context(), s.digest(t))
	require.NoError(t, err)
	_, there := in.Book.Target("good")
	require.True(t, there)
	s.close()

	s = start()
	require.Equal(t, "by-hand good shop-api", s.targetNames(t), "the cluster was not asked yet")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte("groups: 3"), 0o600))
	s.found(t.Context(), "prod", annotated(map[string]string{"target": "later", "class": "calm"}))
	require.Equal(t, "by-hand good shop-api", s.targetNames(t), "a mistake in a file keeps what is in force")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte("groups: []"), 0o600))
	require.NoError(t, s.reload(t.Context()))
	require.Equal(t, "by-hand later", s.targetNames(t))

	// What astern.yaml no longer lets a place name goes.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "astern.yaml"), []byte(strings.Replace(clustered, "[shop]", "[other]", 1)), 0o600))
	require.NoError(t, s.reload(t.Context()))
	require.Equal(t, "by-hand", s.targetNames(t))
	s.close()
}

// A rule may name a target that a cluster has yet to name.
func TestARuleMayWaitForADiscoveredTarget(t *testing.T) {
	dir, start := clusteredWorld(t)
	rules := `groups: [{name: g, rules: [{rule: R, when: 'alert.labels.alertname == "A"', target: '"shop-api"', confirm: {waived: none}, do: rollback}]}]`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte(rules), 0o600))
	s := start()
	s.found(t.Context(), "prod", annotated(map[string]string{"target": "web", "class": "calm"}))
	first := s.digest(t)
	s.found(t.Context(), "prod", annotated())
	require.Equal(t, "by-hand", s.targetNames(t))
	_, err := s.engine.ConfigurationAt(t.Context(), first)
	require.NoError(t, err, "what was in force can be read again")
	s.close()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "astern.yaml"), []byte(clustered[:strings.Index(clustered, "discover:")]), 0o600))
	_, found, err := load(filepath.Join(dir, "astern.yaml"))
	require.NoError(t, err)
	require.ErrorContains(t, found.Err(), `target "shop-api" is not defined`, "elsewhere that is a mistake")
}

func TestEachClusterHasItsFile(t *testing.T) {
	f := annotated(map[string]string{"target": "shop-api", "class": "calm"}, map[string]string{"target": "web", "class": "calm"})
	west := discover.Read("west", discover.Place{Namespace: "shop", Environment: "production"}, []cluster.Marked{{Ref: cluster.Ref{Kind: "Service", Namespace: "shop", Name: "x"},
		Annotations: map[string]string{"astern.dev/target": "x"}}})
	dir, _ := clusteredWorld(t)
	two := strings.Replace(clustered, "{prod: {kubeconfig: none}}", "{prod: {kubeconfig: none}, west: {kubeconfig: none}}", 1) +
		"  - {connection: west, environment: production, namespaces: [shop]}\n"
	two = strings.Replace(two, "discover: [{", "discover:\n  - {", 1)
	two = strings.Replace(two, "[shop]}]", "[shop]}", 1)
	path := filepath.Join(dir, "astern.yaml")
	require.NoError(t, os.WriteFile(path, []byte(two), 0o600))
	l, found, err := loadWith(path, filesOf(slices.Concat(f.Entries[:1], west.Entries, f.Entries[1:])))
	require.NoError(t, err)
	require.ErrorContains(t, found.Err(), "discovered/west.yaml:4")
	require.Equal(t, []string{"discovered/prod.yaml", "discovered/west.yaml"}, slices.Sorted(maps.Keys(l.files.Targets))[2:])
	d := &discovery{path: path}
	mistakes := d.check(slices.Concat(f.Entries[:1], west.Entries, f.Entries[1:]))
	require.Len(t, mistakes, 1)
	require.Equal(t, 1, mistakes[0].Entry)
}
