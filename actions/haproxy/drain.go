package haproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"astern.dev/astern/actions"
)

const (
	defaultWithin = actions.Duration(30 * time.Second)
	lookEvery     = 250 * time.Millisecond
	forceWithin   = 5 * time.Second // for sessions to be gone after they were ended
	drainExample  = `- name: drain
  uses: haproxy/drain
  with: {backend: web, server: "${release.current.vars.track}", within: 30s}
  timeout: 60s
`
)

// Drain lets a server run out: in every HAProxy process of the connection it gets no new sessions, those it has may end
// within a time, and what is left then is ended. It is refused while no other server of the backend takes traffic.
// Its checks go on; a server in maintenance stays so.
type Drain struct {
	// Backend is the HAProxy backend the server belongs to.
	Backend string `yaml:"backend"`
	// Server is the server to leave.
	Server string `yaml:"server"`
	// Within is how long sessions may take to end by themselves; 30s without a word. The step's timeout must be longer.
	Within actions.Duration `yaml:"within,omitempty"`
}

// DrainOutputs is what later steps can read.
type DrainOutputs struct {
	// Forced counts the sessions that were ended because they outlasted the time.
	Forced int `json:"forced"`
}

// Name is haproxy/drain.
func (d *Drain) Name() string { return "haproxy/drain" }

// Outputs types steps.<name>.forced.
func (d *Drain) Outputs() any { return DrainOutputs{} }

// Validate checks the names and the time.
func (d *Drain) Validate() error {
	failed := []error{checkName("backend", d.Backend), checkName("server", d.Server)}
	if d.Within < 0 {
		failed = append(failed, errors.New("within: must not be negative"))
	}
	return errors.Join(failed...)
}

// Plan reads every process and says how many sessions are to end.
func (d *Drain) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	views, err := d.look(ctx, env)
	if err != nil {
		return actions.Change{}, err
	}
	c := actions.Change{Changes: true, Found: d.found(views)}
	c.Summary = fmt.Sprintf("drain %s/%s: %s now, ended after %s", d.Backend, d.Server, sessions(d.sessions(views)), time.Duration(d.within()))
	for _, v := range views {
		s, _ := v.server(d.Server)
		mark, to := "~", "drain"
		if s.drained() || s.inMaint() {
			mark, to = "=", "as it is"
		}
		c.Diff = append(c.Diff, fmt.Sprintf("%s %s/%s %s -> %s in %s", mark, d.Backend, d.Server, s.status, to, v.socket))
	}
	return c, nil
}

func (d *Drain) within() actions.Duration { return cmp.Or(d.Within, defaultWithin) }

func (d *Drain) look(ctx context.Context, env actions.Env) ([]view, error) {
	if err := d.Validate(); err != nil {
		return nil, actions.Permanent(err)
	}
	fleet, err := fleetOf(env)
	if err != nil {
		return nil, err
	}
	views, err := fleet.read(ctx, d.Backend)
	if err != nil {
		return nil, err
	}
	for _, v := range views {
		if _, known := v.server(d.Server); !known {
			return nil, v.unknown(d.Server)
		}
		if len(v.servers) == 1 {
			return nil, actions.Permanent(fmt.Errorf("haproxy %s: %s is the only server of %s: draining it would end all traffic", v.socket, d.Server, d.Backend))
		}
	}
	return views, nil
}

// Run drains, waits, and ends what is left.
func (d *Drain) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	views, err := d.look(ctx, env)
	if err != nil {
		return actions.Result{}, err
	}
	if err := d.othersTake(views); err != nil {
		return actions.Result{}, err
	}
	var failed []error
	for _, v := range views {
		if s, _ := v.server(d.Server); !s.drained() && !s.inMaint() {
			failed = append(failed, v.set(ctx, fmt.Sprintf("set server %s/%s state drain", d.Backend, d.Server)))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return actions.Result{}, err
	}
	began := env.Now()
	left, err := d.wait(ctx, env, time.Duration(d.within()))
	if err != nil {
		return actions.Result{}, err
	}
	forced := d.sessions(left)
	if err := d.force(ctx, env, left); err != nil {
		return actions.Result{}, err
	}
	took := env.Now().Sub(began).Round(100 * time.Millisecond)
	return actions.Result{Summary: fmt.Sprintf("drained %s/%s in %s, %s ended by force", d.Backend, d.Server, took, sessions(forced)),
		Outputs: DrainOutputs{Forced: forced}}, d.Verify(ctx, env)
}

// othersTake refuses to drain the server that carries the backend.
func (d *Drain) othersTake(views []view) error {
	for _, v := range views {
		carried := false
		for _, s := range v.servers {
			carried = carried || s.name != d.Server && s.takes()
		}
		if !carried {
			return fmt.Errorf("haproxy %s: no other server of %s takes traffic: draining %s would end it", v.socket, d.Backend, d.Server)
		}
	}
	return nil
}

// wait looks until no sessions are left or the time is over; it gives what it saw last.
func (d *Drain) wait(ctx context.Context, env actions.Env, within time.Duration) ([]view, error) {
	until, told := env.Now().Add(within), -1
	for {
		views, err := d.look(ctx, env)
		if err != nil {
			return nil, err
		}
		left := d.sessions(views)
		if left == 0 || !env.Now().Before(until) {
			return views, nil
		}
		if left != told && env.Progress != nil {
			env.Progress(fmt.Sprintf("%s/%s: %s left", d.Backend, d.Server, sessions(left)))
		}
		told = left
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("drain %s/%s: %s left: %w", d.Backend, d.Server, sessions(left), ctx.Err())
		case <-time.After(lookEvery):
		}
	}
}

func (d *Drain) force(ctx context.Context, env actions.Env, views []view) error {
	var failed []error
	for _, v := range views {
		if s, _ := v.server(d.Server); s.sessions > 0 {
			failed = append(failed, v.set(ctx, fmt.Sprintf("shutdown sessions server %s/%s", d.Backend, d.Server)))
		}
	}
	if err := errors.Join(failed...); err != nil || d.sessions(views) == 0 {
		return err
	}
	_, err := d.wait(ctx, env, forceWithin)
	return err
}

func (d *Drain) sessions(views []view) int {
	total := 0
	for _, v := range views {
		s, _ := v.server(d.Server)
		total += s.sessions
	}
	return total
}

// Verify reads every process: the server takes nothing new and has no session left.
func (d *Drain) Verify(ctx context.Context, env actions.Env) error {
	views, err := d.look(ctx, env)
	if err != nil {
		return err
	}
	var short []string
	for _, v := range views {
		s, _ := v.server(d.Server)
		if !s.drained() && !s.inMaint() {
			short = append(short, v.socket+" still gives it sessions")
		} else if s.sessions > 0 {
			short = append(short, fmt.Sprintf("%s has %s left", v.socket, sessions(s.sessions)))
		}
	}
	if len(short) > 0 {
		return actions.NotDone("%s/%s is not drained: %s", d.Backend, d.Server, strings.Join(short, ", "))
	}
	return nil
}

func sessions(n int) string {
	if n == 1 {
		return "1 session"
	}
	return fmt.Sprintf("%d sessions", n)
}
