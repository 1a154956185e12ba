package lint

// adviceCodes are about what is valid but unwise.
func adviceCodes() []Code {
	return []Code{
		advice("rule/unreachable", "", "The condition holds for no alert there can be.", `alert.labels.service == "a" && alert.labels.service == "b"`, "Write || or `in`, or leave the rule out."),
		advice("rule/shadowed", "", "Another rule matches the same alerts, is due no later, asks no more and does the same: this one never leads, it only joins as evidence.",
			"the same `when` in two rules with `do: rollback`", "Leave one of them out, or tell their conditions apart."),
		advice("alert/second-for", NeedsPrometheus, "Prometheus waits before the alert fires, and astern waits again: the two add up.", "for: 30s in astern, for: 10m in Prometheus: effective delay 10m30s",
			"Let one of the two wait. astern's own `for` also proves that it lasted."),
		advice("alert/unknown", NeedsPrometheus, "No rule in Prometheus' rule files makes an alert of that name.", `alert.labels.alertname == "CheckuotErrors"`, "Take the name that the hint gives, or give the file with --prometheus-rules."),
		advice("alert/label", NeedsPrometheus, "The alert never carries a label that the rule, or the choice of a target, needs; or never with that value. External labels are not known to the check.",
			"sum by (service) (…) in Prometheus, alert.labels.namespace in the rule", "Keep the label in the aggregation, or ignore the warning when it is an external label."),
		{Name: "alert/watchdog", Severity: Info, Needs: NeedsPrometheus, Meaning: "Prometheus' rule files have no alert Watchdog: without one astern takes monitoring for dead and holds everything (S8).",
			Example: "no {alert: Watchdog, expr: vector(1)}", Mend: "Add it, or see that another file has it."},
		advice("confirm/floor", "", "A rule that acts by itself on a share, a mean or a quantile, without a query that shows how much traffic there was.", "one query: error ratio > 0.01",
			"Add a second query that counts requests, such as requests per second with holds: value > 1.0."),
		mistake("confirm/render", "The query cannot be made for a target that the rule reaches.", "${target.vars.job} where the target has no such var", "Write the var, or mend the query."),
		advice("confirm/sustained", "", "The query cannot show that something lasted: it answers where there is no data, or with what was.", "… or vector(0); absent(…); max_over_time(…[1h]) with for: 5m; offset 1h",
			"Let a gap be a gap, and let ranges be no longer than `for`."),
		advice("confirm/several", "", "The query answers with more than one series, which counts as unknown: nothing would be done.", "sum by (pod) (…)", "Say which with a label, or aggregate it away."),
		advice("target/no-way-back", "", "Nothing takes the target back: it has no procedure of its own, or one that never names the release to go back to.", "weights of a fixed colour", "Write `procedure:`, and ${release.previous.…} in its steps."),
		{Name: "mode/ceiling", Severity: Info, Needs: NeedsConfig, Meaning: "The ceilings of the installation and of the targets keep the rule from ever acting or asking.", Example: "mode: auto under modes: {default: observe}",
			Mend: "Raise the ceiling in astern.yaml when the record is good."},
		mistake("prometheus/rules", "Prometheus would refuse its rule file.", "expr: sum(", "Mend it: `promtool check rules` says the same."),
	}
}

// routeCodes are about alertmanager.yml.
func routeCodes() []Code {
	route := func(name, meaning, example, mend string) Code {
		return advice(name, NeedsAlertmanager, meaning, example, mend)
	}
	return []Code{
		mistake("route/unreadable", "Alertmanager would refuse its configuration.", "receiver: nobody", "Mend it: `amtool check-config` says the same."),
		route("route/receiver", "No receiver sends to astern.", "no url that ends in /api/v1/alertmanager", "Add the receiver that operations.md shows."),
		route("route/unreached", "A rule's alerts take a route that does not lead to astern.", "astern's route matches team=\"core\" alone", "Let astern's route come first, without matchers, with `continue: true`."),
		route("route/continue", "The alerts end at astern's route: people do not get theirs any more.", "{receiver: astern} before {receiver: people}", "Write `continue: true`, and a route for people behind it."),
		route("route/resolved", "astern is not told when an alert resolves.", "send_resolved: false", "Write send_resolved: true."),
		route("route/max-alerts", "Of a large group only a part is sent.", "max_alerts: 20", "Write max_alerts: 0."),
		route("route/redirects", "Alertmanager follows a redirect as GET without a body and takes it for delivered.", "no http_config", "Write http_config: {follow_redirects: false}."),
		route("route/timeout", "A hanging delivery holds up its group.", "no timeout", "Write timeout: 10s."),
		route("route/interval", "A delivery may come later than a rule is due.", "group_interval: 10m for a rule with for: 5m", "Write group_wait: 5s and group_interval: 1m on astern's route."),
		route("route/grouping", "Each alert is a group and a delivery of its own.", "group_by: ['...']", "Write group_by: [alertname, cluster, namespace, service]."),
		route("route/muted", "At times astern hears of no alert.", "mute_time_intervals: [nights]", "Mute people's routes; let astern's be open."),
		route("route/watchdog", "The Watchdog does not come to astern, or not often enough: everything would be held.", "group_interval: 5m", "Give it a route of its own: group_interval: 1m, repeat_interval: 50s."),
	}
}

// ignoreCodes are about comments that ignore a warning.
func ignoreCodes() []Code {
	return []Code{
		advice("ignore/reason", "", "A comment ignores a warning without a reason.", "# astern:ignore confirm/floor", "Write the reason behind the code."),
		advice("ignore/unused", "", "A comment ignores what is not there, or what cannot be ignored.", "# astern:ignore alert/unknown … over a rule without that warning", "Leave it out."),
	}
}
