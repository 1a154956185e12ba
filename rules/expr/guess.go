package expr

import (
	"errors"
	"unicode/utf8"
)

// Guess is a query rendered offline: what is not known yet has a stand-in.
type Guess struct {
	Text   string
	pieces []guessed
}

// guessed is one piece of a guess: it ends before a byte of the text, and began at a character of the source.
type guessed struct {
	end, at int
	written string // the piece as the author wrote it; empty for what `${…}` put in
}

// GuessPromQL renders a query with only the known variables; everything else is the stand-in, inside the quotes that the
// author wrote. ErrUnknown says that something unknown stands outside of quotes: nothing can be said about such a query.
// Any other error stands whatever the unknown is.
func (t *Template) GuessPromQL(v Vars, standIn string, known ...string) (Guess, error) {
	b, at := Bind(v), 0
	var g Guess
	var parts []Part
	for _, p := range t.parts {
		part, next, err := p.guess(b, standIn, at, known)
		if err != nil {
			return Guess{}, err
		}
		parts = append(parts, part)
		text, err := EscapePromQL(parts)
		switch {
		case err != nil && part.Hostile() && part.Text == standIn:
			return Guess{}, ErrUnknown
		case err != nil:
			return Guess{}, err
		}
		g.Text = text
		g.pieces = append(g.pieces, guessed{len(text), at, p.text})
		if p.prog != nil {
			g.pieces[len(g.pieces)-1].written = ""
		}
		at = next
	}
	return g, nil
}

// Plain is a query into which nothing is put.
func Plain(text string) Guess { return Guess{text, []guessed{{len(text), 0, text}}} }

// guess gives the piece's text, and where the next piece begins in the source.
func (p piece) guess(b *Bound, standIn string, at int, known []string) (Part, int, error) {
	if p.prog == nil {
		return Part{Text: p.text}, at + sourceWidth(p.text), nil
	}
	next := p.at + utf8.RuneCountInString(p.text) + 1
	value, err := p.prog.EvalPartial(b, known...)
	if errors.Is(err, ErrUnknown) {
		return Part{Text: standIn, Value: true}, next, nil
	}
	if err != nil {
		return Part{}, 0, err
	}
	text, err := asText(value)
	return Part{Text: text, Value: true, Trusted: p.prog.trusted}, next, err
}

// sourceWidth is how many characters a text took in the source, where a plain ${ is written $${.
func sourceWidth(text string) int {
	width, runes := 0, []rune(text)
	for i := range runes {
		if width++; starts(runes[i:], "${") {
			width++
		}
	}
	return width
}

// Place maps a byte of the text to a character of the query as it is written.
func (g Guess) Place(at int) int {
	begin := 0
	for _, p := range g.pieces {
		if at < p.end || p == g.pieces[len(g.pieces)-1] {
			return p.at + sourceWidth(p.written[:max(min(at-begin, len(p.written)), 0)])
		}
		begin = p.end
	}
	return 0
}

// Within is a mistake inside a string's value, at so many characters from its beginning.
func (n *Node) Within(at, width int, code, message, hint string) Diagnostic {
	if !n.Exists() {
		return n.Diagnostic(code, message, hint)
	}
	return n.within(at, width, code, message, hint)
}

// At is a mistake that another reader found in the file. A line that the file does not have is the file as a whole.
func (f *File) At(line, column int, code, message string) Diagnostic {
	if line < 1 || line > len(f.lines) {
		return Diagnostic{File: f.Name, Code: code, Message: message}
	}
	return f.at(line, column, 1, code, message, "")
}
