//go:build crash

package engine_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

const racingDeploys = 1_000

// Another version is rolled out at a random moment of a procedure: whatever was not begun when its cluster showed it is not
// begun any more.
func TestCrashARacingDeploy(t *testing.T) {
	const seed = 4
	random := rand.New(rand.NewPCG(seed, seed))
	ends := map[incident.Phase]int{}
	for round := range racingDeploys {
		ends[raceOnce(t, round, random.IntN(22))]++
	}
	require.Greater(t, ends[incident.Superseded], racingDeploys/10, "the race is run, not passed by: %v", ends)
	t.Logf("%d racing deploys ended %v", racingDeploys, ends)
}

func raceOnce(t *testing.T, round, moment int) incident.Phase {
	var r *rig
	passed, done, mayStill := -1_000_000, -1, 0
	r = watched(t, func(r *rig) {
		r.hook = func(at string) {
			if passed++; passed != moment+1 {
				return
			}
			done = len(r.world.did())
			if slices.Contains([]string{"append", "appended", "step-began"}, at) {
				mayStill = 1 // one that is being begun; its action finds the other version itself
			}
			require.NoError(t, r.engine.Observe(t.Context(), "api", engine.Observation{
				Source: "kubernetes/prod", At: r.now(), UID: "u-1", Rolling: true, Release: showing("v43", "red", r.now()),
			}))
		}
	})
	r.fire("Errors", "api")
	r.runs("api", v42(), 4*time.Minute+59*time.Second)
	passed = 0
	r.advance(20 * time.Second)
	if done >= 0 {
		require.LessOrEqual(t, len(r.world.did())-done, mayStill, "round %d: after the deploy at hook %d: %v", round, moment, r.world.did())
	}
	return r.incident("api").Phase
}
