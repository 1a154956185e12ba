package engine

import (
	"context"

	"astern.dev/astern/engine/incident"
)

// ReconcileNow reads every Alertmanager's API once, as Reconcile does at start and every minute.
func (e *Engine) ReconcileNow(ctx context.Context) { e.reconcileAll(ctx, true) }

// LookUpLate does what Reconcile does with the late alerts that wait.
func (e *Engine) LookUpLate(ctx context.Context) error {
	for {
		select {
		case late := <-e.late:
			if err := e.reconcileSource(ctx, late.source, []lateAlert{late}); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// Remembered counts the histories and episodes that are kept in memory.
func (e *Engine) Remembered() int {
	e.incidents.mu.Lock()
	defer e.incidents.mu.Unlock()
	e.index.mu.RLock()
	defer e.index.mu.RUnlock()
	return len(e.incidents.streams) + len(e.index.alerts) + len(e.index.states)
}

// Impatient takes the grace from actions that outstay their deadline, and asks those in doubt once.
func (e *Engine) Impatient() { e.grace, e.patience = 0, 0 }

// Remember lets the index learn a state, as a late reader of the store does.
func (e *Engine) Remember(i incident.Incident) { e.index.learn(i) }

// RememberedShadows counts the incidents whose shadows are kept in memory.
func (e *Engine) RememberedShadows() int {
	e.shadows.mu.Lock()
	defer e.shadows.mu.Unlock()
	return len(e.shadows.cases)
}

// RememberedEpisodes counts the open episodes that are kept in memory.
func (e *Engine) RememberedEpisodes() int {
	e.index.mu.RLock()
	defer e.index.mu.RUnlock()
	return len(e.index.alerts)
}
