// Package wait lets a time go by between two steps. It imports actions alone.
package wait

import (
	"context"
	"errors"
	"fmt"
	"time"

	"astern.dev/astern/actions"
)

// Family brings wait.
func Family() actions.Family {
	return actions.Family{Actions: []actions.Entry{{New: func() actions.Action { return &Wait{} }, Example: `- name: settle
  uses: wait
  with: {for: 30s}
`}}}
}

// Wait lets a time go by. After a crash it begins anew. The step's timeout must be longer.
type Wait struct {
	// For is how long to wait.
	For actions.Duration `yaml:"for"`
}

// Name is wait.
func (w *Wait) Name() string { return "wait" }

// Outputs is nothing.
func (w *Wait) Outputs() any { return nil }

// Validate wants a time.
func (w *Wait) Validate() error {
	if w.For <= 0 {
		return errors.New("for: how long to wait is required, such as 30s")
	}
	return nil
}

// OnlyLooks is true: time goes by of itself.
func (w *Wait) OnlyLooks() bool { return true }

// Lasts is how long it waits.
func (w *Wait) Lasts() time.Duration { return time.Duration(w.For) }

// Plan says how long.
func (w *Wait) Plan(context.Context, actions.Env) (actions.Change, error) {
	if err := w.Validate(); err != nil {
		return actions.Change{}, actions.Permanent(err)
	}
	return actions.Change{Summary: fmt.Sprintf("wait %s", time.Duration(w.For))}, nil
}

// Run waits, or gives up with the context.
func (w *Wait) Run(ctx context.Context, _ actions.Env) (actions.Result, error) {
	if err := w.Validate(); err != nil {
		return actions.Result{}, actions.Permanent(err)
	}
	timer := time.NewTimer(time.Duration(w.For))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return actions.Result{}, fmt.Errorf("wait %s: %w", time.Duration(w.For), ctx.Err())
	case <-timer.C:
		return actions.Result{Summary: fmt.Sprintf("waited %s", time.Duration(w.For))}, nil
	}
}
