package expr

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v4"
)

// Duration is a length of time such as 30s, 5m, 1h30m or 2d.
func (n *Node) Duration() time.Duration {
	s := n.Scalar()
	if s == "" {
		return 0
	}
	d, err := ParseDuration(s)
	if err != nil {
		n.Report("yaml/duration", err.Error(), "")
		return 0
	}
	return d
}

// ParseDuration reads Go's durations, and whole days as "2d". Less than nothing is an error.
func ParseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration such as 30s, 5m or 2d", s)
	}
	return d, nil
}

// Strings is a list of strings.
func (n *Node) Strings() []string {
	var all []string
	for _, item := range n.List() {
		all = append(all, item.Str())
	}
	return all
}

// StringMap is a mapping of strings to strings.
func (n *Node) StringMap() map[string]string {
	var all map[string]string
	for _, e := range n.Entries() {
		if all == nil {
			all = map[string]string{}
		}
		all[e.Key.yaml.Value] = e.Value.Str()
	}
	return all
}

// Name is the text of a key node, or of any scalar.
func (n *Node) Name() string {
	if n.yaml == nil || n.yaml.Kind != yaml.ScalarNode {
		return ""
	}
	return n.yaml.Value
}

// Any is a free value: map[string]any, []any, string, int64, float64, bool or nil.
func (n *Node) Any() any {
	switch {
	case !n.Exists() || n.yaml.Kind == yaml.AliasNode:
		return nil
	case n.yaml.Kind == yaml.MappingNode:
		all := map[string]any{}
		for _, e := range n.Entries() {
			all[e.Key.yaml.Value] = e.Value.Any()
		}
		return all
	case n.yaml.Kind == yaml.SequenceNode:
		all := []any{}
		for _, item := range n.List() {
			all = append(all, item.Any())
		}
		return all
	}
	return n.anyScalar()
}

func (n *Node) anyScalar() any {
	switch n.yaml.ShortTag() {
	case "!!int":
		i, err := strconv.ParseInt(n.yaml.Value, 10, 64)
		if err != nil || len(n.yaml.Value) > 1 && strings.TrimLeft(n.yaml.Value, "+-")[0] == '0' {
			n.Report("yaml/number", fmt.Sprintf("%s is not a plain decimal number", n.yaml.Value), "a string is written in quotes")
			return int64(0)
		}
		return i
	case "!!float":
		f, err := strconv.ParseFloat(n.yaml.Value, 64)
		if err != nil {
			n.Report("yaml/number", fmt.Sprintf("%s is not a plain number", n.yaml.Value), "a string is written in quotes")
		}
		return f
	case "!!bool":
		return n.Bool()
	}
	return n.yaml.Value
}

// Decode fills a struct (or anything that reads YAML by itself) strictly: unknown fields are mistakes. All mistakes are
// reported with their places.
func (n *Node) Decode(into any) {
	if !n.Exists() {
		return
	}
	err := n.yaml.Load(into, yaml.WithKnownFields(), yaml.WithUniqueKeys())
	if err == nil {
		return
	}
	var all *yaml.LoadErrors
	if !errors.As(err, &all) {
		n.Report("yaml/value", strings.TrimPrefix(err.Error(), "yaml: "), "")
		return
	}
	for _, one := range all.Errors {
		if one.Mark.Line == 0 {
			n.Report("yaml/value", decodeMessage(one.Message), "")
			continue
		}
		d := n.file.at(one.Mark.Line, one.Mark.Column, n.widthAt(one.Mark.Line, one.Mark.Column), "yaml/value", decodeMessage(one.Message), "")
		if m := notFound.FindStringSubmatch(one.Message); m != nil {
			d.Code, d.Hint = "yaml/unknown-key", Near(m[1], yamlKeys(reflect.TypeOf(into), 4))
		}
		d.Path = n.path
		n.file.add(d)
	}
}

var notFound = regexp.MustCompile(`^field (.+) not found in type `)

// decodeMessage says it without Go's types.
func decodeMessage(message string) string {
	if m := notFound.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("unknown key %q", m[1])
	}
	return strings.TrimPrefix(message, "yaml: ")
}

// yamlKeys are the keys that a Go type takes, with those of what is in it, so many levels deep.
func yamlKeys(t reflect.Type, deep int) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || deep == 0 {
		return nil
	}
	var keys []string
	for f := range t.NumField() {
		field := t.Field(f)
		if name, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); name != "" && name != "-" {
			keys = append(keys, name)
		}
		keys = append(keys, yamlKeys(field.Type, deep-1)...)
	}
	return keys
}

// widthAt is the width of the scalar that begins at a place.
func (n *Node) widthAt(line, column int) int {
	w := 1
	walk(n.yaml, func(y *yaml.Node) {
		if y.Kind == yaml.ScalarNode && y.Line == line && y.Column == column {
			w = scalarWidth(y)
		}
	})
	return w
}

// Canonical is the node's content without comments, places and quoting: the same content gives the same bytes.
func (n *Node) Canonical() []byte {
	var b bytes.Buffer
	if n.yaml != nil {
		walk(n.yaml, func(y *yaml.Node) {
			fmt.Fprintf(&b, "%d:%s:%d:%q:%d;", y.Kind, y.ShortTag(), len(y.Value), y.Value, len(y.Content))
		})
	}
	return b.Bytes()
}

func walk(y *yaml.Node, visit func(*yaml.Node)) {
	visit(y)
	for _, c := range y.Content {
		walk(c, visit)
	}
}
