//go:build cluster

//go:generate go tool -modfile=../tools/helm-docs/go.mod helm-docs --chart-search-root . --log-level warning

// Package charts holds the Helm chart; its tests render it with Helm and install it on a real control plane.
package charts

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"astern.dev/astern/tools/controlplane"
	"astern.dev/astern/tools/neighbours"
)

func TestMain(m *testing.M) { controlplane.Main(m) }

// object is one of the rendered ones.
type object map[string]any

func (o object) at(path ...any) any {
	var v any = map[string]any(o)
	for _, key := range path {
		switch k := key.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[k]
		case int:
			l, _ := v.([]any)
			if k >= len(l) {
				return nil
			}
			v = l[k]
		}
	}
	return v
}

func (o object) String() string {
	name, _ := o.at("metadata", "name").(string)
	kind, _ := o.at("kind").(string)
	return kind + "/" + name
}

func program(t *testing.T, name string) string {
	t.Helper()
	found, err := neighbours.Find(t.Context(), name, t.Output())
	require.NoError(t, err)
	return found.Path
}

// helm runs Helm with directories of its own.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program(t, "helm"), args...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	printed, err := cmd.CombinedOutput()
	return string(printed), err
}

func render(t *testing.T, args ...string) (map[string]object, error) {
	t.Helper()
	printed, err := helm(t, append([]string{"template", "a", "astern", "--namespace", "mon"}, args...)...)
	if err != nil {
		return nil, &exec.Error{Name: printed, Err: err}
	}
	all := map[string]object{}
	for d := yaml.NewDecoder(strings.NewReader(printed)); ; {
		var plain map[string]any
		if d.Decode(&plain) != nil {
			break
		}
		if o := object(plain); o != nil {
			require.NotContains(t, all, o.String(), "twice")
			all[o.String()] = o
		}
	}
	return all, nil
}

func rendered(t *testing.T, args ...string) map[string]object {
	t.Helper()
	all, err := render(t, args...)
	require.NoError(t, err)
	return all
}

func names(all map[string]object) []string {
	var list []string
	for name := range all {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func TestClusterChartIsClean(t *testing.T) {
	files, err := filepath.Glob("astern/ci/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, args := range append([][]string{nil}, filesOf(files)...) {
		printed, err := helm(t, append([]string{"lint", "--strict", "astern"}, args...)...)
		require.NoError(t, err, printed)
	}
}

func filesOf(files []string) [][]string {
	var all [][]string
	for _, f := range files {
		all = append(all, []string{"--values", f})
	}
	return all
}

func TestClusterChartGrantsNothingByDefault(t *testing.T) {
	require.Equal(t, []string{"ConfigMap/a-astern", "NetworkPolicy/a-astern", "Pod/a-astern-ready", "Service/a-astern", "ServiceAccount/a-astern", "StatefulSet/a-astern"}, names(rendered(t)))
}

func TestClusterChartWithEverything(t *testing.T) {
	all := rendered(t, "--values", "astern/ci/everything-values.yaml")
	require.Equal(t, []string{
		"AlertmanagerConfig/a-astern", "ClusterRole/mon-a-astern", "ClusterRoleBinding/mon-a-astern", "ConfigMap/a-astern", "ConfigMap/a-extra", "Ingress/a-astern",
		"NetworkPolicy/a-astern", "Pod/a-astern-ready", "PrometheusRule/a-astern", "Role/a-astern", "RoleBinding/a-astern", "Service/a-astern",
		"ServiceAccount/a-astern", "ServiceMonitor/a-astern", "StatefulSet/a-astern",
		"ValidatingAdmissionPolicy/mon-a-astern-quarantine", "ValidatingAdmissionPolicyBinding/mon-a-astern-quarantine",
	}, names(all))
	pod := object(all["StatefulSet/a-astern"].at("spec", "template").(map[string]any))
	require.Equal(t, "astern@sha256:"+strings.Repeat("0", 64), pod.at("spec", "containers", 0, "image"))
	require.Contains(t, pod.at("spec", "containers", 0, "args"), "--log.level=debug")
	require.Nil(t, all["StatefulSet/a-astern"].at("spec", "volumeClaimTemplates"))
	require.Equal(t, "team-rules", pod.at("spec", "volumes", 0, "projected", "sources", 1, "configMap", "name"))
	require.Equal(t, "shop", all["Role/a-astern"].at("metadata", "namespace"))
	require.Equal(t, "mon", all["RoleBinding/a-astern"].at("subjects", 0, "namespace"))
	require.Equal(t, []any{"Deny"}, all["ValidatingAdmissionPolicyBinding/mon-a-astern-quarantine"].at("spec", "validationActions"))
	require.Equal(t, "http://a-astern.mon.svc:9494/api/v1/alertmanager", all["AlertmanagerConfig/a-astern"].at("spec", "receivers", 0, "webhookConfigs", 0, "url"))
}

func TestClusterChartNamesStayWithinTheirBounds(t *testing.T) {
	long := strings.Repeat("n", 53)
	all := rendered(t, "--set", "fullnameOverride="+strings.Repeat("n", 80), "--values", "astern/ci/everything-values.yaml")
	for _, o := range all {
		name, _ := o.at("metadata", "name").(string)
		require.LessOrEqual(t, len(name), 80, o)
	}
	set := all["StatefulSet/"+long[:52]]
	require.NotNil(t, set, names(all)) // the pods' names, a revision's hash behind them, are label values: 63
}

func TestClusterChartTakesTheGitImage(t *testing.T) {
	all := rendered(t, "--set", "image.git=true,image.tag=1.2.3")
	require.Equal(t, "astern:1.2.3-git", all["StatefulSet/a-astern"].at("spec", "template", "spec", "containers", 0, "image"))
}

func TestClusterChartIsAPartOfAnother(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "charts", "astern"), os.DirFS("astern")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Chart.yaml"), []byte("apiVersion: v2\nname: parent\nversion: 1.0.0\ndependencies: [{name: astern, version: 0.1.0, condition: astern.enabled}]\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "values.yaml"), []byte("global: {registry: x}\nastern: {enabled: true}\n"), 0o600))
	printed, err := helm(t, "template", "p", dir)
	require.NoError(t, err, printed)
	require.Contains(t, printed, "name: p-astern")
}

func TestClusterChartRefusesWhatItDoesNotKnow(t *testing.T) {
	for set, says := range map[string]string{
		"storag.size=1":                   "'storag' not allowed",
		"storage.sise=1":                  "'sise' not allowed",
		"storage.size=lots":               "does not match pattern",
		"quarantine.actions={Refuse}":     "value must be one of 'Warn', 'Audit', 'Deny'",
		"image.digest=latest":             "does not match pattern",
		"config.astern.storage.url=x":     "config.astern.storage: the chart sets it",
		"config.reloadEvery=often":        "does not match pattern",
		"ingress.enabled=true":            "ingress.host: name the host",
		"alertmanagerConfig.enabled=true": "alertmanagerConfig.bearerSecret.name",
	} {
		_, err := render(t, "--set", set)
		require.ErrorContains(t, err, says, set)
	}
}

func TestClusterChartHasThePolicyOfItsAction(t *testing.T) {
	own, err := os.ReadFile("astern/files/quarantine-policy.yaml")
	require.NoError(t, err)
	theirs, err := os.ReadFile("../actions/kubernetes/quarantine_policy.yaml")
	require.NoError(t, err)
	require.True(t, bytes.Equal(own, theirs), "copy actions/kubernetes/quarantine_policy.yaml")
}

// What the chart writes is what astern takes.
func TestClusterChartWritesAConfigurationThatIsChecked(t *testing.T) {
	dir := t.TempDir()
	data, _ := rendered(t, "--values", "astern/ci/full-values.yaml")["ConfigMap/a-astern"].at("data").(map[string]any)
	require.Len(t, data, 4)
	for name, text := range data {
		here := strings.ReplaceAll(text.(string), "/etc/astern/files/", "")
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(here), 0o600))
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "./cmd/astern", "check", dir)
	cmd.Dir = ".."
	printed, err := cmd.CombinedOutput()
	require.NoError(t, err, string(printed))
	require.Contains(t, string(printed), "1 rule, 1 target, 1 procedure")
}
