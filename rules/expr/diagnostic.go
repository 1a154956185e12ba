package expr

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Diagnostic is one mistake, positioned in a user's file.
type Diagnostic struct {
	File string
	// Line and Column count from 1; Column and Width are in characters. Line 0 means the file as a whole.
	Line, Column, Width int
	// Path says where in the user's own words, such as "rule ErrorRateSpike".
	Path string
	// Code names the kind of mistake, such as "cel/undeclared".
	Code string
	// Message says what is wrong; Hint, beside the caret, what to do.
	Message, Hint string
	// Source is the line it stands in.
	Source string
	// Warning says that the file can be used all the same; Info, of a warning, that nothing need be wrong at all.
	Warning, Info bool
}

// Severity is error, warning or info.
func (d Diagnostic) Severity() string {
	switch {
	case d.Info:
		return "info"
	case d.Warning:
		return "warning"
	}
	return "error"
}

// String is the mistake as `astern check` shows it: what, where, the line, and a caret under the place.
func (d Diagnostic) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s (%s)\n  ---> %s", d.Severity(), d.Message, d.Code, d.position())
	if d.Path != "" {
		fmt.Fprintf(&b, " -> %s", visible(d.Path))
	}
	switch {
	case d.Line > 0 && d.Source != "":
		number := fmt.Sprintf("%4d", d.Line)
		fmt.Fprintf(&b, "\n%s | %s\n%s | %s", number, shown(d.Source), strings.Repeat(" ", len(number)), d.caret())
	case d.Hint != "":
		fmt.Fprintf(&b, "\n  %s", d.Hint)
	}
	return b.String()
}

// Short is the mistake in one line, for logs.
func (d Diagnostic) Short() string {
	s := d.position() + ": " + d.Message
	if d.Hint != "" {
		s += " (" + d.Hint + ")"
	}
	return s
}

func (d Diagnostic) position() string {
	if d.Line == 0 {
		return d.File
	}
	return fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Column)
}

// caret keeps the tabs of the line before it, so that it stands under its place however wide a tab is.
func (d Diagnostic) caret() string {
	var b strings.Builder
	column := 1
	for _, r := range d.Source {
		if column >= d.Column {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
		column++
	}
	b.WriteString(strings.Repeat("^", max(d.Width, 1)))
	if d.Hint != "" {
		b.WriteString(" " + d.Hint)
	}
	return b.String()
}

// shown is a source line as a terminal may print it, each character in its own column.
func shown(line string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && hidden(r) {
			return '\uFFFD'
		}
		return r
	}, line)
}

// Diagnostics are the mistakes of one or more files. As an error they print one line each.
type Diagnostics []Diagnostic

// Error lists the mistakes, one a line.
func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i, d := range ds {
		lines[i] = d.Short()
	}
	return strings.Join(lines, "\n")
}

// Err is nil when there is no error among them; warnings do not count.
func (ds Diagnostics) Err() error {
	if ds.Errors() == 0 {
		return nil
	}
	return ds
}

// Errors counts what is no warning.
func (ds Diagnostics) Errors() int {
	n := 0
	for _, d := range ds {
		if !d.Warning {
			n++
		}
	}
	return n
}

// Sorted gives them by file and place, each once.
func (ds Diagnostics) Sorted() Diagnostics {
	sorted := slices.Clone(ds)
	slices.SortStableFunc(sorted, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(sorted)
}

// String shows all of them as `astern check` does, an empty line between.
func (ds Diagnostics) String() string {
	all := make([]string, len(ds))
	for i, d := range ds {
		all[i] = d.String()
	}
	return strings.Join(all, "\n\n")
}
