package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// tone is what a colour says. No meaning hangs on it alone.
type tone int

const (
	calm tone = iota
	good
	care
	bad
	busy
	strong
	faint
)

var colours = map[tone]text.Colors{
	good: {text.FgGreen}, care: {text.FgYellow}, bad: {text.FgRed}, busy: {text.FgCyan}, strong: {text.Bold}, faint: {text.Faint},
}

// paint colours text where there are colours.
func (a *app) paint(t tone, s string) string {
	c, coloured := colours[t]
	if a.plain || !coloured || s == "" {
		return s
	}
	return c.EscapeSeq() + s + text.EscapeReset
}

// grid is a table under construction. Cells are text that was made visible already.
type grid struct {
	t table.Writer
	a *app
}

// grid begins a table with these column heads.
func (a *app) grid(heads ...string) *grid {
	t := table.NewWriter()
	t.SetStyle(table.Style{
		Name:    "columns",
		Box:     table.BoxStyle{PaddingRight: "  "},
		Format:  table.FormatOptionsDefault,
		Options: table.OptionsNoBordersAndSeparators,
	})
	t.Style().Format.Header = text.FormatDefault
	t.SuppressTrailingSpaces()
	g := &grid{t, a}
	if len(heads) > 0 {
		row := make(table.Row, len(heads))
		for i, h := range heads {
			row[i] = a.paint(faint, h)
		}
		t.AppendHeader(row)
	}
	return g
}

// row adds one line; a cell of several lines makes the line as high.
func (g *grid) row(cells ...string) {
	row := make(table.Row, len(cells))
	for i, c := range cells {
		row[i] = c
	}
	g.t.AppendRow(row)
}

// print writes the table, each line after the margin.
func (g *grid) print(w io.Writer, margin string) {
	if g.t.Length() == 0 {
		return
	}
	for line := range strings.SplitSeq(g.t.Render(), "\n") {
		fmt.Fprintln(w, strings.TrimRight(margin+line, " "))
	}
}

// head begins a section.
func (a *app) head(w io.Writer, title, beside string) {
	fmt.Fprintf(w, "\n%s%s\n", a.paint(strong, title), beside)
}
