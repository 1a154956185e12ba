package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules"
	"astern.dev/astern/web"
)

func rulesDiffCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "diff [FILES|DIR]", Short: "Compare the rules that the server runs with those in files",
		Long: "Compare the rules that the server runs with those in files: which are new, gone or changed, field by field, and what\n" +
			"that means once the files are loaded. Exit code 0 when they are the same, 1 when they differ.",
		Example: "  astern rules diff\n  astern rules diff rules/*.yaml\n  astern rules diff -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := loadGood(args)
			if err != nil {
				return err
			}
			got, err := a.rulesInForce(cmd.Context())
			if err != nil {
				return err
			}
			return a.rulesDiffer(compare(got.value.Items, l))
		},
	}
}

// ruleDiff is `astern rules diff -o json`.
type ruleDiff struct {
	web.Header
	Items []ruleChange `json:"items"`
	// Same counts the rules that are the same.
	Same int `json:"same"`
}

// ruleChange is one rule that differs.
type ruleChange struct {
	Name   string `json:"name"`
	Change string `json:"change"` // added, removed or changed
	// At is where the rule stands: in the files, or where the server read it.
	At     string        `json:"at"`
	Fields []fieldChange `json:"fields,omitempty"`
	// Means says what it does, once the files are loaded.
	Means string `json:"means"`
}

// fieldChange is one field that differs; an empty From or To is not written.
type fieldChange struct {
	Field string `json:"field"`
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
}

// The kinds of change.
const (
	added   = "added"
	removed = "removed"
	changed = "changed"
)

func compare(running []engine.RuleStatus, l *loaded) ruleDiff {
	d := ruleDiff{Items: []ruleChange{}}
	known := map[string]engine.RuleStatus{}
	for _, r := range running {
		known[r.Name] = r
	}
	suggests := l.changedRule()
	for _, r := range l.rules() {
		old, runs := known[r.Name]
		switch {
		case !runs:
			d.Items = append(d.Items, ruleChange{r.Name, added, place(r), nil, "runs as " + r.Mode + " (new)"})
		case old.Digest != r.Digest:
			d.Items = append(d.Items, ruleChange{r.Name, changed, place(r), fieldChanges(old.Content, r.Content()), meaning(r, suggests)})
		default:
			d.Same++
		}
		delete(known, r.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		d.Items = append(d.Items, ruleChange{name, removed, known[name].File, nil, "gone: what it leads and has not begun is laid down"})
	}
	return d
}

func place(r *rules.Rule) string { return fmt.Sprintf("%s:%d", r.File, r.Line) }

// changedRule is how long the installation lets a changed rule only suggest; zero when it does not.
func (l *loaded) changedRule() time.Duration {
	bound := incident.DefaultGuards().ChangedRule
	if l.Config != nil {
		bound = l.Config.Guards.ChangedRule
	}
	if bound.Off {
		return 0
	}
	return bound.Value
}

func meaning(r *rules.Rule, suggests time.Duration) string {
	mode := incident.Mode(r.Mode)
	if mode.Rank() <= incident.Suggest.Rank() || suggests == 0 {
		return "runs as " + r.Mode
	}
	return fmt.Sprintf("runs as suggest for %s (changed), then as %s", span(suggests), r.Mode)
}

func fieldChanges(from, to map[string]string) []fieldChange {
	names := slices.Sorted(maps.Keys(from))
	for _, name := range slices.Sorted(maps.Keys(to)) {
		if _, both := from[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var all []fieldChange
	for _, name := range names {
		if from[name] != to[name] {
			all = append(all, fieldChange{name, from[name], to[name]})
		}
	}
	return all
}

func (a *app) rulesDiffer(d ruleDiff) error {
	got, err := document("RuleDiff", func(h web.Header) ruleDiff { d.Header = h; return d })
	if err != nil {
		return err
	}
	names := func(d ruleDiff) []string {
		all := make([]string, len(d.Items))
		for i, c := range d.Items {
			all[i] = c.Name
		}
		return all
	}
	if err := show(a, got, names, a.ruleDiffPage); err != nil {
		return err
	}
	if len(d.Items) > 0 {
		return answeredNo
	}
	return nil
}

func (a *app) ruleDiffPage(w io.Writer, d ruleDiff) {
	if len(d.Items) == 0 {
		fmt.Fprintf(w, "The files hold what the server runs: %s.\n", count(d.Same, "rule"))
		return
	}
	total := map[string]int{}
	marks := map[string]string{added: a.paint(good, "+"), removed: a.paint(bad, "-"), changed: a.paint(care, "~")}
	for _, c := range d.Items {
		total[c.Change]++
		fmt.Fprintf(w, "%s %s  %s\n    %s\n", marks[c.Change], a.paint(strong, visible(c.Name)), a.paint(faint, visible(c.At)), visible(c.Means))
		a.fieldTable(w, c)
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%d added, %d removed, %d changed; %d the same.\n", total[added], total[removed], total[changed], d.Same)
}

func (a *app) fieldTable(w io.Writer, c ruleChange) {
	if c.Change == changed && len(c.Fields) == 0 {
		fmt.Fprintln(w, "    only the way it is written differs, or the server is too old to say what")
		return
	}
	g := a.grid()
	for _, f := range c.Fields {
		to := dash(f.To)
		if f.Field == "mode" && higher(f) {
			to = a.paint(care, to)
		}
		g.row(visible(f.Field), dash(f.From)+" -> "+to)
	}
	if len(c.Fields) > 0 {
		g.print(w, "      ")
	}
}

// higher says that a rule may do more than before; without a word it observes.
func higher(f fieldChange) bool {
	rank := func(mode string) int {
		if mode == "" {
			return incident.Observe.Rank()
		}
		return incident.Mode(mode).Rank()
	}
	return rank(f.To) > rank(f.From)
}
