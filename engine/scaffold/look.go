package scaffold

import (
	"context"
	"fmt"
	"strings"
	"time"

	"astern.dev/astern/actions/client"
)

// Sources are what is asked. One of the two may be nil.
type Sources struct {
	Prometheus   *client.Prometheus
	Alertmanager *client.Alertmanager
	// Now is the time, and Since how far back alerts are looked for.
	Now   time.Time
	Since time.Duration
	// Labels are further labels that may choose targets.
	Labels []string
}

const (
	// maxSeries bounds how many label sets of past alerts are read.
	maxSeries = 20_000
	// maxProbes bounds how many rules' expressions are asked for, and patience how long that may take.
	maxProbes = 300
	patience  = time.Minute
)

// UnreachableError says which of the two could not be asked.
type UnreachableError struct {
	Who string
	Err error
}

func (e *UnreachableError) Error() string { return fmt.Sprintf("ask %s: %s", e.Who, e.Err) }

func (e *UnreachableError) Unwrap() error { return e.Err }

// Look asks. It fails when one that was named cannot be asked at all; what else could not be read is told in Missing.
func Look(ctx context.Context, s Sources) (*Found, error) {
	f := &Found{heard: map[string][]map[string]string{}}
	var rules []client.AlertRule
	var names []string
	var err error
	if s.Prometheus == nil {
		f.missing("no Prometheus was named (--prometheus): there is no `confirm`, and alerts that do not fire now are not known")
	} else if rules, err = f.askPrometheus(ctx, s); err != nil {
		return nil, &UnreachableError{"Prometheus", err}
	}
	if s.Alertmanager == nil {
		f.missing("no Alertmanager was named (--alertmanager): astern cannot learn of silences, and where its route belongs is not known")
	} else if names, err = f.askAlertmanager(ctx, s.Alertmanager); err != nil {
		return nil, &UnreachableError{"Alertmanager", err}
	}
	f.sort(rules, names)
	if s.Prometheus != nil {
		f.measure(ctx, s)
	}
	return f, ctx.Err()
}

func (f *Found) askPrometheus(ctx context.Context, s Sources) ([]client.AlertRule, error) {
	rules, err := s.Prometheus.AlertRules(ctx)
	if err != nil {
		return nil, err
	}
	if f.External, err = s.Prometheus.ExternalLabels(ctx); err != nil {
		f.missing("Prometheus' external labels could not be read (%s): a target may lack one", err)
	}
	past, err := s.Prometheus.LabelSets(ctx, "ALERTS", s.Now.Add(-s.Since), s.Now, maxSeries)
	if err != nil {
		f.missing("past alerts could not be read (%s)", err)
	}
	active, err := s.Prometheus.ActiveAlerts(ctx)
	if err != nil {
		f.missing("active alerts could not be read (%s)", err)
	}
	for _, labels := range append(past, active...) {
		delete(labels, "__name__")
		delete(labels, "alertstate")
		f.hear(f.complete(labels, nil))
	}
	return rules, nil
}

func (f *Found) hear(labels map[string]string) {
	name := labels["alertname"]
	f.heard[name] = append(f.heard[name], labels)
}

// askAlertmanager gives the names of the alerts that it holds.
func (f *Found) askAlertmanager(ctx context.Context, from *client.Alertmanager) ([]string, error) {
	var names []string
	err := from.EachAlert(ctx, nil, func(a client.GettableAlert) {
		f.hear(a.Labels)
		names = append(names, a.Labels["alertname"])
	})
	if err != nil {
		return nil, err
	}
	status, err := from.Status(ctx)
	if err != nil {
		f.missing("Alertmanager's configuration could not be read (%s): see yourself where the route belongs", err)
		return names, nil
	}
	if f.Routing, err = readRouting(status); err != nil {
		f.missing("Alertmanager's configuration could not be understood (%s): see yourself where the route belongs", err)
	}
	return names, nil
}

// measure asks which label sets each alert's expression has now: an alert that never fired carries the same.
func (f *Found) measure(ctx context.Context, s Sources) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	failed := 0
	for i, a := range f.Alerts {
		if len(a.conditions) == 0 {
			continue
		}
		if i >= maxProbes || ctx.Err() != nil {
			failed++
			continue
		}
		query := fmt.Sprintf("count by (%s) (%s)", strings.Join(quotedLabels(candidates(s.Labels)), ", "), a.conditions[0].measured)
		series, err := s.Prometheus.QueryRange(ctx, client.RangeQuery{Query: query, Start: s.Now, End: s.Now, Step: time.Minute})
		if err != nil {
			failed++
			continue
		}
		for _, one := range series {
			if len(one.Points) > 0 {
				a.measured = append(a.measured, measured{one.Labels, int(one.Points[0].Value)})
			}
		}
	}
	if failed > 0 {
		f.missing("what %s measure now was not told: their labels are known from alerts alone", plural(failed, "alert"))
	}
}
