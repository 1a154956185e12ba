//go:build crash

package engine_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

const (
	slotRaces = 2_000
	stopWords = 1_000
)

// unguarded leaves the guards out that these tests are not about.
const unguardedRules = `
groups:
  - name: all
    rules:
      - rule: Hole
        when: alert.labels.alertname == "Hole"
        mode: auto
        confirm: {waived: no metric can show it}
        do: rollback
`

func unguarded(targets ...string) func(*rig) {
	return func(r *rig) {
		r.files.rules, r.files.communications = unguardedRules, "communications: []\n"
		all := targetsOf(targets...)
		from := strings.Index(all, "    healthy:")
		r.files.targets = all[:from] + "    healthy: {waived: the test looks itself}\n" + all[strings.Index(all, "targets:"):]
		r.opts = func(o *engine.Options) {
			g, problems := incident.GuardsFrom(map[string]any{
				"cooldown": "off", "mass_event": "off", "settle": "off", "watchdog": "off", "destination_healthy": "off",
				"recent_change": "off", "max_per_hour": 1_000_000, "max_per_day": 1_000_000, "changing_at_once": 1,
			})
			require.Empty(r.t, problems)
			o.Config.Settings.Guards = g
		}
	}
}

// round tells the targets of a rollout and lets their alerts fire.
func (r *rig) round(targets []string) {
	for _, target := range targets {
		r.release(target, "v41", "blue")
		r.release(target, fmt.Sprintf("new-%d", r.now().Unix()), "green")
		r.fire("Hole", target)
	}
}

func (r *rig) release(target, version, track string) {
	require.NoError(r.t, r.engine.RecordRelease(r.t.Context(), sre, target, incident.Release{
		Version: version, At: r.now(), Verdict: incident.Good, Vars: map[string]string{"track": track},
	}))
}

// side performs what is due of each target's newest incident, side by side, as the dispatcher does.
func (r *rig) side(targets []string) *sync.WaitGroup {
	var all sync.WaitGroup
	for _, target := range targets {
		stream := "incident/" + r.incident(target).ID
		all.Go(func() {
			if next := r.engine.Perform(r.t.Context(), stream, incident.ProcedureLane); !next.IsZero() {
				r.Wake(stream, incident.ProcedureLane, next)
			}
		})
	}
	return &all
}

// TestCrashNeverBothInOneSlot lets two incidents pass every guard and then claim the only slot of their environment at the
// same moment, 2,000 times: one changes, and while it does the other never begins.
func TestCrashNeverBothInOneSlot(t *testing.T) {
	targets := []string{"one", "two"}
	gate := &rendezvous{}
	r := newRig(t, unguarded(targets...), func(r *rig) {
		settings := r.opts
		r.opts = func(o *engine.Options) {
			settings(o)
			o.Config.Settings.Connections["alertmanager"]["eu"] = r.connect(client.AlertmanagerFamily, func(rw http.ResponseWriter, req *http.Request) {
				gate.meet() // the last guard before a changing step asks Alertmanager
				r.world.alertmanager(rw, req)
			})
		}
	})
	require.NoError(t, r.engine.Arm(t.Context(), sre, "test"))
	changing, wins := &sync.Mutex{}, map[string]int{}
	for n := range slotRaces {
		r.round(targets)
		loser := make(chan struct{})
		r.world.onRun = func(step string) {
			if step == "switch" {
				require.True(t, changing.TryLock(), "round %d: both change", n)
				<-loser
				changing.Unlock()
			}
		}
		gate.arm(2)
		first := r.side(targets[:1])
		second := r.side(targets[1:])
		ends := make(chan string, 2)
		go func() { first.Wait(); ends <- targets[0] }()
		go func() { second.Wait(); ends <- targets[1] }()
		lost := <-ends
		require.Equal(t, incident.Held, r.incident(lost).Phase, "round %d", n)
		require.Contains(t, r.incident(lost).Reason, "no free place in slot/")
		close(loser)
		won := <-ends
		wins[won]++
		require.Equal(t, incident.Succeeded, r.incident(won).Phase)
		r.advance(time.Minute)
		require.Equal(t, incident.Succeeded, r.incident(lost).Phase)
		for _, target := range targets {
			r.resolve("Hole", target, r.now().Add(-time.Minute))
		}
		r.advance(25 * time.Hour)
	}
	require.Len(t, r.world.did(), 2*2*slotRaces)
	figure("slot: %d races of two incidents for one slot, never both; they won %v", slotRaces, wins)
}

// figure prints what was measured, and adds it to the file that ASTERN_FIGURES names.
func figure(format string, args ...any) {
	line := fmt.Sprintf(format, args...) + "\n"
	fmt.Print("figure " + line)
	if f, err := os.OpenFile(os.Getenv("ASTERN_FIGURES"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err == nil {
		fmt.Fprint(f, line)
		f.Close()
	}
}

// rendezvous lets those that meet go on together; those that come later pass.
type rendezvous struct {
	mu   sync.Mutex
	left int
	open chan struct{}
}

func (g *rendezvous) arm(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left, g.open = n, make(chan struct{})
}

func (g *rendezvous) meet() {
	g.mu.Lock()
	if g.left == 0 {
		g.mu.Unlock()
		return
	}
	if g.left--; g.left == 0 {
		close(g.open)
	}
	open := g.open
	g.mu.Unlock()
	<-open
}

// TestCrashNoStepStartsAfterStop says stop at 1,000 random moments of procedures that run side by side: what was recorded
// as begun when the word returned is all that ever began.
func TestCrashNoStepStartsAfterStop(t *testing.T) {
	targets := []string{"one", "two", "three"}
	r := newRig(t, unguarded(targets...), func(r *rig) {
		r.files.procedures = longProcedure
		settings := r.opts
		r.opts = func(o *engine.Options) {
			settings(o)
			o.Config.Settings.Guards.ChangingAtOnce.Value = len(targets)
		}
	})
	require.NoError(t, r.engine.Arm(t.Context(), sre, "test"))
	cut := 0
	for n := range stopWords {
		if n%4 == 0 {
			r.finish(targets)
			r.round(targets)
		}
		running := r.side(targets)
		pause := time.NewTimer(time.Duration(rand.Int64N(int64(20 * time.Millisecond))))
		<-pause.C
		require.NoError(t, r.engine.Stop(t.Context(), sre, "all", "now"))
		begun := r.stepsBegun(targets)
		running.Wait()
		require.Equal(t, begun, r.stepsBegun(targets), "word %d: a step began after it", n)
		if r.anyOpen(targets) {
			cut++
		}
		require.NoError(t, r.engine.Resume(t.Context(), sre, "all", "on"))
		r.mu.Lock()
		r.at = r.at.Add(30 * time.Second) // who was held asks again
		r.mu.Unlock()
	}
	require.Greater(t, cut, stopWords/4, "too few of the words came while anything was under way")
	figure("stop: %d words, %d of them while procedures were under way: no step began after one", stopWords, cut)
}

// longProcedure has so many steps that most words come in the middle of it.
var longProcedure = func() string {
	text := "procedures:\n  - name: two_moves\n    steps:\n"
	for n := range 12 {
		text += fmt.Sprintf("      - {name: move_%d, uses: world/move, with: {to: \"to-%d\"}, timeout: 10s}\n", n, n)
	}
	return text
}()

// finish lets everything end, and the alerts too.
func (r *rig) finish(targets []string) {
	r.advance(5 * time.Minute)
	for _, target := range targets {
		if r.count(target) > 0 {
			r.phase(target, incident.Succeeded)
			r.resolve("Hole", target, r.now().Add(-time.Minute))
		}
	}
	r.advance(25 * time.Hour)
}

func (r *rig) stepsBegun(targets []string) map[string]int {
	begun := map[string]int{}
	for _, target := range targets {
		_, events, err := r.engine.Incident(r.t.Context(), r.incident(target).ID)
		require.NoError(r.t, err)
		for _, e := range events {
			if _, is := e.Fact.(incident.StepBegan); is {
				begun[target]++
			}
		}
	}
	return begun
}

func (r *rig) anyOpen(targets []string) bool {
	for _, target := range targets {
		if !r.incident(target).Phase.Final() {
			return true
		}
	}
	return false
}
