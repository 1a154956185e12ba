package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

// explained shows one alert in full, several shortly.
func (a *app) explained(w io.Writer, l web.ExplanationList, q explaining) {
	for n, x := range l.Items {
		if n > 0 {
			fmt.Fprintln(w)
		}
		a := a
		if x.Basis == engine.OnFiles { // it may be another moment that is asked about
			then := *a
			then.now = func() time.Time { return x.At }
			a = &then
		}
		a.explainedAlert(w, x)
		switch {
		case q.rule != "":
			a.ruleInFull(w, x, q.rule)
		case len(l.Items) == 1:
			a.explanation(w, x, q.all)
		default:
			a.changes(w, x)
		}
	}
	if len(l.Items) > 1 {
		fmt.Fprintf(w, "\n%s; name labels to see one in full, such as alertname=NAME.\n", count(len(l.Items)+l.Left, "alert"))
	}
}

// explainedAlert is the alert, how it came here, and the answer.
func (a *app) explainedAlert(w io.Writer, x engine.Explanation) {
	if x.Alert != nil {
		line := a.paint(strong, alertName(*x.Alert, true))
		if !x.Alert.StartsAt.IsZero() {
			line += "  " + visible(x.Alert.Status) + " since " + ago(x.Alert.StartsAt, a.now())
		}
		fmt.Fprintln(w, line)
	}
	if r := x.Received; r != nil {
		fmt.Fprintf(w, "received %s from %s, one of %s: %s\n", ago(r.At, a.now()), dash(r.Source), count(r.Alerts, "alert"), decisionWords(r.Decisions))
		if r.Others > 0 {
			fmt.Fprintf(w, "%s of the same delivery %s the question, too; more labels choose another\n", count(r.Others, "alert"), plural(r.Others, "fits", "fit"))
		}
	}
	if x.Basis != engine.OnFiles {
		fmt.Fprintf(w, "config %s\n", configWords(x.Config))
	}
	fmt.Fprintf(w, "\n%s  %s\n", a.paint(strong, "ANSWER"), a.paint(endTones[x.End], visible(x.Answer)))
}

var endTones = map[engine.End]tone{
	engine.NeverReceived: bad, engine.NoRule: care, engine.OnlyWatched: care, engine.HeldBack: care, engine.OvertakenEnd: busy, engine.ActedEnd: good,
}

func plural(n int, one, several string) string {
	if n == 1 {
		return one
	}
	return several
}

func configWords(c engine.ConfigWord) string {
	words := dash(incident.Short(c.Digest))
	switch {
	case c.Lost:
		return words + ", in force now; the one of that moment is no longer kept"
	case c.InForce:
		return words
	}
	return words + ", of that moment; another one is in force now"
}

func decisionWords(all []incident.Decision) string {
	var words []string
	for _, d := range all {
		word := visible(d.Kind)
		if d.Rule != "" {
			word += " by rule " + visible(d.Rule)
		}
		if d.Incident != "" {
			word += " (" + visible(d.Incident) + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func (a *app) explanation(w io.Writer, x engine.Explanation, all bool) {
	a.heardInstead(w, x.Heard)
	a.ruleWords(w, x, all)
	for _, c := range x.Cases {
		a.explainedCase(w, c, len(x.Cases) == 1)
	}
	a.changes(w, x)
	if len(x.Notes) > 0 {
		a.head(w, "NOTES", "")
		for _, n := range x.Notes {
			fmt.Fprintf(w, "- %s\n", visible(n))
		}
	}
}

func (a *app) changes(w io.Writer, x engine.Explanation) {
	if len(x.Changes) == 0 {
		return
	}
	a.head(w, "WHAT WOULD CHANGE IT", "")
	for _, c := range x.Changes {
		fmt.Fprintf(w, "- %s\n", visible(c))
	}
}

// fewRules are listed whole.
const fewRules = 10

var ruleResults = map[engine.RuleResult]look{
	engine.RuleMatched: {"✓", "matched", good}, engine.RuleNot: {"·", "no match", calm}, engine.RuleFailed: {"!", "FAILED", bad},
}

// ruleWords lists the rules: all when there are few, else what matched, failed or came near.
func (a *app) ruleWords(w io.Writer, x engine.Explanation, all bool) {
	total := len(x.Rules) + x.RulesLeft
	if total == 0 {
		return
	}
	if !all && total > fewRules {
		x = x.Short()
	}
	g := a.grid("RULE", "MODE", "RESULT", "FIRST REASON")
	matched := 0
	for _, r := range x.Rules {
		l := ruleResults[r.Result]
		reason := visible(r.Why)
		if r.Near == 1 && total > 1 {
			reason += a.paint(faint, "  (nearest)")
		}
		if r.Result == engine.RuleMatched {
			matched++
		}
		g.row(visible(r.Rule), visible(string(r.Mode)), a.paint(l.tone, l.glyph+" "+l.word), reason)
	}
	if x.RulesLeft > 0 {
		g.row(fmt.Sprintf("(%d others)", x.RulesLeft), "", "· no match", a.paint(faint, "--all lists them"))
	}
	a.head(w, "RULES", fmt.Sprintf("  %d of %d matched; --rule NAME shows every part of one", matched, total))
	g.print(w, "")
}

// explainedCase is one rule that matched and what became of it.
func (a *app) explainedCase(w io.Writer, c engine.Case, only bool) {
	title := "CASE " + cmp.Or(visible(c.Rule), "request")
	if c.Target != "" {
		title += " -> " + visible(c.Target)
	}
	beside := ""
	if c.Incident != "" {
		beside = "  " + visible(c.Incident)
	}
	a.head(w, title, beside)
	g := a.grid()
	if !only { // the answer says it
		g.row("outcome", a.paint(endTones[c.End], visible(c.Words)))
	}
	if c.Mode != "" {
		g.row("mode", visible(string(c.Mode))+levelWords(c.Levels))
	}
	if t := c.Timer; t != nil {
		g.row("timer", a.timerWords(*t))
	}
	if c.Plan != "" {
		g.row("plan", visible(incident.Short(c.Plan))+"  "+change(c.From, c.To))
	}
	g.print(w, "")
	a.everyGuard(w, c)
	a.course(w, c)
}

func levelWords(levels []engine.ModeLevel) string {
	var words []string
	for _, l := range levels {
		words = append(words, visible(l.Level)+": "+visible(string(l.Mode)))
	}
	if len(words) == 0 {
		return ""
	}
	return "  (the lowest of " + strings.Join(words, "; ") + ")"
}

func (a *app) timerWords(t engine.Timer) string {
	switch {
	case t.Since.IsZero():
		return "nothing fires any more"
	case t.For == 0:
		return "none: due at once"
	}
	return fmt.Sprintf("for %s: firing since %s, due %s", span(t.For), clock(t.Since, a.now()), ago(t.Due, a.now()))
}

// everyGuard lists all guards: those that were asked with their words, or those that would be with their bounds.
func (a *app) everyGuard(w io.Writer, c engine.Case) {
	g := a.grid("GUARD", "RESULT", "DETAIL")
	for _, f := range c.Findings {
		l := verdicts[f.Verdict]
		word := cmp.Or(l.word, visible(string(f.Verdict)))
		if f.Unknown {
			word += " (unknown)"
		}
		g.row(guardName(f), a.paint(l.tone, cmp.Or(l.glyph, "·")+" "+word), dash(f.Reason))
	}
	for _, u := range c.Unasked {
		result, detail := "needs the server", u.Value
		if reason, waived := strings.CutPrefix(detail, "waived: "); waived {
			result, detail = "waived", reason
		} else if detail == "off" {
			result, detail = "off", ""
		}
		g.row(visible(u.Guard)+" ("+visible(u.Rule)+")", "· "+result, dash(detail))
	}
	if len(c.Findings)+len(c.Unasked) == 0 {
		return
	}
	fmt.Fprintln(w)
	if !c.JudgedAt.IsZero() {
		fmt.Fprintf(w, "asked %s\n", ago(c.JudgedAt, a.now()))
	}
	g.print(w, "")
}

func (a *app) course(w io.Writer, c engine.Case) {
	if len(c.Course) == 0 {
		return
	}
	fmt.Fprintln(w)
	g := a.grid("WHEN", "BY", "WHAT")
	for _, t := range c.Course {
		g.row(clock(t.At, a.now()), dash(t.By), visible(t.Text))
	}
	g.print(w, "")
}

// heardInstead is for an alert that never came: what did.
func (a *app) heardInstead(w io.Writer, h *engine.Heard) {
	if h == nil {
		return
	}
	if len(h.Last) > 0 {
		a.head(w, "LAST DELIVERIES", "")
		g := a.grid("AT", "FROM", "ALERTS", "WHAT")
		for _, d := range h.Last {
			g.row(ago(d.At, a.now()), dash(d.Source), fmt.Sprint(d.Alerts), alertNames(d))
		}
		g.print(w, "")
	}
	a.head(w, "LAST WATCHDOG", "")
	if len(h.Watchdogs) == 0 {
		fmt.Fprintln(w, "none")
		return
	}
	g := a.grid("FROM", "AT")
	for _, source := range sorted(h.Watchdogs) {
		g.row(dash(source), ago(h.Watchdogs[source], a.now()))
	}
	g.print(w, "")
}

func alertNames(d incident.Delivery) string {
	var words []string
	for _, one := range d.Decisions {
		words = append(words, cmp.Or(visible(one.Labels["alertname"]), "-")+" "+visible(one.Kind))
	}
	return strings.Join(words, ", ")
}
