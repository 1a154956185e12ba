package ruletest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/simulate/prom"
)

// route is Alertmanager's way from what Prometheus sends to astern's door: alerts in groups, told after group_wait, again
// each group_interval while something is new, and each repeat_interval while nothing is.
type route struct {
	play   *play
	timing Timing
	groups map[string]*group
	ends   map[string]time.Time // when a firing alert ends unless it is sent again, by identity
}

type group struct {
	alerts map[string]prom.Alert // firing, or resolved and not told yet
	told   map[string]bool       // firing when the group was told last
	last   time.Time
}

func newRoute(p *play) *route {
	return &route{play: p, timing: p.file.Alertmanager, groups: map[string]*group{}, ends: map[string]time.Time{}}
}

// evaluate lets Prometheus evaluate its rules when they are due, for as long as the test lasts.
func (p *play) evaluate(ctx context.Context) {
	next := p.prom.Next()
	if next.IsZero() || next.After(p.moment(p.test.end())) {
		return
	}
	p.world.At(next, func(context.Context) error {
		if !next.Equal(p.prom.Next()) {
			return nil // it died meanwhile, or came back: another evaluation is on the agenda
		}
		sent, err := p.prom.Evaluate(ctx, next)
		for _, a := range sent {
			err = errors.Join(err, p.route.take(ctx, a))
		}
		p.evaluate(ctx)
		return err
	})
}

func (p *play) prometheusDown(ctx context.Context, down bool) {
	p.prom.SetDown(down)
	if !down {
		p.evaluate(ctx)
	}
}

const watchdog = "Watchdog"

// take is one alert as Prometheus sends it.
func (r *route) take(ctx context.Context, a prom.Alert) error {
	id := engine.AlertID("", a.Labels)
	if a.Resolved {
		delete(r.ends, id)
	} else {
		if _, waits := r.ends[id]; !waits {
			r.expire(ctx, id, a)
		}
		r.ends[id] = a.EndsAt
	}
	if !a.Fresh {
		return nil
	}
	return r.changed(ctx, id, a)
}

// expire ends an alert that Prometheus no longer sends.
func (r *route) expire(ctx context.Context, id string, a prom.Alert) {
	r.play.world.At(a.EndsAt, func(context.Context) error {
		ends, fires := r.ends[id]
		a.EndsAt = ends
		switch {
		case !fires:
			return nil
		case ends.After(r.play.now()):
			r.expire(ctx, id, a)
			return nil
		}
		delete(r.ends, id)
		a.Resolved = true
		return r.changed(ctx, id, a)
	})
}

// changed is a beginning or an end.
func (r *route) changed(ctx context.Context, id string, a prom.Alert) error {
	if a.Labels["alertname"] == watchdog {
		r.play.silent = a.Resolved
		r.play.watchdog()
		return nil
	}
	list := r.play.world.Alertmanager()
	if a.Resolved {
		list.Remove(a.Labels)
	} else {
		list.Set(a.Labels, a.Annotations, a.StartsAt)
	}
	key := r.key(a.Labels)
	g := r.groups[key]
	if g == nil {
		g = &group{alerts: map[string]prom.Alert{}, told: map[string]bool{}}
		r.groups[key] = g
		r.after(ctx, key, g, r.timing.GroupWait)
	} else if r.timing.GroupInterval == 0 && !g.last.IsZero() {
		g.alerts[id] = a
		return r.flush(ctx, g)
	}
	g.alerts[id] = a
	return nil
}

func (r *route) key(labels map[string]string) string {
	some := map[string]string{}
	for _, name := range r.timing.GroupBy {
		some[name] = labels[name]
	}
	if slices.Equal(r.timing.GroupBy, []string{"..."}) {
		some = labels
	}
	return engine.AlertID("", some)
}

// after looks at a group after a while, and then again and again until it is empty.
func (r *route) after(ctx context.Context, key string, g *group, d time.Duration) {
	r.play.world.At(r.play.now().Add(d), func(context.Context) error {
		err := r.flush(ctx, g)
		if len(g.alerts) == 0 {
			delete(r.groups, key)
			return err
		}
		next := r.timing.GroupInterval
		if next == 0 {
			next = r.timing.RepeatInterval
		}
		r.after(ctx, key, g, next)
		return err
	})
}

// flush tells a group when something is new, or when it was told long ago.
func (r *route) flush(ctx context.Context, g *group) error {
	n := engine.Notification{Status: "resolved"}
	told, news := map[string]bool{}, r.play.now().Sub(g.last) >= r.timing.RepeatInterval
	for _, id := range slices.Sorted(maps.Keys(g.alerts)) {
		a := g.alerts[id]
		if r.play.world.Alertmanager().Muted(a.Labels) {
			continue
		}
		if a.Resolved {
			delete(g.alerts, id)
			if !g.told[id] {
				continue
			}
		} else {
			n.Status, told[id] = "firing", true
		}
		news = news || a.Resolved || !g.told[id]
		n.Alerts = append(n.Alerts, deliveredOf(a))
	}
	if !news || len(n.Alerts) == 0 {
		return nil
	}
	g.told, g.last = told, r.play.now()
	return r.play.deliver(ctx, n, 1)
}

func deliveredOf(a prom.Alert) engine.Delivered {
	one := incident.Alert{Status: "firing", Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt, GeneratorURL: a.GeneratorURL}
	if a.Resolved {
		one.Status, one.EndsAt = "resolved", a.EndsAt
	}
	return engine.Delivered{Alert: one}
}
