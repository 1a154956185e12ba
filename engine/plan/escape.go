package plan

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// part is a piece of a rendered text: what the author wrote, or what `${…}` put in.
type part struct {
	text string
	// value says that `${…}` put it in; trusted that the value is the target's own, never a stranger's.
	value, trusted bool
}

func (p part) hostile() bool { return p.value && !p.trusted }

// escape joins the parts of a text, each value escaped for the place. What no escaping makes safe is an error: a
// value that would choose a host, an option or the query itself.
func escape(where place, parts []part) (string, error) {
	switch where {
	case asPromQL:
		return escapePromQL(parts)
	case asURL:
		return escapeURL(parts)
	case asArg:
		return escapeArg(parts)
	case asText:
		return concat(parts, visible), nil
	}
	return concat(parts, func(p part) string { return p.text }), nil
}

func concat(parts []part, of func(part) string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(of(p))
	}
	return b.String()
}

// escapePromQL puts values inside the quotes that the author wrote. Inside a regular expression a stranger's value
// matches itself and nothing else. Outside of quotes only the target's own words may stand.
func escapePromQL(parts []part) (string, error) {
	var b strings.Builder
	var scan promQLScan
	for _, p := range parts {
		text := p.text
		switch {
		case p.hostile() && scan.quote == 0:
			return "", fmt.Errorf("%q comes from outside and stands outside of quotes: write \"${…}\" in the query", short(p.text))
		case p.value && scan.quote == '`' && strings.Contains(text, "`"):
			return "", errors.New("a value with a backquote cannot stand inside backquotes: use double quotes in the query")
		case p.value && scan.quote != 0:
			text = quotedPromQL(text, scan.quote, p.hostile() && scan.regexp)
		default:
			scan.over(text)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

func quotedPromQL(text string, quote byte, literally bool) string {
	if literally {
		text = regexp.QuoteMeta(text)
	}
	if quote == '`' {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == '"' || r == '\'' || r < 0x20 || r == 0x7f:
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

// escapeURL makes each value one part of the address. The target's own value may stand at the start as it is.
// A stranger's value can neither choose the host nor leave its place in the path.
func escapeURL(parts []part) (string, error) {
	start := ""
	if len(parts) > 0 && parts[0].trusted {
		start, parts = parts[0].text, parts[1:]
	}
	render := func(of func(part) string) string {
		return start + concat(parts, func(p part) string {
			if !p.value {
				return p.text
			}
			return of(p)
		})
	}
	address := render(func(p part) string { return percent(p.text) })
	if !slices.ContainsFunc(parts, part.hostile) {
		return address, nil
	}
	for _, p := range parts {
		if p.hostile() && p.text == "" {
			return "", errors.New("a part of the address is empty")
		}
	}
	harmless := render(func(p part) string {
		if p.hostile() {
			return "0"
		}
		return percent(p.text)
	})
	return address, samePlace(address, harmless)
}

// samePlace holds an address against the same one with nothing but digits put in.
func samePlace(address, harmless string) error {
	u, err := url.Parse(address)
	h, errHarmless := url.Parse(harmless)
	if err != nil || errHarmless != nil {
		return fmt.Errorf("%q is not an address", short(address))
	}
	if u.Scheme != h.Scheme || u.Host != h.Host || u.User.String() != h.User.String() || u.Host == "" {
		return errors.New("a value from outside would choose the host: addresses come from configuration only")
	}
	for segment := range strings.SplitSeq(u.EscapedPath(), "/") {
		if plain, err := url.PathUnescape(segment); err != nil || plain == "." || plain == ".." {
			return errors.New("a value from outside would leave its place in the path")
		}
	}
	return nil
}

// percent escapes all but RFC 3986's unreserved characters: safe in a path segment and in a query value alike.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c < utf8.RuneSelf && (unicode.IsLetter(rune(c)) || unicode.IsDigit(rune(c)) || strings.IndexByte("-._~", c) >= 0) {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// escapeArg keeps a value inside its argv element: no NUL, never an option by itself, never nothing (S17).
func escapeArg(parts []part) (string, error) {
	arg := concat(parts, func(p part) string { return p.text })
	if strings.ContainsRune(arg, 0) {
		return "", errors.New("an argument cannot hold a NUL character")
	}
	for _, p := range parts {
		if p.hostile() && p.text == "" {
			return "", errors.New("a value from outside is empty")
		}
	}
	first := slices.IndexFunc(parts, func(p part) bool { return p.text != "" })
	if strings.HasPrefix(arg, "-") && parts[first].hostile() {
		return "", fmt.Errorf("%q comes from outside and would be read as an option: write something before ${…}", short(arg))
	}
	return arg, nil
}

// visible shows what a stranger's text hides: control characters, line ends, overrides of the reading direction.
func visible(p part) string {
	if !p.hostile() {
		return p.text
	}
	const joiner = '\u200d' // part of many emoji
	var b strings.Builder
	for _, r := range p.text {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case unicode.IsControl(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case unicode.Is(unicode.Cf, r) && r != joiner, unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
