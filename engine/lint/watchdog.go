package lint

import (
	"fmt"
	"time"

	"github.com/prometheus/alertmanager/dispatch"

	"astern.dev/astern/engine/incident"
)

// alive is how long the Watchdog may be silent before everything is held (S8).
func (w *world) alive() time.Duration {
	if w.in.Config != nil {
		return w.in.Config.Guards.Watchdog.Value
	}
	return incident.DefaultGuards().Watchdog.Value
}

// watchdogRoute: one delivery may be lost without astern taking monitoring for dead.
func (w *world) watchdogRoute(r *routing) {
	sample := labelSet{}
	if w.prometheus != nil && len(w.prometheus.alerts[watchdog]) > 0 {
		sample = w.prometheus.alerts[watchdog][0].constants()
	}
	sample["alertname"] = watchdog
	ours, _ := r.reached(sample)
	if len(ours) == 0 {
		if !r.mayReachUs(sample) {
			w.report(written(r.file.Root().Get("route"), "routes"), "route/watchdog", "no route takes the alert Watchdog to astern: it takes monitoring for dead and holds everything",
				`add {receiver: …, matchers: [alertname="Watchdog"], group_interval: 1m, repeat_interval: 50s}`)
		}
		return
	}
	best := ours[0]
	for _, route := range ours {
		if period(route) < period(best) {
			best = route
		}
	}
	if every, alive := period(best), w.alive(); 2*every > alive {
		key := "repeat_interval"
		if best.RouteOpts.GroupInterval > alive/2 {
			key = "group_interval"
		}
		w.report(written(r.nodes[best], key), "route/watchdog", fmt.Sprintf("the Watchdog comes every %s: astern takes monitoring for dead after %s, so that none may be lost", short(every), short(alive)),
			`a route of its own: matchers: [alertname="Watchdog"], group_interval: 1m, repeat_interval: 50s`)
	}
}

// period is how often a group that goes on firing is told: at the first group_interval after repeat_interval.
func period(route *dispatch.Route) time.Duration {
	o := route.RouteOpts
	return o.GroupInterval * (o.RepeatInterval/o.GroupInterval + 1)
}
