package lint

// formCodes are about YAML and the form of what is written in it.
func formCodes() []Code {
	return []Code{
		mistake("yaml/syntax", "The file is no YAML, or not UTF-8.", "name: \"checkout", "Mend what stands at the caret."),
		mistake("yaml/documents", "The file holds a second document.", "---", "Put it into a file of its own."),
		mistake("yaml/depth", "The file nests deeper than 100 levels.", "[[[[…]]]]", "Write it flatter."),
		mistake("yaml/tag", "A YAML tag is written.", "for: !!str 5m", "Write the plain value."),
		mistake("yaml/anchor", "An anchor or an alias is written.", "vars: &shared {…}", "Write it out, or use `variables`, `vars` or a class."),
		mistake("yaml/key", "A key is no plain word.", "? [a, b] : c", "Write a word."),
		mistake("yaml/duplicate-key", "A key stands twice in one map.", "{for: 5m, for: 1m}", "Keep one of the two."),
		mistake("yaml/unknown-key", "A key that is not known here.", "mods: {default: auto}", "Take the key that the hint names, or leave it out."),
		mistake("yaml/missing-key", "A key that must be written is missing.", "- rule: CheckoutErrors   # without `when`", "Write it."),
		mistake("yaml/kind", "Another kind of value is wanted: a list, a map, a string.", "when: true", "Write the kind that the message names; CEL stands in quotes."),
		mistake("yaml/word", "A word that is not one of those known here.", "mode: automatic", "Take one of the words that the message lists."),
		mistake("yaml/number", "A number in a form that is not read.", "0x1F", "Write plain decimal digits, or quotes for a text."),
		mistake("yaml/duration", "A length of time that cannot be read.", "for: 5 minutes", "Write 30s, 5m, 1h30m or 2d."),
		mistake("yaml/value", "A value that the place does not take.", "url: [\"…\"]", "See what the message says."),
		mistake("name/form", "A name that CEL, a URL or a log could not hold.", "name: Switch Traffic", "Use the letters that the hint names."),
		mistake("name/twice", "Two things have one name.", "two targets named api", "Give one of them another name."),
	}
}

// expressionCodes are about CEL, `${…}` and queries.
func expressionCodes() []Code {
	return []Code{
		mistake("cel/syntax", "The expression cannot be read as CEL.", `when: alert.labels.alertname = "A"`, "Mend what stands at the caret: equality is ==."),
		mistake("cel/undeclared", "A name that is not known here.", `when: alrt.labels.alertname == "A"`, "Take the name that the hint gives."),
		mistake("cel/field", "A field that its object does not have.", "target.nmae", "Take the field that the hint gives."),
		mistake("cel/types", "Types that do not go together.", `alert.labels.count > 3`, "Convert one of them: int(alert.labels.count)."),
		mistake("cel/type", "The expression gives another type than is wanted here.", "when: alert.labels.alertname", "Write a comparison where true or false is wanted."),
		mistake("cel/invalid", "CEL refuses the expression.", "[1, \"a\"].all(x, x)", "See what the message says."),
		mistake("cel/regexp", "A pattern that cannot be read.", `alert.labels.pod.matches("(")`, "Mend the pattern (RE2)."),
		mistake("cel/shadow", "The item of a list bears the name of a variable.", "[\"a\"].exists(alert, …)", "Call the item by another name."),
		mistake("cel/cost", "The expression may cost more than astern spends.", "a list looked through once for each of its items", "Compare single labels."),
		mistake("cel/size", "With its variables put in, the expression is too large.", "variables that name each other many times", "Split the rule."),
		mistake("cel/variable", "A variable reads what is not known here.", "a variable with release.current in `when`", "Name only what the hint lists."),
		mistake("cel/scope", "The variables of the place cannot be declared.", "", "Tell us: this should not happen."),
		mistake("cel/plan", "The expression cannot be made ready to run.", "", "Write it more simply."),
		mistake("variable/name", "A variable has no name that CEL can read.", "{name: is-production, value: …}", "Use a-z, 0-9 and _."),
		mistake("variable/twice", "Two variables of a group have one name.", "{name: production, …} twice", "Keep one of them."),
		mistake("variable/circle", "Variables that name each other in a circle.", "a: b, b: a", "Break the circle."),
		mistake("template/open", "A ${ without its }.", `"rate of ${target.name"`, "Close it; a plain ${ is written $${."),
		mistake("template/empty", "Nothing stands between ${ and }.", `"${}"`, "Write an expression, or $${} for the characters."),
		mistake("template/kind", "A list or a map inside a longer text.", `"checks: ${target.vars.smoke}"`, "Name one of its values, or let ${…} be the whole string."),
		mistake("template/late", "An output of an earlier step where it cannot be put in.", "${steps.a.n + steps.b.n}", "Name the output alone."),
		mistake("promql/unquoted", "A value from outside stands outside of quotes in a query.", "rate(x[${alert.labels.window}])", `Put it into quotes: {service="${…}"}.`),
		mistake("promql/backquoted", "A value from outside stands inside backquotes, where nothing can be escaped.", "{service=`${alert.labels.service}`}", "Use double quotes."),
		mistake("promql/escaped", "A value stands right behind a backslash.", `{path="\${target.name}"}`, "Write the backslash twice, or leave it out."),
		mistake("promql/invalid", "Prometheus' own parser refuses the query, as it would be asked for a target that the rule reaches.", `query: sum(rate(errors[5m])`, "Mend what stands at the caret."),
	}
}

// planCodes are about targets, procedures and communications.
func planCodes() []Code {
	return []Code{
		mistake("ref/procedure", "There is no such procedure, or the target has none of its own.", "do: rolback", "Take the name that the hint gives, or write `procedure:` in the class."),
		mistake("ref/target", "There is no such target.", `target: '"checkout-eu"'`, "Take the name that the hint gives."),
		advice("ref/no-target", "", "The rule can choose no target: it can do nothing.", "no target has a `select` that its alerts could meet", "Write `select` in a target, or `target:` in the rule."),
		mistake("ref/class", "There is no such class.", "class: wbe", "Take the name that the hint gives."),
		mistake("ref/action", "There is no such action.", "uses: haproxy/weight", "Take the name that the hint gives; `astern actions` lists them."),
		mistake("ref/channel", "There is no such channel, or an action stands where a channel belongs, or the other way round.", "via: slak", "Take the name that the hint gives."),
		mistake("ref/connection", "There is no such connection in astern.yaml.", "connections: {prometheus: eu2}", "Write it under `connections`, or take the name that the hint gives."),
		mistake("ref/connection-kind", "There is no such kind of connection.", "connections: {promtheus: eu}", "Take the kind that the hint gives."),
		mistake("ref/person", "There is no such person in astern.yaml.", "people: [ana]", "Write the person under `people`."),
		mistake("target/select", "A selector that would select everything, nothing, or the same as another's.", "select: {}", "Name labels that tell targets apart."),
		mistake("target/healthy", "Nothing says when the target is healthy, or two things do.", "healthy: {}", "Write queries under `all`, or `waived:` with a reason."),
		mistake("target/vars", "A var holds ${…}, which is not read there.", "vars: {url: \"${target.name}\"}", "Write ${…} in the procedure."),
		mistake("target/workload", "Two targets are one object of a cluster: each would undo what the other did.", "workload: {kind: Deployment, namespace: shop, name: api} twice", "Make one target of it."),
		mistake("procedure/empty", "A procedure without a step does nothing.", "steps: []", "Write a step."),
		mistake("procedure/bounds", "A number outside of its bounds.", "retry: {attempts: 0}", "Take one between the bounds that the message names."),
		mistake("procedure/repair", "The action cannot undo its own half effect.", "on_failure: repair", "Write escalate or continue."),
		mistake("param/unknown", "The action has no such parameter.", "with: {weight: …}", "Take the name that the hint gives."),
		mistake("param/kind", "The parameter takes another kind of value.", "with: {within: [30s]}", "Write the kind that the message names."),
		mistake("param/value", "The parameter does not take this value.", "with: {within: soon}", "See what the message says."),
		mistake("param/key", "A ${…} in a key.", "{\"${target.name}\": 1}", "Write it in the value."),
		mistake("param/now", "A parameter depends on the time of day: the plan would never be the same twice.", "${now}", "Leave `now` out."),
		mistake("plan/render", "The plan cannot be made for a target that a rule can reach.", "${target.vars.pause} where the target has no such var", "Write the var, or mend the step."),
	}
}

// configCodes are about astern.yaml and guards.
func configCodes() []Code {
	return []Code{
		mistake("config/pattern", "A pattern finds no file, or is none.", "rule_files: [rule/*.yaml]", "Name files that there are."),
		mistake("config/file", "A file that was found cannot be read.", "rule_files: [secret.yaml]", "Give the right to read it."),
		mistake("config/connection-kind", "There is no such kind of connection.", "connections: {promtheus: …}", "Take the kind that the hint gives."),
		mistake("config/connection", "The connection cannot be used as it is written.", "prometheus: {eu: {}}", "See what the message says."),
		mistake("config/secret", "A secret is written in the file.", "bearer_token: abc", "Put it into a file of its own and name that."),
		mistake("config/sender", "A sender has no credential, half of one, or two.", "{name: am, type: alertmanager}", "Write bearer_token_file, or username with password_file, or client_certificate."),
		mistake("config/namespace", "What is written is not the name of a namespace, or none is written.", "namespaces: [shop-*]", "Name each namespace whose workloads may be targets."),
		mistake("config/egress", "Neither an address nor a network.", "allow: [localhost]", "Write 127.0.0.0/8 or ::1."),
		mistake("config/value", "A number that must be more than nothing.", "max_deliveries: 0", "Write more than nothing."),
		mistake("guard/unknown", "There is no such guard.", "guards: {cooldwn: 1h}", "Take the name that the hint gives."),
		mistake("guard/value", "The guard does not take this value.", "guards: {cooldown: sometimes}", "See what the message says."),
		mistake("guard/level", "A count stands on a rule, where it does not hold.", "guards: {max_per_hour: 1}   # on a rule", "Write it on a target, a class, a team or the installation."),
	}
}

// ruleCodes are mistakes in rules.
func ruleCodes() []Code {
	return []Code{
		mistake("rule/name", "The rule has no usable name.", "rule: 5xx errors", "Use letters, digits, - and _, beginning with a letter."),
		mistake("rule/twice", "Two rules have one name.", "rule: CheckoutErrors in two files", "Give one of them another name."),
		mistake("rule/group-twice", "Two groups of a file have one name.", "- name: checkout twice", "Give one of them another name."),
		mistake("rule/when", "The condition does not look at the alert: it would hold for all, or for none.", "when: now > timestamp(\"…\")", "Name a label, such as alert.labels.alertname."),
		mistake("rule/confirm", "A rule that acts or asks has nothing to confirm it, or an empty reason why not.", "mode: auto without `confirm`", "Write queries, or `confirm: {waived: the reason}`."),
		mistake("rule/query", "The query is empty.", `query: ""`, "Write PromQL."),
		mistake("rule/holds", "The condition does not look at the sample.", "holds: 1 > 0", "Compare `value` with something."),
		mistake("rule/target", "A target's name without quotes of its own.", "target: checkout", `Write target: '"checkout"'.`),
		mistake("rule/guards", "Guards are a map.", "guards: off", "Write guards: {cooldown: 2h}."),
	}
}
