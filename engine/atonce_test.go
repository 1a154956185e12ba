package engine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// heard is a rig that remembers the boundaries it passes, and does something once, at a judgement that lets a step go.
func heard(t *testing.T, say func(*rig)) (*rig, *[]string) {
	points := &[]string{}
	r := newRig(t, func(r *rig) {
		r.files.procedures = replace(r.files.procedures, ", look: true", "") // the first step changes, too
		r.hook = func(at string) {
			*points = append(*points, at)
			if at == "judged" && say != nil && r.now().Sub(start) >= 15*time.Second { // alerts have settled
				do := say
				say = nil
				do(r)
			}
		}
	})
	return r.ready(), points
}

func TestAJudgementAndTheFirstIntentAreOneWrite(t *testing.T) {
	r, points := heard(t, nil)
	r.fire("Hole", "api")
	r.advance(30 * time.Second)
	n := slices.Index(*points, "step-began")
	require.Equal(t, []string{"judged", "append", "appended", "step-began", "step-ran"}, (*points)[n-3:n+2])
	events, err := r.store.Load(t.Context(), "incident/api-1")
	require.NoError(t, err)
	var types []string
	for _, e := range events {
		types = append(types, e.Type)
	}
	n = slices.Index(types, "StepBegan")
	require.Equal(t, []string{"Judged", "StepBegan"}, types[n-1:n+1])
	require.Equal(t, events[n-1].At, events[n].At)
}

// What is said between the judgement and the intent is heard: the judgement is stored, and no step begins.
func TestTheFirstIntentIsAskedForWithItsGuards(t *testing.T) {
	for name, say := range map[string]func(r *rig){
		"stop":    func(r *rig) { require.NoError(r.t, r.engine.Stop(r.t.Context(), sre, "all", "enough")) },
		"hold":    func(r *rig) { require.NoError(r.t, r.engine.Hold(r.t.Context(), sre, "api", "I have it", time.Hour)) },
		"silence": func(r *rig) { r.world.silence(labels("Hole", "api")) },
		"deny": func(r *rig) {
			require.NoError(r.t, r.engine.DenyRelease(r.t.Context(), sre, "api", "v41", "leaks"))
		},
		"a deploy": func(r *rig) {
			require.NoError(r.t, r.engine.RecordRelease(r.t.Context(), sre, "api", incident.Release{Version: "v43", At: r.now()}))
		},
		"disarm": func(r *rig) { require.NoError(r.t, r.engine.Disarm(r.t.Context(), sre, "enough")) },
	} {
		t.Run(name, func(t *testing.T) {
			said := false
			r, _ := heard(t, func(r *rig) { said = true; say(r) })
			r.fire("Hole", "api")
			r.advance(30 * time.Second)
			require.Empty(t, r.world.did())
			require.True(t, said)
		})
	}
}

// What comes in force while the world is asked about the first step holds: the judgement was made under something else.
func TestTheFirstIntentStandsOnTheGroundOfItsJudgement(t *testing.T) {
	for name, say := range map[string]func(r *rig){
		"a reload": func(r *rig) {
			r.files.rules = replace(r.files.rules, `when: alert.labels.alertname == "Hole"
        mode: auto`, `when: alert.labels.alertname == "Hole"
        mode: suggest`)
			require.NoError(r.t, r.engine.Reload(r.t.Context(), r.configuration(r.files)))
		},
		"disarm": func(r *rig) { require.NoError(r.t, r.engine.Disarm(r.t.Context(), sre, "enough")) },
	} {
		t.Run(name, func(t *testing.T) {
			judged, said := false, false
			r, _ := heard(t, func(*rig) { judged = true })
			r.world.onAlerts = func() { // a silence is looked for before the first changing step
				if judged && !said {
					said = true
					say(r)
				}
			}
			r.fire("Hole", "api")
			r.advance(30 * time.Second)
			require.True(t, said)
			require.Empty(t, r.world.did())
			require.Equal(t, incident.Pending, r.incident("api").Phase, "it is judged again, and may no longer act")
		})
	}
}

// A slot that a rival holds is no reason to lose the judgement.
func TestARefusedClaimLeavesTheJudgement(t *testing.T) {
	r, _ := heard(t, nil)
	r.releases("web")
	var seen incident.Incident
	r.world.onRun = func(step string) {
		if step != "look" || seen.ID != "" {
			return
		}
		seen.ID = "once"
		r.fire("Hole", "web")
		r.mu.Lock()
		r.at = r.at.Add(20 * time.Second)
		r.mu.Unlock()
		r.engine.Perform(r.t.Context(), "incident/web-1", incident.ProcedureLane)
		seen = r.incident("web")
	}
	r.fire("Hole", "api")
	r.advance(30 * time.Second)
	require.Equal(t, "web-1", seen.ID)
	require.NotNil(t, seen.Plan, "it was judged")
	require.Equal(t, incident.Held, seen.Phase)
	require.Contains(t, seen.Reason, "slot/")
}
