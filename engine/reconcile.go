package engine

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine/incident"
)

// A webhook can be lost, late or partial, and a resolve + fire inside one group_interval sends nothing. So Alertmanager's
// API is read at start, after a partial view, for each late alert, and every minute while something is open.

// ReconcileEvery is how often Reconcile reads while something is open.
const ReconcileEvery = time.Minute

// lateAlert is a firing alert that starts before its episode ended: only Alertmanager knows whether it fires.
type lateAlert struct {
	target, source, rule string
	alert                incident.Seen
}

// askLate queues late alerts for the reconciler; when the queue is full, the next round finds them all the same.
func (e *Engine) askLate(box *mail, l *letter, late []incident.Seen) {
	for _, a := range late {
		select {
		case e.late <- lateAlert{box.target.Name, box.source, l.rule.Name, a}:
		default:
		}
	}
}

// readWhole asks the reconciler to read a source whose view was partial; the next round does when the queue is full.
func (e *Engine) readWhole(source string) {
	select {
	case e.partial <- source:
	default:
	}
}

// Reconcile runs until the context ends: at start, at late alerts, and every minute while something is open.
func (e *Engine) Reconcile(ctx context.Context) {
	e.ReconcileAtStart(ctx)
	tick := time.NewTicker(ReconcileEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			e.ReconcileTick(ctx)
		case late := <-e.late:
			e.lookUp(ctx, late.source, []lateAlert{late})
		case source := <-e.partial:
			e.lookUp(ctx, source, nil)
		}
	}
}

// ReconcileAtStart, ReconcileTick and ReconcileWaiting are the parts of Reconcile, for whoever runs the engine on a clock of
// their own: what is done at start, each ReconcileEvery, and as soon as something waits to be looked up.
func (e *Engine) ReconcileAtStart(ctx context.Context) { e.reconcileAll(ctx, true) }

// ReconcileTick says whether nothing was to be done: then nothing is to be done before the next delivery.
func (e *Engine) ReconcileTick(ctx context.Context) (idle bool) {
	e.watchClock()
	e.shadows.prune(e.now().Add(-incident.ScoreWindow))
	e.reconcileAll(ctx, false)
	if err := e.reconfigureOpen(ctx); err != nil && ctx.Err() == nil {
		e.log.Warn("open incidents could not be told what holds now", logError(err))
	}
	if err := e.keepFailures(ctx); err != nil && ctx.Err() == nil {
		e.log.Warn("which rules could not be evaluated could not be stored", logError(err))
	}
	return len(e.index.openIncidents()) == 0 && !e.index.anyTruncated()
}

// ReconcileWaiting looks up all that waits, and comes back at once when nothing does.
func (e *Engine) ReconcileWaiting(ctx context.Context) {
	for {
		select {
		case late := <-e.late:
			e.lookUp(ctx, late.source, []lateAlert{late})
		case source := <-e.partial:
			e.lookUp(ctx, source, nil)
		default:
			return
		}
	}
}

// lookUp reads one source at once; what fails is read again in the next round.
func (e *Engine) lookUp(ctx context.Context, source string, late []lateAlert) {
	if err := e.reconcileSource(ctx, source, late); err != nil && ctx.Err() == nil {
		e.log.Warn("Alertmanager's API could not be read", logSource(source), logError(err))
		e.metrics.reconcileErrors.Inc()
	}
}

func (e *Engine) reconcileAll(ctx context.Context, always bool) {
	for source := range e.config.Load().Settings.SenderConnections {
		if !always && len(e.index.openIncidents()) == 0 && !e.index.wasTruncated(source) {
			continue
		}
		e.lookUp(ctx, source, nil)
	}
}

// reconcileSource reads what fires and judges it like a delivery. An alert that is not listed proves nothing.
func (e *Engine) reconcileSource(ctx context.Context, source string, late []lateAlert) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	now := e.now()
	n := Notification{Source: source, Receiver: "reconciliation", Status: "firing", listed: true}
	firing := map[string]bool{}
	err := e.eachAlertOf(ctx, e.config.Load(), source, func(a client.GettableAlert) {
		if !e.ours(source, a) {
			return
		}
		if len(late) > 0 {
			firing[AlertID(source, a.Labels)] = true
		}
		if a.StartsAt.After(now) { // another machine's clock
			a.StartsAt = now
		}
		n.Alerts = append(n.Alerts, Delivered{Alert: incident.Alert{
			Status: "firing", Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt, Fingerprint: a.Fingerprint,
		}})
	})
	if err != nil {
		return err
	}
	if err := e.reopen(ctx, source, late, firing); err != nil {
		return err
	}
	if len(n.Alerts) > 0 {
		if _, _, err := e.deliverAll(ctx, e.sort(n), nil); err != nil {
			return err
		}
	}
	e.index.sawWhole(source)
	return nil
}

// ours says whether an alert is active and routed to astern: silenced and inhibited ones start nothing. That the Watchdog
// is listed proves nothing: only its deliveries show that the way to here is alive (S8).
func (e *Engine) ours(source string, a client.GettableAlert) bool {
	if a.Labels["alertname"] == watchdogName || a.Status.State != "active" || len(a.Status.SilencedBy)+len(a.Status.InhibitedBy) > 0 {
		return false
	}
	return slices.ContainsFunc(a.Receivers, func(r client.Receiver) bool {
		return e.index.isReceiver(source, r.Name) || e.index.isReceiver(source, regexp.QuoteMeta(r.Name))
	})
}

// reopen gives late alerts that fire indeed back to the incident that holds their episode.
func (e *Engine) reopen(ctx context.Context, source string, late []lateAlert, firing map[string]bool) error {
	for _, l := range late {
		if !firing[l.alert.ID] {
			continue
		}
		past, err := e.pastIncidents(ctx, l.target, l.alert.StartsAt)
		if err != nil {
			return err
		}
		holder, _, known := pastEpisode(past, l.alert)
		if !known || holder.Phase == incident.Cancelled { // then it is delivered like a new one
			continue
		}
		id := holder.ID
		r := e.incidents.record(ctx, incidentStream(id), func(i incident.Incident) (draft, error) {
			j, joined := joinedRule(i, l.rule)
			if ep := i.Episodes[l.alert.ID]; !joined || ep.Open() {
				return draft{}, nil
			}
			return facts(source, incident.AlertsSeen{
				Rule: j.Rule, Mode: j.Mode, For: j.For, Severity: j.Severity, Digest: j.Digest, Alerts: []incident.Seen{l.alert},
				Note: "found again: Alertmanager shows it active with its old start",
			}), nil
		})
		if r.err != nil {
			return fmt.Errorf("reopen an episode of %s: %w", id, r.err)
		}
	}
	return nil
}

func (x *index) anyTruncated() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.truncate) > 0
}

func (x *index) wasTruncated(source string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.truncate[source]
}

func (x *index) sawWhole(source string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.truncate, source)
}

func (x *index) isReceiver(source, receiver string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.receiver[source][receiver]
}

// recallWatchdogs reads from the ledger what was heard before a restart: who delivered, to which receiver, and when the
// last Watchdog came.
func (e *Engine) recallWatchdogs(ctx context.Context) error {
	lines, err := e.store.Deliveries(ctx, 500)
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	for _, line := range slices.Backward(lines) {
		e.index.heard(line.Source, line.Receiver, line.At, false)
		if line.Counts["watchdog"] > 0 && line.Status == "firing" {
			e.index.sawWatchdog(line.Source, line.At)
		}
	}
	return nil
}

// Compact removes the histories of incidents that ended long ago.
func (e *Engine) Compact(ctx context.Context) error {
	keep := e.config.Load().Settings.Retention
	if keep == 0 {
		return nil
	}
	removed, err := e.store.Compact(ctx, e.now().Add(-keep))
	if removed > 0 {
		e.log.Info("histories of ended incidents were compacted", logCount(removed))
	}
	return err
}
