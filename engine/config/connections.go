package config

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"

	"astern.dev/astern/actions"
	"astern.dev/astern/rules/expr"
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// named says that a name can be typed, logged and put in a URL.
func named(n *expr.Node, name string) bool {
	if nameForm.MatchString(name) {
		return true
	}
	if name != "" {
		n.Report("name/form", fmt.Sprintf("%q is not a name", name), "use letters, digits, '.', '_' and '-'")
	}
	return false
}

// readConnections decodes each connection into its kind's own struct, strictly.
func readConnections(n *expr.Node, reg *actions.Registry, dir string) map[string]map[string]actions.Connection {
	all := map[string]map[string]actions.Connection{}
	for _, kind := range n.Entries() {
		make, known := reg.Connection(kind.Key.Name())
		if !known {
			kind.Key.Report("config/connection-kind", fmt.Sprintf("there is no kind of connection %q", kind.Key.Name()), expr.Near(kind.Key.Name(), reg.Kinds()))
			continue
		}
		all[kind.Key.Name()] = map[string]actions.Connection{}
		for _, e := range kind.Value.Entries() {
			if named(e.Key, e.Key.Name()) {
				value := e.Value.In("connection " + kind.Key.Name() + "/" + e.Key.Name())
				all[kind.Key.Name()][e.Key.Name()] = readConnection(value, make(), dir)
			}
		}
	}
	return all
}

func readConnection(n *expr.Node, c actions.Connection, dir string) actions.Connection {
	before := len(n.File().Diagnostics())
	n.Decode(c)
	if len(n.File().Diagnostics()) > before {
		return c
	}
	if field := inlineSecret(reflect.ValueOf(c)); field != "" {
		n.Report("config/secret", fmt.Sprintf("the secret %s is written in the file", field), "put it in a file of its own and name that: "+field+"_file")
		return c
	}
	if relative, ok := c.(interface{ SetDirectory(dir string) }); ok {
		relative.SetDirectory(dir)
	}
	if err := c.Validate(); err != nil {
		n.Report("config/connection", err.Error(), "")
	}
	return c
}

// inlineSecret finds a secret that stands in the file itself: a non-empty value of a type named Secret. It gives the
// field's name in YAML.
func inlineSecret(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return inlineSecret(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if isSecret(v.Field(i)) {
				return yamlName(f)
			}
			if name := inlineSecret(v.Field(i)); f.IsExported() && name != "" {
				return name
			}
		}
	case reflect.Map:
		for iter := v.MapRange(); iter.Next(); {
			if name := inlineSecret(iter.Value()); name != "" {
				return name
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if isSecret(v.Index(i)) {
				return "secrets"
			}
			if name := inlineSecret(v.Index(i)); name != "" {
				return name
			}
		}
	}
	return ""
}

func isSecret(v reflect.Value) bool {
	return v.Kind() == reflect.String && v.Type().Name() == "Secret" && v.Len() > 0
}

var tagName = regexp.MustCompile(`^[A-Za-z0-9_]+`)

func yamlName(f reflect.StructField) string {
	if name := tagName.FindString(f.Tag.Get("yaml")); name != "" {
		return name
	}
	return f.Name
}

// ConnectionNames gives the configured connections by kind, sorted: what targets and senders may name.
func (c *Config) ConnectionNames() map[string][]string {
	names := map[string][]string{}
	for kind, byName := range c.Connections {
		names[kind] = slices.Sorted(maps.Keys(byName))
	}
	return names
}
