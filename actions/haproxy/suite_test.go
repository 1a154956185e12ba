package haproxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
)

// rig is a fleet of HAProxy processes, real or fake. Each has the backend web: blue (weight 0) and green (weight 100) are
// up, grey has no check, brown is down; and the backend lone with the server only.
type rig struct {
	// sockets are the admin sockets; operators the sockets of the same processes that may not write.
	sockets, operators []string
	// hold opens sessions on green of the first process; release ends them.
	hold func(t *testing.T, n int) (release func())
	// stall makes the processes take commands and answer nothing; nil where that cannot be had.
	stall func()
	// undo makes the fake take every command and do nothing.
	undo func()
}

// start begins a rig of n processes.
type start func(t *testing.T, n int) rig

func (r rig) fleet(t *testing.T, sockets ...string) *Fleet {
	t.Helper()
	if len(sockets) == 0 {
		sockets = r.sockets
	}
	c := &Connection{Sockets: sockets}
	require.NoError(t, c.Validate())
	opened, err := c.Open(actiontestDial)
	require.NoError(t, err)
	return opened.(*Fleet)
}

func (r rig) env(t *testing.T, sockets ...string) actions.Env {
	return actiontest.Env(&actiontest.World{Connections: map[string]any{kind: r.fleet(t, sockets...)}})
}

// by sends a command as a person with a terminal would.
func (r rig) by(t *testing.T, process int, command string) {
	t.Helper()
	said, err := r.fleet(t).processes[process].ask(t.Context(), command)
	require.NoError(t, err)
	require.Regexp(t, "^(|no need to change the addr, port changed .*)$", said, command)
}

// state is what can be changed in a backend, process by process.
func (r rig) state(t *testing.T) string {
	t.Helper()
	views, err := r.fleet(t).read(context.Background(), "web")
	require.NoError(t, err)
	var parts []string
	for _, v := range views {
		for _, s := range v.servers {
			parts = append(parts, fmt.Sprintf("%s=%d/%d", s.name, s.weight, s.admin))
		}
	}
	return strings.Join(parts, " ")
}

func decode[A actions.Action](t *testing.T, action A, parameters string) A {
	t.Helper()
	decoded, err := actiontest.Decode(func() actions.Action { return action }, parameters)
	require.NoError(t, err)
	require.NoError(t, decoded.Validate())
	return action
}

const (
	toBlue = `{backend: web, weights: [{server: blue, weight: 100}, {server: green, weight: 0}]}`
	atBlue = "blue=100/0 green=0/0 grey=0/0 brown=0/0"
	before = "blue=0/0 green=100/0 grey=0/0 brown=0/0"
)

// suite is what both the fake and the real HAProxy pass.
func suite(t *testing.T, begin start) {
	t.Run("contract", func(t *testing.T) { testContract(t, begin) })
	for name, test := range map[string]func(*testing.T, start){
		"switch": testSwitch, "goals that take no traffic": testGoals, "unknown names": testUnknown, "partial": testPartial,
		"repair": testRepair, "found": testFound, "stages": testStages,
		"drain by itself": testDrainByItself, "drain by force": testDrainByForce, "drain refused": testDrainRefused,
		"drain keeps maintenance": testDrainKeepsMaintenance, "drain cancelled": testDrainCancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, begin) })
	}
}

func testContract(t *testing.T, begin start) {
	world := func(n int, prepare string) func(t *testing.T) *actiontest.World {
		return func(t *testing.T) *actiontest.World {
			r := begin(t, n)
			if prepare != "" {
				for process := range r.sockets {
					r.by(t, process, prepare)
				}
			}
			return &actiontest.World{Connections: map[string]any{kind: r.fleet(t)}, Stall: r.stall, State: func() string { return r.state(t) }}
		}
	}
	actiontest.Run(t, func() actions.Action { return &Weights{} },
		actiontest.Case{Name: "one process", YAML: toBlue, World: world(1, "")},
		actiontest.Case{Name: "three processes", YAML: toBlue, World: world(3, "")},
	)
	actiontest.Run(t, func() actions.Action { return &Drain{} },
		actiontest.Case{Name: "two processes", YAML: `{backend: web, server: green, within: 5s}`, World: world(2, "set server web/blue weight 100")})
}

func testSwitch(t *testing.T, begin start) {
	r := begin(t, 1)
	change, err := decode(t, &Weights{}, toBlue).Plan(t.Context(), r.env(t))
	require.NoError(t, err)
	require.True(t, change.Changes)
	require.Equal(t, "weights of web: blue 0 -> 100, green 100 -> 0", change.Summary)
	require.Equal(t, []string{"~ web/blue weight 0 -> 100", "~ web/green weight 100 -> 0", "= web/grey weight 0", "= web/brown weight 0"}, change.Diff)
	w := decode(t, &Weights{}, toBlue)
	require.ErrorIs(t, w.Verify(t.Context(), r.env(t)), actions.ErrNotDone)
	did, err := w.Run(t.Context(), r.env(t))
	require.NoError(t, err)
	require.Equal(t, atBlue, r.state(t))
	require.Equal(t, WeightsOutputs{Previous: map[string]int{"blue": 0, "green": 100}}, did.Outputs)
	again, err := decode(t, &Weights{}, toBlue).Plan(t.Context(), r.env(t))
	require.NoError(t, err)
	require.Equal(t, "weights of web: blue 100 already, green 0 already", again.Summary)
	require.NotEqual(t, change.Found, again.Found)
}

// A goal that cannot take traffic stops everything before the first write, in Plan and in Run.
func testGoals(t *testing.T, begin start) {
	for prepare, why := range map[string]string{
		"set server web/blue state maint": "blue is in maintenance",
		"set server web/blue state drain": "blue is drained",
		"set server web/blue health down": "blue is not up",
	} {
		r := begin(t, 2)
		r.by(t, 1, prepare)
		was := r.state(t)
		_, err := decode(t, &Weights{}, toBlue).Plan(t.Context(), r.env(t))
		require.ErrorContains(t, err, why)
		require.False(t, actions.IsPermanent(err), "it may be up soon")
		_, err = decode(t, &Weights{}, toBlue).Run(t.Context(), r.env(t))
		require.ErrorContains(t, err, why)
		require.Equal(t, was, r.state(t))
	}
	r := begin(t, 1)
	for server, why := range map[string]string{"grey": "no health check", "brown": "is not up (DOWN"} {
		_, err := decode(t, &Weights{}, fmt.Sprintf(`{backend: web, weights: [{server: %s, weight: 1}]}`, server)).Plan(t.Context(), r.env(t))
		require.ErrorContains(t, err, why)
	}
}

func testUnknown(t *testing.T, begin start) {
	r := begin(t, 1)
	_, err := decode(t, &Weights{}, `{backend: nope, weights: [{server: blue, weight: 1}]}`).Plan(t.Context(), r.env(t))
	require.ErrorContains(t, err, `there is no backend "nope"`)
	require.True(t, actions.IsPermanent(err))
	for _, action := range []actions.Action{decode(t, &Weights{}, `{backend: web, weights: [{server: red, weight: 1}]}`), decode(t, &Drain{}, `{backend: web, server: red}`)} {
		_, err = action.Plan(t.Context(), r.env(t))
		require.ErrorContains(t, err, `backend web has no server "red"; it has blue, green, grey, brown`)
		require.True(t, actions.IsPermanent(err))
	}
	require.Equal(t, before, r.state(t))
}

// One process of the fleet that cannot be written or read fails the step; the rest goes to the goal all the same.
func testPartial(t *testing.T, begin start) {
	r := begin(t, 2)
	mixed := []string{r.operators[0], r.sockets[1]}
	w := decode(t, &Weights{}, toBlue)
	_, err := w.Run(t.Context(), r.env(t, mixed...))
	require.ErrorContains(t, err, "Permission denied; the socket needs `level admin`")
	require.Equal(t, before+" "+atBlue, r.state(t))
	err = w.Verify(t.Context(), r.env(t))
	require.ErrorIs(t, err, actions.ErrNotDone)
	require.ErrorContains(t, err, "1 of 2 HAProxy processes do not have the weights: "+r.sockets[0])
	change, err := w.Plan(t.Context(), r.env(t))
	require.NoError(t, err)
	require.Equal(t, "weights of web: blue 0|100 -> 100, green 0|100 -> 0 (2 processes)", change.Summary)
	did, err := w.Run(t.Context(), r.env(t))
	require.NoError(t, err)
	require.Equal(t, atBlue+" "+atBlue, r.state(t))
	require.Equal(t, map[string]int{"blue": 0, "green": 100}, did.Outputs.(WeightsOutputs).Previous)

	away := append([]string{"/nonexistent/admin.sock"}, r.sockets...)
	_, err = w.Plan(t.Context(), r.env(t, away...))
	require.ErrorContains(t, err, "/nonexistent/admin.sock: connect")
	err = w.Verify(t.Context(), r.env(t, away...))
	require.Error(t, err)
	require.NotErrorIs(t, err, actions.ErrNotDone, "what a process does that is not there is not known")
}

func testRepair(t *testing.T, begin start) {
	r := begin(t, 3)
	w := decode(t, &Weights{}, toBlue)
	// Process 1 is written, process 2 half, process 0 not at all.
	r.by(t, 1, "set server web/blue weight 100")
	r.by(t, 1, "set server web/green weight 0")
	r.by(t, 2, "set server web/blue weight 100")
	require.NoError(t, w.Repair(t.Context(), r.env(t)))
	require.Equal(t, before+" "+before+" "+before, r.state(t))

	_, err := w.Run(t.Context(), r.env(t))
	require.NoError(t, err)
	require.NoError(t, w.Repair(t.Context(), r.env(t)))
	require.Equal(t, atBlue+" "+atBlue+" "+atBlue, r.state(t), "a whole switch is never taken back")

	r.by(t, 0, "set server web/green weight 50")
	err = w.Repair(t.Context(), r.env(t))
	require.ErrorContains(t, err, "set them by hand")
	require.Equal(t, "blue=100/0 green=50/0 grey=0/0 brown=0/0 "+atBlue+" "+atBlue, r.state(t))
}

func testFound(t *testing.T, begin start) {
	r := begin(t, 2)
	w, d := decode(t, &Weights{}, toBlue), decode(t, &Drain{}, `{backend: web, server: green}`)
	found := func(a actions.Action, sockets ...string) string {
		change, err := a.Plan(t.Context(), r.env(t, sockets...))
		require.NoError(t, err)
		return change.Found
	}
	weights, drain := found(w), found(d)
	require.NotEqual(t, weights, found(w, r.sockets[0]), "another fleet")
	require.NotEqual(t, drain, found(d, r.sockets[0]), "another fleet")
	r.by(t, 0, "set server web/green health down")
	require.Equal(t, weights, found(w), "the version to leave may flap")
	for _, byHand := range []string{"set server web/green weight 99", "set server web/grey weight 1", "set server web/blue weight 1"} {
		r.by(t, 1, byHand)
		now := found(w)
		require.NotEqual(t, weights, now, byHand)
		weights = now
		require.Equal(t, drain, found(d), "an earlier step changes weights")
	}
	r.by(t, 0, "set server web/green state drain")
	require.Equal(t, weights, found(w))
	require.Equal(t, drain, found(d), "a drain cut in the middle finds itself again")
	r.by(t, 0, "set server web/grey addr 127.0.0.1 port 9")
	require.NotEqual(t, weights, found(w), "another server stands under the name")
	require.NotEqual(t, drain, found(d), "another server stands under the name")
}

func testStages(t *testing.T, begin start) {
	r := begin(t, 1)
	half := decode(t, &Weights{}, `{backend: web, weights: [{server: blue, weight: 50}, {server: green, weight: 50}]}`)
	second := decode(t, &Weights{}, `{backend: web, continues: true, weights: [{server: blue, weight: 100}, {server: green, weight: 0}]}`)
	planned, err := second.Plan(t.Context(), r.env(t))
	require.NoError(t, err)
	_, err = half.Run(t.Context(), r.env(t))
	require.NoError(t, err)
	now, err := second.Plan(t.Context(), r.env(t))
	require.NoError(t, err)
	require.Equal(t, planned.Found, now.Found)
	r.by(t, 0, "set server web/grey weight 1")
	now, err = second.Plan(t.Context(), r.env(t))
	require.NoError(t, err)
	require.NotEqual(t, planned.Found, now.Found, "weights that no step sets still count")
}

func testDrainByItself(t *testing.T, begin start) {
	r := begin(t, 2)
	release := r.hold(t, 2)
	for process := range r.sockets {
		r.by(t, process, "set server web/blue weight 100")
	}
	change, err := decode(t, &Drain{}, `{backend: web, server: green}`).Plan(t.Context(), r.env(t))
	require.NoError(t, err)
	require.Equal(t, "drain web/green: 2 sessions now, ended after 30s", change.Summary)
	env := r.env(t)
	var once sync.Once
	env.Progress = func(line string) {
		once.Do(func() {
			require.Equal(t, "web/green: 2 sessions left", line)
			require.ErrorIs(t, decode(t, &Drain{}, `{backend: web, server: green}`).Verify(t.Context(), env), actions.ErrNotDone)
			release()
		})
	}
	did, err := decode(t, &Drain{}, `{backend: web, server: green, within: 1h}`).Run(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, DrainOutputs{Forced: 0}, did.Outputs)
	require.Equal(t, "blue=100/0 green=100/8 grey=0/0 brown=0/0 blue=100/0 green=100/8 grey=0/0 brown=0/0", r.state(t))
}

func testDrainByForce(t *testing.T, begin start) {
	r := begin(t, 1)
	r.hold(t, 3)
	r.by(t, 0, "set server web/blue weight 100")
	did, err := decode(t, &Drain{}, `{backend: web, server: green, within: 1ms}`).Run(t.Context(), r.env(t))
	require.NoError(t, err)
	require.Equal(t, DrainOutputs{Forced: 3}, did.Outputs)
	require.Contains(t, did.Summary, "3 sessions ended by force")
}

func testDrainRefused(t *testing.T, begin start) {
	r := begin(t, 2)
	r.by(t, 0, "set server web/blue weight 100") // in the other process green alone carries the backend
	_, err := decode(t, &Drain{}, `{backend: web, server: green}`).Run(t.Context(), r.env(t))
	require.ErrorContains(t, err, r.sockets[1]+": no other server of web takes traffic")
	r.by(t, 1, "set server web/brown weight 100") // which is down
	r.by(t, 1, "set server web/blue weight 100")
	r.by(t, 1, "set server web/blue state maint")
	_, err = decode(t, &Drain{}, `{backend: web, server: green}`).Run(t.Context(), r.env(t))
	require.ErrorContains(t, err, "no other server of web takes traffic")
	require.Contains(t, r.state(t), "green=100/0")
	require.NotContains(t, r.state(t), "green=100/8")
	_, err = decode(t, &Drain{}, `{backend: lone, server: only}`).Plan(t.Context(), r.env(t))
	require.ErrorContains(t, err, "the only server of lone")
}

func testDrainKeepsMaintenance(t *testing.T, begin start) {
	r := begin(t, 1)
	r.by(t, 0, "set server web/blue weight 100")
	r.by(t, 0, "set server web/green state maint")
	was := r.state(t)
	_, err := decode(t, &Drain{}, `{backend: web, server: green, within: 5s}`).Run(t.Context(), r.env(t))
	require.NoError(t, err)
	require.Equal(t, was, r.state(t))
}

func testDrainCancelled(t *testing.T, begin start) {
	r := begin(t, 1)
	r.hold(t, 1)
	r.by(t, 0, "set server web/blue weight 100")
	ctx, cancel := context.WithCancel(t.Context())
	env := r.env(t)
	env.Progress = func(string) { cancel() }
	_, err := decode(t, &Drain{}, `{backend: web, server: green, within: 1h}`).Run(ctx, env)
	require.True(t, errors.Is(err, context.Canceled), "%v", err)
}

// until waits for what a rig brings about, and gives up with the test.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, 20*time.Second, 5*time.Millisecond, what)
}
