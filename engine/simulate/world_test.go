package simulate_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/all"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/engine/simulate"
	"astern.dev/astern/engine/simulate/prom"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

var alarm = map[string]string{"alertname": "ErrorRateSpike", "service": "honeylink-api", "environment": "production"}

// honeylink is the example's files in a world whose error rate is 3 % for as long as errors says.
func honeylink(t *testing.T, errors string, bend func(*simulate.Options)) *simulate.World {
	t.Helper()
	registry, err := all.Registry()
	require.NoError(t, err)
	env, err := expr.NewEnv()
	require.NoError(t, err)
	read := func(name string) map[string][]byte {
		text, err := os.ReadFile(filepath.Join("..", "..", "examples", "honeylink", name))
		require.NoError(t, err)
		return map[string][]byte{name: text}
	}
	set, found := rules.Load(env, read("rules.yaml"))
	require.NoError(t, found.Err())
	book, found := plan.Load(env, registry, plan.Files{Targets: read("targets.yaml"), Procedures: read("procedures.yaml"), Communications: read("communications.yaml")})
	require.NoError(t, found.Err())
	var w *simulate.World
	server := prom.New(prom.Options{Start: start, Interval: 15 * time.Second, Now: func() time.Time { return w.Now() }})
	of := `{service="honeylink-api",environment="production"}`
	for series, values := range map[string]string{"honeylink:error_ratio:rate1m": errors, "honeylink:requests:rate5m": "50x4000", "honeylink:latency_seconds:p99": "0.1x4000"} {
		require.NoError(t, server.Load(series+of, values))
	}
	o := simulate.Options{
		Registry: registry, Rules: set, Book: book, Digest: "d", Start: start, Prometheus: server,
		Settings: engine.Settings{DefaultMode: incident.Auto},
	}
	if bend != nil {
		bend(&o)
	}
	w, err = simulate.New(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	w.Watchdog(true)
	require.NoError(t, w.Engine().Arm(t.Context(), engine.Person{Name: "sre"}, "test"))
	for _, r := range []incident.Release{
		{Version: "v41", At: start.Add(-48 * time.Hour), Verdict: incident.Good, Vars: map[string]string{"track": "blue"}},
		{Version: "v42", At: start.Add(-20 * time.Minute), Vars: map[string]string{"track": "green"}},
	} {
		require.NoError(t, w.Engine().RecordRelease(t.Context(), engine.Person{Name: "ci"}, "honeylink-api", r))
	}
	return w
}

// fire lets the alarm fire at a time: on Alertmanager's list, and delivered.
func fire(w *simulate.World, at time.Time) {
	w.At(at, func(ctx context.Context) error {
		w.Alertmanager().Set(alarm, nil, at)
		_, err := w.Deliver(ctx, engine.Notification{Source: w.Source(), Receiver: "astern", Status: "firing", GroupKey: "{}", Alerts: []engine.Delivered{
			{Alert: incident.Alert{Status: "firing", Labels: alarm, StartsAt: at}},
		}})
		return err
	})
}

func run(t *testing.T, w *simulate.World, until time.Duration) incident.Incident {
	t.Helper()
	require.NoError(t, w.Run(t.Context(), start.Add(until)))
	heads, err := w.Engine().Incidents(t.Context(), incident.HeadFilter{})
	require.NoError(t, err)
	require.Len(t, heads, 1)
	i, _, err := w.Engine().Incident(t.Context(), heads[0].ID)
	require.NoError(t, err)
	return i
}

const fiveMinutesOfErrors = "0.03x40 0x4000"

func TestRollbackToTheSecond(t *testing.T) {
	w := honeylink(t, fiveMinutesOfErrors, nil)
	fire(w, start)
	require.Equal(t, incident.Pending, run(t, w, 5*time.Minute-time.Second).Phase)
	i := run(t, w, 5*time.Minute)
	require.Equal(t, incident.Verifying, i.Phase, i.Reason)
	require.Len(t, w.Steps(), 4)
	require.Equal(t, start.Add(5*time.Minute), w.Steps()[0].Began)
	require.Equal(t, incident.Succeeded, run(t, w, 30*time.Minute).Phase)
	require.NotEmpty(t, w.Tellings())
}

func TestAStepTakesItsTimeWhileOthersAct(t *testing.T) {
	w := honeylink(t, fiveMinutesOfErrors, func(o *simulate.Options) {
		o.Outcome = func(c simulate.StepCall) simulate.StepOutcome {
			if c.Step == "drain" {
				return simulate.StepOutcome{Takes: 25 * time.Second}
			}
			return simulate.StepOutcome{}
		}
	})
	fire(w, start)
	i := run(t, w, 5*time.Minute+24*time.Second)
	require.Equal(t, incident.Running, i.Phase, i.Reason)
	require.NotEmpty(t, w.Tellings(), "a notice is told while a step runs")
	require.Equal(t, incident.Verifying, run(t, w, 5*time.Minute+25*time.Second).Phase)
}

func TestAStepEndsAtItsTimeout(t *testing.T) {
	w := honeylink(t, fiveMinutesOfErrors, func(o *simulate.Options) {
		o.Outcome = func(c simulate.StepCall) simulate.StepOutcome {
			return simulate.StepOutcome{Takes: map[string]time.Duration{"switch_traffic": time.Hour}[c.Step]}
		}
	})
	fire(w, start)
	i := run(t, w, 20*time.Minute)
	require.Equal(t, incident.Failed, i.Phase, i.Reason)
	var took []time.Duration
	for _, s := range w.Steps() {
		if s.Step == "switch_traffic" {
			took = append(took, s.Ended.Sub(s.Began))
			require.ErrorIs(t, s.Err, context.DeadlineExceeded)
		}
	}
	require.Equal(t, []time.Duration{30 * time.Second, 30 * time.Second, 30 * time.Second}, took)
}

func TestARestartInTheMiddleOfAStep(t *testing.T) {
	w := honeylink(t, fiveMinutesOfErrors, func(o *simulate.Options) {
		o.Outcome = func(c simulate.StepCall) simulate.StepOutcome {
			return simulate.StepOutcome{Takes: map[string]time.Duration{"drain": 25 * time.Second}[c.Step]}
		}
	})
	fire(w, start)
	w.At(start.Add(5*time.Minute+10*time.Second), w.Restart)
	i := run(t, w, 30*time.Minute)
	require.Equal(t, incident.Succeeded, i.Phase, i.Reason)
	done := map[string]int{}
	for _, s := range w.Steps() {
		if s.Err == nil {
			done[s.Step]++
		}
	}
	require.Equal(t, map[string]int{"goal_ready": 1, "switch_traffic": 1, "drain": 1, "verify_health": 1}, done)
}

func TestALostAnswerIsFoundDone(t *testing.T) {
	w := honeylink(t, fiveMinutesOfErrors, func(o *simulate.Options) {
		o.Outcome = func(c simulate.StepCall) simulate.StepOutcome {
			return simulate.StepOutcome{Lost: c.Step == "switch_traffic"}
		}
	})
	fire(w, start)
	require.Equal(t, incident.Succeeded, run(t, w, 30*time.Minute).Phase)
}

func TestASilenceStopsTheNextStep(t *testing.T) {
	w := honeylink(t, fiveMinutesOfErrors, nil)
	fire(w, start)
	w.At(start.Add(2*time.Minute), func(context.Context) error {
		w.Alertmanager().Mute(simulate.Mute{ID: "s", Labels: map[string]string{"service": "honeylink-api"}})
		return nil
	})
	i := run(t, w, 6*time.Minute)
	require.Equal(t, incident.Held, i.Phase, i.Reason)
	require.Contains(t, i.Reason, "silence")
	require.Len(t, w.Steps(), 1, "a step that only looks may run; none that changes")
	require.Equal(t, "goal_ready", w.Steps()[0].Step)
}

func TestADeadPrometheusActsOnNothing(t *testing.T) {
	w := honeylink(t, fiveMinutesOfErrors, func(o *simulate.Options) {
		o.Prometheus = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusServiceUnavailable) })
	})
	fire(w, start)
	require.Equal(t, incident.Held, run(t, w, 2*time.Hour).Phase)
	require.Empty(t, w.Steps())
}

func TestSomebodyElsesChangeSupersedes(t *testing.T) {
	w := honeylink(t, fiveMinutesOfErrors, func(o *simulate.Options) {
		o.Outcome = func(c simulate.StepCall) simulate.StepOutcome {
			return simulate.StepOutcome{Takes: map[string]time.Duration{"goal_ready": 8 * time.Second}[c.Step]}
		}
	})
	fire(w, start)
	w.At(start.Add(5*time.Minute+3*time.Second), func(context.Context) error { w.Touch("honeylink-api"); return nil })
	i := run(t, w, 30*time.Minute)
	require.Equal(t, incident.Superseded, i.Phase, i.Reason)
}

func TestATellingIsTriedAgain(t *testing.T) {
	tries := 0
	w := honeylink(t, fiveMinutesOfErrors, func(o *simulate.Options) {
		o.Telling = func(c simulate.NoticeCall) error {
			if tries++; tries <= 2 {
				return errors.New("no answer")
			}
			return nil
		}
	})
	fire(w, start)
	run(t, w, 30*time.Minute)
	require.Greater(t, tries, 2)
}

// The Watchdog and the minutes of a quiet month cost nothing; what happens after it is as if they had been.
func TestAMonthIsShort(t *testing.T) {
	w := honeylink(t, fiveMinutesOfErrors, nil)
	month := 30 * 24 * time.Hour
	require.NoError(t, w.Run(t.Context(), start.Add(month)))
	at := start.Add(month)
	fire(w, at)
	require.NoError(t, w.Run(t.Context(), at.Add(time.Minute)))
	status, err := w.Engine().Status(t.Context())
	require.NoError(t, err)
	require.WithinDuration(t, at.Add(time.Minute), status.Watchdogs[w.Source()], time.Minute)
}

func TestActsEndTheRunWithTheirError(t *testing.T) {
	w := honeylink(t, fiveMinutesOfErrors, nil)
	w.At(start.Add(time.Minute), func(context.Context) error { return actions.NotDone("as a test") })
	require.ErrorIs(t, w.Run(t.Context(), start.Add(time.Hour)), actions.ErrNotDone)
}
