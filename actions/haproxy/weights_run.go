package haproxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"astern.dev/astern/actions"
)

// Run writes what differs, process by process, and reads back. A process that fails does not keep the others from the
// goal; the step fails then, and a repeat goes on where it stopped.
func (w *Weights) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	views, err := w.look(ctx, env)
	if err != nil {
		return actions.Result{}, err
	}
	did := actions.Result{Summary: w.summary(views), Outputs: WeightsOutputs{Previous: w.previous(views)}}
	var failed []error
	for _, v := range views {
		failed = append(failed, w.write(ctx, v))
	}
	if err := errors.Join(failed...); err != nil {
		return did, err
	}
	return did, w.Verify(ctx, env)
}

// write keeps the order and stops at the first refusal, so that no server loses its traffic before another can take it.
func (w *Weights) write(ctx context.Context, v view) error {
	for _, to := range w.Weights {
		if s, _ := v.server(to.Server); s.weight == *to.Weight {
			continue
		}
		if err := v.weigh(ctx, to.Server, *to.Weight); err != nil {
			return err
		}
	}
	return nil
}

func (v view) weigh(ctx context.Context, server string, weight int) error {
	return v.set(ctx, fmt.Sprintf("set server %s/%s weight %d", v.backend, server, weight))
}

func (w *Weights) previous(views []view) map[string]int {
	from := views[0]
	for _, v := range views {
		if !w.whole(v) {
			from = v
			break
		}
	}
	previous := map[string]int{}
	for _, to := range w.Weights {
		s, _ := from.server(to.Server)
		previous[to.Server] = s.weight
	}
	return previous
}

// Verify reads every process: all weights are there, or it names the processes where they are not.
func (w *Weights) Verify(ctx context.Context, env actions.Env) error {
	if err := w.Validate(); err != nil {
		return actions.Permanent(err)
	}
	fleet, err := fleetOf(env)
	if err != nil {
		return err
	}
	views, err := fleet.read(ctx, w.Backend)
	if err != nil {
		return err
	}
	var short []string
	for _, v := range views {
		if !w.whole(v) {
			short = append(short, v.socket)
		}
	}
	if len(short) > 0 {
		return actions.NotDone("%d of %d HAProxy processes do not have the weights: %s", len(short), len(views), strings.Join(short, ", "))
	}
	return nil
}

// Repair puts a fleet of which only a part was written back to the weights of a process that was not touched. A fleet
// that is written whole is left alone: traffic never goes back to the version that was left.
func (w *Weights) Repair(ctx context.Context, env actions.Env) error {
	if err := w.Validate(); err != nil {
		return actions.Permanent(err)
	}
	fleet, err := fleetOf(env)
	if err != nil {
		return err
	}
	views, err := fleet.read(ctx, w.Backend)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(views, func(v view) bool { return !w.whole(v) }) {
		return nil
	}
	before, err := w.untouched(views)
	if err != nil {
		return err
	}
	var failed []error
	for _, v := range views {
		failed = append(failed, before.write(ctx, v))
	}
	return errors.Join(failed...)
}

// untouched finds the weights before the step. Writes keep the order: a process whose first weight is not the goal's was
// not written. The answer is in reverse, so that the server which gets its traffic back gets it first.
func (w *Weights) untouched(views []view) (*Weights, error) {
	var before []map[string]int
	for _, v := range views {
		first := w.Weights[0]
		if s, _ := v.server(first.Server); s.weight == *first.Weight {
			continue
		}
		before = append(before, w.previous([]view{v}))
	}
	if len(before) == 0 || slices.ContainsFunc(before, func(b map[string]int) bool { return fmt.Sprint(b) != fmt.Sprint(before[0]) }) {
		return nil, actions.Permanent(fmt.Errorf("the weights of %s before the step cannot be told from the fleet any more; set them by hand", w.Backend))
	}
	back := &Weights{Backend: w.Backend}
	for _, to := range slices.Backward(w.Weights) {
		weight := before[0][to.Server]
		back.Weights = append(back.Weights, ServerWeight{to.Server, &weight})
	}
	return back, nil
}
