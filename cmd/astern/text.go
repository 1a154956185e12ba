package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"astern.dev/astern/engine/incident"
)

// visible shows what a stranger's text hides: control characters, escapes, line ends, overrides of the reading direction
// and bytes that are no text. What it gives can be printed on a terminal.
func visible(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case !hidden(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		s = s[size:]
	}
	return b.String()
}

// hidden is true for characters that a reader cannot see or that move others about.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}

// stamp is a moment in full; "-" when there is none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// clock is a moment of today, and in full when it is of another day.
func clock(t, now time.Time) string {
	if t.UTC().Format(time.DateOnly) == now.UTC().Format(time.DateOnly) {
		return t.UTC().Format("15:04:05Z")
	}
	return stamp(t)
}

// ago is a moment in full with its distance from now.
func ago(t, now time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case t.After(now):
		return stamp(t) + " (in " + span(t.Sub(now)) + ")"
	}
	return stamp(t) + " (" + span(now.Sub(t)) + " ago)"
}

// age is how long ago it was, in short; "-" when it never was.
func age(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	if d := now.Sub(t); d >= time.Minute && d < time.Hour {
		return span(d.Truncate(time.Minute))
	}
	return span(max(now.Sub(t), 0))
}

// span is a length of time in its two largest units.
func span(d time.Duration) string {
	if d = d.Abs().Round(time.Millisecond); d < time.Second {
		return fmt.Sprintf("%dms", d/time.Millisecond)
	}
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return twoUnits(d, time.Minute, "m", time.Second, "s")
	case d < 24*time.Hour:
		return twoUnits(d, time.Hour, "h", time.Minute, "m")
	}
	return twoUnits(d, 24*time.Hour, "d", time.Hour, "h")
}

func twoUnits(d, big time.Duration, bigName string, small time.Duration, smallName string) string {
	if rest := d % big / small; rest > 0 {
		return fmt.Sprintf("%d%s%d%s", d/big, bigName, rest, smallName)
	}
	return fmt.Sprintf("%d%s", d/big, bigName)
}

// count is a number and its word: "1 step", "3 steps".
func count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// dash stands for what is not there, so that columns stay columns.
func dash(s string) string { return cmp.Or(visible(s), "-") }

// change is where a rollback goes from and to.
func change(from, to string) string {
	if from == "" && to == "" {
		return "-"
	}
	return dash(from) + " -> " + dash(to)
}

// look is how a state is shown: always a glyph and a word, and a colour where there are any.
type look struct {
	glyph, word string
	tone        tone
}

var phases = map[incident.Phase]look{
	incident.Pending:          {"○", "pending", calm},
	incident.Held:             {"‖", "held", care},
	incident.AwaitingApproval: {"?", "awaiting approval", care},
	incident.Running:          {"▶", "running", busy},
	incident.Verifying:        {"◐", "verifying", busy},
	incident.InDoubt:          {"!", "in doubt", bad},
	incident.Succeeded:        {"✓", "succeeded", good},
	incident.Failed:           {"✗", "failed", bad},
	incident.Rejected:         {"⊘", "rejected", calm},
	incident.Cancelled:        {"–", "cancelled", calm},
	incident.Superseded:       {"»", "superseded", calm},
}

// phase is an incident's phase in words; one that a newer server knows is shown as it is.
func (a *app) phase(p incident.Phase) string {
	l, known := phases[p]
	if !known {
		l = look{"·", visible(string(p)), calm}
	}
	return a.paint(l.tone, l.glyph+" "+l.word)
}
