package all

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"astern.dev/astern/actions"
)

func TestRegistry(t *testing.T) {
	r, err := Registry()
	require.NoError(t, err)
	require.Equal(t, []string{"argocd/pause", "argocd/resume", "argocd/sync", "exec", "flux/reconcile", "flux/resume", "flux/suspend", "git/revert",
		"haproxy/drain", "haproxy/weights", "http", "http/smoke", "kubernetes/drain", "kubernetes/job", "kubernetes/quarantine", "kubernetes/rollout-halt", "kubernetes/rollout-undo",
		"kubernetes/rollout-wait", "kubernetes/service-selector", "manifest/revert", "prometheus/wait", "wait"}, r.ActionNames())
	require.Equal(t, []string{"pagerduty", "slack", "webhook"}, r.ChannelNames())
	require.Equal(t, []string{"alertmanager", "git", "haproxy", "http", "kubernetes", "pagerduty", "prometheus", "slack", "webhook"}, r.Kinds())
}

// Only a kind that needs no address or secret may be valid without a word: it is opened by default.
func TestConnectionsThatNeedNoWords(t *testing.T) {
	r, err := Registry()
	require.NoError(t, err)
	var silent []string
	for _, kind := range r.Kinds() {
		empty, _ := r.Connection(kind)
		if empty().Validate() == nil {
			silent = append(silent, kind)
		}
	}
	require.Equal(t, []string{"http"}, silent)
}

// Each example names its own action and no parameter that it does not have.
func TestExamplesNameWhatThereIs(t *testing.T) {
	r, err := Registry()
	require.NoError(t, err)
	for _, name := range r.ActionNames() {
		entry, _ := r.Action(name)
		var steps []struct {
			Name    string         `yaml:"name"`
			Uses    string         `yaml:"uses"`
			With    map[string]any `yaml:"with"`
			Timeout string         `yaml:"timeout"`
			Retry   map[string]any `yaml:"retry"`
		}
		require.NoError(t, yaml.Load([]byte(entry.Example), &steps, yaml.WithKnownFields()), name)
		require.Len(t, steps, 1)
		require.Equal(t, name, steps[0].Uses)
		known := parameters(entry.New())
		for parameter := range steps[0].With {
			require.Contains(t, known, parameter, name)
		}
	}
}

func parameters(action actions.Action) []string {
	var names []string
	of := reflect.TypeOf(action).Elem()
	for n := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(n).Tag.Get("yaml"), ",")
		names = append(names, name)
	}
	return names
}
