package expr

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	yaml "go.yaml.in/yaml/v4"
)

// within is a mistake inside a string's value, at so many characters from its beginning.
func (n *Node) within(at, width int, code, message, hint string) Diagnostic {
	line, column := n.place(at)
	d := n.Diagnostic(code, message, hint)
	d.Line, d.Column, d.Source = line, column, n.file.line(line)
	if last, end := n.place(at + width); last == line && end > column {
		width = end - column // escapes take more characters of the file than of the value
	}
	d.Width = max(min(width, len([]rune(d.Source))-column+1), 1)
	return d
}

// place maps a character of a scalar's value to its line and column in the file. Where the file's text and the value do
// not run side by side (a rare escape), it is the beginning of the value.
func (n *Node) place(at int) (line, column int) {
	y := n.yaml
	s := &scan{lines: n.file.lines, line: y.Line - 1, column: y.Column - 1}
	switch {
	case y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		s.block(y.Value)
	case y.Style&yaml.DoubleQuotedStyle != 0:
		s.column++
		s.flow(y.Value, s.escaped)
	case y.Style&yaml.SingleQuotedStyle != 0:
		s.column++
		s.flow(y.Value, s.doubled)
	default:
		s.flow(y.Value, s.single)
	}
	if s.lost || len(s.places) == 0 {
		return y.Line, y.Column
	}
	p := s.places[min(max(at, 0), len(s.places)-1)]
	return p[0] + 1, p[1] + 1
}

// scan walks the file's text beside a scalar's value and notes the place of each character.
type scan struct {
	runes        []rune // the characters of line runesOf, kept: a scan asks for them once a character
	runesOf      int
	lines        []string
	line, column int
	places       [][2]int
	lost         bool
}

func (s *scan) text() []rune {
	if s.line >= len(s.lines) {
		return nil
	}
	if s.runes == nil || s.runesOf != s.line {
		s.runes, s.runesOf = []rune(s.lines[s.line]), s.line
	}
	return s.runes
}

func blank(text []rune) bool {
	return !slices.ContainsFunc(text, func(r rune) bool { return !unicode.IsSpace(r) })
}

func (s *scan) indent() int {
	text := s.text()
	return len(text) - len([]rune(strings.TrimLeft(string(text), " ")))
}

// block notes a `|` or `>` block: its lines without their indentation, and between them what their ends became: nothing
// but line ends in the one, a space or line ends in the other.
func (s *scan) block(value string) {
	want, i := []rune(value), 0
	s.line++
	indent := s.blockIndent(value)
	for s.line < len(s.lines) && i < len(want) {
		text := s.text()
		for column := indent; column < len(text) && i < len(want); column++ {
			if text[column] != want[i] {
				s.lost = true
				return
			}
			s.places = append(s.places, [2]int{s.line, column})
			i++
		}
		s.line++
		ends := 1
		if i < len(want) && want[i] == '\n' {
			ends = len(want[i:]) - len([]rune(strings.TrimLeft(string(want[i:]), "\n")))
		}
		for range min(ends, len(want)-i) {
			if s.lost = !unicode.IsSpace(want[i]); s.lost {
				return
			}
			s.places = append(s.places, [2]int{s.line - 1, len(text)})
			i++
		}
		for s.line < len(s.lines) && len(s.text()) <= indent {
			s.line++ // empty: it is among the line ends
		}
	}
	if n := len(s.places); n > 0 {
		s.places = append(s.places, [2]int{s.places[n-1][0], s.places[n-1][1] + 1})
	}
}

// blockIndent is how far a block is indented: its first line that is not empty, less what of that belongs to the value.
func (s *scan) blockIndent(value string) int {
	first := *s
	for first.line < len(first.lines) && strings.TrimSpace(first.lines[first.line]) == "" {
		first.line++
	}
	text := strings.TrimLeft(value, "\n")
	return max(first.indent()-(len(text)-len(strings.TrimLeft(text, " "))), 0)
}

// flow notes a plain or quoted scalar. next reads one character of the value from the text and gives how many
// characters of text it took; line ends fold as YAML folds them.
func (s *scan) flow(value string, next func(text []rune) (rune, int)) {
	want := []rune(value)
	for i := 0; i < len(want); i++ {
		text := s.text()
		if s.line >= len(s.lines) {
			s.lost = true
			return
		}
		if (want[i] == ' ' || want[i] == '\n') && blank(text[min(s.column, len(text)):]) {
			s.fold()
			s.places = append(s.places, [2]int{s.line, s.column})
			continue
		}
		for s.column >= len(text) && s.line+1 < len(s.lines) { // blank lines that folded into one character
			s.fold()
			text = s.text()
		}
		if s.column >= len(text) {
			s.lost = true
			return
		}
		r, took := next(text[s.column:])
		if r == lineContinues {
			s.fold()
			i--
			continue
		}
		if took == 0 || r != want[i] {
			s.lost = true
			return
		}
		s.places = append(s.places, [2]int{s.line, s.column})
		s.column += took
	}
	s.places = append(s.places, [2]int{s.line, s.column})
}

// fold goes to the first character of the next line that is not blank.
func (s *scan) fold() {
	s.line++
	s.column = s.indent()
}

func (s *scan) single(text []rune) (rune, int) { return text[0], 1 }

func (s *scan) doubled(text []rune) (rune, int) {
	if text[0] == '\'' {
		return '\'', 2
	}
	return text[0], 1
}

var escapes = map[rune]rune{'"': '"', '\\': '\\', '/': '/', 'n': '\n', 't': '\t', '\t': '\t', ' ': ' ', 'r': '\r', '0': 0, 'a': '\a', 'b': '\b', 'v': '\v', 'f': '\f',
	'e': 0x1b, 'N': 0x85, '_': 0xa0, 'L': 0x2028, 'P': 0x2029}

// lineContinues is what a backslash at the end of a line reads as: no character at all.
const lineContinues rune = -1

func (s *scan) escaped(text []rune) (rune, int) {
	if text[0] != '\\' {
		return text[0], 1
	}
	if len(text) < 2 {
		return lineContinues, 1
	}
	if r, ok := escapes[text[1]]; ok {
		return r, 2
	}
	if digits := map[rune]int{'x': 2, 'u': 4, 'U': 8}[text[1]]; digits > 0 && len(text) >= 2+digits {
		n, err := strconv.ParseUint(string(text[2:2+digits]), 16, 32)
		if err == nil {
			return rune(n), 2 + digits
		}
	}
	return 0, 0
}
