package main

import (
	"maps"
	"reflect"
	"slices"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/all"
	"astern.dev/astern/engine/config"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
)

// meanings are the meanings of an action's parameters by their paths, such as weights[].server.
type meanings map[string]string

func descriptions() (map[string]meanings, map[string]string, error) {
	entries, err := actionEntries()
	if err != nil {
		return nil, nil, err
	}
	parameters, about := map[string]meanings{}, map[string]string{}
	for _, e := range entries {
		about[e.Name] = e.About
		parameters[e.Name] = meanings{}
		for _, p := range e.Parameters {
			parameters[e.Name][p.Name] = p.Meaning
		}
	}
	return parameters, about, nil
}

// reflected reads schemas off Go types: the structs that parameters and connections are decoded into.
type reflected struct {
	about meanings
	// templates says that `${…}` may stand for any value.
	templates bool
}

func (r reflected) of(t reflect.Type, path string) schema {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s := r.plain(t, path)
	if r.templates && s["type"] != "string" && len(s) > 0 {
		s = either(s, schema{"type": "string", "pattern": `\$\{`})
	}
	return s
}

func (r reflected) plain(t reflect.Type, path string) schema {
	switch {
	case t == reflect.TypeFor[actions.Duration]():
		return lasting()
	case plan.ReadsText(t):
		return written()
	case odd(t):
		return schema{}
	}
	switch t.Kind() {
	case reflect.Bool:
		return truth()
	case reflect.String:
		return written()
	case reflect.Slice:
		return list(r.of(t.Elem(), path+"[]"))
	case reflect.Map:
		return mapOf(r.of(t.Elem(), path+".*"))
	case reflect.Struct:
		return r.object(t, path)
	case reflect.Float32, reflect.Float64:
		return schema{"type": "number"}
	case reflect.Interface:
		return schema{}
	}
	return whole()
}

// odd are types that read YAML in a way of their own: their fields say nothing.
func odd(t reflect.Type) bool {
	_, reads := reflect.PointerTo(t).MethodByName("UnmarshalYAML")
	return reads && (t.Kind() != reflect.Struct || len(plan.Fields(t)) < 2)
}

func (r reflected) object(t reflect.Type, path string) schema {
	var keys []key
	fields := plan.Fields(t)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if fields[name].Name() == "Secret" {
			continue // a secret stands in a file of its own, which another key names
		}
		inner := name
		if path != "" {
			inner = path + "." + name
		}
		keys = append(keys, may(name, r.of(fields[name], inner), r.about[inner]))
	}
	return object(keys...)
}

func procedureSchema() (schema, error) {
	registry, err := all.Registry()
	if err != nil {
		return nil, err
	}
	parameters, about, err := descriptions()
	if err != nil {
		return nil, err
	}
	names := registry.ActionNames()
	step := object(
		need("name", identifier(), "its outputs are steps.<name>.<output>"),
		need("uses", oneOf(names...), "the action"),
		may("with", schema{"type": "object"}, "the action's parameters"),
		may("timeout", lasting(), "its deadline; 5m without a word"),
		may("retry", object(may("attempts", schema{"type": "integer", "minimum": 1, "maximum": 100}, "3 without a word"), may("backoff", lasting(), "2s without a word")), ""),
		may("on_failure", oneOf(string(incident.Escalate), string(incident.Repair), string(incident.Continue)), "escalate without a word"),
		may("connection", written(), "another connection than the target's"))
	var cases []any
	for _, name := range names {
		entry, _ := registry.Action(name)
		with := reflected{parameters[name], true}.object(reflect.TypeOf(entry.New()).Elem(), "")
		with["description"] = about[name]
		cases = append(cases, schema{"if": schema{"properties": schema{"uses": schema{"const": name}}, "required": []string{"uses"}},
			"then": schema{"properties": schema{"with": with}}})
	}
	step["allOf"] = cases
	procedure := object(need("name", schema{"type": "string", "pattern": "^[a-z][a-z0-9_]*$", "not": schema{"const": "rollback"}}, ""),
		need("steps", schema{"type": "array", "items": step, "minItems": 1}, "done in this order"))
	return file("Procedures of astern", may("procedures", list(procedure), "named steps: they act and never decide")), nil
}

func communicationSchema() (schema, error) {
	registry, err := all.Registry()
	if err != nil {
		return nil, err
	}
	parameters, _, err := descriptions()
	if err != nil {
		return nil, err
	}
	channels := registry.ChannelNames()
	keys := []key{need("to", identifier(), "who is told"),
		need("via", either(oneOf(channels...), object(need("all", schema{"type": "array", "items": oneOf(channels...), "minItems": 1}, ""))), "the channel, or several"),
		need("within", lasting(), "by when"), may("if", written(), cel+"when it is owed; always without a word")}
	taken := map[string]bool{}
	for _, name := range channels {
		entry, _ := registry.Channel(name)
		o := reflected{parameters[name], true}.object(reflect.TypeOf(entry.New()).Elem(), "")
		for parameter, value := range o["properties"].(schema) {
			if !taken[parameter] {
				taken[parameter] = true
				keys = append(keys, key{name: parameter, value: value.(schema)})
			}
		}
	}
	return file("Communications of astern", may("communications", list(object(keys...)), "what is owed, to whom, by when")), nil
}

func configSchema() (schema, error) {
	registry, err := all.Registry()
	if err != nil {
		return nil, err
	}
	var kinds []key
	for _, kind := range registry.Kinds() {
		make, _ := registry.Connection(kind)
		kinds = append(kinds, may(kind, mapOf(reflected{}.of(reflect.TypeOf(make()), "")), "connections to "+kind+", by name"))
	}
	var roles []string
	for _, r := range config.Roles {
		roles = append(roles, string(r))
	}
	patterns := func(what string) key { return may(what+"_files", list(written()), "patterns such as "+what+"s/*.yaml") }
	sender := object(need("name", handle(), "alert.source"), may("type", oneOf("alertmanager"), ""), may("username", written(), "with password_file"), may("password_file", written(), ""),
		may("bearer_token_file", written(), ""), may("client_certificate", written(), "the name that its certificate bears"), may("connection", written(), "the alertmanager connection that answers for its alerts"))
	person := object(need("name", handle(), ""), may("address", written(), ""), need("role", oneOf(roles...), ""), may("token_file", written(), ""))
	team := object(need("name", handle(), ""), may("people", list(written()), ""), may("channels", mapOf(written()), ""), may("environments", list(written()), ""), may("guards", guards(), ""))
	return file("astern.yaml",
		may("storage", object(may("url", written(), "such as sqlite:astern.db")), ""),
		patterns("rule"), patterns("target"), patterns("procedure"), patterns("communication"),
		may("senders", list(sender), "who may knock"),
		may("connections", object(kinds...), "by kind and name"),
		may("modes", mapOf(modes()), "ceilings by environment; default for the others"),
		may("guards", guards(), "what holds for the installation"),
		may("egress", object(may("allow", list(written()), "networks that are refused otherwise: loopback, link-local, metadata")), ""),
		may("people", list(person), "who may use the API and the console"),
		may("teams", list(team), ""),
		may("discover", list(object(need("connection", written(), "a kubernetes connection"), need("environment", written(), "that of all targets found there"),
			need("namespaces", list(written()), "where annotations may name targets"))), "where targets are read from the annotations of workloads"),
		may("retention", object(may("incidents", lasting(), ""), may("deliveries", lasting(), ""), may("max_deliveries", schema{"type": "integer", "minimum": 1}, "")), "how long what is over is kept")), nil
}
