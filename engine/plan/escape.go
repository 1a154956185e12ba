package plan

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"astern.dev/astern/rules/expr"
)

// escape joins the parts of a text, each value escaped for the place. What no escaping makes safe is an error: a
// value that would choose a host, an option or the query itself.
func escape(where place, parts []expr.Part) (string, error) {
	switch where {
	case asPromQL:
		return expr.EscapePromQL(parts)
	case asURL:
		return escapeURL(parts)
	case asArg:
		return escapeArg(parts)
	case asText:
		return concat(parts, visible), nil
	}
	return concat(parts, func(p expr.Part) string { return p.Text }), nil
}

func concat(parts []expr.Part, of func(expr.Part) string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(of(p))
	}
	return b.String()
}

// escapeURL makes each value one part of the address. The target's own value may stand at the start as it is.
// A stranger's value can neither choose the host nor leave its place in the path.
func escapeURL(parts []expr.Part) (string, error) {
	start := ""
	if len(parts) > 0 && parts[0].Trusted {
		start, parts = parts[0].Text, parts[1:]
	}
	render := func(of func(expr.Part) string) string {
		return start + concat(parts, func(p expr.Part) string {
			if !p.Value {
				return p.Text
			}
			return of(p)
		})
	}
	address := render(func(p expr.Part) string { return percent(p.Text) })
	if !slices.ContainsFunc(parts, expr.Part.Hostile) {
		return address, nil
	}
	for _, p := range parts {
		if p.Hostile() && p.Text == "" {
			return "", errors.New("a part of the address is empty")
		}
	}
	harmless := render(func(p expr.Part) string {
		if p.Hostile() {
			return "0"
		}
		return percent(p.Text)
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
func escapeArg(parts []expr.Part) (string, error) {
	arg := concat(parts, func(p expr.Part) string { return p.Text })
	if strings.ContainsRune(arg, 0) {
		return "", errors.New("an argument cannot hold a NUL character")
	}
	for _, p := range parts {
		if p.Hostile() && p.Text == "" {
			return "", errors.New("a value from outside is empty")
		}
	}
	first := slices.IndexFunc(parts, func(p expr.Part) bool { return p.Text != "" })
	if strings.HasPrefix(arg, "-") && parts[first].Hostile() {
		return "", fmt.Errorf("%q comes from outside and would be read as an option: write something before ${…}", short(arg))
	}
	return arg, nil
}

// visible shows what a stranger's text hides: control characters, line ends, overrides of the reading direction.
func visible(p expr.Part) string {
	if !p.Hostile() {
		return p.Text
	}
	return expr.EscapeText(p.Text)
}
