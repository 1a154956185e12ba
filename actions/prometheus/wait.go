// Package prometheus waits for what Prometheus measures: prometheus/wait. It imports actions and actions/client.
package prometheus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
)

const (
	defaultStep   = 15 * time.Second
	defaultWithin = actions.Duration(4 * time.Minute) // shorter than a step without a word may take
	maxPoints     = 10_000
	waitExample   = `- name: back_at_baseline
  uses: prometheus/wait
  with:
    query: honeylink:error_ratio:rate1m{service="${target.name}"}
    below: 0.005
    for: 1m
    within: 10m
  timeout: 11m
`
)

// Family brings prometheus/wait and the connection kind "prometheus".
func Family() actions.Family {
	family := client.PrometheusFamily
	family.Actions = []actions.Entry{{New: func() actions.Action { return &Wait{} }, Example: waitExample}}
	return family
}

// Wait waits until a query holds. The query must answer with exactly one series; none, several, NaN, an infinite value, a gap, a stale sample,
// an answer with warnings and a Prometheus that does not answer are unknown, and unknown never holds.
type Wait struct {
	// Query is the PromQL expression.
	Query actions.PromQL `yaml:"query"`
	// Above is what the value must exceed. One of above and below is needed, both together bound it.
	Above *float64 `yaml:"above,omitempty"`
	// Below is what the value must stay under.
	Below *float64 `yaml:"below,omitempty"`
	// For is how long it must have held without a break; 0 is one look.
	For actions.Duration `yaml:"for,omitempty"`
	// Within is how long to wait for it at most; 4m without a word. The step's timeout must be longer.
	Within actions.Duration `yaml:"within,omitempty"`
	// Step is the time between two looks, and twice that the age at which a sample is stale; 15s without a word. It
	// should be the time between two scrapes or evaluations.
	Step actions.Duration `yaml:"step,omitempty"`
}

// Outputs is what later steps can read.
type Outputs struct {
	// Value is the last value.
	Value float64 `json:"value"`
}

// Name is prometheus/wait.
func (w *Wait) Name() string { return "prometheus/wait" }

// Outputs types steps.<name>.value.
func (w *Wait) Outputs() any { return Outputs{} }

// Validate checks the bounds and the times.
func (w *Wait) Validate() error {
	var failed []error
	if strings.TrimSpace(string(w.Query)) == "" {
		failed = append(failed, errors.New("query: is required"))
	}
	switch {
	case w.Above == nil && w.Below == nil:
		failed = append(failed, errors.New("above, below: at least one is required"))
	case w.Above != nil && w.Below != nil && *w.Above >= *w.Below:
		failed = append(failed, errors.New("above, below: no number is above the one and below the other"))
	}
	for _, bound := range []*float64{w.Above, w.Below} {
		if bound != nil && math.IsNaN(*bound) {
			failed = append(failed, errors.New("above, below: NaN is no bound"))
		}
	}
	if w.For < 0 || w.Within < 0 || w.Step < 0 {
		failed = append(failed, errors.New("for, within, step: must not be negative"))
	}
	if w.For > 0 && time.Duration(w.For)/w.step() > maxPoints {
		failed = append(failed, errors.New("step: is too short for the time it must hold"))
	}
	return errors.Join(failed...)
}

// step is the distance of the points looked at: such that `for` is a whole number of them.
func (w *Wait) step() time.Duration {
	step := time.Duration(w.Step)
	if step == 0 {
		step = defaultStep
	}
	if hold := time.Duration(w.For); hold > 0 {
		step = hold / max(1, (hold+step-1)/step)
	}
	return step
}

func (w *Wait) within() time.Duration { return time.Duration(cmp.Or(w.Within, defaultWithin)) }

// condition is what is waited for, in words.
func (w *Wait) condition() string {
	var parts []string
	if w.Above != nil {
		parts = append(parts, "above "+number(*w.Above))
	}
	if w.Below != nil {
		parts = append(parts, "below "+number(*w.Below))
	}
	text := string(w.Query) + " " + strings.Join(parts, " and ")
	if w.For > 0 {
		text += " for " + time.Duration(w.For).String()
	}
	return text
}

// OnlyLooks is true: it asks Prometheus and changes nothing.
func (w *Wait) OnlyLooks() bool { return true }

// Plan asks once, so that a query which Prometheus cannot read is found before anything is done.
func (w *Wait) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	from, err := w.server(env)
	if err != nil {
		return actions.Change{}, err
	}
	now := "unknown"
	switch sample, err := from.Query(ctx, string(w.Query), env.Now()); {
	case err == nil:
		now = number(sample.Value)
	case !unknown(err):
		return actions.Change{}, fmt.Errorf("prometheus/wait: %w", err)
	}
	return actions.Change{Summary: fmt.Sprintf("wait until %s, at most %s (now %s)", w.condition(), w.within(), now)}, nil
}

func (w *Wait) server(env actions.Env) (*client.Prometheus, error) {
	if err := w.Validate(); err != nil {
		return nil, actions.Permanent(err)
	}
	opened, err := env.Connect("prometheus", "")
	if err != nil {
		return nil, err
	}
	from, ok := opened.(*client.Prometheus)
	if !ok {
		return nil, actions.Permanent(fmt.Errorf("the prometheus connection is a %T", opened))
	}
	return from, nil
}

// Run looks until the condition holds or the time is over.
func (w *Wait) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	from, err := w.server(env)
	if err != nil {
		return actions.Result{}, err
	}
	until := env.Now().Add(w.within())
	for {
		value, why := w.look(ctx, from, env.Now())
		switch {
		case why == nil:
			return actions.Result{Summary: fmt.Sprintf("%s: now %s", w.condition(), number(value)), Outputs: Outputs{value}}, nil
		case ctx.Err() != nil:
			return actions.Result{}, fmt.Errorf("prometheus/wait: %s: %w", w.condition(), ctx.Err())
		case actions.IsPermanent(why), errors.Is(why, client.ErrNoLookback):
			return actions.Result{}, actions.Permanent(fmt.Errorf("prometheus/wait: %w", why))
		case !env.Now().Before(until):
			return actions.Result{}, fmt.Errorf("prometheus/wait: not reached within %s: %s: %w", w.within(), w.condition(), why)
		}
		if env.Progress != nil {
			env.Progress(fmt.Sprintf("%s: %v", w.condition(), why))
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(w.step(), max(until.Sub(env.Now()), time.Millisecond))):
		}
	}
}

// unknown says whether a query was answered, but with nothing to judge.
func unknown(err error) bool {
	return errors.Is(err, client.ErrEmpty) || errors.Is(err, client.ErrSeveral) || errors.Is(err, client.ErrPartial)
}

// look answers nil when the condition held over the whole time up to now, else why that is not so or not known.
func (w *Wait) look(ctx context.Context, from *client.Prometheus, now time.Time) (float64, error) {
	step, hold := w.step(), time.Duration(w.For)
	series, err := from.QueryRange(ctx, client.RangeQuery{Query: string(w.Query), Start: now.Add(-hold), End: now, Step: step, LookbackDelta: 2 * step})
	if err != nil {
		return 0, err
	}
	one, err := client.One(series)
	if err != nil {
		return 0, err
	}
	if want := int(hold/step) + 1; len(one.Points) < want {
		return 0, fmt.Errorf("unknown: %d of %d points are there", len(one.Points), want)
	}
	for _, point := range one.Points {
		if err := w.holds(point.Value); err != nil {
			return 0, err
		}
	}
	return one.Points[len(one.Points)-1].Value, nil
}

func (w *Wait) holds(value float64) error {
	switch {
	case math.IsNaN(value) || math.IsInf(value, 0):
		return fmt.Errorf("unknown: the value is %s", number(value))
	case w.Above != nil && value <= *w.Above:
		return fmt.Errorf("%s is not above %s", number(value), number(*w.Above))
	case w.Below != nil && value >= *w.Below:
		return fmt.Errorf("%s is not below %s", number(value), number(*w.Below))
	}
	return nil
}

func number(value float64) string { return strconv.FormatFloat(value, 'g', 6, 64) }
