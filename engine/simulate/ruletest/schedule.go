package ruletest

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/simulate"
)

// schedule puts on the agenda what the outside world does. What is put down first comes first in a moment: what mutes and
// fails before what fires, and people last.
func (p *play) schedule(ctx context.Context) {
	p.spans(ctx, p.test.PrometheusDown, func(down bool) { p.prometheusDown(ctx, down) })
	p.spans(ctx, p.test.AlertmanagerDown, func(down bool) { p.world.Alertmanager().SetDown(down) })
	p.spans(ctx, p.test.WatchdogDead, func(dead bool) { p.dead = dead; p.watchdog() })
	for n, m := range p.test.Silences {
		p.mute(ctx, m, simulate.Mute{ID: fmt.Sprintf("silence-%d", n+1), Labels: m.Labels})
	}
	for n, m := range p.test.Inhibitions {
		p.mute(ctx, m, simulate.Mute{ID: fmt.Sprintf("alert-%d", n+1), Labels: m.Labels, Inhibits: true})
	}
	for _, d := range p.test.Restarts {
		p.at(ctx, d, p.world.Restart)
	}
	for _, r := range p.test.Reloads {
		p.at(ctx, r.At, func(ctx context.Context) error { return p.reloaded(ctx, r) })
	}
	for _, j := range p.test.Jumps {
		p.at(ctx, j.At, func(ctx context.Context) error {
			l, err := p.look(ctx)
			p.jumps = append(p.jumps, jumped{j, l})
			p.world.Jump(j.By)
			return err
		})
	}
	for _, t := range p.test.Touches {
		p.at(ctx, t.At, func(context.Context) error { p.world.Touch(t.Target); return nil })
	}
	for _, a := range p.test.Alerts {
		p.fires(ctx, a)
	}
	for _, d := range p.test.Deliveries {
		p.at(ctx, d.At, func(ctx context.Context) error { return p.arrives(ctx, d) })
	}
	p.route = newRoute(p)
	p.evaluate(ctx)
	for _, w := range p.test.Wishes {
		p.at(ctx, w.At, func(ctx context.Context) error { return p.wish(ctx, w) })
	}
}

// spans does something when each span begins, and takes it back when it ends.
func (p *play) spans(ctx context.Context, all []Span, do func(begins bool)) {
	for _, s := range all {
		p.at(ctx, s.From, func(context.Context) error { do(true); return nil })
		if s.Until != nil {
			p.at(ctx, *s.Until, func(context.Context) error { do(false); return nil })
		}
	}
}

func (p *play) mute(ctx context.Context, m Muting, as simulate.Mute) {
	p.spans(ctx, []Span{m.Span}, func(begins bool) {
		if begins {
			p.world.Alertmanager().Mute(as)
			return
		}
		p.world.Alertmanager().Unmute(as.ID)
	})
}

// watchdog barks unless the test says that it is dead, or Prometheus has a rule for it that does not fire.
func (p *play) watchdog() { p.world.Watchdog(!p.dead && !p.silent) }

func (p *play) reloaded(ctx context.Context, r Reload) error {
	c := p.test.under(r.Configuration)
	return p.world.Reload(ctx, p.world.Configuration(c.Rules, c.Book, c.Settings, c.Digest))
}

// fires is one alert from its beginning to its end.
func (p *play) fires(ctx context.Context, a Alert) {
	if a.Resolved {
		p.at(ctx, a.DeliverAt, func(ctx context.Context) error { return p.tell(ctx, a, "resolved", a.At) })
		return
	}
	p.at(ctx, a.At, func(context.Context) error {
		for _, labels := range a.each() {
			if a.Listed {
				p.world.Alertmanager().Set(labels, a.Annotations, p.moment(a.StartsAt))
			}
		}
		return nil
	})
	p.at(ctx, a.DeliverAt, func(ctx context.Context) error { return p.tell(ctx, a, "firing", 0) })
	if a.Repeat > 0 {
		p.repeats(ctx, a, a.DeliverAt+a.Repeat)
	}
	if a.Until != nil {
		p.at(ctx, *a.Until, func(ctx context.Context) error {
			for _, labels := range a.each() {
				p.world.Alertmanager().Remove(labels)
			}
			return p.tell(ctx, a, "resolved", *a.Until)
		})
	}
}

// repeats delivers what still fires again and again.
func (p *play) repeats(ctx context.Context, a Alert, next time.Duration) {
	if a.Until != nil && next >= *a.Until || next > p.test.end() {
		return
	}
	p.at(ctx, next, func(ctx context.Context) error {
		p.repeats(ctx, a, next+a.Repeat)
		return p.tell(ctx, a, "firing", 0)
	})
}

// each are the labels of the alerts that one stands for.
func (a Alert) each() []map[string]string {
	if a.Copies <= 1 {
		return []map[string]string{a.Labels}
	}
	all := make([]map[string]string, a.Copies)
	for n := range all {
		all[n] = maps.Clone(a.Labels)
		all[n]["copy"] = strconv.Itoa(n + 1)
	}
	return all
}

// tell delivers an alert as Alertmanager does: nothing about one that is muted.
func (p *play) tell(ctx context.Context, a Alert, status string, ended time.Duration) error {
	n := engine.Notification{Source: a.Source, Status: status, Truncated: a.Truncated}
	for _, labels := range a.each() {
		if p.world.Alertmanager().Muted(labels) {
			continue
		}
		one := incident.Alert{Status: status, Labels: labels, Annotations: a.Annotations, StartsAt: p.moment(a.StartsAt)}
		if status == "resolved" {
			one.EndsAt = p.moment(ended)
		}
		n.Alerts = append(n.Alerts, engine.Delivered{Alert: one, Quarantine: a.Quarantine, Note: a.Note})
	}
	if len(n.Alerts) == 0 {
		return nil
	}
	return p.deliver(ctx, n, a.Peers)
}

// arrives is a notification as the test writes it.
func (p *play) arrives(ctx context.Context, d Delivery) error {
	n := engine.Notification{Source: d.Source, Status: "resolved", Truncated: d.Truncated}
	for _, a := range d.Alerts {
		one := incident.Alert{Status: a.Status, Labels: a.Labels, Annotations: a.Annotations, StartsAt: p.moment(a.StartsAt)}
		switch {
		case a.EndsAt != nil:
			one.EndsAt = p.moment(*a.EndsAt)
		case a.Status == "resolved":
			one.EndsAt = p.moment(d.At)
		}
		if a.Status == "firing" {
			n.Status = "firing"
		}
		n.Alerts = append(n.Alerts, engine.Delivered{Alert: one, Quarantine: a.Quarantine, Note: a.Note})
	}
	return p.deliver(ctx, n, d.Peers)
}

// deliver brings a notification to the door, unless it is lost on the way.
func (p *play) deliver(ctx context.Context, n engine.Notification, peers int) error {
	for _, lost := range p.test.Lost {
		if lost.covers(p.since()) {
			return nil
		}
	}
	if n.Source == "" {
		n.Source = p.world.Source()
	}
	n.Receiver, n.GroupKey = simulate.Receiver, "{}"
	for i := range n.Alerts {
		n.Alerts[i].Alert.Fingerprint = engine.AlertID("", n.Alerts[i].Alert.Labels)[:16]
		p.remember(n.Source, n.Alerts[i].Alert)
	}
	for range max(1, peers) {
		if _, err := p.world.Deliver(ctx, n); err != nil {
			return fmt.Errorf("deliver %s at %s: %w", n.Alerts[0].Alert.Labels["alertname"], OffsetText(p.since()), err)
		}
	}
	return nil
}

func (s Span) covers(d time.Duration) bool { return d >= s.From && (s.Until == nil || d < *s.Until) }
