package expr

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// lexeme is one word of an expression's text. apart says that white space or a comment stood before it.
type lexeme struct {
	text  string
	apart bool
}

// lexemes cuts an expression that was compiled into its words, as CEL does: strings whole, comments and white space away.
func lexemes(source string) []lexeme {
	var all []lexeme
	apart := false
	for len(source) > 0 {
		size := wordLength(source)
		word := source[:size]
		source = source[size:]
		if strings.HasPrefix(word, "//") || strings.TrimSpace(word) == "" {
			apart = true
			continue
		}
		all = append(all, lexeme{word, apart})
		apart = false
	}
	return all
}

var twoSigns = []string{"||", "&&", "==", "!=", "<=", ">="}

func wordLength(s string) int {
	first, size := utf8.DecodeRuneInString(s)
	switch {
	case strings.HasPrefix(s, "//"):
		return len(s) - len(strings.TrimLeftFunc(s, func(r rune) bool { return r != '\n' }))
	case unicode.IsSpace(first):
		return len(s) - len(strings.TrimLeftFunc(s, unicode.IsSpace))
	case quoteAt(s) >= 0:
		return stringLength(s, quoteAt(s))
	case len(s) > 1 && slices.Contains(twoSigns, s[:2]):
		return 2
	case partOfWord(first):
		return len(s) - len(strings.TrimLeftFunc(s, partOfWord))
	}
	return size
}

func partOfWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// quoteAt is where the quote of a string stands that begins here: after r and b, if they are there; -1 when none begins.
func quoteAt(s string) int {
	at := len(s) - len(strings.TrimLeft(s, "rRbB"))
	if at > 2 || at >= len(s) || !strings.ContainsRune("\"'`", rune(s[at])) {
		return -1
	}
	return at
}

func stringLength(s string, quote int) int {
	raw := strings.ContainsAny(s[:quote], "rR")
	end := s[quote : quote+1]
	if strings.HasPrefix(s[quote:], strings.Repeat(end, 3)) {
		end = strings.Repeat(end, 3)
	}
	for at := quote + len(end); at < len(s); at++ {
		switch {
		case s[at] == '\\' && !raw:
			at++
		case strings.HasPrefix(s[at:], end):
			return at + len(end)
		}
	}
	return len(s)
}

// written is the text of words, white space folded.
func written(words []lexeme) string {
	var b strings.Builder
	for n, w := range words {
		if n > 0 && w.apart {
			b.WriteByte(' ')
		}
		b.WriteString(w.text)
	}
	return visible(b.String())
}

// top gives the places of words that stand outside of all brackets.
func top(words []lexeme, fits func(text string) bool) []int {
	var at []int
	depth := 0
	for n, w := range words {
		switch w.text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		}
		if depth == 0 && fits(w.text) {
			at = append(at, n)
		}
	}
	return at
}

func one(text string) func(string) bool { return func(s string) bool { return s == text } }

// unwrapped takes the brackets off that stand around all of it.
func unwrapped(words []lexeme) []lexeme {
	for len(words) > 2 && words[0].text == "(" {
		closing := top(words, one(")"))
		if len(closing) == 0 || closing[0] != len(words)-1 {
			break
		}
		words = words[1 : len(words)-1]
	}
	return words
}

// looser are the connectives that bind less than one.
var looser = map[string][]string{"&&": {"||", "?"}, "||": {"?"}}

// chain cuts words at a connective; brackets that hold a chain of the same connective are opened, too.
func chain(words []lexeme, connective string) [][]lexeme {
	words = unwrapped(words)
	at := top(words, one(connective))
	if len(at) == 0 || len(top(words, func(s string) bool { return slices.Contains(looser[connective], s) })) > 0 {
		return [][]lexeme{words}
	}
	var pieces [][]lexeme
	from := 0
	for _, cut := range append(at, len(words)) {
		pieces = append(pieces, chain(words[from:cut], connective)...)
		from = cut + 1
	}
	return pieces
}

// choice cuts `condition ? yes : no`; nothing when it is not one.
func choice(words []lexeme) [][]lexeme {
	open := 0
	question := -1
	for _, n := range top(words, func(s string) bool { return s == "?" || s == ":" }) {
		switch {
		case words[n].text == "?":
			if question < 0 {
				question = n
			}
			open++
		case open == 1:
			return [][]lexeme{words[:question], words[question+1 : n], words[n+1:]}
		default:
			open--
		}
	}
	return nil
}

var relations = []string{"==", "!=", "<", "<=", ">", ">=", "in"}

// sides cuts a comparison; nothing when it is not a plain one.
func sides(words []lexeme) [][]lexeme {
	at := top(words, func(s string) bool { return slices.Contains(relations, s) })
	if len(at) != 1 {
		return nil
	}
	return [][]lexeme{words[:at[0]], words[at[0]+1:]}
}
