package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules"
)

// signal is what a query says: bad and ok are answers, unknown never is either.
type signal int

const (
	unknown signal = iota
	holds
	holdsNot
)

// maxStep is the widest distance between the points of a proof (S7).
const maxStep = 15 * time.Second

// confirmTries is how often an unknown answer is asked again quietly, each confirmPause apart, before people hear of it.
const (
	confirmTries = 3
	confirmPause = 10 * time.Second
)

// guardConfirm keeps S7: right before acting, each query shows over the whole window what the rule claims.
func (e *Engine) guardConfirm(ctx context.Context, q question) incident.Finding {
	if q.rule.Confirm.Waived != "" {
		return pass("confirm", "S7", "waived: %s", q.rule.Confirm.Waived)
	}
	prometheus, err := connection[*client.Prometheus](q.cfg, q.target.Connections, "prometheus", "")
	if err != nil {
		return q.unconfirmed(fmt.Sprintf("unknown: %v", err))
	}
	for n, query := range q.rule.Confirm.Queries {
		s, why := e.proveSustained(ctx, prometheus, q, query)
		switch s {
		case unknown:
			return q.unconfirmed(fmt.Sprintf("query %d: unknown: %s", n+1, why))
		case holdsNot:
			f := finding("confirm", "S7", incident.Wait, "query %d does not confirm it: %s", n+1, why)
			f.RetryAt = q.now.Add(min(max(q.rule.For/10, time.Second), 30*time.Second))
			return *f
		}
	}
	return pass("confirm", "S7", "%d queries hold over %s", len(q.rule.Confirm.Queries), short(q.rule.For))
}

// unconfirmed asks an unknown answer again a few times before it holds.
func (q question) unconfirmed(reason string) incident.Finding {
	if j := q.joined.Judgement; j == nil || j.Tries+1 < confirmTries {
		f := finding("confirm", "S7", incident.Wait, "%s", reason)
		f.Unknown, f.RetryAt = true, q.now.Add(confirmPause)
		return *f
	}
	f := finding("confirm", "S7", incident.Hold, "%s", reason)
	f.Unknown = true
	return *f
}

// proveSustained asks for every point of the window; a default range query would hide gaps under its lookback.
func (e *Engine) proveSustained(ctx context.Context, p *client.Prometheus, q question, query rules.Query) (signal, string) {
	text, err := query.Render(q.vars)
	if err != nil {
		return unknown, err.Error()
	}
	step, points := proofOf(q.rule.For)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	series, err := p.QueryRange(ctx, client.RangeQuery{
		Query: text, Start: q.now.Add(-time.Duration(points) * step), End: q.now, Step: step, LookbackDelta: 2 * step,
	})
	switch {
	case err != nil:
		return unknown, err.Error()
	case len(series) != 1:
		return unknown, fmt.Sprintf("%s answered with %d series, not one", text, len(series))
	case len(series[0].Points) != points+1:
		return unknown, fmt.Sprintf("%s has %d of %d points: a gap", text, len(series[0].Points), points+1)
	}
	for _, sample := range series[0].Points {
		if s, why := judgeValue(sample.Value, func(v float64) (bool, error) { return query.Holds(v, q.vars) }); s != holds {
			return s, fmt.Sprintf("%s was %s at %s", text, why, stamp(sample.At))
		}
	}
	return holds, ""
}

// proofOf cuts the window into equal parts of at most maxStep each, two at least, so that its points cover the whole of it.
func proofOf(window time.Duration) (step time.Duration, parts int) {
	if window == 0 {
		return maxStep, 0
	}
	parts = max(2, int((window+maxStep-1)/maxStep))
	return max(window/time.Duration(parts), time.Second), parts
}

func judgeValue(v float64, ask func(float64) (bool, error)) (signal, string) {
	if math.IsNaN(v) {
		return unknown, "not a number"
	}
	yes, err := ask(v)
	switch {
	case err != nil:
		return unknown, err.Error()
	case yes:
		return holds, ""
	}
	return holdsNot, fmt.Sprintf("%g", v)
}

// askHealth keeps S23: all of the target's own queries hold right now.
func (e *Engine) askHealth(ctx context.Context, inc incident.Incident) (incident.HealthSeen, error) {
	q, gone, err := e.ask(ctx, inc, "")
	if err != nil {
		return incident.HealthSeen{}, err
	}
	if gone != nil {
		return incident.HealthSeen{Findings: []incident.Finding{*gone}}, nil
	}
	seen := incident.HealthSeen{Good: true}
	if back := q.cameBack(); back != nil {
		return incident.HealthSeen{Broken: true, Findings: []incident.Finding{*back}}, nil
	}
	prometheus, err := connection[*client.Prometheus](q.cfg, q.target.Connections, "prometheus", "")
	for n, query := range q.target.Healthy.Queries {
		s, why := unknown, fmt.Sprint(err)
		if err == nil {
			s, why = q.askOf(ctx, prometheus, query)
		}
		seen.Good = seen.Good && s == holds
		seen.Findings = append(seen.Findings, healthFinding(n+1, s, why))
	}
	return seen, nil
}

// askOf asks one of the target's own queries.
func (q question) askOf(ctx context.Context, p *client.Prometheus, query plan.HealthQuery) (signal, string) {
	text, err := query.Render(q.vars)
	if err != nil {
		return unknown, err.Error()
	}
	return askNow(ctx, p, text, q.now, func(v float64) (bool, error) { return query.Holds(v, q.vars) })
}

func healthFinding(n int, s signal, why string) incident.Finding {
	switch s {
	case unknown:
		f := finding("health", "S23", incident.Hold, "query %d: unknown: %s", n, why)
		f.Unknown = true
		return *f
	case holdsNot:
		return *finding("health", "S23", incident.Wait, "query %d does not hold yet: %s", n, why)
	}
	return pass("health", "S23", "query %d holds", n)
}

// freshness is how old a sample of an instant question may be.
const freshness = time.Minute

func askNow(ctx context.Context, p *client.Prometheus, text string, now time.Time, ask func(float64) (bool, error)) (signal, string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	series, err := p.QueryRange(ctx, client.RangeQuery{Query: text, Start: now, End: now, Step: time.Second, LookbackDelta: freshness})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return unknown, "Prometheus did not answer within 10s"
	case err != nil:
		return unknown, err.Error()
	case len(series) != 1 || len(series[0].Points) != 1:
		return unknown, fmt.Sprintf("%s answered with %d series, not one", text, len(series))
	}
	s, why := judgeValue(series[0].Points[0].Value, ask)
	if s != holds {
		why = text + " is " + why
	}
	return s, why
}
