package cluster

import (
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	require.NoError(t, err)
	var out map[string]any
	require.NoError(t, utiljson.Unmarshal(raw, &out)) // whole numbers as the API's decoder makes them
	return out
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	return &unstructured.Unstructured{Object: parse(t, text)}
}

// A Deployment's template and that of the ReplicaSet made from it are the same; a restart changes nothing.
func TestATemplateIsNamedByItsContent(t *testing.T) {
	digest := func(text string) string {
		d, err := TemplateDigest(parse(t, text))
		require.NoError(t, err)
		return d
	}
	plain := digest(`{metadata: {labels: {app: api}}, spec: {containers: [{name: app, image: api@sha256:1}]}}`)
	require.Regexp(t, `^sha256:[0-9a-f]{64}$`, plain)
	for name, same := range map[string]string{
		"of a ReplicaSet":        `{metadata: {creationTimestamp: null, labels: {app: api, pod-template-hash: abc}}, spec: {containers: [{name: app, image: "api@sha256:1"}]}}`,
		"of a StatefulSet's pod": `{metadata: {labels: {app: api, controller-revision-hash: abc}}, spec: {containers: [{name: app, image: "api@sha256:1"}]}}`,
		"of a Rollout":           `{metadata: {labels: {app: api, rollouts-pod-template-hash: abc}}, spec: {containers: [{name: app, image: "api@sha256:1"}]}}`,
		"restarted": `{metadata: {labels: {app: api}, annotations: {kubectl.kubernetes.io/restartedAt: "2026-01-01T00:00:00Z"}},
			spec: {containers: [{image: "api@sha256:1", name: app}]}}`,
	} {
		require.Equal(t, plain, digest(same), name)
	}
	for name, other := range map[string]string{
		"another image":      `{metadata: {labels: {app: api}}, spec: {containers: [{name: app, image: api@sha256:2}]}}`,
		"another annotation": `{metadata: {labels: {app: api}, annotations: {a: b}}, spec: {containers: [{name: app, image: api@sha256:1}]}}`,
		"another order":      `{metadata: {labels: {app: api}}, spec: {containers: [{name: app, image: api@sha256:1}, {name: b}]}}`,
	} {
		require.NotEqual(t, plain, digest(other), name)
	}
	bare := `{spec: {containers: []}}`
	require.Equal(t, digest(bare), digest(`{metadata: {labels: {pod-template-hash: x}}, spec: {containers: []}}`))
	_, err := TemplateDigest(map[string]any{})
	require.Error(t, err)
	template := parse(t, `{metadata: {labels: {pod-template-hash: x}}, spec: {}}`)
	_, err = TemplateDigest(template)
	require.NoError(t, err)
	require.Equal(t, parse(t, `{metadata: {labels: {pod-template-hash: x}}, spec: {}}`), template, "what was read is left as it is")
}

func TestDigestIsOfTheContent(t *testing.T) {
	require.Equal(t, Digest(map[string]any{"a": 1, "b": 2}), Digest(map[string]any{"b": 2, "a": 1}))
	require.NotEqual(t, Digest([]any{1, 2}), Digest([]any{2, 1}))
}
