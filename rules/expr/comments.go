package expr

import (
	"slices"
	"strings"
	"unicode"

	yaml "go.yaml.in/yaml/v4"
)

// Comment is one comment of a file, from its # to the end of the line.
type Comment struct {
	// Line and Column count from 1; Column is in characters.
	Line, Column int
	Text         string
	// Alone says that nothing else stands in the line.
	Alone bool
}

// Comments are the file's comments in the order of its lines. A # inside a text is none. A file that cannot be parsed has
// no comments.
func (f *File) Comments() []Comment {
	if f.root.yaml == nil {
		return nil
	}
	var inside []extent
	walk(f.root.yaml, func(y *yaml.Node) {
		if e, ok := f.extent(y); ok {
			inside = append(inside, e)
		}
	})
	slices.SortFunc(inside, func(a, b extent) int { return a.from.compare(b.from) })
	return f.commentsOutside(inside)
}

func (f *File) commentsOutside(inside []extent) []Comment {
	var all []Comment
	for n, line := range f.lines {
		text := []rune(line)
		for column, r := range text {
			at := spot{n, column}
			for len(inside) > 0 && inside[0].to.compare(at) <= 0 {
				inside = inside[1:]
			}
			if r != '#' || column > 0 && !unicode.IsSpace(text[column-1]) || len(inside) > 0 && inside[0].from.compare(at) <= 0 {
				continue
			}
			all = append(all, Comment{n + 1, column + 1, string(text[column:]), blank(text[:column])})
			break
		}
	}
	return all
}

// spot is a place in a file, both from 0.
type spot struct{ line, column int }

func (s spot) compare(other spot) int {
	if s.line != other.line {
		return s.line - other.line
	}
	return s.column - other.column
}

// extent is where a text stands in which a # means nothing; to is behind its last character.
type extent struct{ from, to spot }

// extent is for quoted texts and blocks. In a plain text a # behind a space ends the text.
func (f *File) extent(y *yaml.Node) (extent, bool) {
	at := spot{y.Line - 1, y.Column - 1}
	if y.Kind != yaml.ScalarNode || at.line < 0 || at.line >= len(f.lines) {
		return extent{}, false
	}
	switch {
	case y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return extent{spot{at.line + 1, 0}, f.blockEnd(at.line+1, y.Value)}, true
	case y.Style&yaml.DoubleQuotedStyle != 0:
		return extent{at, f.quoteEnd(at, '"')}, true
	case y.Style&yaml.SingleQuotedStyle != 0:
		return extent{at, f.quoteEnd(at, '\'')}, true
	}
	return extent{}, false
}

// blockEnd finds the first line that is indented less than the block. The value tells how far the block itself is
// indented: what stands before its first words beyond that is its own.
func (f *File) blockEnd(line int, value string) spot {
	first := line
	for first < len(f.lines) && strings.TrimSpace(f.lines[first]) == "" {
		first++
	}
	own := strings.TrimLeft(value, "\n")
	if strings.TrimSpace(own) == "" || first == len(f.lines) {
		return spot{first, 0}
	}
	indent := spaces(f.lines[first]) - spaces(own)
	end := first
	for end < len(f.lines) && (strings.TrimSpace(f.lines[end]) == "" || spaces(f.lines[end]) >= indent) {
		end++
	}
	return spot{end, 0}
}

func spaces(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }

// quoteEnd finds the place behind the closing quote.
func (f *File) quoteEnd(at spot, quote rune) spot {
	column := at.column + 1
	for line := at.line; line < len(f.lines); line++ {
		text := []rune(f.lines[line])
		for ; column < len(text); column++ {
			switch {
			case quote == '"' && text[column] == '\\':
				column++
			case quote == '\'' && text[column] == quote && column+1 < len(text) && text[column+1] == quote:
				column++
			case text[column] == quote:
				return spot{line, column + 1}
			}
		}
		column = 0
	}
	return spot{len(f.lines), 0}
}
