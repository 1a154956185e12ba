package ruletest

import (
	"context"
	"regexp"
	"time"

	"golang.org/x/sync/errgroup"

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
	// Done is told each test that ended, from whatever goroutine; nil tells nobody.
	Done func(TestResult)
	// Slots are how many tests run at the same time, shared by all files that are given the same ones; nil runs one.
	Slots chan struct{}
}

// Result is what the tests of a file came to.
type Result struct {
	File     *File
	Tests    []TestResult
	Coverage *Coverage
	// Took is the real time of all tests together.
	Took time.Duration
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
func (f Failure) When() string { return OffsetText(f.At) }

// Run runs the tests of one file; the results are in their order. The error says that it was interrupted: a test that
// cannot be run to its end has failed.
func Run(ctx context.Context, f *File, o Options) (Result, error) {
	r := Result{File: f, Coverage: NewCoverage()}
	var tests []*Test
	for _, t := range f.Tests {
		if o.Only == nil || o.Only.MatchString(t.Name) {
			tests = append(tests, t)
		}
	}
	if o.Slots == nil {
		o.Slots = make(chan struct{}, 1)
	}
	r.Tests = make([]TestResult, len(tests))
	reached := make([]*Coverage, len(tests))
	group, ctx := errgroup.WithContext(ctx)
	for n, t := range tests {
		group.Go(func() error {
			select {
			case o.Slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			defer func() { <-o.Slots }()
			r.Tests[n], reached[n] = f.one(ctx, t, o)
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return r, err
	}
	for n := range tests {
		r.Coverage.Add(reached[n])
		r.Took += r.Tests[n].Took
	}
	return r, nil
}

func (f *File) one(ctx context.Context, t *Test, o Options) (TestResult, *Coverage) {
	got, c := TestResult{Test: t}, NewCoverage()
	began := o.now()
	p, err := f.play(ctx, t, o.Registry)
	if err == nil {
		got.Story, err = p.story(ctx)
	}
	err = p.close(err)
	got.Took = o.now().Sub(began)
	if err != nil {
		got.Failures = []Failure{{Line: t.Line, Fields: []Field{{"test", "it runs to its end", err.Error()}}}}
	} else {
		got.Failures = p.unmet
		for _, e := range t.Expect {
			got.Failures = append(got.Failures, got.Story.check(e)...)
		}
		for _, set := range f.sets(t) {
			p.reached(c, set, got.Story)
		}
	}
	if o.Done != nil {
		o.Done(got)
	}
	return got, c
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
