package kubernetes

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster/clustertest"
)

// Somebody deploys, switches or replaces something before each single request that a step makes, one after the other: until the
// step has written, it then writes nothing; once it has written, his word stands.
func TestNothingIsWrittenOverARival(t *testing.T) {
	switches := func(s *clustertest.Server) {
		changeService(s, map[string]any{"app": "api", "track": "red"}, "spec", "selector")
	}
	deploys := func(s *clustertest.Server) { labelled(s, "api-green", "version", "3") }
	for name, c := range map[string]struct {
		world  func(t testing.TB) *clustertest.Server
		action func() actions.Action
		rival  func(s *clustertest.Server)
		// stands is what the rival made; ours is the write that must not come after it.
		stands func(s *clustertest.Server) bool
		ours   string
	}{
		"a switch": {world: colours, action: func() actions.Action { return switchOf(t, toBlueSide) }, rival: switches,
			stands: func(s *clustertest.Server) bool { return chosen(s) == "app=api,track=red" }, ours: "patch services shop/api"},
		"a deploy in a drain": {world: left, action: func() actions.Action { return drainOf(t, drainGreen) }, rival: deploys, ours: "patch deployments/scale shop/api-green",
			stands: func(s *clustertest.Server) bool {
				version, _, _ := unstructured.NestedString(s.Get(deployment, "shop", "api-green").Object, "spec", "template", "metadata", "labels", "version")
				return version == "3"
			}},
		"a switch back in a drain": {world: left, action: func() actions.Action { return drainOf(t, drainGreen) }, ours: "patch deployments/scale shop/api-green",
			rival: func(s *clustertest.Server) {
				changeService(s, map[string]any{"app": "api", "track": "green"}, "spec", "selector")
			},
			stands: func(s *clustertest.Server) bool { return chosen(s) == "app=api,track=green" }},
	} {
		t.Run(name, func(t *testing.T) {
			for before := 0; ; before++ {
				s := c.world(t)
				a, env := c.action(), envOf(t, s)
				_, err := a.Plan(t.Context(), env)
				require.NoError(t, err)
				asked, written, last := 0, 0, ""
				s.Before(func(call clustertest.Call) *clustertest.Fault {
					if asked == before {
						written, last = len(s.Writes()), call.String()
						c.rival(s)
					}
					asked++
					return nil
				})
				_, err = a.Run(t.Context(), env)
				if asked <= before { // it made fewer requests than that
					require.Greater(t, before, 5)
					return
				}
				require.True(t, c.stands(s), "before %s", last)
				// Nothing fences a Service that moves between the last reading of it and the scaling of another object.
				late := name == "a switch back in a drain" && strings.HasPrefix(last, "patch deployments/scale")
				if written == 0 && !late {
					require.Error(t, err, "before %s", last)
					require.False(t, slices.Contains(s.Writes(), c.ours), "before %s: %v", last, s.Writes())
				}
			}
		})
	}
}
