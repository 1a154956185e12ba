//go:build e2e

package main_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/examples/demo/rig"
	"astern.dev/astern/tools/controlplane"
	"astern.dev/astern/tools/neighbours"
)

// TestE2EKubernetes runs the built binary beside a real API server, with its controllers, and kube-proxy: each procedure from
// a delivery of Alertmanager to the cluster back at the good version. The pods are kwok's: nothing runs in them.
func TestE2EKubernetes(t *testing.T) {
	r := &clusterRig{binary: build(t)}
	var err error
	r.programs, err = rig.FindPrograms(t.Context(), t.Output(), func(neighbours.Neighbour) {})
	require.NoError(t, err)
	r.ControlPlane, err = controlplane.Start(t.Context(), controlplane.Options{Log: t.Output()})
	require.NoError(t, err)
	t.Cleanup(r.Close)

	scenarios := map[string]func(t *testing.T, r *clusterRig, d disturb){"BlueGreen": blueGreen, "Rolling": rolling}
	for _, around := range []struct {
		name string
		d    disturb
	}{{"Undisturbed", undisturbed}, {"AsternKilled", asternKilled}, {"APIServerKilled", r.apiServerKilled}} {
		t.Run(around.name, func(t *testing.T) { // one after the other: an outage is felt by all
			for name, scenario := range scenarios {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					scenario(t, r, around.d)
				})
			}
		})
	}
}

// blueGreen: a bad version comes as green, and traffic is back at blue, none of it answered by green once that is drained.
func blueGreen(t *testing.T, r *clusterRig, d disturb) {
	w := newClusterWorld(t, r, scene{kind: "Service", procedure: "blue_green"}, "blue-green.yaml")
	w.begin("deployment/api-blue")
	w.apply("blue-green-bad.yaml")
	require.NoError(t, w.cluster.RolledOut(w.ctx, w.namespace, "deployment/api-green"))
	w.kubectl("patch", "service/api", "--patch", `{"spec":{"selector":{"track":"green"}}}`)
	id := w.opened()
	now := w.through(id, d)

	drained := stepOf(now.Incident, "drain").EndedAt
	by, _ := w.traffic.Answers()
	require.False(t, by["v42"].Last.After(drained), "green answered %s after the drain", by["v42"].Last.Sub(drained))
	require.Equal(t, "0", w.kubectl("get", "deployment/api-green", "--output=jsonpath={.spec.replicas}"))
	require.Empty(t, w.kubectl("get", "pods", "--selector=track=green", "--output=name"))
	w.only("v41")
	w.onlyOne(id)
}

// rolling: a bad version rolls out slowly; it is halted half way, and the version before is brought back.
func rolling(t *testing.T, r *clusterRig, d disturb) {
	w := newClusterWorld(t, r, scene{kind: "Deployment", procedure: "rolling"}, "rolling.yaml")
	w.begin("deployment/api")
	w.apply("rolling-bad.yaml")
	id := w.opened()
	w.through(id, d)

	require.Equal(t, "registry.example/shop/api:v41", w.image("deployment/api"))
	require.Empty(t, w.kubectl("get", "deployment/api", "--output=jsonpath={.spec.paused}"))
	require.Equal(t, "4", w.kubectl("get", "deployment/api", "--output=jsonpath={.status.updatedReplicas}"))
	w.only("v41")
	w.onlyOne(id)
}
