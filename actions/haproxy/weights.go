package haproxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"astern.dev/astern/actions"
)

const (
	maxWeight      = 256
	weightsExample = `- name: switch_traffic
  uses: haproxy/weights
  with:
    backend: web
    weights:
      - {server: "${release.previous.vars.track}", weight: 100}
      - {server: "${release.current.vars.track}", weight: 0}
  timeout: 30s
  retry: {attempts: 3, backoff: 2s}
`
)

// Weights switches traffic: it sets the weights of servers of one backend, in every HAProxy process of the connection.
// The servers that get traffic must be up, checked, and neither drained nor in maintenance, or nothing is written.
// Established connections stay where they are: haproxy/drain ends them.
type Weights struct {
	// Backend is the HAProxy backend the servers belong to.
	Backend string `yaml:"backend"`
	// Weights are set in this order: name the server that is to take the traffic first. Servers of the backend that are
	// not listed keep their weight.
	Weights []ServerWeight `yaml:"weights"`
	// Continues says that an earlier step of the same procedure sets these weights, too, such as the first half of a
	// switch in two stages: that they changed since the plan was made is then no surprise.
	Continues bool `yaml:"continues,omitempty"`
}

// ServerWeight is the weight one server is to have.
type ServerWeight struct {
	// Server is its name in the backend.
	Server string `yaml:"server"`
	// Weight is from 0 (no new sessions) to 256; it counts in proportion to the others.
	Weight *int `yaml:"weight"`
}

// WeightsOutputs is what later steps can read.
type WeightsOutputs struct {
	// Previous holds the weights before the step, by server, as the first process that was to change had them.
	Previous map[string]int `json:"previous"`
}

// Name is haproxy/weights.
func (w *Weights) Name() string { return "haproxy/weights" }

// Outputs types steps.<name>.previous.
func (w *Weights) Outputs() any { return WeightsOutputs{} }

// Validate refuses what could not be a switch: no server, one server twice, no server that would take traffic.
func (w *Weights) Validate() error {
	failed := []error{checkName("backend", w.Backend)}
	if len(w.Weights) == 0 {
		return errors.Join(append(failed, errors.New("weights: at least one server is needed"))...)
	}
	seen, total := map[string]bool{}, 0
	for n, to := range w.Weights {
		at := fmt.Sprintf("weights[%d].", n)
		failed = append(failed, checkName(at+"server", to.Server))
		if to.Weight == nil || *to.Weight < 0 || *to.Weight > maxWeight {
			failed = append(failed, fmt.Errorf("%sweight: must be from 0 to %d", at, maxWeight))
			continue
		}
		if seen[to.Server] {
			failed = append(failed, fmt.Errorf("%sserver: %s is listed twice: the version to leave and the one to go to are the same", at, to.Server))
		}
		seen[to.Server], total = true, total+*to.Weight
	}
	if err := errors.Join(failed...); err != nil || total > 0 {
		return err
	}
	return errors.New("weights: all are 0: no server would take the traffic")
}

// Plan reads every process and says which weights would change.
func (w *Weights) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	views, err := w.look(ctx, env)
	if err != nil {
		return actions.Change{}, err
	}
	return actions.Change{Changes: true, Summary: w.summary(views), Diff: w.diff(views), Found: w.found(views)}, nil
}

// look reads the fleet and refuses unknown servers and goals that cannot take traffic.
func (w *Weights) look(ctx context.Context, env actions.Env) ([]view, error) {
	if err := w.Validate(); err != nil {
		return nil, actions.Permanent(err)
	}
	fleet, err := fleetOf(env)
	if err != nil {
		return nil, err
	}
	views, err := fleet.read(ctx, w.Backend)
	if err != nil {
		return nil, err
	}
	for _, v := range views {
		for _, to := range w.Weights {
			s, known := v.server(to.Server)
			if !known {
				return nil, v.unknown(to.Server)
			}
			if *to.Weight == 0 {
				continue
			}
			if err := s.ready(); err != nil {
				return nil, fmt.Errorf("haproxy %s: backend %s cannot move to a server that takes no traffic: %w", v.socket, w.Backend, err)
			}
		}
	}
	return views, nil
}

// whole says whether a process has all the weights.
func (w *Weights) whole(v view) bool {
	for _, to := range w.Weights {
		if s, known := v.server(to.Server); !known || s.weight != *to.Weight {
			return false
		}
	}
	return true
}

func (w *Weights) summary(views []view) string {
	var parts []string
	for _, to := range w.Weights {
		now := weightsOf(views, to.Server)
		part := fmt.Sprintf("%s %s -> %d", to.Server, now, *to.Weight)
		if now == strconv.Itoa(*to.Weight) {
			part = fmt.Sprintf("%s %s already", to.Server, now)
		}
		parts = append(parts, part)
	}
	text := fmt.Sprintf("weights of %s: %s", w.Backend, strings.Join(parts, ", "))
	if len(views) > 1 {
		text += fmt.Sprintf(" (%d processes)", len(views))
	}
	return text
}

// weightsOf is a server's weight, or its weights where processes differ, such as "0|100".
func weightsOf(views []view, name string) string {
	var all []string
	for _, v := range views {
		s, _ := v.server(name)
		all = append(all, strconv.Itoa(s.weight))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "|")
}

func (w *Weights) diff(views []view) []string {
	goal := map[string]int{}
	for _, to := range w.Weights {
		goal[to.Server] = *to.Weight
	}
	var lines []string
	for _, v := range views {
		where := ""
		if len(views) > 1 {
			where = " in " + v.socket
		}
		for _, s := range v.servers {
			to, listed := goal[s.name]
			if !listed || to == s.weight {
				lines = append(lines, fmt.Sprintf("= %s/%s weight %d%s", w.Backend, s.name, s.weight, where))
				continue
			}
			lines = append(lines, fmt.Sprintf("~ %s/%s weight %d -> %d%s", w.Backend, s.name, s.weight, to, where))
		}
	}
	return lines
}
