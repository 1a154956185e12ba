package main

import (
	"maps"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
)

// schema is a JSON Schema, or a part of one.
type schema = map[string]any

// key is one key of a map.
type key struct {
	name   string
	value  schema
	needed bool
	about  string
}

// file is a whole file's schema.
func file(title string, keys ...key) schema {
	s := object(keys...)
	s["$schema"], s["title"] = "https://json-schema.org/draft/2020-12/schema", title
	return s
}

// object is a map with these keys and no others.
func object(keys ...key) schema {
	properties, needed := schema{}, []string{}
	for _, k := range keys {
		value := maps.Clone(k.value)
		if k.about != "" {
			value["description"] = k.about
		}
		properties[k.name] = value
		if k.needed {
			needed = append(needed, k.name)
		}
	}
	s := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(needed) > 0 {
		s["required"] = needed
	}
	return s
}

func need(name string, value schema, about string) key { return key{name, value, true, about} }
func may(name string, value schema, about string) key  { return key{name, value, false, about} }

func written() schema              { return schema{"type": "string"} }
func truth() schema                { return schema{"type": "boolean"} }
func whole() schema                { return schema{"type": "integer"} }
func anything() schema             { return schema{} }
func list(of schema) schema        { return schema{"type": "array", "items": of} }
func mapOf(of schema) schema       { return schema{"type": "object", "additionalProperties": of} }
func oneOf(words ...string) schema { return schema{"enum": words} }
func either(all ...schema) schema  { return schema{"anyOf": all} }

// lasting is a length of time.
func lasting() schema {
	return either(schema{"type": "string", "pattern": `^(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$|^[0-9]+d$|^\+?0$`}, schema{"const": 0})
}

// identifier is a name that CEL can read as a field.
func identifier() schema { return schema{"type": "string", "pattern": "^[a-z][a-z0-9_]*$"} }

// handle is a name that can be typed, logged and put in a URL.
func handle() schema {
	return schema{"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"}
}

func modes() schema {
	var words []string
	for _, m := range incident.Modes {
		words = append(words, string(m))
	}
	return oneOf(words...)
}

// guards are the guards' names; what each takes is told by `check`.
func guards() schema {
	var keys []key
	defaults := incident.DefaultGuards().Written()
	for _, name := range incident.GuardNames() {
		about := ""
		if value, has := defaults[name]; has {
			about = value + " without a word"
		}
		keys = append(keys, may(name, schema{"type": []string{"string", "number", "boolean", "object"}}, about))
	}
	return object(keys...)
}

const cel = "CEL: "

func queries() schema {
	return list(object(need("query", written(), "PromQL that answers with exactly one series; ${…} inside quotes is CEL"),
		need("holds", written(), cel+"what each sample, `value`, must meet")))
}

func ruleSchema() schema {
	rule := object(
		need("rule", schema{"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_-]{0,99}$"}, "the rule's name, unique over all files"),
		need("when", written(), cel+"the alerts that the rule is about"),
		may("mode", modes(), "how far the rule may go; observe without a word"),
		may("for", lasting(), "when to ask, counted from the alert's startsAt"),
		may("confirm", either(schema{"type": "array", "items": queries()["items"], "minItems": 1}, object(need("waived", schema{"type": "string", "minLength": 1}, "why no query can confirm it"))),
			"what is asked live, right before acting"),
		need("do", identifier(), "rollback: the target's own procedure; or a procedure's name"),
		may("target", written(), cel+"the target's name; without it the alert's labels choose"),
		may("labels", mapOf(written()), "such as severity"),
		may("annotations", mapOf(written()), "such as summary"),
		may("guards", guards(), "what holds for this rule instead of what the target, the team or the installation says"))
	variable := object(need("name", identifier(), ""), need("value", written(), cel+"put in wherever the name stands"))
	return file("Rules of astern", may("groups", list(object(
		need("name", written(), "unique in the file"),
		may("variables", list(variable), "expressions with names"),
		need("rules", list(rule), ""))), "rules that share variables"))
}

func healthy() schema {
	return object(may("for", lasting(), "how long all queries must hold without a break; 5m without a word"),
		may("patience", lasting(), "how long that may take at most; ten minutes more than `for` without a word"),
		may("all", queries(), ""), may("waived", written(), "why no query can say it"))
}

func targetSchema() schema {
	class := object(need("name", handle(), ""), may("procedure", written(), "what `do: rollback` means"), may("healthy", healthy(), "what counts as success"),
		may("vars", mapOf(anything()), "free values: target.vars.x"), may("guards", guards(), ""))
	target := object(
		need("name", handle(), ""),
		may("class", written(), "what it shares with others"),
		may("procedure", written(), "what `do: rollback` means for it"),
		may("select", schema{"type": "object", "additionalProperties": schema{"type": "string", "minLength": 1}, "minProperties": 1}, "the alert's labels that choose it"),
		need("environment", handle(), "authority: the alert's own label is a hint"),
		may("mode", modes(), "the target's ceiling"),
		may("owner", object(may("team", written(), ""), may("slack", written(), "")), "who answers for it"),
		may("user_facing", truth(), ""),
		may("workload", object(need("kind", oneOf(plan.WorkloadKinds()...), "a Service is what its selector picks: blue/green"), need("namespace", written(), ""), need("name", written(), "")),
			"the object in a cluster that runs it; connections.kubernetes names the cluster"),
		may("connections", mapOf(written()), "kind: name"),
		may("vars", mapOf(anything()), "free values over those of its class"),
		may("healthy", healthy(), "what counts as success"),
		may("guards", guards(), ""))
	return file("Targets of astern", may("classes", list(class), "what many targets share"), may("targets", list(target), "what can be rolled back"))
}
