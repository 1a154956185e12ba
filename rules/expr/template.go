package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Template is a string in which `${…}` is CEL and `$${` is a plain `${`. It is immutable and safe for concurrent use.
type Template struct {
	source string
	node   *Node
	parts  []piece
}

// piece is text as written, or an expression with its place in the string, in characters.
type piece struct {
	text string
	prog *Program
	at   int
}

// Part is a piece of a rendered string: what the author wrote, or what `${…}` put in.
type Part struct {
	Text string
	// Value says that `${…}` put it in; Trusted that it is made of the target's own words and constants.
	Value, Trusted bool
}

// Hostile says that a stranger may have chosen the text.
func (p Part) Hostile() bool { return p.Value && !p.Trusted }

// Template reads a string of a file. Its mistakes are reported to the node's file and returned. An absent node gives no
// template and no mistake.
func (e *Env) Template(scope Scope, node *Node) (*Template, Diagnostics) {
	if !node.Exists() {
		return nil, nil
	}
	before := len(node.file.found)
	text := node.Str()
	t := &Template{source: text, node: node}
	pieces := t.split([]rune(text))
	for _, p := range pieces {
		if p.at >= 0 {
			c := &compilation{env: e, scope: scope, node: node, text: p.text, offset: p.at}
			p.prog = c.template()
		}
		if p.at < 0 || p.prog != nil {
			t.parts = append(t.parts, p)
		}
	}
	t.writable(len(pieces))
	found := node.file.since(len(node.file.found) - before)
	if found.Err() != nil || len(t.parts) != len(pieces) {
		return nil, found
	}
	return t, found
}

// template compiles one `${…}`; it gives nil after reporting a mistake.
func (c *compilation) template() *Program {
	if strings.TrimSpace(c.text) == "" {
		c.report(-2, len([]rune(c.text))+3, "template/empty", "nothing stands between ${ and }", "")
		return nil
	}
	return c.program(Any)
}

// split finds the expressions. It reports one that has no end.
func (t *Template) split(text []rune) []piece {
	var parts []piece
	var plain strings.Builder
	flush := func() {
		if plain.Len() > 0 {
			parts = append(parts, piece{text: plain.String(), at: -1})
			plain.Reset()
		}
	}
	for i := 0; i < len(text); {
		switch {
		case starts(text[i:], "$${"):
			plain.WriteString("${")
			i += 3
		case starts(text[i:], "${"):
			end := expressionEnd(text, i+2)
			if end < 0 {
				t.node.file.add(t.node.within(i, 2, "template/open", "${ has no }", "a plain ${ is written $${"))
				return parts
			}
			flush()
			parts = append(parts, piece{text: string(text[i+2 : end]), at: i + 2})
			i = end + 1
		default:
			plain.WriteRune(text[i])
			i++
		}
	}
	flush()
	return parts
}

// writable reports values that cannot be written as text where the string has more than one piece.
func (t *Template) writable(pieces int) {
	for _, p := range t.parts {
		if p.prog == nil || pieces == 1 {
			continue
		}
		if k := p.prog.Kind(); k == List || k == Map || k == Null {
			t.node.file.add(t.node.within(p.at, width(p.text), "template/kind", fmt.Sprintf("%s cannot stand inside a longer string", k), "name one of its values, or let ${…} be the whole string"))
		}
	}
}

func starts(text []rune, with string) bool {
	return len(text) >= len(with) && string(text[:len(with)]) == with
}

// expressionEnd finds the brace that closes an expression: not one inside a string, a comment or a map.
func expressionEnd(text []rune, i int) int {
	for depth := 0; i < len(text); i++ {
		switch r := text[i]; {
		case r == '"' || r == '\'':
			raw := i > 0 && (text[i-1] == 'r' || text[i-1] == 'R') && (i < 2 || !isWord(text[i-2]) || strings.ContainsRune("bB", text[i-2]))
			if i = stringEnd(text, i, raw); i < 0 {
				return -1
			}
		case starts(text[i:], "//"):
			for i < len(text) && text[i] != '\n' {
				i++
			}
		case r == '{':
			depth++
		case r == '}' && depth == 0:
			return i
		case r == '}':
			depth--
		}
	}
	return -1
}

// stringEnd finds the last quote of a CEL string that begins at i.
func stringEnd(text []rune, i int, raw bool) int {
	quote := string(text[i])
	if starts(text[i:], strings.Repeat(quote, 3)) {
		quote = strings.Repeat(quote, 3)
	}
	for i += len(quote); i < len(text); i++ {
		switch {
		case text[i] == '\\' && !raw:
			i++
		case starts(text[i:], quote):
			return i + len(quote) - 1
		}
	}
	return -1
}

// Source is the template as written.
func (t *Template) Source() string { return t.source }

// Node is where it is written.
func (t *Template) Node() *Node { return t.node }

// Constant says that nothing is put in.
func (t *Template) Constant() bool { return len(t.programs()) == 0 }

// Whole says that the string is one `${…}`: the value keeps its type.
func (t *Template) Whole() bool { return len(t.parts) == 1 && t.parts[0].prog != nil }

// Kind is what rendering gives, as far as types tell.
func (t *Template) Kind() Kind {
	if t.Whole() {
		return t.parts[0].prog.Kind()
	}
	return String
}

// Trusted says that all that is put in is the target's own words and constants.
func (t *Template) Trusted() bool {
	return !slices.ContainsFunc(t.programs(), func(p *Program) bool { return !p.trusted })
}

// Roots are the variables it reads, such as "alert".
func (t *Template) Roots() []string {
	return t.gather(func(p *Program) []string { return p.roots })
}

// Uses are the `variables` put into it.
func (t *Template) Uses() []string {
	return t.gather(func(p *Program) []string { return p.uses })
}

func (t *Template) gather(of func(*Program) []string) []string {
	var all []string
	for _, p := range t.programs() {
		all = append(all, of(p)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (t *Template) programs() []*Program {
	var all []*Program
	for _, p := range t.parts {
		if p.prog != nil {
			all = append(all, p.prog)
		}
	}
	return all
}

// Render gives the string, or the value when the whole string is one `${…}`. escape (which may be nil) is asked for
// each text that is put in; lists and maps are given as they are.
func (t *Template) Render(v Vars, escape func(value string, trusted bool) (string, error)) (any, error) {
	b := Bind(v)
	return t.render(escape, func(p *Program) (any, error) { return p.EvalIn(b) })
}

// RenderPartial renders with only target.*, constants and the known variables. unknown says that the value depends on
// something else; an error stands whatever that is.
func (t *Template) RenderPartial(v Vars, escape func(value string, trusted bool) (string, error), known ...string) (value any, unknown bool, err error) {
	b, known := Bind(v), append([]string{"target"}, known...)
	for _, p := range t.programs() {
		if _, err := p.EvalPartial(b, known...); errors.Is(err, ErrUnknown) {
			unknown = true
		} else if err != nil {
			return nil, false, err
		}
	}
	if unknown {
		return nil, true, nil
	}
	value, err = t.render(escape, func(p *Program) (any, error) { return p.EvalPartial(b, known...) })
	return value, false, err
}

func (t *Template) render(escape func(string, bool) (string, error), eval func(*Program) (any, error)) (any, error) {
	if t.Whole() {
		value, err := eval(t.parts[0].prog)
		text, isText := value.(string)
		if err != nil || !isText || escape == nil {
			return value, err
		}
		return t.escaped(escape, text, t.parts[0].prog)
	}
	parts, err := t.partsBy(eval)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, p := range parts {
		if p.Value && escape != nil {
			if p.Text, err = t.escaped(escape, p.Text, t.parts[i].prog); err != nil {
				return nil, err
			}
		}
		b.WriteString(p.Text)
	}
	return b.String(), nil
}

func (t *Template) escaped(escape func(string, bool) (string, error), text string, p *Program) (string, error) {
	safe, err := escape(text, p.trusted)
	if err != nil {
		return "", fmt.Errorf("put in ${%s}: %w", strings.TrimFunc(p.source, unicode.IsSpace), err)
	}
	return safe, nil
}

// Parts renders the pieces apart, for escaping that must see what stands around a value.
func (t *Template) Parts(v Vars) ([]Part, error) {
	b := Bind(v)
	return t.partsBy(func(p *Program) (any, error) { return p.EvalIn(b) })
}

func (t *Template) partsBy(eval func(*Program) (any, error)) ([]Part, error) {
	parts := make([]Part, len(t.parts))
	for i, p := range t.parts {
		if parts[i].Text = p.text; p.prog == nil {
			continue
		}
		value, err := eval(p.prog)
		if err != nil {
			return nil, err
		}
		text, err := asText(value)
		if err != nil {
			return nil, fmt.Errorf("put in ${%s}: %w", p.prog.source, err)
		}
		parts[i] = Part{Text: text, Value: true, Trusted: p.prog.trusted}
	}
	return parts, nil
}

// Text renders the template for people: what a stranger's words hide is made visible.
func (t *Template) Text(v Vars) (string, error) {
	parts, err := t.Parts(v)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range parts {
		if p.Hostile() {
			p.Text = EscapeText(p.Text)
		}
		b.WriteString(p.Text)
	}
	return b.String(), nil
}
