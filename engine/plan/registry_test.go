package plan

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
)

// A small registry of real actions on a world that is a map: what plans are made with in this package's tests.

type world struct{ weights map[string]int }

type base struct{}

func (base) Run(context.Context, actions.Env) (actions.Result, error) { return actions.Result{}, nil }
func (base) Outputs() any                                             { return nil }
func (base) Validate() error                                          { return nil }
func (base) Plan(context.Context, actions.Env) (actions.Change, error) {
	return actions.Change{Summary: "looks"}, nil
}

// switchTraffic changes weights.
type switchTraffic struct {
	base    `yaml:"-"`
	Backend string   `yaml:"backend"`
	Weights []weight `yaml:"weights"`
	Pace    *float64 `yaml:"pace"`
	Force   bool     `yaml:"force"`
}

type weight struct {
	Server string `yaml:"server"`
	Weight int    `yaml:"weight"`
}

type switched struct {
	Previous string `json:"previous"`
	Weight   int    `json:"weight"`
}

func (*switchTraffic) Name() string { return "test/switch" }
func (s *switchTraffic) Validate() error {
	if s.Backend == "" {
		return errors.New("backend: say which backend")
	}
	seen := map[string]bool{}
	for i, w := range s.Weights {
		if w.Server == "" || seen[w.Server] {
			return fmt.Errorf("weights[%d].server: %q has no name or stands twice", i, w.Server)
		}
		seen[w.Server] = true
	}
	return nil
}
func (*switchTraffic) Outputs() any { return switched{} }
func (s *switchTraffic) Plan(_ context.Context, env actions.Env) (actions.Change, error) {
	opened, err := env.Connect("proxy", "")
	if err != nil {
		return actions.Change{}, err
	}
	c := actions.Change{Changes: true, Summary: "weights of " + s.Backend}
	for _, w := range s.Weights {
		have := opened.(*world).weights[w.Server]
		c.Diff = append(c.Diff, fmt.Sprintf("~ %s %d -> %d", w.Server, have, w.Weight))
		c.Found += fmt.Sprintf("%s=%d;", w.Server, have)
	}
	return c, nil
}
func (*switchTraffic) Repair(context.Context, actions.Env) error { return nil }

// call has a parameter for every place a text can stand in.
type call struct {
	base    `yaml:"-"`
	URL     actions.URL       `yaml:"url"`
	Query   actions.PromQL    `yaml:"query"`
	Args    []actions.Arg     `yaml:"args"`
	Say     actions.Text      `yaml:"say"`
	Body    string            `yaml:"body"`
	Headers map[string]string `yaml:"headers"`
	Data    any               `yaml:"data"`
	Within  actions.Duration  `yaml:"within"`
	Size    uint8             `yaml:"size"`
	Checks  []check           `yaml:"checks"`
}

type check struct {
	Path   string `yaml:"path"`
	Status int    `yaml:"status"`
}

func (*call) Name() string { return "test/call" }

// chat and mail are channels.
type chat struct {
	base    `yaml:"-"`
	Channel string       `yaml:"channel"`
	Intro   actions.Text `yaml:"intro"`
}

func (*chat) Name() string { return "chat" }
func (c *chat) Validate() error {
	if c.Channel == "" {
		return errors.New("channel: say where to")
	}
	return nil
}

type mail struct {
	base `yaml:"-"`
	To   []string `yaml:"address"`
}

func (*mail) Name() string { return "mail" }

type connection struct {
	URL string `yaml:"url"`
}

func (c *connection) Validate() error                { return nil }
func (c *connection) Open(actions.Dial) (any, error) { return &world{}, nil }

func testRegistry(t testing.TB) *actions.Registry {
	t.Helper()
	newConnection := func() actions.Connection { return new(connection) }
	r, err := actions.NewRegistry(
		actions.Family{Kind: "proxy", NewConnection: newConnection, Actions: []actions.Entry{
			{New: func() actions.Action { return new(switchTraffic) }},
			{New: func() actions.Action { return new(call) }},
		}},
		actions.Family{Kind: "chat", NewConnection: newConnection, Actions: []actions.Entry{
			{New: func() actions.Action { return new(chat) }, Channel: true, Updates: true},
			{New: func() actions.Action { return new(mail) }, Channel: true},
		}},
	)
	require.NoError(t, err)
	return r
}

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
