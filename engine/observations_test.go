package engine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// What clusters show of targets, and what follows from it.

// inCluster gives the rig's targets workloads, and an engine that counts on somebody reading them.
func inCluster(r *rig) {
	for _, name := range []string{"api", "web", "pay"} {
		r.files.targets = replace(r.files.targets, "select: {service: "+name+"}", "select: {service: "+name+"}\n    workload: {kind: Deployment, namespace: shop, name: "+name+"}")
	}
	r.opts = func(o *engine.Options) { o.Watches = true }
}

func showing(version, track string, at time.Time) incident.Release {
	return incident.Release{Version: version, At: at, Vars: map[string]string{"track": track, incident.TemplateVar: "sha256:" + version + "0000000"}}
}

func (r *rig) observe(target string, rolling bool, release incident.Release) {
	r.t.Helper()
	require.NoError(r.t, r.engine.Observe(r.t.Context(), target, engine.Observation{
		Source: "kubernetes/prod", At: r.now(), UID: "u-1", Release: release, Rolling: rolling,
		Past: []incident.Release{showing("v41", "blue", start.Add(-48*time.Hour))},
	}))
	r.settle()
}

// runs shows what runs, again and again while time goes on.
func (r *rig) runs(target string, release incident.Release, d time.Duration) {
	for until := r.now().Add(d); r.now().Before(until); {
		r.observe(target, false, release)
		r.advance(min(20*time.Second, until.Sub(r.now())))
	}
}

func v42() incident.Release { return showing("v42", "green", start.Add(-20*time.Minute)) }

// watched is a rig whose cluster shows v42 after v41.
func watched(t *testing.T, bend ...func(*rig)) *rig {
	r := newRig(t, append([]func(*rig){inCluster}, bend...)...).armed()
	r.observe("api", false, v42())
	return r
}

func TestAClusterProvesTheCulprit(t *testing.T) {
	r := watched(t)
	r.fire("Errors", "api")
	r.runs("api", v42(), 5*time.Minute)
	i := r.phase("api", incident.Verifying)
	require.Equal(t, "v42", i.Plan.From.Version)
	require.Equal(t, "v41", i.Plan.To.Version)
	require.Equal(t, "u-1", i.Plan.Target.UID, "the plan names the object")
}

func TestWhatIsNotReadProvesNothing(t *testing.T) {
	for name, after := range map[string]func(*rig){
		"silence":   func(r *rig) { r.advance(5 * time.Minute) },
		"a problem": func(r *rig) { r.runs("api", v42(), 4*time.Minute); r.missing("api"); r.advance(time.Minute) },
		"a restart": func(r *rig) { r.runs("api", v42(), 4*time.Minute); r.restart(); r.advance(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			r := watched(t)
			r.fire("Errors", "api")
			after(r)
			i := r.phase("api", incident.Held)
			require.Contains(t, i.Reason, "what runs is not known: ")
			r.observe("api", false, v42())
			r.advance(10 * time.Second)
			r.phase("api", incident.Verifying)
		})
	}
}

func (r *rig) missing(target string) {
	require.NoError(r.t, r.engine.Observe(r.t.Context(), target, engine.Observation{Source: "kubernetes/prod", At: r.now(), Problem: "Deployment shop/api is not there"}))
}

func TestARolloutUnderWayIsRolledBack(t *testing.T) {
	r := watched(t)
	r.observe("api", true, showing("v43", "red", r.now()))
	r.advance(time.Minute)
	r.fire("Errors", "api")
	for range 15 {
		r.observe("api", true, showing("v43", "red", start))
		r.advance(20 * time.Second)
	}
	i := r.phase("api", incident.Verifying)
	require.Equal(t, "v43", i.Plan.From.Version)
	require.Equal(t, "v42", i.Plan.To.Version)
	target, err := r.engine.Target(t.Context(), "api")
	require.NoError(t, err)
	require.Equal(t, "v42", target.Current.Version)
	require.Nil(t, target.Rolling)
}

func TestARolloutThatBeganAfterTheAlertAsks(t *testing.T) {
	r := watched(t)
	r.fire("Errors", "api")
	r.runs("api", v42(), 4*time.Minute)
	r.observe("api", true, showing("v43", "red", r.now()))
	r.advance(time.Minute)
	i := r.phase("api", incident.AwaitingApproval)
	require.Contains(t, i.Reason, "the rollout of v43 began at 2026-11-01T12:04:00Z, after the alert began")
}

func TestARolloutThatEndedAfterTheAlertBeganWentOn(t *testing.T) {
	r := watched(t)
	r.observe("api", true, showing("v43", "red", r.now()))
	r.advance(time.Minute)
	r.fire("Errors", "api")
	r.advance(time.Minute)
	r.runs("api", showing("v43", "red", r.now()), 5*time.Minute)
	require.Equal(t, "v43", r.phase("api", incident.Verifying).Plan.From.Version)
}

func TestWhatTheOwnProcedureDoesIsNoMove(t *testing.T) {
	r := watched(t)
	r.world.onRun = func(step string) {
		if step != "switch" {
			return
		}
		for _, release := range []incident.Release{showing("v41", "blue", r.now()), showing("v42", "green", r.now())} {
			require.NoError(t, r.engine.Observe(t.Context(), "api", engine.Observation{Source: "kubernetes/prod", At: r.now(), UID: "u-1", Rolling: true, Release: release}))
		}
	}
	r.fire("Errors", "api")
	r.runs("api", v42(), 5*time.Minute)
	r.phase("api", incident.Verifying)
	target, err := r.engine.Target(t.Context(), "api")
	require.NoError(t, err)
	require.Equal(t, "v41", target.Current.Version)
	require.Equal(t, "api-1", target.Current.By, "it moved the target, nobody else")
	require.Len(t, target.Releases, 3)
}

func TestALookBeforeTheMoveIsPassedOver(t *testing.T) {
	r := watched(t)
	r.fire("Errors", "api")
	r.runs("api", v42(), 5*time.Minute)
	r.phase("api", incident.Verifying)
	require.NoError(t, r.engine.Observe(t.Context(), "api", engine.Observation{Source: "kubernetes/prod", At: r.now().Add(-time.Minute), UID: "u-1", Release: showing("v42", "green", r.now())}))
	target, err := r.engine.Target(t.Context(), "api")
	require.NoError(t, err)
	require.Equal(t, "v41", target.Current.Version)
}

func TestAnotherDeployDuringTheProcedureSupersedesIt(t *testing.T) {
	r := watched(t)
	r.world.onRun = func(step string) {
		if step == "switch" {
			require.NoError(t, r.engine.Observe(t.Context(), "api", engine.Observation{
				Source: "kubernetes/prod", At: r.now(), UID: "u-1", Rolling: true, Release: showing("v43", "red", r.now()),
			}))
		}
	}
	r.fire("Errors", "api")
	r.runs("api", v42(), 5*time.Minute)
	i := r.phase("api", incident.Superseded)
	require.Contains(t, i.Reason, "the plan leaves v42, but v43 runs now: somebody moved it")
	require.Equal(t, []string{"api-1/switch=blue"}, r.world.did(), "the drain did not run")
}

func TestAnActionThatFindsADeploySupersedes(t *testing.T) {
	r := watched(t)
	r.world.onRun = func(step string) {
		if step == "switch" {
			r.world.planErr = actions.Moved(actions.Permanent(errors.New("somebody deployed meanwhile")))
		}
	}
	r.fire("Errors", "api")
	r.runs("api", v42(), 5*time.Minute)
	require.Contains(t, r.phase("api", incident.Superseded).Reason, "step drain: somebody deployed meanwhile")
	require.Equal(t, []string{"api-1/switch=blue"}, r.world.did())
}

func TestAnotherObjectOfTheNameSupersedes(t *testing.T) {
	r := watched(t)
	r.world.onRun = func(step string) {
		if step == "switch" {
			require.NoError(t, r.engine.Observe(t.Context(), "api", engine.Observation{Source: "kubernetes/prod", At: r.now(), UID: "u-2", Release: v42()}))
		}
	}
	r.fire("Errors", "api")
	r.runs("api", v42(), 5*time.Minute)
	require.Contains(t, r.phase("api", incident.Superseded).Reason, "it was made anew")
}

func TestAPersonsMoveBackIsRespected(t *testing.T) {
	r := watched(t)
	r.fire("Errors", "api")
	r.runs("api", v42(), 3*time.Minute)
	r.observe("api", true, showing("v41", "blue", r.now()))
	r.runs("api", showing("v41", "blue", r.now()), 3*time.Minute)
	i := r.phase("api", incident.Held)
	require.Empty(t, r.world.did(), "what a person moved back to is not rolled back: %s", i.Reason)
	target, err := r.engine.Target(t.Context(), "api")
	require.NoError(t, err)
	require.Equal(t, incident.Bad, target.Releases[1].Verdict, "the version left is quarantined")
	require.True(t, strings.HasPrefix(target.Releases[1].Reason, "left when kubernetes/prod moved back to v41"))
}

func TestTheBadVersionThatComesBackIsSaidAloud(t *testing.T) {
	r := watched(t)
	r.fire("Errors", "api")
	r.runs("api", v42(), 5*time.Minute)
	r.phase("api", incident.Verifying)
	r.world.good()
	r.observe("api", true, showing("v42", "green", r.now()))
	r.advance(time.Minute)
	i := r.phase("api", incident.Failed)
	require.Contains(t, i.Reason, "v42 came back: kubernetes/prod rolled it out again after this rollback")
	target, err := r.engine.Target(t.Context(), "api")
	require.NoError(t, err)
	require.Contains(t, target.Troubles[0], "v42 runs although it is bad")
}

func TestTheWayBackIsAskedBeforeItIsNeeded(t *testing.T) {
	metrics := prometheus.NewRegistry()
	r := watched(t, func(r *rig) {
		watches := r.opts
		r.opts = func(o *engine.Options) { watches(o); o.Metrics = metrics }
	})
	ready := func() engine.Readiness {
		r.observe("api", false, v42())
		r.engine.AskReadiness(t.Context())
		target, err := r.engine.Target(t.Context(), "api")
		require.NoError(t, err)
		return *target.Readiness
	}
	require.Empty(t, ready().Problems)
	r.world.ready = errors.New("the commit is gone")
	require.Equal(t, []string{"step look: the commit is gone", "step switch: the commit is gone", "step drain: the commit is gone"}, ready().Problems)
	require.NoError(t, testutil.GatherAndCompare(metrics, strings.NewReader(`
# HELP astern_target_ready Whether the way back of a target was open when it was last asked: 1 or 0.
# TYPE astern_target_ready gauge
astern_target_ready{target="api"} 0
astern_target_ready{target="pay"} 0
astern_target_ready{target="web"} 0
`), "astern_target_ready"))
	r.world.ready, r.world.planErr = nil, errors.New("forbidden")
	require.Contains(t, ready().Problems[0], "no plan can be made: plan step look: forbidden")
	r.world.planErr = nil
	r.missing("api")
	r.engine.AskReadiness(t.Context())
	target, err := r.engine.Target(t.Context(), "api")
	require.NoError(t, err)
	require.Contains(t, target.Readiness.Problems[0], "Deployment shop/api is not there")
	require.NoError(t, r.engine.JudgeRelease(t.Context(), engine.Person{Name: "sre"}, "api", "v41", incident.Denied, "CVE"))
	require.Contains(t, ready().Problems[0], "v41 is denied")
	require.Empty(t, r.world.did(), "it only looks")
}

func TestWhatChangesATargetOutdatesWhatIsKnownOfItsWayBack(t *testing.T) {
	r := watched(t)
	old := func() bool {
		select {
		case <-r.engine.ReadinessOutdated():
			return true
		default:
			return false
		}
	}
	require.True(t, old(), "the first look")
	r.observe("api", false, v42())
	require.False(t, old(), "the same again")
	r.observe("api", true, showing("v43", "red", r.now()))
	require.True(t, old())
	require.NoError(t, r.engine.Reload(t.Context(), r.configuration(r.files)))
	require.True(t, old())
	require.False(t, r.engine.AskReadiness(t.Context()), "web and pay have none")
}

func TestCIIsToldWhatIsQuarantined(t *testing.T) {
	r := watched(t)
	ci := engine.Person{Name: "ci"}
	require.NoError(t, r.engine.JudgeRelease(t.Context(), ci, "api", "v42", incident.Bad, "leaks"))
	require.ErrorContains(t, r.engine.ReleaseAllowed(t.Context(), "api", incident.Release{Version: "v42"}), "v42 is bad: leaks")
	require.ErrorContains(t, r.engine.BeginRelease(t.Context(), ci, "api", incident.Release{Version: "v42"}), "v42 is bad: leaks")
	require.NoError(t, r.engine.ReleaseAllowed(t.Context(), "api", incident.Release{Version: "v43"}))
	require.NoError(t, r.engine.RecordRelease(t.Context(), ci, "web", incident.Release{Version: "v7", Digest: "registry.example/web@sha256:77ab", Verdict: incident.Denied, Reason: "CVE"}))
	require.ErrorContains(t, r.engine.ReleaseAllowed(t.Context(), "web", incident.Release{Digest: "mirror.example/web@sha256:77ab"}), "v7 is denied: CVE")
	require.NoError(t, r.engine.BeginRelease(t.Context(), ci, "api", incident.Release{Version: "v43"}))
	require.ErrorIs(t, r.engine.ReleaseAllowed(t.Context(), "nobody", incident.Release{Version: "v43"}), engine.ErrNotFound)
}

func TestWhatAHalfDoneRollbackLeftIsSeen(t *testing.T) {
	r := watched(t)
	r.world.onRun = func(step string) {
		if step == "switch" {
			require.NoError(t, r.engine.DenyRelease(t.Context(), engine.Person{Name: "sre"}, "api", "v41", "CVE"))
		}
	}
	r.fire("Errors", "api")
	r.runs("api", v42(), 5*time.Minute)
	r.phase("api", incident.Superseded)
	r.world.onRun = nil
	r.observe("api", true, showing("v41", "blue", r.now()))
	r.runs("api", showing("v41", "blue", r.now()), 10*time.Minute)
	target, err := r.engine.Target(t.Context(), "api")
	require.NoError(t, err)
	require.Equal(t, "v41", target.Current.Version)
	require.Contains(t, target.Troubles, "v41 runs although it is denied: CVE")
	require.Equal(t, []string{"api-1/switch=blue"}, r.world.did(), "nothing more is done by itself")
}
