package engine

import (
	"context"
	"fmt"
	"time"

	"astern.dev/astern/engine/incident"
)

// signOfLife is how old the last delivery may be at a start. The Watchdog comes each minute, so an older one means a
// backup that was put back, or a stop so long that a person should look first.
const signOfLife = time.Hour

// disarmRestored takes the arming back when the history ends long ago: a restored backup is unarmed (S19).
func (e *Engine) disarmRestored(ctx context.Context) error {
	i, err := e.installation.load(ctx, installationStream)
	if err != nil || i.Armed == nil {
		return err
	}
	last := i.Armed.At
	lines, err := e.store.Deliveries(ctx, 1)
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	if len(lines) > 0 && lines[0].At.After(last) {
		last = lines[0].At
	}
	silence := e.now().Sub(last)
	if silence <= signOfLife {
		return nil
	}
	reason := fmt.Sprintf("the last sign of life is %s old: a restored backup or a long stop; look, then arm again", short(silence))
	e.log.Warn("not armed any more", logReason(reason))
	r := e.installation.record(ctx, installationStream, func(incident.Installation) (draft, error) {
		return facts(byAstern, incident.Disarmed{Reason: reason}), nil
	})
	if r.err != nil {
		return r.err
	}
	return e.reconfigureOpen(ctx)
}
