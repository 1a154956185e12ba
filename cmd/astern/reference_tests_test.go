package main

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"astern.dev/astern/engine/simulate/ruletest"
)

const testsIntroduction = `
Reference. How tests are written and read is in [rules.md](rules.md#test).

Moments such as ` + "`at`, `from` and `until`" + ` count from the start of the test: ` + "`4m59s`, `2d`, `1d12h`" + `; before it with a minus: ` + "`-20m`" + `. Where one target, rule or sender is
the only one, it need not be named. The JSON Schema for editors is printed by ` + "`astern schema tests`" + `.
`

// testReference is docs/tests.md: every key of a rule-test file, read off what reads it.
func testReference() string {
	r := &keyReference{}
	r.b.WriteString("# Rule tests\n\n" + generated + testsIntroduction)
	r.section("The file", "", ruletest.Schema())
	return r.b.String()
}

// keyReference writes a table for each kind of mapping, and after it those of what is in it.
type keyReference struct{ b strings.Builder }

// section is one mapping's; path leads to its keys.
func (r *keyReference) section(title, path string, of schema) {
	fmt.Fprintf(&r.b, "\n## %s\n\n| key | takes | meaning |\n|---|---|---|\n", title)
	properties, sections := at(of, "properties"), r.inner(path, of)
	for _, name := range ordered(of) {
		value, takes := at(properties, name), r.takes(at(properties, name))
		if i := slices.IndexFunc(sections, func(s inside) bool { return slices.Contains(s.names, name) }); i >= 0 {
			takes = strings.ReplaceAll(takes, "mapping", "[mapping](#"+anchor(sections[i].title)+")")
		}
		fmt.Fprintf(&r.b, "| `%s` | %s | %s |\n", name, takes, cell(fmt.Sprint(value["description"])+must(of, name)))
	}
	for _, s := range sections {
		r.section(s.title, s.path, s.of)
	}
}

// inside is a mapping that stands under one key, or under several that take the same.
type inside struct {
	names       []string
	title, path string
	of          schema
}

func (r *keyReference) inner(path string, of schema) []inside {
	var all []inside
	for _, name := range ordered(of) {
		b := below(at(of, "properties", name))
		if b == nil {
			continue
		}
		i := slices.IndexFunc(all, func(s inside) bool { return reflect.DeepEqual(s.of, b) })
		if i < 0 {
			i, all = len(all), append(all, inside{path: path + name + ".", of: b})
		}
		all[i].names = append(all[i].names, name)
		all[i].title = "`" + path + strings.Join(all[i].names, "`, `"+path) + "`"
		if path == "" && name == "tests" {
			all[i].title, all[i].path = "A test", ""
		}
	}
	return all
}

// ordered are a mapping's keys: what must be written comes first.
func ordered(of schema) []string {
	return slices.SortedFunc(maps.Keys(at(of, "properties")), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(must(of, b)), len(must(of, a))), strings.Compare(a, b))
	})
}

func must(of schema, name string) string {
	if needed, _ := of["required"].([]string); slices.Contains(needed, name) {
		return ". Must be written"
	}
	return ""
}

// anchor is the address that a heading has on a page.
func anchor(title string) string {
	return strings.ReplaceAll(strings.NewReplacer("`", "", ".", "", ",", "").Replace(strings.ToLower(title)), " ", "-")
}

// below is the mapping with known keys that a value is, or is a list or mapping of.
func below(value schema) schema {
	for _, v := range []any{value, value["items"], value["additionalProperties"]} {
		if s, ok := v.(schema); ok && s["properties"] != nil {
			return s
		}
	}
	return nil
}

func (r *keyReference) takes(value schema) string {
	switch kind := value["type"]; {
	case value["enum"] != nil:
		return words(value["enum"])
	case value["anyOf"] != nil:
		return r.either(value["anyOf"].([]any))
	case value["format"] == "date-time":
		return "date and time"
	case kind == "array":
		return "list of " + r.takes(at(value, "items"))
	case kind == "object" && value["properties"] == nil:
		return "name: " + r.takes(at(value, "additionalProperties"))
	case kind == "object":
		return "mapping"
	case kind == "integer":
		return "number"
	case kind == "boolean":
		return "true or false"
	case kind == "string":
		return "text"
	}
	return "any value"
}

func (r *keyReference) either(all []any) string {
	first, _ := all[0].(schema)
	switch pattern, _ := first["pattern"].(string); {
	case strings.HasPrefix(pattern, "^-?"):
		return "moment"
	case pattern != "":
		return "length of time"
	}
	var some []string
	for _, one := range all {
		if s := r.takes(one.(schema)); !strings.HasPrefix(s, "list of `") {
			some = append(some, s)
		} else {
			some = append(some, "a list of these")
		}
	}
	return strings.Join(some, ", or ")
}

func words(enum any) string {
	return "`" + strings.Join(strings.Fields(strings.Trim(fmt.Sprint(enum), "[]")), "`, `") + "`"
}

// at goes down into a schema.
func at(s schema, keys ...string) schema {
	for _, key := range keys {
		inner, _ := s[key].(schema)
		s = inner
	}
	return s
}
