// Package actiontest is what every action must pass: the first line of an action's test is actiontest.Run. Only tests
// import it.
package actiontest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"astern.dev/astern/actions"
)

// Case is one valid use of an action.
type Case struct {
	Name string
	// YAML holds the parameters as a user writes them.
	YAML string
	// World begins a world of its own for each check.
	World func(t *testing.T) *World
	// Env changes what the action is given, such as the notice of a channel.
	Env func(*actions.Env)
	// Temporary and Permanent are the HTTP statuses that are tried again, and those that are not. Both are needed when
	// the world has a Status.
	Temporary, Permanent []int
}

// World is what an action acts on: a real implementation, or a fake that refuses what the real one refuses.
type World struct {
	// Connections are what Env.Connect gives, by kind.
	Connections map[string]any
	// State describes all that an action can change, effects counted.
	State func() string
	// Canary is a secret of the connections; it is in no error.
	Canary string
	// Stall makes the world take requests and never answer.
	Stall func()
	// Status makes the world answer every request with this HTTP status and no effect.
	Status func(code int)
	// Break holds further ways in which the world can fail.
	Break map[string]func()
}

// Run holds an action to its contract.
func Run(t *testing.T, newAction func() actions.Action, cases ...Case) {
	t.Run("zero value", func(t *testing.T) { zeroValue(t, newAction) })
	require.NotEmpty(t, cases, "an action needs at least one valid use")
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			s := suite{c, newAction}
			t.Run("round trip", s.roundTrip)
			t.Run("unknown field", s.unknownField)
			t.Run("required parameters", s.required)
			t.Run("plan touches nothing", s.planTouchesNothing)
			t.Run("same key, one effect", s.oneEffect)
			t.Run("cancelled before", s.cancelledBefore)
			if world := c.World(t); world.Stall != nil {
				t.Run("cancelled while waiting", s.cancelledWhile)
			}
			t.Run("no secret in errors", s.noSecret)
			if world := c.World(t); world.Status != nil {
				t.Run("statuses", s.statuses)
			}
		})
	}
}

// Decode reads parameters as strictly as configuration does.
func Decode(newAction func() actions.Action, parameters string) (actions.Action, error) {
	action := newAction()
	return action, yaml.Load([]byte(parameters), action, yaml.WithKnownFields())
}

// Env is what the engine gives, with the connections of a world.
func Env(world *World) actions.Env {
	return actions.Env{
		Key: "incident-1/step-2", Incident: "incident-1", Target: "honeylink-api", Environment: "production",
		Attempt: 1, Token: 7, Now: time.Now, Progress: func(string) {},
		Connect: func(kind, name string) (any, error) {
			opened, known := world.Connections[kind]
			if !known || name != "" {
				return nil, fmt.Errorf("there is no connection %s %q", kind, name)
			}
			return opened, nil
		},
	}
}

func zeroValue(t *testing.T, newAction func() actions.Action) {
	action := newAction()
	require.Regexp(t, `^[a-z][a-z0-9-]*(/[a-z][a-z0-9-]*)?$`, action.Name())
	require.Equal(t, reflect.Pointer, reflect.TypeOf(action).Kind(), "parameters are decoded into a pointer")
	if outputs := action.Outputs(); outputs != nil {
		_, err := actions.EncodeOutputs(outputs)
		require.NoError(t, err)
	}
	if len(requiredOf(action)) == 0 {
		return
	}
	require.Error(t, action.Validate(), "a parameter without omitempty is required, yet the zero value is valid")
	_, err := action.Run(context.Background(), Env(&World{}))
	require.Error(t, err, "what is not valid must not run")
	_, err = action.Plan(context.Background(), Env(&World{}))
	require.Error(t, err, "what is not valid has no plan")
}

// requiredOf lists the parameters whose tag has no omitempty.
func requiredOf(action actions.Action) []string {
	var required []string
	of := reflect.TypeOf(action).Elem()
	for n := range of.NumField() {
		tag, written := of.Field(n).Tag.Lookup("yaml")
		name, options, _ := strings.Cut(tag, ",")
		if written && name != "-" && name != "" && !strings.Contains(options, "omitempty") {
			required = append(required, name)
		}
	}
	return required
}

type suite struct {
	Case
	newAction func() actions.Action
}

func (s suite) action(t *testing.T) actions.Action {
	t.Helper()
	action, err := Decode(s.newAction, s.YAML)
	require.NoError(t, err)
	require.NoError(t, action.Validate())
	return action
}

func (s suite) env(world *World, attempt int) actions.Env {
	env := Env(world)
	env.Attempt = attempt
	if s.Env != nil {
		s.Env(&env)
	}
	return env
}

func (s suite) roundTrip(t *testing.T) {
	first := s.action(t)
	written := dump(t, first)
	second, err := Decode(s.newAction, written)
	require.NoError(t, err, "what was written must read: %s", written)
	require.Equal(t, first, second)
}

func (s suite) unknownField(t *testing.T) {
	parameters := s.parameters(t)
	parameters["no_such_parameter"] = 1
	_, err := Decode(s.newAction, dump(t, parameters))
	require.ErrorContains(t, err, "no_such_parameter")
}

func (s suite) parameters(t *testing.T) map[string]any {
	var parameters map[string]any
	require.NoError(t, yaml.Load([]byte(s.YAML), &parameters))
	if parameters == nil {
		return map[string]any{}
	}
	return parameters
}

func dump(t *testing.T, value any) string {
	raw, err := yaml.Dump(value)
	require.NoError(t, err)
	return string(raw)
}

func (s suite) required(t *testing.T) {
	for _, name := range requiredOf(s.newAction()) {
		parameters := s.parameters(t)
		require.Contains(t, parameters, name, "a required parameter is missing in the case")
		delete(parameters, name)
		action, err := Decode(s.newAction, dump(t, parameters))
		require.NoError(t, err)
		require.ErrorContains(t, action.Validate(), name, "the error names the missing parameter")
	}
}

func (s suite) planTouchesNothing(t *testing.T) {
	world := s.World(t)
	before := world.State()
	first, err := s.action(t).Plan(context.Background(), s.env(world, 1))
	require.NoError(t, err)
	second, err := s.action(t).Plan(context.Background(), s.env(world, 1))
	require.NoError(t, err)
	require.Equal(t, before, world.State(), "Plan changed the world")
	require.Equal(t, first.Found, second.Found, "Found is not the same for the same world")
	require.NotEmpty(t, first.Summary)
	require.NotContains(t, first.Summary, "\n")
	for _, line := range first.Diff {
		require.Contains(t, "+-~=", line[:1])
	}
}

func (s suite) oneEffect(t *testing.T) {
	world := s.World(t)
	planned, err := s.action(t).Plan(context.Background(), s.env(world, 1))
	require.NoError(t, err)
	before := world.State()
	first := s.action(t)
	did, err := first.Run(context.Background(), s.env(world, 1))
	require.NoError(t, err)
	s.checkResult(t, first, did)
	after := world.State()
	if !planned.Changes {
		require.Equal(t, before, after, "an action that changes nothing changed the world")
	}
	if verifier, ok := first.(actions.Verifier); ok {
		require.NoError(t, verifier.Verify(context.Background(), s.env(world, 1)), "Verify right after Run")
	}
	require.Equal(t, after, world.State(), "Verify changed the world")
	_, err = s.action(t).Run(context.Background(), s.env(world, 2))
	require.NoError(t, err)
	require.Equal(t, after, world.State(), "the same key had a second effect")
}

func (s suite) checkResult(t *testing.T, action actions.Action, did actions.Result) {
	require.NotContains(t, did.Summary, "\n")
	require.LessOrEqual(t, len(did.Output), 128<<10, "output is not bounded")
	if did.Outputs != nil {
		require.IsType(t, action.Outputs(), did.Outputs)
	}
	_, err := actions.EncodeOutputs(did.Outputs)
	require.NoError(t, err)
}

func (s suite) cancelledBefore(t *testing.T) {
	world := s.World(t)
	before := world.State()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.action(t).Run(ctx, s.env(world, 1))
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, actions.IsPermanent(err) || actions.IsDoubtful(err), "nothing was begun: %v", err)
	require.Equal(t, before, world.State())
}

// cancelledWhile would run into the test's own deadline if the action did not heed its context.
func (s suite) cancelledWhile(t *testing.T) {
	world := s.World(t)
	action, env := s.action(t), s.env(world, 1)
	world.Stall()
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := action.Run(ctx, env)
		done <- err
	}()
	cancel(context.Canceled)
	require.ErrorIs(t, <-done, context.Canceled)
}

// noSecret fails the world in every way it offers, and looks at every error that comes out.
func (s suite) noSecret(t *testing.T) {
	world := s.World(t)
	if world.Canary == "" {
		require.Empty(t, world.Break, "a world that can fail needs a canary")
		return
	}
	ways := []string{""}
	for way := range world.Break {
		ways = append(ways, way)
	}
	for _, way := range ways {
		world := s.World(t)
		if way != "" {
			world.Break[way]()
		}
		for _, err := range s.errorsOf(world) {
			require.NotContains(t, err.Error(), world.Canary, "when %s", way)
			require.NotContains(t, fmt.Sprintf("%+v %#v", err, err.Error()), world.Canary, "when %s", way)
		}
		if way != "" {
			require.NotEmpty(t, s.errorsOf(world), "%s broke nothing", way)
		}
	}
}

func (s suite) errorsOf(world *World) []error {
	action, err := Decode(s.newAction, s.YAML)
	found := []error{err}
	_, err = action.Plan(context.Background(), s.env(world, 1))
	found = append(found, err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err = action.Run(ctx, s.env(world, 1))
	found = append(found, err)
	if verifier, ok := action.(actions.Verifier); ok {
		found = append(found, verifier.Verify(ctx, s.env(world, 1)))
	}
	if repairer, ok := action.(actions.Repairer); ok {
		found = append(found, repairer.Repair(ctx, s.env(world, 1)))
	}
	var errs []error
	for _, err := range found {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (s suite) statuses(t *testing.T) {
	require.NotEmpty(t, s.Temporary)
	require.NotEmpty(t, s.Permanent)
	check := func(code int, permanent bool) {
		world := s.World(t)
		before := world.State()
		world.Status(code)
		_, err := s.action(t).Run(context.Background(), s.env(world, 1))
		require.Error(t, err, "%d", code)
		require.Equal(t, permanent, actions.IsPermanent(err), "%d: %v", code, err)
		require.False(t, actions.IsDoubtful(err), "%d: what may be repeated leaves no doubt: %v", code, err)
		require.False(t, errors.Is(err, context.Canceled), "%d", code)
		require.Equal(t, before, world.State(), "%d", code)
	}
	for _, code := range s.Temporary {
		check(code, false)
	}
	for _, code := range s.Permanent {
		check(code, true)
	}
}
