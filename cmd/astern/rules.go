package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

func rulesCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use: "rules", Short: "List the rules in force and how often they were right, waive a change, or propose the next mode", Args: noSuchCommand,
		Long: "List the rules in force with what the last 30 days say of them. WOULD ACT counts the incidents in which every guard would\n" +
			"have let the rule act, whatever its mode. RIGHT/LABELLED: of those that are labelled, how many were right: a person moved\n" +
			"the target back from the same release within 2 hours, astern did and it was healthy afterwards, or somebody said so with\n" +
			"`astern mark`. 95%: the Wilson interval of that. A rule is ready for the next mode when at least 10 are labelled, the lower\n" +
			"bound is over 50 % (or what the rule demands with `guards: {score: 0.6}`), and its condition could always be evaluated.",
		Example: "  astern rules\n  astern rules waive ErrorRateSpike --reason \"only the summary was changed\"\n  astern rules promote ErrorRateSpike rules.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			got, err := a.rulesInForce(cmd.Context())
			if err != nil {
				return err
			}
			return show(a, got, ruleNames, a.ruleTable)
		},
	}
	c.AddCommand(rulesWaiveCommand(a), rulesResetCommand(a), rulesPromoteCommand(a), rulesDiffCommand(a))
	return c
}

// rulesInForce asks the server for its rules.
func (a *app) rulesInForce(ctx context.Context) (got answer[web.RuleList], err error) {
	c, err := a.connect()
	if err != nil {
		return got, err
	}
	return get[web.RuleList](ctx, c, apiPath("rules"), nil)
}

func rulesWaiveCommand(a *app) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "waive NAME --reason WHY", Short: "Let a changed rule act at once, instead of only suggesting for a day", Args: cobra.ExactArgs(1),
		Long: "A rule that was changed only suggests for a day (a rule that is new does not). This lets the content that is in force now\n" +
			"act at once; the next change has its own day. It is recorded with your name.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := wantReason(reason); err != nil {
				return err
			}
			return a.wish(cmd.Context(), apiPath("rules", args[0], "waive"), web.ReasonRequest{Reason: reason}, args[0],
				"%s: waived. It may do what its mode allows from now on.", visible(args[0]))
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; the next person reads it (required)")
	return c
}

func ruleNames(l web.RuleList) []string {
	names := make([]string, len(l.Items))
	for i, r := range l.Items {
		names[i] = r.Name
	}
	return names
}

func (a *app) ruleTable(w io.Writer, l web.RuleList) {
	heads := []string{"RULE", "MODE", "LAST MATCH", "MATCHED 30D", "WOULD ACT", "RIGHT/LABELLED", "95%", ""}
	if a.wide() {
		heads = append(heads[:len(heads)-1], "DEMANDED", "FOR", "DO", "GROUP", "FILE", "DIGEST", "")
	}
	g := a.grid(heads...)
	for _, r := range l.Items {
		cells := []string{visible(r.Name), a.ruleMode(r), a.lastMatch(r), fmt.Sprint(r.Matched), fmt.Sprint(r.Score.WouldAct), fraction(r.Score), interval(r.Score)}
		if a.wide() {
			length := "at once"
			if r.For > 0 {
				length = span(r.For)
			}
			cells = append(cells, fmt.Sprintf("%.4g%%", r.Demand*100), length, dash(r.Do), dash(r.Group), dash(r.File), visible(incident.Short(r.Digest)))
		}
		g.row(append(cells, a.ruleState(r))...)
	}
	g.print(w, "")
	if len(l.Items) > 0 {
		fmt.Fprintf(w, "\n%s\n", ruleTotals(l))
	}
	if a.wide() {
		a.missed(w, l.Missed)
	}
}

// ruleMode is the rule's own mode, and what keeps it below.
func (a *app) ruleMode(r engine.RuleStatus) string {
	if r.Effective == "" || r.Effective == r.Mode {
		return visible(string(r.Mode))
	}
	until := ""
	if !r.HeldUntil.IsZero() {
		until = " until " + minute(r.HeldUntil, a.now())
	}
	return fmt.Sprintf("%s (%s%s: %s)", visible(string(r.Mode)), visible(string(r.Effective)), until, visible(r.Held))
}

// minute is a moment to the minute, with its day when it is another one.
func minute(t, now time.Time) string {
	if t.UTC().Format(time.DateOnly) == now.UTC().Format(time.DateOnly) {
		return t.UTC().Format("15:04Z")
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

func (a *app) lastMatch(r engine.RuleStatus) string {
	if r.LastMatch.IsZero() {
		return "none"
	}
	return age(r.LastMatch, a.now()) + " ago"
}

func fraction(s incident.Score) string {
	if s.Labelled() == 0 {
		return "none"
	}
	return fmt.Sprintf("%d/%d", s.Right, s.Labelled())
}

// interval is shown from five labelled cases on: below, a percentage says more than is known.
func interval(s incident.Score) string {
	if s.Labelled() < incident.LeastForPercent {
		return "n/a"
	}
	low, high := s.Percent()
	return fmt.Sprintf("%d–%d%%", low, high)
}

func (a *app) ruleState(r engine.RuleStatus) string {
	switch {
	case r.Error != "":
		return a.paint(bad, "! "+visible(r.Error))
	case r.Ready:
		return a.paint(good, "↑ ready")
	}
	return ""
}

func ruleTotals(l web.RuleList) string {
	ready, missed := 0, 0
	for _, r := range l.Items {
		if r.Ready {
			ready++
		}
	}
	var where []string
	for _, t := range l.Missed {
		missed += len(t.Moves)
		where = append(where, fmt.Sprintf("%s %d", visible(t.Target), len(t.Moves)))
	}
	text := fmt.Sprintf("%s, %d ready to promote. Missed in 30 days: ", count(len(l.Items), "rule"), ready)
	if missed == 0 {
		return text + "no rollback by people."
	}
	return text + fmt.Sprintf("%s by people that no rule would have started (%s).", count(missed, "rollback"), strings.Join(where, ", "))
}

// missed lists the rollbacks that no rule would have started.
func (a *app) missed(w io.Writer, all []engine.TargetMisses) {
	if len(all) == 0 {
		return
	}
	a.head(w, "MISSED", "")
	g := a.grid("TARGET", "CHANGE", "AT", "TOLD BY")
	for _, t := range all {
		for _, m := range t.Moves {
			g.row(visible(t.Target), change(m.From, m.To), stamp(m.At), dash(m.By))
		}
	}
	g.print(w, "")
}
