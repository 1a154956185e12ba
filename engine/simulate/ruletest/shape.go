package ruletest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/rules/expr"
)

// shape says what may stand at a place of the file. It checks a node, and describes itself as JSON Schema, so that what
// an editor completes and what is read are the same.
type shape interface {
	check(n *expr.Node)
	schema() map[string]any
}

// key is one key of an object.
type key struct {
	name  string
	shape shape
	need  bool
	says  string
}

// object is a mapping with known keys.
type object []key

func (o object) names() []string {
	names := make([]string, len(o))
	for i, k := range o {
		names[i] = k.name
	}
	return names
}

func (o object) check(n *expr.Node) {
	n.Map(o.names()...)
	for _, k := range o {
		value := n.Get(k.name)
		if k.need {
			value = n.Need(k.name)
		}
		if value.Exists() {
			k.shape.check(value)
		}
	}
}

func (o object) schema() map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, k := range o {
		s := k.shape.schema()
		s["description"] = k.says
		properties[k.name] = s
		if k.need {
			required = append(required, k.name)
		}
	}
	s := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// listOf is a list of one shape.
type listOf struct{ item shape }

func (l listOf) check(n *expr.Node) {
	for _, item := range n.List() {
		if !item.Exists() {
			item.Report("yaml/kind", "an item of the list is empty", "")
			continue
		}
		l.item.check(item)
	}
}

func (l listOf) schema() map[string]any {
	return map[string]any{"type": "array", "items": l.item.schema()}
}

// later is a shape that is checked where it is read.
type later struct{ shape }

func (later) check(*expr.Node) {}

// mapOf is a mapping with free keys.
type mapOf struct{ value shape }

func (m mapOf) check(n *expr.Node) {
	for _, e := range n.Entries() {
		m.value.check(e.Value)
	}
}

func (m mapOf) schema() map[string]any {
	return map[string]any{"type": "object", "additionalProperties": m.value.schema()}
}

// text is a string.
type text struct{}

func (text) check(n *expr.Node)     { n.Str() }
func (text) schema() map[string]any { return map[string]any{"type": "string"} }

// count is a whole number, nothing or more.
type count struct{}

func (count) check(n *expr.Node) {
	if n.Int() < 0 {
		n.Report("yaml/number", "want nothing or more", "")
	}
}
func (count) schema() map[string]any { return map[string]any{"type": "integer", "minimum": 0} }

// truth is true or false.
type truth struct{}

func (truth) check(n *expr.Node)     { n.Bool() }
func (truth) schema() map[string]any { return map[string]any{"type": "boolean"} }

// free is any value.
type free struct{}

func (free) check(n *expr.Node)     { n.Any() }
func (free) schema() map[string]any { return map[string]any{} }

// word is one of some words.
type word []string

func (w word) check(n *expr.Node)     { n.OneOf(w...) }
func (w word) schema() map[string]any { return map[string]any{"enum": w} }

// wordOrWords is a word or a list of them.
type wordOrWords word

func (w wordOrWords) check(n *expr.Node) {
	if n.IsList() {
		listOf{word(w)}.check(n)
		return
	}
	word(w).check(n)
}

func (w wordOrWords) schema() map[string]any {
	return map[string]any{"anyOf": []any{word(w).schema(), listOf{word(w)}.schema()}}
}

// countOrWord is a number or one word.
type countOrWord string

func (c countOrWord) check(n *expr.Node) {
	if n.IsString() {
		n.OneOf(string(c))
		return
	}
	count{}.check(n)
}

func (c countOrWord) schema() map[string]any {
	return map[string]any{"anyOf": []any{count{}.schema(), word{string(c)}.schema()}}
}

// length is how long something takes; offset is when something happens, counted from the start of the test: before it
// when it begins with "-".
type (
	length struct{}
	offset struct{}
)

func (length) check(n *expr.Node) {
	if d := readOffset(n); d < 0 {
		n.Report("yaml/duration", fmt.Sprintf("%q is not a duration such as 30s, 5m or 2d", n.Scalar()), "")
	}
}
func (length) schema() map[string]any { return durationSchema(`^`) }

func (offset) check(n *expr.Node)     { readOffset(n) }
func (offset) schema() map[string]any { return durationSchema(`^-?`) }

func durationSchema(begin string) map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "string", "pattern": begin + `([0-9]+(\.[0-9]+)?(d|h|m|s|ms))+$`}, map[string]any{"const": 0}, map[string]any{"const": "0"},
	}}
}

// moment is a date with a time.
type moment struct{}

func (moment) check(n *expr.Node) { readMoment(n) }
func (moment) schema() map[string]any {
	return map[string]any{"type": "string", "format": "date-time"}
}

// readMoment is a moment such as 2026-11-01T12:00:00Z; zero when none is written.
func readMoment(n *expr.Node) time.Time {
	text := n.Str()
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		n.Report("test/start", fmt.Sprintf("%q is not a moment such as 2026-11-01T12:00:00Z", text), "")
		return time.Time{}
	}
	return at.UTC()
}

// readOffset is a time counted from the start of the test; 0 when none is written.
func readOffset(n *expr.Node) time.Duration {
	text := n.Scalar()
	if text == "" {
		return 0
	}
	d, ok := parseOffset(text)
	if !ok {
		n.Report("yaml/duration", fmt.Sprintf("%q is not a duration such as 30s, 4m59s or 2d", text), "")
	}
	return d
}

// atLeastASecond refuses what would repeat without end.
func atLeastASecond(n *expr.Node) {
	if d, ok := parseOffset(n.Scalar()); n.Exists() && ok && d >= 0 && d < time.Second {
		n.Report("test/repeat", "want a second or more", "")
	}
}

var days = regexp.MustCompile(`^([0-9]{1,5})d(.*)$`)

// longest keeps moments within what a clock can tell.
const longest = 10 * 365 * 24 * time.Hour

// parseOffset reads Go's durations, with whole days before them: 2d, 1d12h, -20m.
func parseOffset(text string) (time.Duration, bool) {
	rest, negative := strings.CutPrefix(text, "-")
	var all time.Duration
	if m := days.FindStringSubmatch(rest); m != nil {
		n, err := expr.ParseDuration(m[1] + "d")
		if err != nil {
			return 0, false
		}
		all, rest = n, m[2]
	}
	if rest != "" || all == 0 && !strings.HasSuffix(text, "d") {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || strings.HasPrefix(rest, "+") {
			return 0, false
		}
		all += d
	}
	if all > longest || all < 0 {
		return 0, false
	}
	if negative {
		all = -all
	}
	return all, true
}

// readWords reads a word or a list of them.
func readWords(n *expr.Node) []string {
	if n.IsList() {
		return n.Strings()
	}
	if !n.Exists() {
		return nil
	}
	return []string{n.Str()}
}

// known reports a name that is not among those there are.
func known(n *expr.Node, what string, names []string) {
	name := n.Name()
	if !n.IsString() || slices.Contains(names, name) {
		return
	}
	n.Report("ref/"+strings.ReplaceAll(what, " ", "-"), fmt.Sprintf("there is no %s %q", what, name), expr.Near(name, names))
}
