package expr

import (
	"fmt"
	"strings"
	"unicode"
)

// visible shows what a stranger's text hides: control characters, line ends, overrides of the reading direction.
func visible(s string) string {
	if strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case !hidden(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// hidden is true for characters that a reader cannot see or that move others about.
func hidden(r rune) bool {
	const joiner = '\u200d' // part of many emoji
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != joiner || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r)
}
