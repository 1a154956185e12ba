package expr

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v4"
)

// File is one YAML file read strictly. What its nodes are asked for and is wrong is gathered here, so that every mistake
// is told at once. A File and its nodes are for one goroutine.
type File struct {
	Name  string
	lines []string
	root  *Node
	found Diagnostics
	// absent are keys that must be written and are not; meant are the keys that unknown ones were hinted to mean.
	absent []absence
	meant  []keyOf
}

// keyOf is a key of one mapping.
type keyOf struct {
	mapping *yaml.Node
	key     string
}

type absence struct {
	keyOf
	Diagnostic
}

// maxDepth bounds how deep a file may nest.
const maxDepth = 100

// ParseFile reads one file. Syntax errors, tags, anchors, duplicate keys and a second document are diagnostics; the file
// is usable (its Root may be absent) even when there are some.
func ParseFile(name string, data []byte) (*File, Diagnostics) {
	f := &File{Name: name, lines: splitLines(data)}
	f.root = &Node{file: f}
	if !utf8.Valid(data) {
		f.add(Diagnostic{Code: "yaml/syntax", Message: "the file is not UTF-8 text"})
		return f, f.found
	}
	if f.oddBreak() {
		return f, f.found
	}
	if doc := f.parse(data); doc != nil && len(doc.Content) == 1 {
		f.root.yaml = doc.Content[0]
		f.strict(f.root.yaml, 0)
	}
	return f, f.Diagnostics()
}

func splitLines(data []byte) []string {
	text := strings.ReplaceAll(string(bytes.TrimPrefix(data, []byte("\uFEFF"))), "\r\n", "\n")
	return strings.Split(text, "\n")
}

// oddBreak refuses the line breaks that YAML counts and editors do not: no mistake after one could be shown at its line.
func (f *File) oddBreak() bool {
	for n, line := range f.lines {
		if at := strings.IndexAny(line, "\r\u0085\u2028\u2029"); at >= 0 {
			f.add(f.at(n+1, utf8.RuneCountInString(line[:at])+1, 1, "yaml/syntax", "a line break that is neither LF nor CRLF", "in a text write it as an escape"))
			return true
		}
	}
	return false
}

func (f *File) parse(data []byte) *yaml.Node {
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithAllDocuments())
	if err != nil {
		f.syntax(err)
		return nil
	}
	var doc, second yaml.Node
	if err := loader.Load(&doc); err != nil {
		if !errors.Is(err, io.EOF) {
			f.syntax(err)
		}
		return nil
	}
	if err := loader.Load(&second); err == nil {
		f.add(f.at(second.Line, second.Column, 3, "yaml/documents", "a second document begins here: one file holds one", ""))
	} else if !errors.Is(err, io.EOF) {
		f.syntax(err)
	}
	return &doc
}

func (f *File) syntax(err error) {
	var one *yaml.LoadError
	if !errors.As(err, &one) {
		f.add(Diagnostic{Code: "yaml/syntax", Message: strings.TrimPrefix(err.Error(), "yaml: ")})
		return
	}
	mark, message := one.Mark, strings.TrimPrefix(one.Message, "yaml: ")
	if one.ContextMsg != "" {
		message = fmt.Sprintf("%s (%s that begins in line %d)", message, one.ContextMsg, one.ContextMark.Line)
	}
	f.add(f.at(mark.Line, mark.Column, 1, "yaml/syntax", message, ""))
}

// strict refuses what only surprises: tags, anchors, keys that are no strings, keys that stand twice.
func (f *File) strict(y *yaml.Node, depth int) {
	switch {
	case depth > maxDepth:
		f.add(f.at(y.Line, y.Column, 1, "yaml/depth", fmt.Sprintf("nested deeper than %d levels", maxDepth), ""))
		return
	case y.Style&yaml.TaggedStyle != 0:
		f.add(f.at(y.Line, y.Column, width(y.Tag), "yaml/tag", fmt.Sprintf("the tag %s is not read here", visible(y.Tag)), "write the plain value"))
	case y.Anchor != "":
		f.add(f.at(y.Line, y.Column, width(y.Anchor)+1, "yaml/anchor", "anchors and aliases are not read here", "write it out, or use `variables`, `vars` or a class"))
	}
	if y.Kind == yaml.MappingNode {
		f.uniqueKeys(y)
	}
	for _, c := range y.Content {
		f.strict(c, depth+1)
	}
}

func (f *File) uniqueKeys(y *yaml.Node) {
	first := map[string]int{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		key := y.Content[i]
		if key.Kind != yaml.ScalarNode {
			f.add(f.at(key.Line, key.Column, 1, "yaml/key", "a key must be a plain word", ""))
			continue
		}
		if line, twice := first[key.Value]; twice {
			f.add(f.at(key.Line, key.Column, width(key.Value), "yaml/duplicate-key", fmt.Sprintf("the key %q stands twice", key.Value), fmt.Sprintf("first in line %d", line)))
			continue
		}
		first[key.Value] = key.Line
	}
}

// Root is the file's outermost node; absent in an empty file.
func (f *File) Root() *Node { return f.root }

// Diagnostics are all mistakes found so far, sorted, without what only follows from others: a key that was misspelt is
// not told to be missing, nor is its mapping told to lack it; a value that cannot be read is not told to be too large.
func (f *File) Diagnostics() Diagnostics {
	var all Diagnostics
	misspelt, unread := map[[2]int]bool{}, map[[2]int]bool{}
	for _, m := range f.meant {
		misspelt[[2]int{m.mapping.Line, m.mapping.Column}] = true
	}
	for _, d := range f.found {
		at, form := [2]int{d.Line, d.Column}, strings.HasPrefix(d.Code, "yaml/")
		switch {
		case misspelt[at] && d.Code != "yaml/unknown-key" && d.Code != "yaml/duplicate-key", unread[at] && !form:
			continue
		}
		unread[at] = unread[at] || form
		all = append(all, d)
	}
	for _, a := range f.absent {
		if !slices.Contains(f.meant, a.keyOf) {
			all = append(all, a.Diagnostic)
		}
	}
	return all.Sorted()
}

func (f *File) add(d Diagnostic) {
	d.File = f.Name
	f.found = append(f.found, d)
}

func (f *File) at(line, column, width int, code, message, hint string) Diagnostic {
	return Diagnostic{File: f.Name, Line: line, Column: max(column, 1), Width: width, Code: code, Message: message, Hint: hint, Source: f.line(line)}
}

func (f *File) line(n int) string {
	if n < 1 || n > len(f.lines) {
		return ""
	}
	return f.lines[n-1]
}

func width(s string) int { return max(utf8.RuneCountInString(s), 1) }
