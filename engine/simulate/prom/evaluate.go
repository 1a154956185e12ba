package prom

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/util/strutil"
)

// Alert is one alert as Prometheus sends it to Alertmanager.
type Alert struct {
	Labels, Annotations map[string]string
	StartsAt            time.Time
	// EndsAt is when a resolved alert ended. Of one that fires it is when Alertmanager lets it end unless it is sent again:
	// what becomes of the alerts of a Prometheus that died.
	EndsAt       time.Time
	GeneratorURL string
	// Fresh tells the first word about a beginning or an end from one that is only sent again.
	Fresh    bool
	Resolved bool

	key string
}

// Next is when the next rule group is due; zero when there is none, or the server is down.
func (s *Server) Next() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next()
}

func (s *Server) next() time.Time {
	first := time.Time{}
	for _, g := range s.groups {
		if !s.down && (first.IsZero() || g.next.Before(first)) {
			first = g.next
		}
	}
	return first
}

// Evaluate runs the groups that are due up to the time, each at its own slot, and gives the alerts that Prometheus would
// have sent to Alertmanager by then, in the order of sending. The error names each rule that could not be evaluated; the
// alerts of the others are given all the same.
func (s *Server) Evaluate(ctx context.Context, at time.Time) ([]Alert, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = nil
	problems := []error{}
	for due := s.next(); !due.IsZero() && !due.After(at); due = s.next() {
		problems = append(problems, s.run(ctx, due)...)
	}
	return s.sent, errors.Join(problems...)
}

// run evaluates the groups that are due at one time.
func (s *Server) run(ctx context.Context, due time.Time) (problems []error) {
	s.last, s.memory.horizon = due, due.UnixMilli()
	for _, g := range s.groups {
		if !g.next.Equal(due) {
			continue
		}
		g.Eval(ctx, due)
		g.next = due.Add(g.Interval())
		g.restored(due)
		for _, r := range g.Rules() {
			if err := r.LastError(); err != nil {
				problems = append(problems, fmt.Errorf("%s: group %q, rule %q at %s: %w", g.File(), g.Name(), r.Name(), due.UTC().Format(time.RFC3339), err))
			}
		}
	}
	return problems
}

// restored brings back what the alerts were before a restart, when that is due.
func (g *group) restored(due time.Time) {
	if g.restore == 0 {
		return
	}
	if g.restore--; g.restore == 0 {
		g.RestoreForState(due)
	}
}

func eachAlerting(g *group, do func(*rules.AlertingRule)) {
	for _, r := range g.Rules() {
		if alerting, ok := r.(*rules.AlertingRule); ok {
			do(alerting)
		}
	}
}

// notify takes the alerts that one rule sends.
func (s *Server) notify(_ context.Context, expr string, alerts ...*rules.Alert) {
	sent := make([]Alert, 0, len(alerts))
	for _, a := range alerts {
		sent = append(sent, s.outward(a, expr))
	}
	slices.SortFunc(sent, func(a, b Alert) int { return strings.Compare(a.key, b.key) })
	for i := range sent {
		s.keep(&sent[i])
	}
	s.sent = append(s.sent, sent...)
}

// outward is the alert with the external labels it does not carry itself.
func (s *Server) outward(a *rules.Alert, expr string) Alert {
	lb := labels.NewBuilder(a.Labels)
	s.external.Range(func(l labels.Label) {
		if a.Labels.Get(l.Name) == "" {
			lb.Set(l.Name, l.Value)
		}
	})
	lset := lb.Labels()
	out := Alert{
		Labels: lset.Map(), Annotations: a.Annotations.Map(), StartsAt: a.FiredAt, EndsAt: a.ValidUntil,
		GeneratorURL: externalURL + strutil.TableLinkForExpression(expr), Resolved: !a.ResolvedAt.IsZero(), key: lset.String(),
	}
	if out.Resolved {
		out.EndsAt = a.ResolvedAt
	}
	return out
}

// keep takes an alert into Alertmanager's view, which says whether it is news: an alert that is sent again before it
// ended there goes on as the same one, from its first beginning.
func (s *Server) keep(a *Alert) {
	before, known := s.firing[a.key]
	known = known && before.EndsAt.After(s.last)
	a.Fresh = known == a.Resolved
	if a.Resolved {
		delete(s.firing, a.key)
		return
	}
	now := *a
	if known && before.StartsAt.Before(now.StartsAt) {
		now.StartsAt = before.StartsAt
	}
	s.firing[a.key] = now
}

// Active are the alerts that fire now, as Alertmanager's API would list them: sent, not resolved, and not left alone so
// long that Alertmanager let them end. In the order of their labels.
func (s *Server) Active() []Alert {
	defer s.enter()()
	active := []Alert{}
	for _, key := range slices.Sorted(maps.Keys(s.firing)) {
		if a := s.firing[key]; a.EndsAt.After(s.now) {
			active = append(active, a)
		}
	}
	return active
}
