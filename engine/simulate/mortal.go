package simulate

import (
	"context"
	"errors"
	"sync/atomic"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// mortal is the store as one process has it: after the process was killed nothing of it reaches the file any more.
type mortal struct {
	engine.Store
	dead atomic.Bool
}

var errKilled = errors.New("the process was killed")

// Append stores nothing for the dead.
func (m *mortal) Append(ctx context.Context, a incident.Append) (incident.Appended, error) {
	if m.dead.Load() {
		return incident.Appended{}, errKilled
	}
	return m.Store.Append(ctx, a)
}

// Deliver stores nothing for the dead.
func (m *mortal) Deliver(ctx context.Context, d incident.Delivery) error {
	if m.dead.Load() {
		return errKilled
	}
	return m.Store.Deliver(ctx, d)
}
