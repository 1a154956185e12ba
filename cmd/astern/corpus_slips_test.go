package main

import "strings"

// slipsInFiles are mistakes in HoneyLink's files, made at every place where they can stand.
func slipsInFiles() []mutation {
	return []mutation{
		// CEL in conditions, and in what is put into texts
		{name: "name", file: "rules.yaml", find: `\b(alert)\.`, by: "⟪alrt⟫", code: "cel/undeclared", hint: `did you mean "alert"?`, also: []string{"cel/variable"}},
		{name: "field", file: "rules.yaml", find: `alert\.(labels)\.`, by: "⟪lables⟫", code: "cel/field", hint: `did you mean "labels"?`},
		{name: "variable", file: "rules.yaml", find: `&& (production)`, by: "⟪prodction⟫", code: "cel/undeclared", hint: `did you mean "production"?`},
		{name: "one equals sign", file: "rules.yaml", find: `when: alert\S+ (==)`, by: "⟪=⟫", code: "cel/syntax"},
		{name: "parenthesis", file: "rules.yaml", find: `when: .*( )&& production`, by: "⟪)⟫ ", code: "cel/syntax"},
		{name: "number", file: "rules.yaml", find: `when: alert\S+ (== "\w+")`, by: "⟪==⟫ 7", code: "cel/types"},
		{name: "sample", file: "rules.yaml", find: `holds: (value)`, by: "⟪vlaue⟫", code: "cel/undeclared", hint: `did you mean "value"?`},
		{name: "no truth value", file: "rules.yaml", find: `holds: (value [<>] \S+)`, by: "⟪value + 1.0⟫", code: "cel/type"},
		{name: "field in a text", file: "rules.yaml", find: `\$\{target\.(name)\}`, by: "⟪namee⟫", code: "cel/field", hint: `did you mean "name"?`},
		{name: "name in a text", file: "rules.yaml", find: `\$\{(target)\.name\}`, by: "⟪taget⟫", code: "cel/undeclared", hint: `did you mean "target"?`},
		{name: "no end of a text", file: "rules.yaml", find: `summary: .*(\$\{target\.name\})`, by: "⟪${⟫target.name", code: "template/open", hint: "a plain ${ is written $${"},
		{name: "nothing in a text", file: "rules.yaml", find: `(\$\{target\.name\})`, by: "⟪${}⟫", code: "template/empty"},
		{name: "outside of quotes", file: "rules.yaml", find: `query: \w+:\w+:\w+(\{)service`, by: `{x=${⟪alert.labels.x⟫},`, code: "promql/unquoted", hint: "*"},
		{name: "PromQL", file: "rules.yaml", find: `query: \w+:\w+:\w+(\{)service`, by: `{⟪{`, code: "promql/invalid"},
		{name: "field of a target's query", file: "targets.yaml", find: `\$\{target\.(name)\}`, by: "⟪namee⟫", code: "cel/field", hint: `did you mean "name"?`},
		{name: "sample of a target", file: "targets.yaml", find: `holds: (value)`, by: "⟪vlaue⟫", code: "cel/undeclared", hint: `did you mean "value"?`},
		{name: "release", file: "procedures.yaml", find: `\b(release)\.`, by: "⟪relase⟫", code: "cel/undeclared", hint: `did you mean "release"?`},
		{name: "field of a release", file: "procedures.yaml", find: `release\.(previous|current)`, by: "⟪next⟫", code: "cel/field", hint: "known: current, previous"},
		{name: "no end of a parameter", file: "procedures.yaml", find: `(\$\{)[^}]*\}`, by: "⟪$1⟫{", code: "template/open", hint: "a plain ${ is written $${"},
		{name: "a var that the target lacks", file: "procedures.yaml", find: `("\$\{target\.vars\.smoke\}")`, by: `⟪"${target.vars.smok}"⟫`, code: "plan/render"},

		// words, references, lengths of time
		{name: "mode", file: "rules.yaml", find: `mode: (auto)`, by: "⟪atuo⟫", code: "yaml/word", hint: `did you mean "auto"?`},
		{name: "mode of an environment", file: "astern.yaml", find: `production: (auto)`, by: "⟪atuo⟫", code: "yaml/word", hint: `did you mean "auto"?`},
		{name: "role", file: "astern.yaml", find: `role: (\w+)`, by: "⟪x$1⟫", code: "yaml/word", hint: `did you mean "$1"?`},
		{name: "on_failure", file: "procedures.yaml", find: `on_failure: (\w+)`, by: "⟪esclate⟫", code: "yaml/word", hint: `did you mean "escalate"?`},
		{name: "do", file: "rules.yaml", find: `do: (rollback)`, by: "⟪rolback⟫", code: "ref/procedure", hint: "*"},
		{name: "procedure", file: "targets.yaml", find: `procedure: (blue_green)`, by: "⟪blue_gren⟫", code: "ref/procedure", hint: `did you mean "blue_green"?`},
		{name: "class", file: "targets.yaml", find: `class: (web)`, by: "⟪wbe⟫", code: "ref/class", hint: `did you mean "web"?`},
		{name: "connection", file: "targets.yaml", find: `prometheus: (eu)`, by: "⟪ue⟫", code: "ref/connection", hint: `did you mean "eu"?`},
		{name: "connection of HAProxy", file: "targets.yaml", find: `haproxy: (edge)`, by: "⟪egde⟫", code: "ref/connection", hint: `did you mean "edge"?`},
		{name: "action", file: "procedures.yaml", find: `uses: (http/smoke|haproxy/weights|haproxy/drain)`, by: "⟪x$1⟫", code: "ref/action", hint: `did you mean "$1"?`},
		{name: "channel", file: "communications.yaml", find: `via: (\w+)`, by: "⟪x$1⟫", code: "ref/channel", hint: `did you mean "$1"?`},
		{name: "connection of a sender", file: "astern.yaml", find: `connection: (eu)`, by: "⟪ue⟫", code: "ref/connection", hint: `did you mean "eu"?`},
		{name: "for", file: "rules.yaml", find: `for: (\d+m)\b`, by: "⟪5 minutes⟫", code: "yaml/duration"},
		{name: "for of health", file: "targets.yaml", find: `for: (\d+m)\b`, by: "⟪5x⟫", code: "yaml/duration"},
		{name: "timeout", file: "procedures.yaml", find: `timeout: (\d+s)`, by: "⟪soon⟫", code: "yaml/duration"},
		{name: "backoff", file: "procedures.yaml", find: `backoff: (\d+s)`, by: "⟪-2s⟫", code: "yaml/duration"},
		{name: "a parameter's length of time", file: "procedures.yaml", find: `within: (\d+s)`, by: "⟪soon⟫", code: "param/value"},
		{name: "within", file: "communications.yaml", find: `within: (\d+[sm])`, by: "⟪soon⟫", code: "yaml/duration"},
		{name: "guard", file: "astern.yaml", find: `(?:cooldown|max_per_hour|max_per_day|recent_change|approval_offered): (\w+)`, by: "⟪soon⟫", code: "guard/value"},
		{name: "guard of a rule", file: "rules.yaml", find: `recent_change: ("off")`, by: "⟪soon⟫", code: "guard/value"},
		{name: "attempts", file: "procedures.yaml", find: `attempts: (3)`, by: "⟪0⟫", code: "procedure/bounds"},

		// kinds, and keys that stand twice or not at all
		{name: "a list for a text", file: "rules.yaml", find: `(?:do|rule): (\S+)`, by: "⟪[⟫$1]", code: "yaml/kind", also: []string{"ref/no-target"}},
		{name: "a list for a rule's text", file: "rules.yaml", find: `summary: (".*")`, by: "⟪[⟫$1]", code: "yaml/kind"},
		{name: "a number for a text", file: "rules.yaml", find: `severity: (\w+)`, by: "⟪7⟫", code: "yaml/kind", hint: `write it in quotes: "7"`},
		{name: "a list for a mode", file: "rules.yaml", find: `mode: (\w+)`, by: "⟪[⟫$1]", code: "yaml/kind"},
		{name: "a text for confirm", file: "rules.yaml", find: `confirm: (\{waived: [^}]*\})`, by: "⟪none⟫", code: "yaml/kind"},
		{name: "a text for labels", file: "rules.yaml", find: `labels: (\{[^}]*\})`, by: "⟪none⟫", code: "yaml/kind"},
		{name: "a text for a map", file: "targets.yaml", find: `(?:select|owner): (\{[^}]*\})`, by: "⟪none⟫", code: "yaml/kind", also: []string{"ref/no-target"}},
		{name: "a word for a truth value", file: "targets.yaml", find: `user_facing: (true)`, by: "⟪yeah⟫", code: "yaml/kind"},
		{name: "a word for a number", file: "procedures.yaml", find: `attempts: (3)`, by: "⟪three⟫", code: "yaml/kind"},
		{name: "a word for a weight", file: "procedures.yaml", find: `weight: (\d+)`, by: "⟪all⟫", code: "param/value"},
		{name: "a text for weights", file: "procedures.yaml", find: `(?s)weights:( .*?)\n        timeout`, by: " ⟪all⟫", code: "param/value"},
		{name: "a text for a list", file: "astern.yaml", find: `_files: (\[[^\]]*\])`, by: "⟪rules.yaml⟫", code: "yaml/kind"},
		{name: "twice", file: "rules.yaml", find: `(?:mode|for): \w+(\n) +confirm`, by: "\n        ⟪when⟫: \"true\"\n", code: "yaml/duplicate-key", hint: "*"},
		{name: "twice in braces", file: "rules.yaml", find: `labels: \{severity: \w+(\})`, by: ", ⟪severity⟫: x}", code: "yaml/duplicate-key", hint: "*"},
		{name: "twice in a procedure", file: "procedures.yaml", find: `(\n)        with:`, by: "\n        ⟪name⟫: x\n", code: "yaml/duplicate-key", hint: "*"},
		{name: "the name of another", file: "rules.yaml", find: `- rule: (LatencyDegraded|CriticalAlert|HealthCheckFailed|CVEExploited)\b`, by: "⟪ErrorRateSpike⟫", code: "rule/twice", hint: "first at rules.yaml:10"},
		{name: "no name", file: "rules.yaml", find: `- rule: (\w+)`, by: `⟪"4 errors"⟫`, code: "rule/name", hint: "*"},
		{name: "the name of another step", file: "procedures.yaml", find: `- name: (switch_traffic|drain|verify_health)\b`, by: "⟪goal_ready⟫", code: "name/twice"},
		{name: "anchor", file: "rules.yaml", find: `when: (alert)`, by: "⟪&a⟫ alert", code: "yaml/anchor", hint: "*"},
		{name: "tag", file: "rules.yaml", find: `do: (rollback)`, by: "⟪!!str⟫ rollback", code: "yaml/tag", hint: "*"},
	}
}

// slipsInTests are mistakes in rule tests; not every file has a place for each.
func slipsInTests(text string) []mutation {
	var all []mutation
	for _, m := range []struct {
		needs string
		mutation
	}{
		{"phase: ", mutation{name: "phase", find: `phase: (pending|succeeded|held|verifying|running|failed)`, by: "⟪x$1⟫", code: "yaml/word", hint: `did you mean "$1"?`}},
		{"decision: ", mutation{name: "decision", also: []string{"test/expect"}, find: `decision: (\w{3,})\b`, by: "⟪x$1⟫", code: "yaml/word", hint: `did you mean "$1"?`}},
		{"guard: ", mutation{name: "guard", find: `guard: (\w+)`, by: "⟪x$1⟫", code: "ref/guard", hint: `did you mean "$1"?`}},
		{" rule: ", mutation{name: "rule", find: ` rule: (\w+)`, by: "⟪x$1⟫", code: "ref/rule", hint: `did you mean "$1"?`}},
		{"lead: ", mutation{name: "lead", find: `lead: (\w+)`, by: "⟪x$1⟫", code: "ref/rule", hint: `did you mean "$1"?`}},
		{"plan: blue", mutation{name: "plan", find: `plan: (blue_green)`, by: "⟪blue_gren⟫", code: "ref/procedure", hint: `did you mean "blue_green"?`}},
		{"verdict: good", mutation{name: "verdict", find: `verdict: (good)`, by: "⟪god⟫", code: "yaml/word", hint: `did you mean "good"?`}},
		{"at: ", mutation{name: "moment", find: `[{ ]at: (-?\d+[smhd])\b`, by: "⟪later⟫", code: "yaml/duration", also: []string{"test/late"}}},
		{"until: ", mutation{name: "end", find: `until: (\d+[smh])\b`, by: "⟪5 m⟫", code: "yaml/duration"}},
		{"no_new_plan: ", mutation{name: "truth", find: `no_new_plan: (true)`, by: "⟪yeah⟫", code: "yaml/kind"}},
		{"incidents: ", mutation{name: "count", find: `incidents: (\d+)`, by: "⟪many⟫", code: "yaml/kind"}},
		{"values: ", mutation{name: "values", find: `values: ('[^']*')`, by: "⟪'1 x'⟫", code: "test/series"}},
		{"alerts: [", mutation{name: "list", find: `alerts: (\[\{.*\}\])\n`, by: "⟪none⟫", code: "yaml/kind", also: []string{"test/series", "ref/alert"}}},
		{"steps: {", mutation{name: "step", find: `steps: \{(\w+):`, by: "⟪x$1⟫", code: "ref/step", hint: `did you mean "$1"?`}},
		{"labels: {", mutation{name: "twice", find: `labels: \{alertname: \w+(,)`, by: ", ⟪alertname⟫: x,", code: "yaml/duplicate-key", hint: "*"}},
	} {
		if strings.Contains(text, m.needs) {
			m.file = "tests.yaml"
			all = append(all, m.mutation)
		}
	}
	return all
}
