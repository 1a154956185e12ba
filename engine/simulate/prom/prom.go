// Package prom is a Prometheus on virtual time: series in promtool's notation, Prometheus' own engine and rule code, the
// API's door. It stands below engine/simulate and imports nothing of ours: what it serves is read through
// actions/client, as in production.
//
// Nothing here runs beside its caller or asks for the time: the clock is given, groups are evaluated when Evaluate says
// so, and the same calls give the same answers in the same order.
package prom

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// defaultInterval is Prometheus' own between evaluations.
const defaultInterval = time.Minute

// Options say when the server's time begins and what it is called outside.
type Options struct {
	// Start is the virtual time of sample 0 and of the first evaluation.
	Start time.Time
	// Interval lies between samples, and between evaluations of rule groups that write none; 1m without a word.
	Interval time.Duration
	// Scrape, when it is shorter than Interval, samples each written value again, evenly and at most this far apart, until
	// the next one is due, as a scrape does with a gauge that stands still. Without it each value is sampled once, as
	// promtool does: a query that demands fresh samples then sees a gap after each.
	Scrape time.Duration
	// Now is the virtual clock. Samples after it are hidden from the door. Without it the last evaluation is now for what
	// Active lists, and the door hides nothing.
	Now func() time.Time
	// ExternalLabels are added to alerts, as `global.external_labels` is.
	ExternalLabels map[string]string
}

// Server is one Prometheus. It is safe for concurrent use; calls take turns.
type Server struct {
	opts     Options
	parser   parser.Parser
	engine   *promql.Engine
	external labels.Labels

	mu     sync.Mutex
	memory *memory
	loaded []file
	groups []*group
	now    time.Time // when the call under way came
	last   time.Time // the latest evaluation
	sent   []Alert   // by the evaluation that is under way
	firing map[string]Alert
	down   bool
	since  time.Time // when it went down
}

// New gives a server that is up and has no series and no rules.
func New(opts Options) *Server {
	if opts.Interval <= 0 {
		opts.Interval = defaultInterval
	}
	s := &Server{
		opts: opts, parser: parser.NewParser(parser.Options{ExperimentalDurationExpr: true}),
		external: labels.FromMap(opts.ExternalLabels), memory: newMemory(), last: opts.Start, firing: map[string]Alert{},
	}
	s.engine = promql.NewEngine(promql.EngineOpts{
		// As Prometheus' flags are without a word, save for the time-out: a query takes no virtual time.
		MaxSamples: 50_000_000, Timeout: 24 * time.Hour, LookbackDelta: 5 * time.Minute,
		EnableAtModifier: true, EnableNegativeOffset: true, Parser: s.parser,
		NoStepSubqueryIntervalFn: func(int64) int64 { return opts.Interval.Milliseconds() },
	})
	return s
}

// Load adds one series in promtool's notation, such as `errors{service="a"}` and `0.03x9 0x50 _x5 stale`: its samples lie
// at Start + n*Interval.
func (s *Server) Load(series, values string) error {
	lset, sequence, err := s.parser.ParseSeriesDesc(series + " " + values)
	switch {
	case err != nil:
		return fmt.Errorf("series %s: %w", series, err)
	case lset.Get(model.MetricNameLabel) == "":
		return fmt.Errorf("series %s: has no metric name", series)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	entry, isNew := s.memory.entry(lset)
	if !isNew {
		return fmt.Errorf("series %s: is there already", series)
	}
	step, per := s.grid()
	entry.encode(sequence, s.opts.Start.UnixMilli(), step, per)
	return nil
}

// grid is the distance between samples, and how many of them each written value makes.
func (s *Server) grid() (step int64, per int) {
	step, per = s.opts.Interval.Milliseconds(), 1
	if scrape := s.opts.Scrape.Milliseconds(); scrape > 0 {
		for step/int64(per) > scrape || step%int64(per) != 0 {
			per++
		}
	}
	return step / int64(per), per
}

// SetDown makes the server dead or brings it back: a dead one evaluates nothing, scrapes nothing, and its door answers
// 503. Back again it is a Prometheus that was restarted: what it would have scraped meanwhile is missing, and its alerts
// are restored from what it had recorded, by Prometheus' own rules.
func (s *Server) SetDown(down bool) {
	defer s.enter()()
	if down == s.down {
		return
	}
	s.down = down
	if down {
		s.since = s.now
		return
	}
	s.memory.cut(s.since.UnixMilli()+1, s.now.UnixMilli())
	s.restart()
}

// enter takes the server for one call: `defer s.enter()()`. The clock is read before, so that whoever holds the clock may
// ask the server.
func (s *Server) enter() (leave func()) {
	now := time.Time{}
	if s.opts.Now != nil {
		now = s.opts.Now()
	}
	s.mu.Lock()
	if s.now = now; s.opts.Now == nil {
		s.now = s.last
	}
	return s.mu.Unlock
}

// horizon is the latest sample that a question at the door may see.
func (s *Server) horizon() int64 {
	if s.opts.Now != nil {
		return s.now.UnixMilli()
	}
	return math.MaxInt64
}
