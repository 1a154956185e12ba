package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"

	"astern.dev/astern/rules/expr"
)

// routes says whether each rule's alerts come to astern, in time, and whether people still get theirs.
func routes(w *world) {
	for _, name := range slices.Sorted(maps.Keys(w.in.Alertmanager)) {
		r := w.readRouting(name, w.in.Alertmanager[name])
		if r == nil {
			continue
		}
		if !slices.Contains(slices.Collect(maps.Values(r.ours)), true) {
			w.report(r.file.Root().Get("receivers"), "route/receiver", "no receiver sends to astern", "add a webhook whose url ends in "+door)
			continue
		}
		w.receivers(r)
		w.ways(r)
		w.watchdogRoute(r)
	}
}

// way is one route to astern with the rules whose alerts take it.
type way struct {
	route *dispatch.Route
	rules []*subject
	// stolen are the rules whose alerts nobody but astern gets.
	stolen []*subject
	sample labelSet // of the first that is stolen
}

func (w *world) ways(r *routing) {
	var all []*way
	find := func(route *dispatch.Route) *way {
		i := slices.IndexFunc(all, func(one *way) bool { return one.route == route })
		if i < 0 {
			all, i = append(all, &way{route: route}), len(all)
		}
		return all[i]
	}
	for _, s := range w.subjects {
		unreached := w.follow(r, s, find)
		if unreached == nil {
			continue
		}
		got := r.root.Match(unreached.model())
		at := r.nodes[got[0]].Diagnostic("", "", "")
		w.report(s.Node().Get("when"), "route/unreached", fmt.Sprintf("its alerts do not reach astern: Alertmanager sends %s to %s", unreached, receivers(got)),
			fmt.Sprintf("see the route at %s:%d", at.File, at.Line))
	}
	for _, one := range all {
		w.stolen(r, one)
		w.intervals(r, one)
		w.grouping(r, one)
	}
}

// follow sends a rule's samples down the routes; it gives one that cannot come to astern.
func (w *world) follow(r *routing, s *subject, find func(*dispatch.Route) *way) *labelSet {
	var lost *labelSet
	for _, sample := range w.samples(s) {
		ours, others := r.reached(sample)
		if len(ours) == 0 && lost == nil && !r.mayReachUs(sample) {
			lost = &sample
		}
		for _, route := range ours {
			one := find(route)
			if !slices.Contains(one.rules, s) {
				one.rules = append(one.rules, s)
			}
			if len(others) == 0 && !r.mayReachOthers(sample) && route == ours[len(ours)-1] && !slices.Contains(one.stolen, s) {
				if len(one.stolen) == 0 {
					one.sample = sample
				}
				one.stolen = append(one.stolen, s)
			}
		}
	}
	return lost
}

func receivers(all []*dispatch.Route) string {
	var names []string
	for _, route := range all {
		names = append(names, fmt.Sprintf("%q", route.RouteOpts.Receiver))
	}
	return strings.Join(slices.Compact(names), ", ")
}

// stolen tells of a route that takes people's pages away.
func (w *world) stolen(r *routing, one *way) {
	if len(one.stolen) == 0 {
		return
	}
	at := r.nodes[one.route]
	hint := fmt.Sprintf("write `continue: true`, and a last route for people behind it, such as {receiver: %s}", r.people())
	switch after := r.afterContinue(one.route, one.sample); {
	case one.route.Continue:
		hint = fmt.Sprintf("write a last route for people behind it, such as {receiver: %s}", r.people())
	case after != "":
		hint = "write `continue: true`: then " + after + " gets them, too"
	}
	w.report(at, "route/continue", fmt.Sprintf("nobody but astern gets the alerts of %s: they end at this route", ruleNames(one.stolen)), hint)
}

// people is a receiver that is not astern.
func (r *routing) people() string {
	if name := r.config.Route.Receiver; !r.ours[name] {
		return name
	}
	for _, receiver := range r.config.Receivers {
		if !r.ours[receiver.Name] {
			return receiver.Name
		}
	}
	return "people"
}

// afterContinue says who would get an alert if the route went on; empty for nobody.
func (r *routing) afterContinue(route *dispatch.Route, sample labelSet) string {
	was := route.Continue
	route.Continue = true
	_, others := r.reached(sample)
	route.Continue = was
	return receivers(others)
}

func ruleNames(all []*subject) string {
	const listed = 3
	var names []string
	for _, s := range all[:min(len(all), listed)] {
		names = append(names, s.Name)
	}
	text := "the rule " + names[0]
	if len(all) > 1 {
		text = "the rules " + strings.Join(names, ", ")
	}
	if more := len(all) - listed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// receivers looks at how astern's own webhooks are set.
func (w *world) receivers(r *routing) {
	nodes := r.file.Root().Get("receivers").List()
	for i, receiver := range r.config.Receivers {
		if i >= len(nodes) {
			return
		}
		hooks := nodes[i].Get("webhook_configs").List()
		for j, hook := range receiver.WebhookConfigs {
			if toDoor(hook) && j < len(hooks) {
				w.webhook(receiver, j, hooks[j])
			}
		}
	}
}

func (w *world) webhook(receiver amconfig.Receiver, j int, at *expr.Node) {
	hook := receiver.WebhookConfigs[j]
	if !hook.SendResolved() {
		w.report(written(at, "send_resolved"), "route/resolved", "astern is not told when an alert resolves: it would act on what is over", "write send_resolved: true")
	}
	if hook.MaxAlerts > 0 {
		w.report(written(at, "max_alerts"), "route/max-alerts", fmt.Sprintf("of a group only %d alerts are sent: astern would not see the others", hook.MaxAlerts), "write max_alerts: 0")
	}
	if hook.HTTPConfig == nil || hook.HTTPConfig.FollowRedirects {
		w.report(written(at, "http_config"), "route/redirects", "a redirect would be followed as GET without a body and count as delivered: the alert is lost", "write http_config: {follow_redirects: false}")
	}
	if hook.Timeout == 0 {
		w.report(at, "route/timeout", "without a timeout one hanging delivery holds up the group", "write timeout: 10s (Alertmanager 0.28 or newer)")
	}
}

// written is the key's value, or what it would stand in.
func written(n *expr.Node, key string) *expr.Node {
	if v := n.Get(key); v.Exists() {
		return v
	}
	return n
}

// How long deliveries may take without a word.
const (
	usualInterval = time.Minute
	usualWait     = 30 * time.Second
	// freshness is how old the last word about an alert may be when it is acted on (S6).
	freshness = 5 * time.Minute
)

// intervals: a delivery must be there when a rule is due.
func (w *world) intervals(r *routing, one *way) {
	strictest := one.rules[0]
	for _, s := range one.rules {
		if s.For < strictest.For {
			strictest = s
		}
	}
	o, at := one.route.RouteOpts, r.nodes[one.route]
	for _, c := range []struct {
		key        string
		is, latest time.Duration
	}{{"group_interval", o.GroupInterval, usualInterval}, {"group_wait", o.GroupWait, usualWait}} {
		if limit := max(c.latest, strictest.For); c.is > limit {
			w.report(written(at, c.key), "route/interval", fmt.Sprintf("%s is %s here: the rule %s would hear of an alert later than its %s after it began", c.key, short(c.is), strictest.Name, short(limit)),
				fmt.Sprintf("write %s: %s, or less", c.key, short(min(limit, usual(c.key)))))
		}
	}
	if w.unlisted() && o.RepeatInterval > freshness {
		w.report(written(at, "repeat_interval"), "route/interval", fmt.Sprintf("repeat_interval is %s here: astern acts on nothing that it heard of more than %s ago, and no sender names a connection to ask", short(o.RepeatInterval), short(freshness)),
			"write `connection:` in the sender, or repeat_interval: 4m")
	}
}

func usual(key string) time.Duration {
	if key == "group_wait" {
		return 5 * time.Second
	}
	return usualInterval
}

// unlisted says that no sender's alerts can be asked for in Alertmanager's API.
func (w *world) unlisted() bool {
	if w.in.Config == nil || len(w.in.Config.Senders) == 0 {
		return false
	}
	for _, s := range w.in.Config.Senders {
		if s.Connection != "" {
			return false
		}
	}
	return true
}

func (w *world) grouping(r *routing, one *way) {
	o, at := one.route.RouteOpts, r.nodes[one.route]
	if o.GroupByAll {
		w.report(written(at, "group_by"), "route/grouping", "each alert is a group of its own: a storm becomes one delivery for each", "write group_by: [alertname, cluster, namespace, service]")
	}
	if len(o.MuteTimeIntervals)+len(o.ActiveTimeIntervals) > 0 {
		key := "mute_time_intervals"
		if len(o.MuteTimeIntervals) == 0 {
			key = "active_time_intervals"
		}
		w.report(written(at, key), "route/muted", "at times the route is mute: astern hears of no alert then, and of no end of one", "mute people's routes; astern holds by its own guards")
	}
}
