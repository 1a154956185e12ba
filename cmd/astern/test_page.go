package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/simulate/ruletest"
)

// testPage is what people read: a line a file, what failed as a difference, and a line for all.
func (a *app) testPage(w io.Writer, results []ruletest.Result, f testFlags) {
	files := a.grid()
	for _, r := range results {
		files.row(a.fileCells(r, f)...)
	}
	files.print(w, "")
	for _, r := range results {
		for _, t := range r.Tests {
			if f.verbose {
				a.storyOf(w, r, t)
			}
			if !f.verbose && t.Failed() {
				fmt.Fprintf(w, "\n%s%s\n", a.paint(strong, visible(t.Test.Name)), a.begins(t))
			}
			for _, failure := range t.Failures {
				a.failure(w, r, t, failure, f.verbose)
			}
		}
	}
	coverage := joined(results)
	if f.coverage {
		a.coveragePage(w, coverage)
	}
	fmt.Fprintf(w, "\n%s\n", a.testSummary(results, coverage, f))
}

func (a *app) fileCells(r ruletest.Result, f testFlags) []string {
	word, what := a.paint(good, "PASS"), count(len(r.Tests), "test")
	if failed := r.Failed(); failed > 0 {
		word, what = a.paint(bad, "FAIL"), fmt.Sprintf("%d of %s failed", failed, count(len(r.Tests), "test"))
	}
	if len(r.Tests) == 0 {
		word, what = a.paint(faint, "    "), "no test chosen"
	}
	cells := []string{word, visible(r.File.Path), what}
	if a.paints || f.verbose {

		cells = append(cells, a.paint(faint, span(r.Took)))
	}
	return cells
}

// failure shows one expectation that was not met.
func (a *app) failure(w io.Writer, r ruletest.Result, t ruletest.TestResult, f ruletest.Failure, verbose bool) {
	fmt.Fprintf(w, "  %s:%d, %s\n", visible(r.File.Path), f.Line, when(f))
	margin := len("around it")
	for _, field := range f.Fields {
		margin = max(margin, len(field.Name))
	}
	for _, field := range f.Fields {
		a.lines(w, margin, field.Name, "expected  "+a.paint(good, visible(field.Want)), "got       "+a.paint(bad, visible(field.Got)))
	}
	var why []string
	for _, line := range f.Why {
		why = append(why, visible(line))
	}
	a.lines(w, margin, "because", why...)
	if !verbose {
		a.lines(w, margin, "around it", a.around(t.Story, f)...)
	}
}

func when(f ruletest.Failure) string {
	if f.IsSpan {
		return fmt.Sprintf("at %s (from %s until %s)", f.When(), ruletest.OffsetText(f.From), ruletest.OffsetText(f.Until))
	}
	return "at " + f.When()
}

// lines puts a word before the first of some lines.
func (a *app) lines(w io.Writer, margin int, word string, lines ...string) {
	for n, line := range lines {
		if n > 0 {
			word = ""
		}
		fmt.Fprintf(w, "    %-*s  %s\n", margin, word, line)
	}
}

const (
	shownBefore = 6
	shownAfter  = 2
)

// around is what happened to the incident around a failure: the last events before it and the first after it.
func (a *app) around(s ruletest.Story, f ruletest.Failure) []string {
	if f.History == nil {
		return nil
	}
	var before, after []string
	for _, e := range inWords(s, *f.History) {
		switch {
		case e.system:
		case e.version <= f.Version:
			before = append(before, a.eventLine(e))
		case len(after) < shownAfter:
			after = append(after, a.eventLine(e))
		}
	}
	return append(before[max(0, len(before)-shownBefore):], after...)
}

func (a *app) eventLine(e toldEvent) string {
	return fmt.Sprintf("%-8s  %s  %s", ruletest.OffsetText(e.after.Round(time.Millisecond)), a.paint(e.tone, fmt.Sprintf("%-8s", e.word)), visible(e.text))
}

// toldEvent is one event in words, with its place in its history and how long after the start of the test it came.
type toldEvent struct {
	entry
	version int
	after   time.Duration
}

func inWords(s ruletest.Story, h ruletest.History) []toldEvent {
	all := make([]toldEvent, 0, len(h.Events))
	before := incident.Incident{}
	for n, e := range h.Events {
		words := tell(before, h.States[n], e)
		words.system = words.system || saidBefore(h.States[n], e)
		all = append(all, toldEvent{words, n + 1, s.Offset(&h, n+1)})
		before = h.States[n]
	}
	return all
}

// saidBefore says that a judgement comes to what the last one came to, by the same guards: only its figures differ.
func saidBefore(after incident.Incident, e incident.Event) bool {
	f, ok := e.Fact.(incident.Judged)
	if !ok {
		return false
	}
	j := lastJudgement(after, f.Rule)
	return j != nil && j.At.Equal(e.At) && j.Since.Before(j.At)
}

// storyOf shows one test with all that happened in it.
func (a *app) storyOf(w io.Writer, r ruletest.Result, t ruletest.TestResult) {
	word := a.paint(good, "PASS")
	if t.Failed() {
		word = a.paint(bad, "FAIL")
	}
	fmt.Fprintf(w, "\n%s  %s%s  %s:%d  %s\n", word, a.paint(strong, visible(t.Test.Name)), a.begins(t), visible(r.File.Path), t.Test.Line, a.paint(faint, span(t.Took)))
	for _, h := range t.Story.Histories {
		fmt.Fprintf(w, "  %s\n", visible(h.ID))
		for _, e := range inWords(t.Story, h) {
			if !e.system {
				fmt.Fprintf(w, "    %s\n", a.eventLine(e))
			}
		}
	}
}

// begins says when a test begins: what people are told names times of the day.
func (a *app) begins(t ruletest.TestResult) string {
	return a.paint(faint, "  (0s is "+stamp(t.Test.Start)+")")
}

func (a *app) testSummary(results []ruletest.Result, c *ruletest.Coverage, f testFlags) string {
	tests, failed := 0, 0
	for _, r := range results {
		tests, failed = tests+len(r.Tests), failed+r.Failed()
	}
	text := fmt.Sprintf("%s: %s", count(tests, "test"), a.paint(good, "all passed"))
	if failed > 0 {
		text = fmt.Sprintf("%s: %d passed, %s", count(tests, "test"), tests-failed, a.paint(bad, fmt.Sprintf("%d failed", failed)))
	}
	var unmatched []string
	for _, r := range c.Rules {
		matched := slices.ContainsFunc(c.Rules, func(o ruletest.RuleCoverage) bool { return o.Name == r.Name && o.Matched }) // in another file of the tests
		if name := visible(r.Name); !matched && !slices.Contains(unmatched, name) {
			unmatched = append(unmatched, name)
		}
	}
	if len(unmatched) > 0 && f.only == "" {
		text += ". No test has an alert for " + firstOf(unmatched)
	}
	return text
}

func joined(results []ruletest.Result) *ruletest.Coverage {
	c := ruletest.NewCoverage()
	for _, r := range results {
		c.Add(r.Coverage)
	}
	return c
}
