package exec

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

// tape records what is written: the beginning and the end, limit bytes together. It never refuses a write, so that no
// program is stopped by what it prints.
type tape struct {
	limit  int
	margin int // left out on both sides of a gap, so that no piece of a secret stands there

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

// text is what was recorded, as a terminal can show it: control characters are replaced.
func (t *tape) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	whole := string(t.head) + string(t.tail)
	if t.lost > 0 {
		head, tail := t.head[:max(0, len(t.head)-t.margin)], t.tail[min(len(t.tail), t.margin):]
		whole = fmt.Sprintf("%s\n… %d bytes left out …\n%s", head, t.lost+len(t.head)-len(head)+len(t.tail)-len(tail), tail)
	}
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (r < ' ' || r == 0x7f) || r == utf8.RuneError {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(whole, "\uFFFD"))
}

const minSecret = 4 // shorter ones would hide more than they keep

// scrub takes the values of env_files out of a text, whole or by the line.
func scrub(text string, secrets []string) string {
	for _, secret := range secrets {
		for _, line := range append([]string{secret}, strings.Split(secret, "\n")...) {
			if len(line) >= minSecret {
				text = strings.ReplaceAll(text, line, "<secret>")
			}
		}
	}
	return text
}

func longest(secrets []string) int {
	n := 0
	for _, secret := range secrets {
		n = max(n, len(secret))
	}
	return n
}
