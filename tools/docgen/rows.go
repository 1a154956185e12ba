package main

import (
	"reflect"
	"strings"

	"astern.dev/astern/actions"
)

// row is one parameter: its path from the top, such as weights[].server.
type row struct{ name, takes, meaning string }

// rows lists the fields of a struct by the names that the given tag writes, nested ones after their parents.
func (p *page) rows(of reflect.Type, under, tag string) []row {
	var rows []row
	for n := range of.NumField() {
		field := of.Field(n)
		name, options, _ := strings.Cut(field.Tag.Get(tag), ",")
		switch {
		case strings.Contains(options, "inline"):
			rows = append(rows, p.rows(field.Type, under, tag)...)
			continue
		case !field.IsExported(), name == "-", name == "":
			continue
		}
		takes, inner, index := words(field.Type)
		if strings.Contains(options, "omitempty") {
			takes += ", optional"
		}
		rows = append(rows, row{under + name, takes, p.meaning(of, field.Name, name)})
		if inner != nil {
			rows = append(rows, p.rows(inner, under+name+index+".", tag)...)
		}
	}
	return rows
}

// meaning is a field's comment, with the name that users write in the place of Go's.
func (p *page) meaning(of reflect.Type, field, name string) string {
	text, err := p.comments.of(of, field)
	if err != nil {
		p.failed = append(p.failed, err)
	}
	if rest, ok := strings.CutPrefix(text, field+" "); ok {
		text = "`" + name + "` " + rest
	}
	return strings.ReplaceAll(text, "\n", " ")
}

// cell is a text in a table of Markdown.
func cell(text string) string { return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(text) }

// words says what a type takes; inner is the struct below it, if that is one of ours, and index what stands between.
func words(t reflect.Type) (takes string, inner reflect.Type, index string) {
	switch t {
	case reflect.TypeFor[actions.Duration]():
		return "duration", nil, ""
	case reflect.TypeFor[actions.URL]():
		return "URL", nil, ""
	case reflect.TypeFor[actions.PromQL]():
		return "PromQL", nil, ""
	case reflect.TypeFor[actions.Arg]():
		return "argument", nil, ""
	}
	switch t.Kind() {
	case reflect.Pointer:
		return words(t.Elem())
	case reflect.Slice:
		takes, inner, index = words(t.Elem())
		return "list of " + plural(takes), inner, "[]" + index
	case reflect.Map:
		takes, inner, index = words(t.Elem())
		return "map of names to " + takes, inner, ".*" + index
	case reflect.Struct:
		if ours(t) {
			return "map", t, ""
		}
		return "as in Prometheus", nil, ""
	case reflect.Bool:
		return "true or false", nil, ""
	case reflect.String:
		return "text", nil, ""
	case reflect.Interface:
		return "anything", nil, ""
	case reflect.Float32, reflect.Float64:
		return "number", nil, ""
	}
	return "whole number", nil, ""
}

func plural(takes string) string {
	if takes == "text" || takes == "PromQL" || takes == "anything" {
		return takes
	}
	return takes + "s"
}
