package expr

import (
	"errors"
	"fmt"
	"strings"
)

// EscapeURL makes a text one path segment or one query value: all but RFC 3986's unreserved characters are percent
// encoded. Nothing, "." and ".." would change the path and are errors.
func EscapeURL(text string) (string, error) {
	if text == "" || text == "." || text == ".." {
		return "", fmt.Errorf("%q cannot be a part of an address", text)
	}
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String(), nil
}

// EscapeArg keeps a text one element of an argv: nothing is changed, a NUL character is refused.
func EscapeArg(text string) (string, error) {
	if strings.ContainsRune(text, 0) {
		return "", errors.New("an argument cannot hold a NUL character")
	}
	return text, nil
}

// EscapeText shows what a stranger's text hides: control characters, line ends, overrides of the reading direction.
func EscapeText(text string) string { return visible(text) }
