package exec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// tape records what is written: the beginning and the end, limit bytes together. It never refuses a write, so that no
// program is stopped by what it prints.
type tape struct {
	limit int

	mu         sync.Mutex
	head, tail []byte
	lost       int
}

func (t *tape) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(p), t.limit/2-len(t.head))
	t.head = append(t.head, p[:n]...)
	t.tail = append(t.tail, p[n:]...)
	if over := len(t.tail) - t.limit/2; over > 0 {
		t.tail = append(t.tail[:0], t.tail[over:]...)
		t.lost += over
	}
	return len(p), nil
}

// text is what was recorded, without the secrets and as a terminal can show it: control characters are replaced.
func (t *tape) text(secrets []string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	secrets = parts(secrets)
	whole := scrub(string(t.head)+string(t.tail), secrets)
	if t.lost > 0 {
		head, tail := cutAfter(scrub(string(t.head), secrets), secrets), cutBefore(scrub(string(t.tail), secrets), secrets)
		whole = fmt.Sprintf("%s\n… %d bytes left out …\n%s", head, t.lost, tail)
	}
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (r < ' ' || r == 0x7f) || r == utf8.RuneError {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(whole, "\uFFFD"))
}

const minSecret = 4 // shorter ones would hide more than they keep

// parts are the secrets and their lines, the longest first.
func parts(secrets []string) []string {
	var all []string
	for _, secret := range secrets {
		for _, part := range append([]string{secret}, strings.Split(secret, "\n")...) {
			if len(part) >= minSecret {
				all = append(all, part)
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return all
}

func scrub(text string, secrets []string) string {
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "<secret>")
	}
	return text
}

// cutAfter takes the beginning of a secret off the end of a text that was cut there.
func cutAfter(text string, secrets []string) string {
	cut := 0
	for _, secret := range secrets {
		for n := range len(secret) {
			if n > cut && strings.HasSuffix(text, secret[:n]) {
				cut = n
			}
		}
	}
	return text[:len(text)-cut]
}

// cutBefore takes the end of a secret off the beginning of a text that was cut there.
func cutBefore(text string, secrets []string) string {
	cut := 0
	for _, secret := range secrets {
		for n := range len(secret) {
			if n > cut && strings.HasPrefix(text, secret[len(secret)-n:]) {
				cut = n
			}
		}
	}
	return text[cut:]
}
