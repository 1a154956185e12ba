package expr

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/google/cel-go/cel"
)

// report tells a mistake at a place of the expression, given in characters from its beginning.
func (c *compilation) report(at, width int, code, message, hint string) {
	c.node.file.add(c.node.within(c.offset+at, width, code, message, hint))
}

// maxIssues bounds what is told of one expression: what follows the first mistakes mostly follows from them, and each
// costs a search for its place.
const maxIssues = 20

// issues tells what CEL found, each at its place in the file.
func (c *compilation) issues(found *cel.Issues) {
	all := found.Errors()
	for _, issue := range all[:min(len(all), maxIssues)] {
		at := c.characters(issue.Location.Line(), issue.Location.Column())
		m := c.say(issue.Message, at)
		if m.code == "" {
			continue // told already, where the variable is defined
		}
		c.report(m.at, m.width, m.code, m.message, m.hint)
		if m.code == "cel/syntax" {
			return // what the parser makes of the rest follows from it
		}
	}
}

// characters turns CEL's line (from 1) and column (from 0) into characters from the expression's beginning.
func (c *compilation) characters(line, column int) int {
	at := 0
	for i, text := range strings.Split(c.text, "\n") {
		if i+1 >= line {
			break
		}
		at += len([]rune(text)) + 1
	}
	return min(at+max(column, 0), len([]rune(strings.TrimRight(c.text, " \n\t"))))
}

// saying is a mistake in a user's words.
type saying struct {
	at, width           int
	code, message, hint string
}

var (
	undeclared = regexp.MustCompile(`^undeclared reference to '(.*)' \(in container ''\)$`)
	noField    = regexp.MustCompile(`^undefined field '(.*)'$`)
	noOverload = regexp.MustCompile(`(?s)^found no matching overload for '(.*)' applied to '(.*)'$`)
)

func (c *compilation) say(message string, at int) saying {
	if m := undeclared.FindStringSubmatch(message); m != nil {
		if slices.Contains(c.scope.broken, m[1]) {
			return saying{}
		}
		return c.sayUndeclared(m[1], at)
	}
	if m := noField.FindStringSubmatch(message); m != nil {
		dot := c.find(".", at)
		return saying{c.find(m[1], dot), width(m[1]), "cel/field", fmt.Sprintf("there is no field %q", m[1]), c.nearField(m[1], dot)}
	}
	if m := noOverload.FindStringSubmatch(message); m != nil {
		return c.sayOverload(m[1], m[2], at)
	}
	if message == "invalid matches argument" {
		return saying{at, c.stringAt(at), "cel/regexp", "this is no regular expression (RE2)", ""}
	}
	code := "cel/invalid"
	if rest, ok := strings.CutPrefix(message, "Syntax error: "); ok {
		code, message = "cel/syntax", sayingSyntax(rest)
	}
	return saying{at, c.wordAt(at), code, message, ""}
}

// sayingSyntax leaves out the parser's list of all that could have come.
func sayingSyntax(message string) string {
	message, _, _ = strings.Cut(message, " expecting ")
	if strings.Contains(message, "'<EOF>'") {
		return "the expression ends too early"
	}
	return "this is no CEL: " + message
}

func (c *compilation) sayUndeclared(name string, at int) saying {
	s := saying{at, width(name), "cel/undeclared", fmt.Sprintf("undeclared reference to %q", name), Near(name, c.scope.Names())}
	switch {
	case slices.Contains(rootNames(), name):
		s.message = fmt.Sprintf("%q is not known here", name)
		s.hint = "known here: " + strings.Join(c.scope.Names(), ", ")
	case strings.HasPrefix(string([]rune(c.text)[min(at, len([]rune(c.text))):]), "(") || c.calls(name, at):
		s.at = c.find(name, max(at-len([]rune(name)), 0))
		s.message, s.hint = fmt.Sprintf("there is no function %q", name), Near(name, functions(c.cel))
	}
	return s
}

func (c *compilation) calls(name string, at int) bool {
	text := []rune(c.text)
	return at <= len(text) && strings.HasPrefix(string(text[at:]), name+"(")
}

var operatorWords = map[string]string{"_==_": "==", "_!=_": "!=", "_<_": "<", "_<=_": "<=", "_>_": ">", "_>=_": ">=", "_&&_": "&&", "_||_": "||",
	"!_": "!", "_+_": "+", "_-_": "-", "_*_": "*", "_/_": "/", "_%_": "%", "@in": "in", "_[_]": "[ ]", "-_": "-", "_?_:_": "? :"}

func (c *compilation) sayOverload(function, arguments string, at int) saying {
	s := saying{at, c.wordAt(at), "cel/types", "", ""}
	args := splitTypes(strings.Trim(arguments, "()"))
	word, operator := operatorWords[function]
	switch {
	case operator && len(args) == 2:
		s.width = width(word)
		s.message = fmt.Sprintf("%s does not go between %s and %s", word, args[0], args[1])
	case operator:
		s.message = fmt.Sprintf("%s does not go with %s", word, strings.Join(args, ", "))
	default:
		s.message = fmt.Sprintf("%s() does not take %s", function, arguments)
	}
	if (word == "==" || word == "!=") && slices.Contains(args, "double") && slices.Contains(args, "int") {
		s.hint = "equality needs both sides of one type: write 1.0 for 1"
	}
	if (word == "&&" || word == "||" || word == "!") && slices.Contains(args, "string") {
		s.hint = "compare the string with something first"
	}
	return s
}

// splitTypes splits "map(string, int), string" at its outer commas.
func splitTypes(s string) []string {
	var parts []string
	depth, from := 0, 0
	for i, r := range s {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			parts = append(parts, typeName(s[from:i]))
			from = i + 1
		}
	}
	return append(parts, typeName(s[from:]))
}

// find is where a word stands at or after a place, else the place itself.
func (c *compilation) find(word string, at int) int {
	text := []rune(c.text)
	if at < 0 || at > len(text) {
		return 0
	}
	before, _, found := strings.Cut(string(text[at:]), word)
	if !found {
		return at
	}
	return at + len([]rune(before))
}

// wordAt is how wide the word is that begins at a place.
func (c *compilation) wordAt(at int) int {
	text, n := []rune(c.text), 0
	for i := at; i >= 0 && i < len(text) && isWord(text[i]); i++ {
		n++
	}
	return max(n, 1)
}

// stringAt is how wide the string is that begins at a place, quotes and all.
func (c *compilation) stringAt(at int) int {
	text := []rune(c.text)
	if at >= len(text) || text[at] != '"' && text[at] != '\'' {
		return c.wordAt(at)
	}
	return max(stringEnd(text, at, false)-at+1, 1)
}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// nearField names the fields of what stands before the dot, when that is a chain of names.
func (c *compilation) nearField(name string, dot int) string {
	text := []rune(c.text)
	from := dot
	for from > 0 && (isWord(text[from-1]) || text[from-1] == '.') {
		from--
	}
	chain := strings.Split(string(text[from:dot]), ".")
	known := objects()
	maps.Copy(known, stepObjects(c.scope.steps))
	typ, ok := rootTypes()[chain[0]]
	for _, step := range chain[1:] {
		if o := known[typ.TypeName()]; ok && o != nil {
			typ = o.fields[step].typ
			ok = typ != nil
		}
	}
	if !ok || known[typ.TypeName()] == nil {
		return ""
	}
	return Near(name, slices.Sorted(maps.Keys(known[typ.TypeName()].fields)))
}
