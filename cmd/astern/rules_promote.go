package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
	"astern.dev/astern/web"
)

type promoteFlags struct {
	config string
	anyway bool
}

func rulesPromoteCommand(a *app) *cobra.Command {
	var f promoteFlags
	c := &cobra.Command{
		Use: "promote NAME [FILES|DIR]", Short: "Propose a rule's next mode as a diff, with its score; nothing is changed", Args: cobra.MinimumNArgs(1),
		Long: "Propose the next mode of a rule (observe, suggest, approve, auto) as a diff of its file, with the score that the server\n" +
			"counts above it. Nothing is changed: apply the diff with `git apply` or `patch -p1`, or open a pull request. Exit code 1\n" +
			"when the rule's record does not allow it.",
		Example: "  astern rules promote ErrorRateSpike | git apply\n  astern rules promote ErrorRateSpike rules/ --anyway",
		RunE: func(cmd *cobra.Command, args []string) error {
			files := args[1:]
			if f.config != "" {
				if len(files) > 0 {
					return usage("--config.file and FILES exclude each other")
				}
				files = []string{f.config}
			}
			return a.promote(cmd.Context(), args[0], files, f.anyway)
		},
	}
	c.Flags().StringVar(&f.config, "config.file", "", "the astern.yaml whose rule files are meant; without it FILES, or this directory")
	c.Flags().BoolVar(&f.anyway, "anyway", false, "show the change also when the rule is not ready")
	return c
}

// promotion is `astern rules promote -o json`.
type promotion struct {
	web.Header
	Rule     string            `json:"rule"`
	File     string            `json:"file"`
	From     incident.Mode     `json:"from"`
	To       incident.Mode     `json:"to"`
	Ready    bool              `json:"ready"`
	NotReady string            `json:"not_ready,omitempty"`
	Status   engine.RuleStatus `json:"status"`
	Diff     string            `json:"diff"`
}

func (a *app) promote(ctx context.Context, name string, args []string, anyway bool) error {
	l, rule, err := ruleToPromote(name, args)
	if err != nil {
		return err
	}
	p := promotion{Rule: name, File: rule.File, From: incident.Mode(rule.Mode)}
	if p.From == incident.Auto {
		return fail(exitNo, "", "%s is in auto already: there is no higher mode", name)
	}
	p.To = incident.Modes[p.From.Rank()+1]
	if p.Status, err = a.ruleOfServer(ctx, name); err != nil {
		return err
	}
	if p.NotReady = p.Status.NotReady; p.Status.Digest != rule.Digest {
		p.NotReady = "the rule that the server runs is not the one in " + rule.File
	}
	if p.Ready = p.NotReady == ""; !p.Ready && !anyway {
		return fail(exitNo, "--anyway shows the change all the same", "%s is not ready for %s: %s", name, p.To, p.NotReady)
	}
	after, err := l.withMode(rule, p.To)
	if err != nil {
		return err
	}
	shown, dir := shownPath(rule.File)
	p.Diff = string(diff.Diff("a/"+shown, l.files.Rules[rule.File], "b/"+shown, after))
	if dir != "" && a.output != asJSON {
		a.note("The paths of the diff are those of %s.", visible(dir))
	}
	got, err := document("Promotion", func(h web.Header) promotion { p.Header = h; return p })
	if err != nil {
		return err
	}
	return show(a, got, func(p promotion) []string { return []string{p.Rule} }, a.promotion)
}

// ruleToPromote reads the files and finds the rule in them.
func ruleToPromote(name string, args []string) (*loaded, *rules.Rule, error) {
	l, err := loadGood(args)
	if err != nil {
		return nil, nil, err
	}
	rule, ok := l.Rules.Rule(name)
	if !ok {
		return nil, nil, fail(exitNo, "name the file that holds it: astern rules promote "+name+" FILES", "there is no rule %q in the files", name)
	}
	return l, rule, nil
}

func (a *app) ruleOfServer(ctx context.Context, name string) (engine.RuleStatus, error) {
	got, err := a.rulesInForce(ctx)
	if err != nil {
		return engine.RuleStatus{}, err
	}
	for _, r := range got.value.Items {
		if r.Name == name {
			return r, nil
		}
	}
	return engine.RuleStatus{}, fail(exitNo, "a rule begins in the mode of its file: nothing is to be promoted", "the server runs no rule %q", name)
}

// withMode is the rule's file with another mode in it and everything else as it stands.
func (l *loaded) withMode(rule *rules.Rule, mode incident.Mode) ([]byte, error) {
	after, err := l.Rules.WithMode(l.files.Rules, rule, string(mode))
	var found expr.Diagnostics
	switch {
	case errors.Is(err, rules.ErrByHand):
		return nil, fail(exitNo, fmt.Sprintf("write `mode: %s` at rule %s yourself", mode, rule.Name), "the mode of %s in %s:%d is written in a way that cannot be changed alone", rule.Name, rule.File, rule.Line)
	case errors.As(err, &found):
		return nil, fail(exitNo, "", "%s cannot be in %s as it is written: %s", rule.Name, mode, found[0].Message)
	}
	return after, err
}

// shownPath is a file's path for a diff: from here, or from its own directory when it lies elsewhere.
func shownPath(path string) (shown, dir string) {
	here, err := os.Getwd()
	if err == nil {
		if whole, err := filepath.Abs(path); err == nil {
			if near, err := filepath.Rel(here, whole); err == nil && filepath.IsLocal(near) {
				return filepath.ToSlash(near), ""
			}
		}
	}
	return filepath.Base(path), filepath.Dir(path)
}

// promotion prints the diff, with what speaks for it above: `git apply` and `patch` pass that over.
func (a *app) promotion(w io.Writer, p promotion) {
	s := p.Status.Score
	fmt.Fprintf(w, "# %s: %s -> %s\n", visible(p.Rule), p.From, p.To)
	fmt.Fprintf(w, "# In 30 days it would have acted %s; %s. Demanded: %.4g %% of at least %d.\n", times(s.WouldAct), s.Fraction(), p.Status.Demand*100, incident.LeastForReady)
	if !p.Ready {
		fmt.Fprintf(w, "# NOT READY: %s\n", visible(p.NotReady))
	}
	fmt.Fprintf(w, "# Once loaded it only suggests for a day, like every changed rule, unless: astern rules waive %s --reason WHY\n", visible(p.Rule))
	fmt.Fprint(w, p.Diff)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
