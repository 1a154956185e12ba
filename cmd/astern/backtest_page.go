package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/simulate/backtest"
)

// reading shows on a terminal how far the past was read. Readers work side by side.
type reading struct {
	app   *app
	mu    sync.Mutex
	width int
}

func (a *app) reading() *reading { return &reading{app: a} }

func (r *reading) at(what string, done, total int) {
	if !r.app.asks && !r.app.paints {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	line := fmt.Sprintf("reading %s: %d of %d parts", what, done, total)
	if what == backtest.Replaying {
		line = fmt.Sprintf("letting it happen once more: %d of %s", done, count(total, "alert"))
	}
	fmt.Fprintf(r.app.err, "\r%-*s", r.width, line)
	r.width = max(r.width, len(line))
}

func (r *reading) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.width > 0 {
		fmt.Fprintf(r.app.err, "\r%*s\r", r.width, "")
	}
	r.width = 0
}

// unread is the failure of a past that could not be read whole.
func (a *app) unread(ctx context.Context, err error, state string) error {
	goOn := "run the same command again"
	if state != "" {
		goOn = "run the same command again: what was read is kept and not asked again"
	}
	var part *backtest.ReadError
	var refused *client.RefusedError
	var exchange *client.Error
	switch {
	case ctx.Err() != nil:
		if state != "" {
			a.note("What was read is kept: the same command goes on from there.")
		}
		return ctx.Err()
	case errors.As(err, &refused) && (refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden):
		return fail(exitNotAllowed, "give its credentials with --http-config or --bearer-token-file", "%s", err)
	case errors.As(err, &refused) && !client.Temporary(refused.Status):
		return usageHint("is that the address of a Prometheus, and are --releases and --alive PromQL?", "%s", err)
	case errors.As(err, &part), errors.As(err, &refused), errors.As(err, &exchange):
		return fail(exitUnreachable, goOn, "%s", err)
	}
	return err
}

func (a *app) backtestPage(w io.Writer, d backtestDocument) {
	fmt.Fprintf(w, "%s and %s of %s, %s to %s\n", count(d.Episodes, "alert episode"), count(d.Releases, "release"), count(d.Targets, "target"),
		stamp(d.Since), stamp(d.Until))
	a.backtestGaps(w, d)
	var idle []string
	for _, r := range d.Rules {
		if r.Matched == 0 {
			idle = append(idle, r.Rule)
			continue
		}
		a.backtestRule(w, r)
	}
	fmt.Fprintln(w)
	if len(idle) > 0 {
		fmt.Fprintf(w, "unmatched   %s: %s\n", count(len(idle), "rule"), firstOf(idle))
	}
	a.backtestPeople(w, d)
	a.backtestActs(w, d)
}

// backtestGaps says what is not known.
func (a *app) backtestGaps(w io.Writer, d backtestDocument) {
	for _, s := range d.Silences {
		fmt.Fprintf(w, "%s for %s, %s to %s: nobody knows what fired then\n", a.paint(care, "no data"), span(s.To.Sub(s.From)), stamp(s.From), stamp(s.To))
	}
	if d.Early > 0 {
		fmt.Fprintf(w, "%s fired already at the beginning and %s passed over\n", count(d.Early, "alert"), was(d.Early))
	}
	if d.Long > 0 {
		fmt.Fprintf(w, "%s went on for longer than the time that an alert is followed for (--follow)\n", count(d.Long, "alert"))
	}
	for _, s := range d.Strays {
		fmt.Fprintf(w, "%s of rule %s chose no target: %s\n", count(s.Count, "alert"), visible(s.Rule), visible(s.Reason))
	}
	if n := len(d.Untold); n > 0 {
		fmt.Fprintf(w, "no release is known of %s: %s; --releases and --releases-file tell them\n", count(n, "target"), firstOf(d.Untold))
	}
}

// firstOf names a few of many.
func firstOf(names []string) string {
	shown := names[:min(len(names), 5)]
	rest := ""
	if more := len(names) - len(shown); more > 0 {
		rest = fmt.Sprintf(" and %d more", more)
	}
	return visible(strings.Join(shown, ", ")) + rest
}

func was(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

func (a *app) backtestRule(w io.Writer, r backtest.RuleReport) {
	a.head(w, visible(r.Rule), fmt.Sprintf("  (%s)", visible(r.Mode)))
	g := a.grid()
	g.row("matched", fmt.Sprint(r.Matched))
	for _, h := range r.Not {
		g.row("  "+backtest.Words(h.Outcome), fmt.Sprint(h.Count), visible(h.Example))
	}
	s := r.Score
	acts := ""
	if s.WouldAct > 0 {
		acts = fmt.Sprintf("right %d, wrong %d, unlabelled %d", s.Right, s.Wrong, s.WouldAct-s.Labelled())
	}
	g.row("  "+backtest.Words(backtest.WouldAct), fmt.Sprint(s.WouldAct), acts)
	g.print(w, "")
	if slices.ContainsFunc(r.Not, wantsVars) {
		fmt.Fprintln(w, "the past told no vars of these releases: `vars:` in --releases maps them from labels, --releases-file tells them")
	}
	if n := s.Labelled(); n > 0 {
		fmt.Fprintf(w, "precision   %d/%d (95%% interval %.0f-%.0f%%)\n", s.Right, n, 100*s.Low, 100*s.High)
	}
	if r.HeadStart != nil {
		fmt.Fprintf(w, "head start  %s median before people moved it back (n=%d)\n", signed(*r.HeadStart), len(r.Heads))
	}
}

// wantsVars says whether a plan could not be made for want of what CI would have told of a release.
func wantsVars(h backtest.Held) bool {
	return strings.Contains(h.Example, "release.") && strings.Contains(h.Example, ".vars.") && strings.HasSuffix(h.Example, "is missing")
}

// signed is a head start; people may have been first.
func signed(d time.Duration) string {
	if d < 0 {
		return "-" + span(d)
	}
	return span(d)
}

func (a *app) backtestPeople(w io.Writer, d backtestDocument) {
	fmt.Fprintf(w, "people      %s by people", count(len(d.Moves), "move")+" back")
	if len(d.Missed) > 0 {
		fmt.Fprintf(w, ", %d of them missed: no rule would have started them", len(d.Missed))
	}
	fmt.Fprintln(w)
	for _, m := range d.Missed {
		fmt.Fprintf(w, "            %s  %s  %s\n", stamp(m.At), visible(m.Target), change(m.From, m.To))
	}
	if d.FalsePer100 != nil {
		fmt.Fprintf(w, "false       %.1f would-be rollbacks per 100 releases", *d.FalsePer100)
		if *d.AtMostPer100 > *d.FalsePer100 {
			fmt.Fprintf(w, ", %.1f if each unlabelled one was wrong", *d.AtMostPer100)
		}
		fmt.Fprintln(w)
	}
}

// backtestActs shows each would-be rollback with its evidence.
func (a *app) backtestActs(w io.Writer, d backtestDocument) {
	first := true
	for _, c := range d.Cases {
		if c.Act == nil {
			continue
		}
		if first {
			a.head(w, "Would have rolled back", "")
			first = false
		}
		t := c.Act
		fmt.Fprintf(w, "%s  %s  %s  %s  %s\n", stamp(t.At), visible(c.Rule), visible(c.Target), change(t.From, t.To), a.label(t.Label))
		fmt.Fprintf(w, "  alert     since %s, %s after the release\n", stamp(c.Began), span(t.ReleaseAge))
		for _, v := range t.Saw {
			fmt.Fprintf(w, "  saw       %s: %s, %s\n", visible(v.Query), between(v), count(v.Points, "point"))
		}
		fmt.Fprintf(w, "  passed    %s\n", visible(passedGuards(t.Passed)))
		switch {
		case t.Mark != nil:
			fmt.Fprintf(w, "  told      %s, by %s\n", visible(t.Mark.Reason), dash(t.Mark.By))
		case t.Person == nil:
			fmt.Fprintf(w, "  people    did nothing that is known\n")
		}
		if t.Person != nil {
			fmt.Fprintf(w, "  people    moved it back at %s, %s\n", stamp(t.Person.At), afterwards(t.HeadStart))
		}
	}
}

func (a *app) label(l incident.Label) string {
	switch l {
	case incident.Right:
		return a.paint(good, "✓ right")
	case incident.Wrong:
		return a.paint(bad, "✗ wrong")
	}
	return "· unlabelled"
}

func between(v backtest.Values) string {
	if v.Least == v.Most {
		return fmt.Sprintf("%g", v.Least)
	}
	return fmt.Sprintf("%g to %g", v.Least, v.Most)
}

func passedGuards(all []incident.Finding) string {
	var names []string
	for _, f := range all {
		if f.Verdict == incident.Go {
			names = append(names, f.Guard)
		}
	}
	return strings.Join(names, ", ")
}

func afterwards(d time.Duration) string {
	if d < 0 {
		return span(d) + " earlier"
	}
	return span(d) + " later"
}
