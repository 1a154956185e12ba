// Package backtest says what rules would have done in the past: it reads episodes of alerts and releases from a
// Prometheus' range API, lets them happen once more in a simulated world with the rules in question, whose queries the
// same Prometheus answers as of those moments, and counts what the rules would have done against what people did. It
// changes nothing anywhere. It imports engine/simulate, the engine and what is below.
package backtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"astern.dev/astern/actions/client"
)

// Prometheus' own bound is 11,000 points a series in one answer.
const (
	maxPoints = 10_000
	chunkLong = 6 * time.Hour
)

// Options say what is read and how.
type Options struct {
	// URL is the server's address as the person wrote it. HTTP asks it. Asker is what else the answers depend on, such as the
	// tenant that a header names. The address and the asker tell kept chunks apart.
	URL, Asker string
	HTTP       *client.HTTP
	// Since and Until bound the time that is looked at.
	Since, Until time.Time
	// Step is the distance between evaluations of alerting rules; zero finds it in the data.
	Step time.Duration
	// Parallel is how many questions are asked at a time.
	Parallel int
	// State is the folder that keeps chunks between runs; empty keeps nothing. What lies after Settled is not kept: samples
	// may still come, and what has not been yet must never be remembered as quiet. Zero keeps all.
	State   string
	Settled time.Time
	// Alive is an expression whose value is the time of the newest sample of anything: when it stands still, nothing was
	// recorded.
	Alive string
	// ExternalLabels are what Prometheus adds to its alerts on the way to Alertmanager; its own series do not carry them.
	ExternalLabels map[string]string
	// Follow is how long an alert that goes on firing is followed; zero is DefaultFollow. What did not make a rule act by
	// then would be asked again each half minute of weeks.
	Follow time.Duration
	// Progress hears how far the reading is.
	Progress func(what string, done, total int)
}

// DefaultAlive asks for the newest scrape.
const DefaultAlive = "max(timestamp(up))"

// DefaultFollow is longer than any `for` and far longer than a release stays suspect.
const DefaultFollow = 6 * time.Hour

// past asks one Prometheus for its past.
type past struct {
	Options
	prometheus *client.Prometheus
}

func open(o Options) (*past, error) {
	root, err := client.ParseRoot(o.URL)
	if err != nil {
		return nil, fmt.Errorf("the address of Prometheus %w", err)
	}
	if o.Parallel < 1 {
		o.Parallel = 1
	}
	if o.Follow <= 0 {
		o.Follow = DefaultFollow
	}
	if o.Alive == "" {
		o.Alive = DefaultAlive
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	return &past{o, client.NewPrometheus(root, o.HTTP)}, nil
}

// span is a stretch of time with both ends on the grid of a step; its ends are points, too.
type span struct{ From, To time.Time }

// chunks cut the time into spans that lie on the same places whatever the time is, so that a later run finds what an
// earlier one kept. Neighbours share the point between them.
func (p *past) chunks(step time.Duration) []span {
	long := chunkLength(step)
	var all []span
	until := p.Until.Truncate(step)
	for from := p.Since.Truncate(long); from.Before(until); from = from.Add(long) {
		to := from.Add(long)
		if to.After(until) {
			to = until
		}
		all = append(all, span{from, to})
	}
	return all
}

// begin is where reading begins: before Since, at the edge of a chunk.
func (p *past) begin(step time.Duration) time.Time {
	return p.Since.Truncate(chunkLength(step))
}

func chunkLength(step time.Duration) time.Duration {
	return min(chunkLong, maxPoints*step).Truncate(step)
}

// each reads every chunk, some at a time, and gives what they came to in order. What was read before is not asked again.
func each[T any](ctx context.Context, p *past, what, query string, step time.Duration, read func(context.Context, span) (T, error)) ([]T, error) {
	chunks := p.chunks(step)
	parts := make([]T, len(chunks))
	var done atomic.Int64
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(p.Parallel)
	for n, c := range chunks {
		group.Go(func() error {
			if within.Err() != nil {
				return within.Err()
			}
			k := p.keepOf(what, query, step, c)
			if !k.load(&parts[n]) {
				var err error
				if parts[n], err = read(within, c); err != nil {
					return &ReadError{what, c.From, c.To, err}
				}
				if err := k.store(parts[n]); err != nil {
					return err
				}
			}
			p.Progress(what, int(done.Add(1)), len(chunks))
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return parts, ctx.Err()
}

// ReadError is a part of the past that could not be read. It is never passed over.
type ReadError struct {
	What     string
	From, To time.Time
	Cause    error
}

func (e *ReadError) Error() string {
	return fmt.Sprintf("read %s from %s to %s: %v", e.What, stamp(e.From), stamp(e.To), e.Cause)
}

func (e *ReadError) Unwrap() error { return e.Cause }

// partialTries is how often an answer that came with a warning is asked for again.
const partialTries = 3

// ask asks for a stretch. One that the server or the client finds too large is asked for in halves; an answer with a
// warning is no answer.
func (p *past) ask(ctx context.Context, query string, s span, step time.Duration) ([]client.Series, error) {
	var series []client.Series
	var err error
	for try := 0; try < partialTries; try++ {
		series, err = p.prometheus.QueryRange(ctx, client.RangeQuery{Query: query, Start: s.From, End: s.To, Step: step})
		if !errors.Is(err, client.ErrPartial) {
			break
		}
	}
	if !tooLarge(err) || s.To.Sub(s.From) < 2*step {
		return series, err
	}
	middle := s.From.Add((s.To.Sub(s.From) / 2).Truncate(step))
	left, err := p.ask(ctx, query, span{s.From, middle}, step)
	if err != nil {
		return nil, err
	}
	right, err := p.ask(ctx, query, span{middle.Add(step), s.To}, step)
	return slices.Concat(left, right), err
}

// tooLarge says whether less would be answered: the answer is too long, or the server says that it loads too much.
func tooLarge(err error) bool {
	var refused *client.RefusedError
	if errors.As(err, &refused) {
		return strings.Contains(refused.Text, "too many samples") || strings.Contains(refused.Text, "maximum resolution")
	}
	return errors.Is(err, client.ErrTooLong)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
