package expr

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// Node is one value of a file with its place. An absent node (a key that is not written) answers every question with
// the zero value and no mistake; what is there and wrong is reported to the file.
type Node struct {
	file *File
	path string
	yaml *yaml.Node
	// under is where an absent node would have stood.
	under *yaml.Node
}

// Entry is one key of a mapping with its value.
type Entry struct{ Key, Value *Node }

// In gives the same node with a path that its mistakes name, such as "rule ErrorRateSpike".
func (n *Node) In(path string) *Node {
	c := *n
	c.path = path
	return &c
}

// Path is what In set on this node or above it.
func (n *Node) Path() string { return n.path }

// File is the file the node stands in.
func (n *Node) File() *File { return n.file }

// Exists says whether the value is written. `key:` with nothing behind it counts as not written.
func (n *Node) Exists() bool { return n.yaml != nil && !isNull(n.yaml) }

// Line is the line of the value, from 1; 0 when it is absent.
func (n *Node) Line() int {
	if n.yaml == nil {
		return 0
	}
	return n.yaml.Line
}

// IsMap, IsList and IsString say what kind of value is written; all false when it is absent.
func (n *Node) IsMap() bool    { return n.Exists() && n.yaml.Kind == yaml.MappingNode }
func (n *Node) IsList() bool   { return n.Exists() && n.yaml.Kind == yaml.SequenceNode }
func (n *Node) IsString() bool { return n.Exists() && isString(n.yaml) }

// Map says that the node is a mapping with no other keys than the known ones, and gives it back. An unknown key is
// reported with the near names.
func (n *Node) Map(known ...string) *Node {
	for _, e := range n.Entries() {
		if !slices.Contains(known, e.Key.yaml.Value) {
			name := e.Key.yaml.Value
			e.Key.Report("yaml/unknown-key", fmt.Sprintf("unknown key %q", name), Near(name, known))
			if meant := nearest(name, known); meant != "" {
				n.file.meant = append(n.file.meant, keyOf{n.yaml, meant})
			}
		}
	}
	return n
}

// Misspelt says whether Map found a key that was meant to be one of these: what it would have said is not missing.
func (n *Node) Misspelt(keys ...string) bool {
	return slices.ContainsFunc(n.file.meant, func(m keyOf) bool { return m.mapping == n.yaml && slices.Contains(keys, m.key) })
}

// Get is the value of a key; absent when the key is not written. Of a key that stands twice it is the first.
func (n *Node) Get(key string) *Node {
	child := &Node{file: n.file, path: n.path, under: n.yaml}
	if n.yaml == nil || n.yaml.Kind != yaml.MappingNode {
		return child
	}
	for i := 0; i+1 < len(n.yaml.Content); i += 2 {
		if n.yaml.Content[i].Value == key {
			child.yaml = n.yaml.Content[i+1]
			if isNull(child.yaml) {
				child.under = n.yaml.Content[i]
			}
			break
		}
	}
	return child
}

// Need is Get for a key that must be written.
func (n *Node) Need(key string) *Node {
	child := n.Get(key)
	if !child.Exists() && n.IsMap() {
		d := child.Diagnostic("yaml/missing-key", fmt.Sprintf("%q is missing", key), "")
		d.File = n.file.Name
		n.file.absent = append(n.file.absent, absence{keyOf{n.yaml, key}, d})
	}
	return child
}

// Entries are the keys of a mapping in the order of the file, each key once.
func (n *Node) Entries() []Entry {
	if !n.is(yaml.MappingNode, "a mapping (key: value)") {
		return nil
	}
	var entries []Entry
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.yaml.Content); i += 2 {
		k := n.yaml.Content[i]
		if k.Kind == yaml.ScalarNode && !seen[k.Value] {
			seen[k.Value] = true
			entries = append(entries, Entry{n.child(k), n.child(n.yaml.Content[i+1])})
		}
	}
	return entries
}

// List are the items of a list in order.
func (n *Node) List() []*Node {
	if !n.is(yaml.SequenceNode, "a list (- item)") {
		return nil
	}
	items := make([]*Node, len(n.yaml.Content))
	for i, c := range n.yaml.Content {
		items[i] = n.child(c)
	}
	return items
}

// Str is a string. A number, a truth value or a date must be quoted to be one.
func (n *Node) Str() string {
	if !n.is(yaml.ScalarNode, "a string") {
		return ""
	}
	if !isString(n.yaml) {
		n.Report("yaml/kind", fmt.Sprintf("want a string, found %s", kindName(n.yaml)), fmt.Sprintf("write it in quotes: %q", n.yaml.Value))
		return ""
	}
	return n.yaml.Value
}

// Scalar is any scalar as it is written: a string, a number, a truth value.
func (n *Node) Scalar() string {
	if !n.is(yaml.ScalarNode, "a single value") {
		return ""
	}
	return n.yaml.Value
}

// Int is a whole number.
func (n *Node) Int() int {
	if !n.is(yaml.ScalarNode, "a whole number") {
		return 0
	}
	i, err := strconv.Atoi(n.yaml.Value)
	if err != nil || n.yaml.ShortTag() != "!!int" {
		n.wrong("a whole number")
		return 0
	}
	return i
}

// Float is a number.
func (n *Node) Float() float64 {
	if !n.is(yaml.ScalarNode, "a number") {
		return 0
	}
	f, err := strconv.ParseFloat(n.yaml.Value, 64)
	if tag := n.yaml.ShortTag(); err != nil || tag != "!!int" && tag != "!!float" {
		n.wrong("a number")
		return 0
	}
	return f
}

// Bool is true or false.
func (n *Node) Bool() bool {
	if !n.is(yaml.ScalarNode, "true or false") {
		return false
	}
	if n.yaml.ShortTag() != "!!bool" {
		n.wrong("true or false")
		return false
	}
	return strings.EqualFold(n.yaml.Value, "true")
}

// OneOf is one of the given words; anything else is reported with the near ones. Absent, it is "".
func (n *Node) OneOf(words ...string) string {
	s := n.Str()
	if s == "" && !n.IsString() || slices.Contains(words, s) {
		return s
	}
	hint := Near(s, words)
	if strings.HasPrefix(hint, "known:") {
		hint = "" // the message has them
	}
	n.Report("yaml/word", fmt.Sprintf("%q is not one of %s", s, strings.Join(words, ", ")), hint)
	return ""
}

var identifier = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Identifier is a name that CEL can read as a field: [a-z][a-z0-9_]*. Procedures, steps, variables and vars have such names.
func (n *Node) Identifier() string {
	s := n.Str()
	if s != "" && !identifier.MatchString(s) || n.IsString() && s == "" {
		n.Report("name/form", fmt.Sprintf("%q is not a name such as switch_traffic", s), "use a-z, 0-9 and _, beginning with a letter")
		return ""
	}
	return s
}

// Report tells a mistake at this node.
func (n *Node) Report(code, message, hint string) {
	n.file.add(n.Diagnostic(code, message, hint))
}

// Warn tells what looks like a mistake but can be used.
func (n *Node) Warn(code, message, hint string) {
	d := n.Diagnostic(code, message, hint)
	d.Warning = true
	n.file.add(d)
}

// Diagnostic is a mistake at this node that is not reported to its file: for what is found once files are read.
func (n *Node) Diagnostic(code, message, hint string) Diagnostic {
	y, w := n.yaml, 1
	if !n.Exists() && n.under != nil {
		y = n.under
		if y.Kind == yaml.MappingNode && y.Style&yaml.FlowStyle == 0 && len(y.Content) > 0 {
			y = y.Content[0]
		}
	}
	d := Diagnostic{File: n.file.Name, Path: n.path, Code: code, Message: message, Hint: hint}
	if y == nil {
		return d
	}
	if y.Kind == yaml.ScalarNode {
		w = scalarWidth(y)
	}
	d.Line, d.Column, d.Width, d.Source = y.Line, y.Column, w, n.file.line(y.Line)
	return d
}

func (n *Node) child(y *yaml.Node) *Node {
	return &Node{file: n.file, path: n.path, yaml: y, under: n.yaml}
}

func (n *Node) is(kind yaml.Kind, want string) bool {
	if !n.Exists() {
		return false
	}
	if n.yaml.Kind != kind {
		n.wrong(want)
		return false
	}
	return true
}

func (n *Node) wrong(want string) {
	n.Report("yaml/kind", fmt.Sprintf("want %s, found %s", want, kindName(n.yaml)), "")
}

func isNull(y *yaml.Node) bool { return y.Kind == yaml.ScalarNode && y.ShortTag() == "!!null" }

// isString takes dates for strings: they have no type of their own here. So it does with what has a tag, which is a
// mistake told already.
func isString(y *yaml.Node) bool {
	tag := y.ShortTag()
	return y.Kind == yaml.ScalarNode && (tag == "!!str" || tag == "!!timestamp" || y.Style&yaml.TaggedStyle != 0)
}

func kindName(y *yaml.Node) string {
	switch y.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch y.ShortTag() {
	case "!!int", "!!float":
		return "the number " + y.Value
	case "!!bool":
		return "the truth value " + y.Value
	}
	return strconv.Quote(y.Value)
}

// scalarWidth is how far a caret reaches under a scalar that stands in one line.
func scalarWidth(y *yaml.Node) int {
	switch {
	case y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return 1
	case y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		return width(y.Value) + 2
	}
	return width(y.Value)
}
