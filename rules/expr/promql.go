package expr

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// PromQL renders a query: values go inside the quotes that the author wrote and never leave them. Inside a regular
// expression a stranger's value matches itself and nothing else. Outside of quotes only the target's own words may stand.
func (t *Template) PromQL(v Vars) (string, error) {
	parts, err := t.Parts(v)
	if err != nil {
		return "", err
	}
	return EscapePromQL(parts)
}

// CheckPromQL reports, before anything is rendered, each place where no escaping could keep a stranger's value in.
func (t *Template) CheckPromQL() Diagnostics {
	before := len(t.node.file.found)
	var scan promQLScan
	for _, p := range t.parts {
		switch {
		case p.prog == nil:
			scan.over(p.text)
		case scan.escaped:
			t.node.file.add(t.node.within(p.at, width(p.text), "promql/escaped", "a value stands right behind a backslash", `write the backslash twice, or leave it out`))
		case p.prog.trusted:
		case scan.quote == 0:
			t.node.file.add(t.node.within(p.at, width(p.text), "promql/unquoted", "a value from outside stands outside of quotes", `write "${…}" in the query`))
		case scan.quote == '`':
			t.node.file.add(t.node.within(p.at, width(p.text), "promql/backquoted", "a value from outside stands inside backquotes, where nothing can be escaped", `write "${…}" in the query`))
		}
	}
	return t.node.file.since(len(t.node.file.found) - before)
}

// EscapePromQL joins the parts of a query.
func EscapePromQL(parts []Part) (string, error) {
	var b strings.Builder
	var scan promQLScan
	for _, p := range parts {
		text := strings.ToValidUTF8(p.Text, "\uFFFD")
		switch {
		case !p.Value || !p.Hostile() && scan.quote == 0:
			scan.over(text)
		case scan.escaped:
			return "", errors.New("a value stands right behind a backslash, which would change its meaning")
		case scan.quote == 0:
			return "", fmt.Errorf("%q comes from outside and stands outside of quotes: write \"${…}\" in the query", short(text))
		case scan.quote == '`' && (p.Hostile() || strings.Contains(text, "`")):
			return "", errors.New("a value stands inside backquotes, where nothing can be escaped: use double quotes in the query")
		case scan.quote != '`':
			if p.Hostile() && scan.regexp {
				text = regexp.QuoteMeta(text)
			}
			text = quotePromQL(text)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// quotePromQL writes a text as the inside of a quoted PromQL string, whichever quotes are around it.
func quotePromQL(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '"' || r == '\'' || r == '`' || r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// promQLScan knows whether a place in a query is inside quotes, and whether those hold a regular expression.
type promQLScan struct {
	quote           byte
	regexp, comment bool
	escaped         bool
	before          [2]byte // the last two bytes outside of quotes that are no spaces
}

func (s *promQLScan) over(text string) {
	for i := range len(text) {
		s.next(text[i])
	}
}

func (s *promQLScan) next(c byte) {
	switch {
	case s.comment:
		s.comment = c != '\n'
	case s.quote != 0 && s.escaped:
		s.escaped = false
	case s.quote != 0 && c == '\\' && s.quote != '`':
		s.escaped = true
	case s.quote != 0 && c == s.quote:
		s.quote, s.before = 0, [2]byte{}
	case s.quote != 0:
	case c == '#':
		s.comment = true
	case c == '"' || c == '\'' || c == '`':
		s.quote, s.regexp = c, s.before == [2]byte{'=', '~'} || s.before == [2]byte{'!', '~'}
	case c != ' ' && c != '\n' && c != '\t' && c != '\r':
		s.before = [2]byte{s.before[1], c}
	}
}

func short(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "…"
	}
	return visible(s)
}
