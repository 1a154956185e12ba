package backtest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/prometheus/common/model"
)

// Markdown writes a difference for a pull request: the same difference always comes to the same text. What comes from
// alerts is a stranger's text; it can neither break the table nor link, mention or format.
func (d *Diff) Markdown(w io.Writer) {
	fmt.Fprintf(w, "### %s: %s\n\n", d.headline(), days(d.Since, d.Until))
	d.gaps(w)
	fmt.Fprint(w, "| Rule | Matched | Would roll back | Right | Wrong | Unlabelled | Changed |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range d.Rules {
		a, b := countsOf(r.Before), countsOf(r.After)
		fmt.Fprintf(w, "| %s", code(r.Rule))
		for n := range a {
			fmt.Fprintf(w, " | %s", arrow(a[n], b[n]))
		}
		fmt.Fprintf(w, " | %d |\n", r.Changed)
	}
	fmt.Fprintf(w, "\nRollbacks by people that no rule would have started: %s.\n", arrow(fmt.Sprint(d.Missed.Before), fmt.Sprint(d.Missed.After)))
	if len(d.Changes) == 0 {
		return
	}
	fmt.Fprint(w, "\n| Alert | Rule | Before | After |\n| --- | --- | --- | --- |\n")
	for _, c := range d.Changes {
		fmt.Fprintf(w, "| %s %s%s | %s | %s | %s |\n", clock(c.From), code(labelsShown(c.Labels)), more(c.Count), code(c.Rule), c.Before.text(), c.After.text())
	}
}

func (d *Diff) headline() string {
	if d.Changed == 0 {
		return fmt.Sprintf("No past alert changes its outcome (%d looked at)", d.Episodes)
	}
	if d.Changed == 1 {
		return fmt.Sprintf("1 of %d past alerts changes its outcome", d.Episodes)
	}
	return fmt.Sprintf("%d of %d past alerts change their outcome", d.Changed, d.Episodes)
}

func (d *Diff) gaps(w io.Writer) {
	for _, s := range d.Silences {
		fmt.Fprintf(w, "No data for %s, from %s to %s: nobody knows what fired then.\n\n", model.Duration(s.To.Sub(s.From).Round(time.Minute)), clock(s.From), clock(s.To))
	}
}

func countsOf(r *RuleReport) []string {
	if r == nil {
		return []string{"–", "–", "–", "–", "–"}
	}
	counts := []int{r.Matched, r.Score.WouldAct, r.Score.Right, r.Score.Wrong, r.Score.WouldAct - r.Score.Labelled()}
	texts := make([]string, len(counts))
	for n, c := range counts {
		texts[n] = fmt.Sprint(c)
	}
	return texts
}

func arrow(a, b string) string {
	if a == b {
		return a
	}
	return a + " → " + b
}

func more(count int) string {
	if count < 2 {
		return ""
	}
	return fmt.Sprintf(" and %d more", count-1)
}

func (f Fate) text() string {
	if f.Outcome != WouldAct {
		if f.Reason == "" {
			return Words(f.Outcome)
		}
		return "**" + strings.ReplaceAll(Words(f.Outcome), "`", "") + "**: " + code(f.Reason)
	}
	return fmt.Sprintf("**would roll back** %s %s → %s at %s (%s)", code(f.Target), code(f.Leaves), code(f.Reaches), clock(f.At), f.Reason)
}

// labelsShown is an alert in one line: its name, then the other labels.
func labelsShown(labels map[string]string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if name != "alertname" {
			pairs = append(pairs, fmt.Sprintf("%s=%q", name, labels[name]))
		}
	}
	return labels["alertname"] + "{" + strings.Join(pairs, ",") + "}"
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

func days(from, to time.Time) string {
	return from.UTC().Format("2006-01-02 15:04Z") + " to " + to.UTC().Format("2006-01-02 15:04Z")
}

// maxCode bounds a stranger's text.
const maxCode = 300

// code shows text as code, in HTML: code between backticks can be broken out of in a table, and a reference to a
// character is never formatting. Nothing in it is a link, a mention or the name of an issue.
func code(text string) string {
	if text == "" {
		text = "-"
	}
	shown := []rune(strings.ToValidUTF8(text, "\uFFFD"))
	if len(shown) > maxCode {
		shown = append(shown[:maxCode], '…')
	}
	var b strings.Builder
	for n, r := range shown {
		switch {
		case r < 0x80 && (alphanumeric(r) || strings.ContainsRune(harmless, r)), r >= 0x80 && (unicode.IsLetter(r) || r == '…'):
			b.WriteRune(r)
		case unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp):
			b.WriteRune('\uFFFD')
		case r == '_' && n > 0 && n < len(shown)-1 && alphanumeric(shown[n-1]) && alphanumeric(shown[n+1]):
			b.WriteRune(r)
		case r == '.' && !strings.HasSuffix(strings.ToLower(b.String()), "www"):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return "<code>" + b.String() + "</code>"
}

// harmless marks mean nothing in a line of Markdown, wherever they stand.
const harmless = ` -,;?%/+={}()"'`

func alphanumeric(r rune) bool {
	return r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r))
}
