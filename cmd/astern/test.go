package main

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/all"
	"astern.dev/astern/engine/simulate/ruletest"
)

// testFlags are what `test` is told.
type testFlags struct {
	only              string
	coverage, verbose bool
}

const asJUnit = "junit"

func testCommand(a *app) *cobra.Command {
	var f testFlags
	c := &cobra.Command{
		Use: "test [FILES|DIR]", Short: "Run rule tests: stories on virtual time, from the metric to the plan",
		Long: "Run the tests of rule-test files. Each plays in a world of its own, with the engine as it runs in production: alerts,\n" +
			"series, releases and people come as the test writes them, steps come to what it says, and what it expects is held\n" +
			"against what happened. A directory is searched for test files; without arguments it is this one. A month of virtual\n" +
			"time takes seconds, and nothing outside is touched. Exit code 1 when a test fails, 2 when a file cannot be used.",
		Example: "  astern test\n  astern test rules_test.yaml --run decay -v\n  astern test examples --coverage\n  astern test -o junit > report.xml",
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.output == asJUnit {
				return nil
			}
			return a.checkFlags()
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.test(cmd.Context(), args, f) },
	}
	c.Flags().StringVar(&f.only, "run", "", "only tests whose name fits this regular expression")
	c.Flags().BoolVar(&f.coverage, "coverage", false, "show the rules, guards and parts of 'when' that no test reached")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "show each test with what happened in it, and how long it took")
	return c
}

func (a *app) test(ctx context.Context, args []string, f testFlags) error {
	only, err := regexp.Compile(f.only)
	if err != nil {
		return usage("--run: %s", err)
	}
	names, err := testFiles(args)
	if err != nil {
		return err
	}
	registry, err := all.Registry()
	if err != nil {
		return err
	}
	files, err := a.loadTests(names, registry)
	if err != nil {
		return err
	}
	if chosen(files, only) == 0 {
		return usageHint("see their names with `astern test -v`", "no test has a name that fits %q", f.only)
	}
	results, err := a.runTests(ctx, files, only, registry)
	if err != nil {
		return err
	}
	if err := a.tested(results, f); err != nil {
		return err
	}
	if slices.ContainsFunc(results, func(r ruletest.Result) bool { return r.Failed() > 0 }) {
		return answeredNo
	}
	return nil
}

func chosen(files []*ruletest.File, only *regexp.Regexp) int {
	n := 0
	for _, f := range files {
		for _, t := range f.Tests {
			if only.MatchString(t.Name) {
				n++
			}
		}
	}
	return n
}

// runTests runs as many tests side by side as there are processors; the results are in the order of the files.
func (a *app) runTests(ctx context.Context, files []*ruletest.File, only *regexp.Regexp, registry *actions.Registry) ([]ruletest.Result, error) {
	shown := a.progress(chosen(files, only))
	defer shown.clear()
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	results := make([]ruletest.Result, len(files))
	group, ctx := errgroup.WithContext(ctx)
	for n, f := range files {
		group.Go(func() error {
			var err error
			results[n], err = ruletest.Run(ctx, f, ruletest.Options{Registry: registry, Only: only, Now: a.now, Done: shown.done, Slots: slots})
			return err
		})
	}
	err := group.Wait()
	return results, err
}

// progress counts on a terminal what is done of a run that takes longer.
type progress struct {
	app   *app
	mu    sync.Mutex
	began time.Time
	many  int
	ended int
	wrote bool
}

func (a *app) progress(many int) *progress { return &progress{app: a, many: many, began: a.now()} }

// slowRun is after how long a run shows how far it is.
const slowRun = 2 * time.Second

func (p *progress) done(ruletest.TestResult) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended++
	if p.app.paints && p.app.now().Sub(p.began) > slowRun {
		p.wrote = true
		fmt.Fprintf(p.app.err, "\r%d of %d tests", p.ended, p.many)
	}
}

func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wrote {
		fmt.Fprintf(p.app.err, "\r%s\r", strings.Repeat(" ", 40))
	}
}
