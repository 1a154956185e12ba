//go:build cluster

package controlplane_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/tools/controlplane"
)

const blueAndGreen = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: blue}
spec:
  replicas: 2
  selector: {matchLabels: {app: api, colour: blue}}
  template:
    metadata: {labels: {app: api, colour: blue}}
    spec: {containers: [{name: api, image: "api:1"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: green}
spec:
  replicas: 2
  selector: {matchLabels: {app: api, colour: green}}
  template:
    metadata: {labels: {app: api, colour: green, rig.astern.dev/answers: "500"}}
    spec: {containers: [{name: api, image: "api:2"}]}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {selector: {app: api, colour: green}, ports: [{port: 80, targetPort: 8080}]}
`

func TestClusterTrafficFollowsTheSelector(t *testing.T) {
	c := controlplane.Shared(t)
	namespace := c.Namespace(t)
	_, err := c.Kubectl(t.Context(), blueAndGreen, "--namespace="+namespace, "apply", "-f", "-")
	require.NoError(t, err)
	for _, colour := range []string{"blue", "green"} {
		require.NoError(t, c.RolledOut(t.Context(), namespace, "deployment/"+colour))
	}
	traffic, err := c.Traffic(t.Context(), namespace, "api", "colour")
	require.NoError(t, err)
	defer traffic.Stop()
	require.NoError(t, traffic.Since(t.Context(), "green", 20))
	by, _ := traffic.Answers()
	require.Zero(t, by["green"].OK, "the bad version fails")
	require.NotContains(t, by, "blue")

	_, err = c.Kubectl(t.Context(), "", "--namespace="+namespace, "patch", "service/api", "--patch", `{"spec":{"selector":{"colour":"blue"}}}`)
	require.NoError(t, err)
	require.NoError(t, traffic.Since(t.Context(), "blue", 50))
	before, _ := traffic.Answers()
	require.NoError(t, traffic.Since(t.Context(), "blue", 50))
	after, _ := traffic.Answers()
	require.Equal(t, before["green"], after["green"], "nothing goes to green any more")
	require.Zero(t, after["blue"].Failed)
}
