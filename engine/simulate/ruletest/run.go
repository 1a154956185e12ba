package ruletest

import (
	"context"
	"regexp"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/rules"
)

// Options say how tests are run.
type Options struct {
	Registry *actions.Registry
	// Only chooses tests by their names; nil takes all.
	Only *regexp.Regexp
	// Now is the real time, for how long a test took; nil measures nothing.
	Now func() time.Time
	// Done is told each test that ended; nil tells nobody.
	Done func(TestResult)
}

// Result is what the tests of a file came to.
type Result struct {
	File     *File
	Tests    []TestResult
	Coverage *Coverage
}

// TestResult is what one test came to.
type TestResult struct {
	Test     *Test
	Failures []Failure
	Story    Story
	Took     time.Duration
}

// Failed says whether something was not as expected.
func (r TestResult) Failed() bool { return len(r.Failures) > 0 }

// Failed counts the tests that failed.
func (r Result) Failed() int {
	n := 0
	for _, t := range r.Tests {
		if t.Failed() {
			n++
		}
	}
	return n
}

// Failure is one expectation that was not met: what was expected, what it was, and why.
type Failure struct {
	Line int
	// At is the first moment at which it was not so; From and Until are the whole span it was expected of.
	At, From, Until time.Duration
	IsSpan          bool
	Fields          []Field
	Why             []string
	// History and Version say where the story of the incident stood; nil when there was none.
	History *History
	Version int
}

// Field is one thing that was not as expected.
type Field struct{ Name, Want, Got string }

// When is the moment of the failure, as a file writes it.
func (f Failure) When() string { return offsetText(f.At) }

// Run runs the tests of one file, one after the other. The error says that a test could not be run at all.
func Run(ctx context.Context, f *File, o Options) (Result, error) {
	r := Result{File: f, Coverage: NewCoverage()}
	for _, t := range f.Tests {
		if o.Only != nil && !o.Only.MatchString(t.Name) {
			continue
		}
		one, err := f.one(ctx, t, o, r.Coverage)
		if err != nil {
			return r, err
		}
		r.Tests = append(r.Tests, one)
		if o.Done != nil {
			o.Done(one)
		}
	}
	return r, nil
}

func (f *File) one(ctx context.Context, t *Test, o Options, c *Coverage) (TestResult, error) {
	got := TestResult{Test: t}
	began := o.now()
	p, err := f.play(ctx, t, o.Registry)
	if err == nil {
		got.Story, err = p.story(ctx)
	}
	if err = p.close(err); err != nil {
		if ctx.Err() != nil {
			return got, ctx.Err()
		}
		got.Failures = []Failure{{Line: t.Line, Fields: []Field{{"test", "it runs to its end", err.Error()}}}}
		return got, nil
	}
	got.Took = o.now().Sub(began)
	got.Failures = p.unmet
	for _, e := range t.Expect {
		got.Failures = append(got.Failures, got.Story.check(e)...)
	}
	for _, set := range f.sets(t) {
		reached := NewCoverage()
		p.reached(reached, set, got.Story)
		c.Add(reached)
	}
	return got, nil
}

// sets are the rules of all configurations that a test runs with.
func (f *File) sets(t *Test) []*rules.Set {
	all := []*rules.Set{f.Configuration.Rules}
	for _, r := range t.Reloads {
		all = append(all, r.Configuration.Rules)
	}
	return all
}

func (o Options) now() time.Time {
	if o.Now == nil {
		return time.Time{}
	}
	return o.Now()
}
