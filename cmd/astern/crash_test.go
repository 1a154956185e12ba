//go:build crash

package main_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/store"
)

// crashKills is how often the server is killed; `make crash` says 1,000.
func crashKills(t *testing.T) int {
	text := os.Getenv("ASTERN_CRASH_KILLS")
	if text == "" {
		return 60
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// crashSeed is the seed of a run; ASTERN_CRASH_SEED repeats one, as far as two machines' clocks let it.
func crashSeed(t *testing.T) uint64 {
	if text := os.Getenv("ASTERN_CRASH_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		return seed
	}
	return rand.Uint64()
}

// TestCrashKill9 kills the real server at random moments of procedures of six steps, again and again on the same file,
// while twenty targets fail and are rolled back. In the end nothing that was acknowledged is lost, no step is lost, the
// step that must not be repeated took effect once, each incident succeeded and each was told once.
func TestCrashKill9(t *testing.T) {
	kills, seed := crashKills(t), crashSeed(t)
	t.Logf("%d kills, ASTERN_CRASH_SEED=%d", kills, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	r := newCrashRun(t, crashBuild(t, ""), 20)
	r.arm(t)
	r.drive(t)
	var readies []time.Duration
	for n := range kills {
		if n > 0 {
			r.start(t)
		}
		life := time.Duration(random.Int64N(int64(150 * time.Millisecond)))
		early := n > 0 && random.IntN(8) == 0 // before it is ready: while it takes up what its forerunner left
		if !early {
			require.True(t, r.life.awaitReady(r.begun), "life %d ended by itself:\n%s", n, r.life.tail)
			readies = append(readies, r.life.ready)
		}
		r.let(t, life)
		r.kill()
	}
	r.startReady(t)
	r.stopFiring()
	require.NoError(t, r.finish(t.Context()), r.life.tail)
	r.kill()
	sum := r.audit(t)
	sum.print("kill9", kills, readies)
}

// crashRun is one database, the lives of the server on it, and a driver for each target that makes it fail, waits until it
// was rolled back, and makes it fail anew.
type crashRun struct {
	binary, dir string
	targets     []string
	world       *crashWorld
	call        *caller
	env         []string

	life  *process
	begun time.Time

	drivers *errgroup.Group
	giveUp  context.CancelFunc
	enough  chan struct{}

	mu    sync.Mutex
	acked map[string]string // group key of an acknowledged delivery -> its target
	fails map[string]int    // target -> how often it failed
}

func newCrashRun(t *testing.T, binary string, targets int) *crashRun {
	r := &crashRun{binary: binary, call: newCaller(), enough: make(chan struct{}), acked: map[string]string{}, fails: map[string]int{}}
	for n := range targets {
		r.targets = append(r.targets, fmt.Sprintf("t%02d", n))
	}
	r.world = newCrashWorld(t, r.targets)
	r.dir = crashFiles(t, r.world, r.targets)
	t.Cleanup(func() {
		if r.life != nil {
			r.life.kill()
		}
	})
	return r
}

// arm starts a life and arms it.
func (r *crashRun) arm(t *testing.T) {
	r.startReady(t)
	require.NoError(t, r.call.once(t.Context(), "POST", "/api/v1/arm", adminToken, []byte(`{"reason":"crash test"}`), nil))
}

// drive lets the targets fail from now on.
func (r *crashRun) drive(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r.giveUp = cancel
	r.drivers, ctx = errgroup.WithContext(ctx)
	for _, target := range r.targets {
		r.drivers.Go(func() error { return r.rounds(ctx, target) })
	}
}

func (r *crashRun) start(t *testing.T) {
	r.begun = time.Now()
	r.life = startProcess(t, r.binary, r.dir, r.env...)
	r.call.to(r.life)
}

func (r *crashRun) startReady(t *testing.T) {
	r.start(t)
	require.True(t, r.life.awaitReady(r.begun), "it ended by itself:\n%s", r.life.tail)
}

// kill ends the life, and lets the world finish what it was told.
func (r *crashRun) kill() {
	r.life.kill()
	r.world.busy.awaitNone()
}

// let gives the life its time, unless a failpoint ended it.
func (r *crashRun) let(t *testing.T, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.life.ended:
	case <-t.Context().Done():
	}
}

func (r *crashRun) stopFiring() { close(r.enough) }

// rounds lets one target fail round after round.
func (r *crashRun) rounds(ctx context.Context, target string) error {
	if err := r.release(ctx, target, 1); err != nil {
		return err
	}
	for round := 1; ; round++ {
		if err := r.round(ctx, target, round); err != nil {
			return fmt.Errorf("%s, round %d: %w", target, round, err)
		}
		select {
		case <-r.enough:
			return nil
		default:
		}
	}
}

// round is a rollout that breaks the target, its alert, the rollback, and the alert's end.
func (r *crashRun) round(ctx context.Context, target string, round int) error {
	if err := r.release(ctx, target, round+1); err != nil {
		return err
	}
	labels := map[string]string{"alertname": "Errors", "service": target, "instance": "a"}
	starts := time.Now().UTC()
	r.world.breaks(target, crashAlert(labels, starts))
	r.mu.Lock()
	r.fails[target]++
	r.mu.Unlock()
	alert := map[string]any{"status": "firing", "labels": labels, "annotations": map[string]string{}, "startsAt": starts, "endsAt": time.Time{}, "fingerprint": "f"}
	if err := r.deliver(ctx, target, fmt.Sprintf("%s/%d/firing", target, round), alert); err != nil {
		return err
	}
	if err := r.awaitEnd(ctx, target, round); err != nil {
		return err
	}
	r.world.mends(target)
	alert["status"], alert["endsAt"] = "resolved", time.Now().UTC()
	return r.deliver(ctx, target, fmt.Sprintf("%s/%d/resolved", target, round), alert)
}

func (r *crashRun) release(ctx context.Context, target string, version int) error {
	body := map[string]any{"target": target, "version": fmt.Sprintf("v%d", version), "vars": map[string]string{"track": fmt.Sprintf("track-%d", version)}}
	return r.call.until(ctx, "POST", "/api/v1/releases", adminToken, body, nil)
}

// deliver sends one notification until it is acknowledged, as Alertmanager does.
func (r *crashRun) deliver(ctx context.Context, target, key string, alerts ...map[string]any) error {
	body := map[string]any{
		"version": "4", "groupKey": key, "receiver": "astern", "status": alerts[0]["status"], "groupLabels": map[string]string{},
		"commonLabels": map[string]string{}, "commonAnnotations": map[string]string{}, "externalURL": "http://am", "truncatedAlerts": 0, "alerts": alerts,
	}
	if err := r.call.until(ctx, "POST", "/api/v1/alertmanager", senderToken, body, nil); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acked[key] = target
	return nil
}

// awaitEnd waits until the target's incident of this round has ended.
func (r *crashRun) awaitEnd(ctx context.Context, target string, round int) error {
	every := time.NewTicker(40 * time.Millisecond)
	defer every.Stop()
	for {
		var heads struct{ Items []incident.Head }
		err := r.call.until(ctx, "GET", "/api/v1/incidents?limit=1&target="+target, adminToken, nil, &heads)
		if err != nil {
			return err
		}
		if len(heads.Items) == 1 && heads.Items[0].ID == fmt.Sprintf("%s-%d", target, round) && heads.Items[0].Phase.Final() {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: it stands at %+v", ctx.Err(), heads.Items)
		case <-every.C:
		}
	}
}

// patience is how long what was begun may take to come to its end when nothing kills it any more.
const patience = 3 * time.Minute

// finish waits until the drivers are done and everybody was told of everything.
func (r *crashRun) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer context.AfterFunc(ctx, r.giveUp)()
	if err := r.drivers.Wait(); err != nil {
		return err
	}
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for _, target := range r.targets {
		for live := true; live; <-every.C {
			var heads struct{ Items []incident.Head }
			err := r.call.until(ctx, "GET", "/api/v1/incidents?limit=1000&target="+target, adminToken, nil, &heads)
			if err != nil {
				return err
			}
			live = slices.ContainsFunc(heads.Items, func(h incident.Head) bool { return h.Live })
		}
	}
	return nil
}

// crashSums is what an audit counted. settled are steps that a start found done, again those that it found not done, under
// way when the process ended.
type crashSums struct{ deliveries, incidents, steps, chapters, settled, again int }

// audit reads the whole database as the next process would, and holds it against what the world saw.
func (r *crashRun) audit(t *testing.T) crashSums {
	ctx := t.Context()
	s, err := store.OpenSQLite(ctx, filepath.Join(r.dir, "astern.db"), store.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	lines, err := s.Deliveries(ctx, 1<<20)
	require.NoError(t, err)
	ledger := map[string]bool{}
	for _, line := range lines {
		ledger[line.GroupKey] = true
	}
	for key := range r.acked {
		require.True(t, ledger[key], "the acknowledged delivery %s is lost", key)
	}
	sum := crashSums{deliveries: len(r.acked)}
	for _, target := range r.targets {
		heads, err := s.Heads(ctx, incident.HeadFilter{Target: target, Limit: 1 << 20})
		require.NoError(t, err)
		require.Len(t, heads, r.fails[target], "one incident for each time that %s failed", target)
		for _, h := range heads {
			events, err := s.Load(ctx, "incident/"+h.ID) // its hash chain, too
			require.NoError(t, err)
			r.auditIncident(t, incident.Replay(events), events, &sum)
		}
		sum.chapters += r.auditSlack(t, target)
	}
	return sum
}

func (r *crashRun) auditIncident(t *testing.T, i incident.Incident, events []incident.Event, sum *crashSums) {
	require.Equal(t, incident.Succeeded, i.Phase, "%s: %s", i.ID, i.Reason)
	require.Len(t, i.Steps, 6)
	done := map[int]int{}
	for _, e := range events {
		switch f := e.Fact.(type) {
		case incident.StepSucceeded:
			done[f.Step]++
			if f.Settled {
				sum.settled++
			}
		case incident.StepDidNotHappen:
			sum.again++
		}
	}
	for n, s := range i.Steps {
		require.Equal(t, incident.Done, s.State, "%s: step %d", i.ID, n)
		require.Equal(t, 1, done[n], "%s: step %d ends once in the history", i.ID, n)
	}
	require.Equal(t, 1, r.world.flipped(i.ID), "%s: the effect that must not be repeated", i.ID)
	for _, step := range []string{"traffic", "drained"} {
		require.Positive(t, r.world.puts["/"+i.Target+"/"+i.ID+"/"+step], "%s: %s is lost", i.ID, step)
	}
	require.False(t, incident.Live(i), "%s: something is still owed", i.ID)
	require.Len(t, i.Notices, 1)
	sum.incidents, sum.steps = sum.incidents+1, sum.steps+6
}

// auditSlack asks for one message for each incident, and for each chapter at most once in its thread.
func (r *crashRun) auditSlack(t *testing.T, target string) (chapters int) {
	messages := map[string]int{}
	for _, m := range r.world.slack.Posted(slackChannel(target)) {
		id := m.Metadata.EventPayload["incident"].(string)
		messages[id]++
		told := map[string]int{}
		for _, reply := range r.world.slack.Thread(m.Channel, m.TS) {
			told[reply.Metadata.EventPayload["delivery_id"].(string)]++
		}
		for chapter, times := range told {
			require.Equal(t, 1, times, "chapter %s", chapter)
		}
		chapters += 1 + len(told)
	}
	require.Len(t, messages, r.fails[target])
	for id, times := range messages {
		require.Equal(t, 1, times, "messages about %s", id)
	}
	return chapters
}

func (s crashSums) print(what string, kills int, readies []time.Duration) {
	slices.Sort(readies)
	at := func(share float64) time.Duration {
		return readies[int(share*float64(len(readies)-1))].Round(time.Millisecond)
	}
	figure("%s: %d kills, %d incidents with %d steps, %d acknowledged deliveries, %d messages: 0 lost, 0 repeated; %d steps were cut off and found done, %d found not done; ready after a start p50 %s, p99 %s, max %s (%d starts)",
		what, kills, s.incidents, s.steps, s.deliveries, s.chapters, s.settled, s.again, at(0.5), at(0.99), at(1), len(readies))
}

// figure prints what was measured, and adds it to the file that ASTERN_FIGURES names.
func figure(format string, args ...any) {
	line := fmt.Sprintf(format, args...) + "\n"
	fmt.Print("figure " + line)
	if name := os.Getenv("ASTERN_FIGURES"); name != "" {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			fmt.Fprint(f, line)
			f.Close()
		}
	}
}
