package cluster_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"astern.dev/astern/actions/cluster"
)

// A template names what it needs in many places.
func TestNeeds(t *testing.T) {
	var template map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(`
spec:
  serviceAccountName: sa
  imagePullSecrets: [{name: pull}]
  volumes:
  - {name: a, configMap: {name: cm-volume}}
  - {name: b, secret: {secretName: secret-volume}}
  - {name: c, persistentVolumeClaim: {claimName: data}}
  - {name: d, projected: {sources: [{configMap: {name: cm-projected}}, {secret: {name: secret-projected}}, {secret: {name: maybe, optional: true}}]}}
  - {name: e, csi: {driver: x, nodePublishSecretRef: {name: secret-csi}}}
  - {name: f, configMap: {name: maybe, optional: true}}
  initContainers: [{name: i, env: [{name: A, valueFrom: {secretKeyRef: {name: secret-env, key: a}}}]}]
  containers:
  - {name: c, envFrom: [{configMapRef: {name: cm-from}}, {secretRef: {name: secret-from}}, {secretRef: {name: maybe, optional: true}}], env: [{name: A, valueFrom: {configMapKeyRef: {name: cm-env, key: a}}}, {name: B, value: b}]}
  - {name: d, envFrom: [{configMapRef: {name: cm-from}}]}
`), &template))
	require.Equal(t, []cluster.Ref{
		{"ConfigMap", "shop", "cm-env"}, {"ConfigMap", "shop", "cm-from"}, {"ConfigMap", "shop", "cm-projected"}, {"ConfigMap", "shop", "cm-volume"}, {"PersistentVolumeClaim", "shop", "data"},
		{"Secret", "shop", "pull"}, {"Secret", "shop", "secret-csi"}, {"Secret", "shop", "secret-env"}, {"Secret", "shop", "secret-from"}, {"Secret", "shop", "secret-projected"}, {"Secret", "shop", "secret-volume"},
		{"ServiceAccount", "shop", "sa"},
	}, cluster.Needs(template, "shop"))
}
