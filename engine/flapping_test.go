package engine_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// comes lets an alert fire for a minute and end.
func (r *rig) comes(times int) {
	r.t.Helper()
	for range times {
		began := r.now()
		r.fire("Errors", "api")
		r.advance(time.Minute)
		r.resolve("Errors", "api", began)
		r.advance(time.Minute)
	}
}

// A rule that comes and goes three times within half an hour only suggests on that target: a person is told, and nothing
// is done (S11).
func TestFlappingOnlySuggests(t *testing.T) {
	r := newRig(t).ready()
	r.comes(2)
	r.fire("Errors", "api")
	r.advance(5 * time.Minute)
	i := r.incident("api")
	require.Contains(t, i.Reason, "came 3 times within 30m")
	require.Equal(t, incident.Suggest, i.Rules[0].Judgement.Mode)
	require.Empty(t, r.world.did())
	require.NotEmpty(t, r.world.told, "a person hears of it")

	r.fire("Errors", "web") // another target is another matter
	r.releases("web")
	r.advance(5 * time.Minute)
	require.NotEmpty(t, r.world.did())
}

func TestTwoComingsAreNoFlapping(t *testing.T) {
	r := newRig(t).ready()
	r.comes(1)
	r.fire("Errors", "api")
	r.advance(5 * time.Minute)
	r.phase("api", incident.Verifying)
}

func TestThreeComingsInALongerTimeAreNoFlapping(t *testing.T) {
	r := newRig(t).ready()
	r.comes(1)
	r.advance(15 * time.Minute)
	r.comes(1)
	r.advance(15 * time.Minute)
	r.fire("Errors", "api")
	r.advance(5 * time.Minute)
	r.phase("api", incident.Verifying)
}

func TestAPersonEndsFlapping(t *testing.T) {
	r := newRig(t).ready()
	r.comes(2)
	r.fire("Errors", "api")
	r.advance(5 * time.Minute)
	require.Empty(t, r.world.did())
	require.Error(t, r.engine.ResetFlapping(t.Context(), sre, "Errors", "api", ""), "a reason is needed")
	require.NoError(t, r.engine.ResetFlapping(t.Context(), sre, "Errors", "api", "the probe was broken"))
	r.advance(time.Minute)
	r.phase("api", incident.Verifying)
	require.Error(t, r.engine.ResetFlapping(t.Context(), sre, "Errors", "api", "again"), "it does not flap any more")
}

func TestADayEndsFlapping(t *testing.T) {
	r := newRig(t).ready()
	r.comes(2)
	began := r.now()
	r.fire("Errors", "api")
	r.advance(6 * time.Minute)
	r.resolve("Errors", "api", began)
	r.restart() // it is no matter of memory
	r.advance(23 * time.Hour)
	began = r.now()
	r.fire("Errors", "api")
	r.advance(6 * time.Minute)
	require.Empty(t, r.world.did())
	r.resolve("Errors", "api", began)
	r.advance(2 * time.Hour)
	r.releasesNow("api")
	r.fire("Errors", "api")
	r.advance(6 * time.Minute)
	r.phase("api", incident.Verifying)
}

// releasesNow tells a rollout that ended just now.
func (r *rig) releasesNow(target string) {
	for _, version := range []string{"v50", "v51"} {
		verdict := incident.Unknown
		if version == "v50" {
			verdict = incident.Good
		}
		require.NoError(r.t, r.engine.RecordRelease(r.t.Context(), sre, target, incident.Release{Version: version, At: r.now(), Verdict: verdict, Vars: map[string]string{"track": version}}))
	}
}

// The list of the rules tells the mode that counts: a rule of one target that flaps there only suggests.
func TestTheListTellsWhatFlaps(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.files.rules = replace(r.files.rules, "rule: Errors\n", "rule: Errors\n        target: '\"api\"'\n")
	}).ready()
	require.Empty(t, r.ruleStatus("Errors").Held)
	r.comes(2)
	r.fire("Errors", "api")
	r.advance(5 * time.Minute)
	s := r.ruleStatus("Errors")
	require.Equal(t, incident.Suggest, s.Effective)
	require.Equal(t, "flapping", s.Held)
	require.NotZero(t, s.HeldUntil)
}
