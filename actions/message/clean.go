package message

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes a stranger's text one readable line of at most limit characters: line breaks become spaces; control,
// zero-width and bidirectional characters, which can hide or turn round what is read, become visible escapes. A line
// that was cut ends with "…".
func Clean(s string, limit int) string {
	return Clip(s, limit, func(r rune) string { return string(r) })
}

// Clip is Clean with an escape for one place: each character costs what its escape costs, and no escape is cut in two.
func Clip(s string, limit int, escape func(rune) string) string {
	out := make([]string, 0, min(len(s), limit))
	used := 0
	for i := 0; i < len(s) && used <= limit; {
		r, size := utf8.DecodeRuneInString(s[i:])
		piece := visible(r, s[i:i+size], escape)
		out = append(out, piece)
		used += utf8.RuneCountInString(piece)
		i += size
	}
	if used <= limit {
		return strings.TrimSpace(strings.Join(out, ""))
	}
	for used > limit-1 && len(out) > 0 {
		used -= utf8.RuneCountInString(out[len(out)-1])
		out = out[:len(out)-1]
	}
	return strings.TrimSpace(strings.Join(out, "")) + "…"
}

func visible(r rune, raw string, escape func(rune) string) string {
	switch {
	case r == '\n', r == '\r', r == '\t':
		return " "
	case r == utf8.RuneError && len(raw) == 1:
		return fmt.Sprintf(`\x%02x`, raw[0])
	case r <= 0xff && unicode.IsControl(r):
		return fmt.Sprintf(`\x%02x`, r)
	case hidden(r) && r <= 0xffff:
		return fmt.Sprintf(`\u%04x`, r)
	case hidden(r):
		return fmt.Sprintf(`\U%08x`, r)
	}
	return escape(r)
}

// hidden are characters that show nothing or change the order of what is shown.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
}
