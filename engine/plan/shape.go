package plan

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"astern.dev/astern/actions"
)

// An action's struct says what its parameters are. This file reads that from the Go types: which keys there are, and for
// which place a text is meant.

// place is where a parameter's text will stand: it decides how what `${…}` puts in is escaped.
type place int

const (
	asData   place = iota // a string for a structured encoder
	asPromQL              // an expression: values stand inside quotes
	asURL                 // an address: values are one escaped part of it
	asArg                 // one element of an argv
	asText                // for people
)

var (
	promQLType      = reflect.TypeFor[actions.PromQL]()
	urlType         = reflect.TypeFor[actions.URL]()
	argType         = reflect.TypeFor[actions.Arg]()
	textType        = reflect.TypeFor[actions.Text]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func placeOf(t reflect.Type) place {
	switch t {
	case promQLType:
		return asPromQL
	case urlType:
		return asURL
	case argType:
		return asArg
	case textType:
		return asText
	}
	return asData
}

// ReadsText says whether the type reads itself from text, as a duration does.
func ReadsText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textUnmarshaler) }

func indirect(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// isDict and isList say which shape of YAML the type takes.
func isDict(t reflect.Type) bool {
	return !ReadsText(t) && (t.Kind() == reflect.Struct || t.Kind() == reflect.Map)
}
func isList(t reflect.Type) bool { return !ReadsText(t) && t.Kind() == reflect.Slice }

// child is the type under a key of a dict; ok is false for a key that a struct does not have.
func child(t reflect.Type, key string) (reflect.Type, bool) {
	if t.Kind() == reflect.Map {
		return indirect(t.Elem()), true
	}
	if t.Kind() != reflect.Struct {
		return t, true
	}
	f, ok := fieldsOf(t).byName[key]
	if !ok {
		return nil, false
	}
	return indirect(f.Type), true
}

// fields are the parameters of a struct by their YAML names.
type fields struct {
	names  []string
	byName map[string]reflect.StructField
}

var knownFields sync.Map // reflect.Type -> fields

func fieldsOf(t reflect.Type) fields {
	if known, ok := knownFields.Load(t); ok {
		return known.(fields)
	}
	out := fields{byName: map[string]reflect.StructField{}}
	for _, f := range reflect.VisibleFields(t) {
		name, inline := yamlName(f)
		if !f.IsExported() || name == "-" || inline || len(f.Index) > 1 && !inlined(t, f.Index) {
			continue
		}
		out.names = append(out.names, name)
		out.byName[name] = f
	}
	knownFields.Store(t, out)
	return out
}

// yamlName is the key of a field, by its tag as the yaml package reads it.
func yamlName(f reflect.StructField) (name string, inline bool) {
	name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if strings.Contains(","+options+",", ",inline,") {
		return "", true
	}
	if name == "" {
		name = strings.ToLower(f.Name)
	}
	return name, false
}

// inlined says whether every struct on the way to a promoted field is inlined.
func inlined(t reflect.Type, index []int) bool {
	for i := 1; i < len(index); i++ {
		if _, inline := yamlName(t.FieldByIndex(index[:i])); !inline {
			return false
		}
	}
	return true
}

// kindName says in a user's words what a parameter takes.
func kindName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[actions.Duration]():
		return "a duration such as 30s"
	case ReadsText(t):
		return "text"
	case isList(t):
		return "a list"
	case isDict(t):
		return "a map"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Interface:
		return "a value"
	}
	return "a whole number"
}

// kindOf says in a user's words what a value is.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		return fmt.Sprintf("the text %q", short(v))
	case bool:
		return fmt.Sprintf("%t", v)
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return fmt.Sprintf("the number %v", v)
}

func short(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
