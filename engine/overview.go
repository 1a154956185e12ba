package engine

import (
	"context"
	"maps"
	"slices"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
)

// Targets are all targets in the order of the files.
func (e *Engine) Targets(ctx context.Context) ([]TargetStatus, error) {
	all := e.config.Load().Book.Targets()
	out := make([]TargetStatus, 0, len(all))
	for _, t := range all {
		s, err := e.targetStatus(ctx, t)
		if err != nil {
			return nil, err
		}
		s.Releases = nil
		out = append(out, s)
	}
	return out, nil
}

// Target is one target with its releases.
func (e *Engine) Target(ctx context.Context, name string) (TargetStatus, error) {
	t, ok := e.config.Load().Book.Target(name)
	if !ok {
		return TargetStatus{}, missing("target", name)
	}
	return e.targetStatus(ctx, t)
}

func (e *Engine) targetStatus(ctx context.Context, t *plan.Target) (TargetStatus, error) {
	history, err := e.targets.load(ctx, targetStream(t.Name))
	if err != nil {
		return TargetStatus{}, err
	}
	s := TargetStatus{
		Name: t.Name, Class: t.Class, Environment: t.Environment, Owner: t.Owner.Team, Mode: e.ceiling(t),
		Stopped: e.stoppedFor(t.Team, t.Name), Releases: history.Releases, UID: history.UID, Rolling: history.Rolling,
		Readiness: e.readiness.of(t.Name), Troubles: e.troubles(t, history),
	}
	if t.Workload != nil {
		s.Workload = t.Workload.String()
	}
	if current, ok := history.Current(); ok {
		s.Current = &current
	}
	if to, why := history.Destination(); why == "" {
		s.Previous = &to.Release
	} else {
		s.NoWayBack = why
	}
	if hold, held := history.Held(e.now()); held {
		s.Hold = &hold
	}
	s.Incident, _ = e.index.openFor(t.Name)
	places, err := e.store.Claims(ctx, cooldownPool(t.Name), e.now())
	for _, p := range places {
		if p.Pool == cooldownPool(t.Name) && p.Until.After(s.CooldownUntil) {
			s.CooldownUntil = p.Until
		}
	}
	return s, err
}

// Status is the installation as a whole.
func (e *Engine) Status(ctx context.Context) (Status, error) {
	i, err := e.installation.load(ctx, installationStream)
	if err != nil {
		return Status{}, err
	}
	reloadError := ""
	if text := e.reloadError.Load(); text != nil {
		reloadError = *text
	}
	store := ""
	if err := e.store.Healthy(ctx); err != nil {
		store = err.Error()
	}
	e.sightings.mu.RLock()
	discovery := e.sightings.discovery
	e.sightings.mu.RUnlock()
	e.index.mu.RLock()
	defer e.index.mu.RUnlock()
	return Status{
		Discovery: discovery, Store: store,
		ReloadError: reloadError,
		Armed:       i.Armed != nil && !e.anonymous, Anonymous: e.anonymous, Installation: i, Config: e.config.Load().Digest,
		Watchdogs: maps.Clone(e.index.watchdog), LastDelivery: maps.Clone(e.index.delivery), Open: len(e.index.open),
	}, nil
}

// Deliveries are the newest lines of the ledger.
func (e *Engine) Deliveries(ctx context.Context, limit int) ([]incident.Delivery, error) {
	return e.store.Deliveries(ctx, limit)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
