package engine

import (
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"astern.dev/astern/engine/incident"
)

// metrics are the engine's own. Labels come from closed sets, never from alerts.
type metrics struct {
	alerts          *prometheus.CounterVec
	phases          *prometheus.CounterVec
	verdicts        *prometheus.CounterVec
	steps           *prometheus.CounterVec
	overdue         prometheus.Counter
	noticeErrors    prometheus.Counter
	reconcileErrors prometheus.Counter
	stuck           prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "astern", Name: name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "astern", Name: name, Help: help}, labels)
	}
	m := &metrics{
		alerts:          vec("alert_decisions_total", "Alerts by what they came to.", "decision"),
		phases:          vec("incidents_ended_total", "Incidents that ended, by phase.", "phase"),
		verdicts:        vec("judgements_total", "Judgements by verdict and mode.", "verdict", "mode"),
		steps:           vec("steps_total", "Step attempts by outcome.", "outcome"),
		overdue:         counter("notices_overdue_total", "Notices that were not told by their due time."),
		noticeErrors:    counter("notice_errors_total", "Tellings that failed or stayed unproven."),
		reconcileErrors: counter("reconcile_errors_total", "Reads of Alertmanager's API that failed."),
		stuck:           counter("retries_total", "Commands that could not be done and were put off."),
	}
	if r != nil {
		r.MustRegister(m.alerts, m.phases, m.verdicts, m.steps, m.overdue, m.noticeErrors, m.reconcileErrors, m.stuck)
	}
	return m
}

func (m *metrics) decisions(decided []incident.Decision) {
	for _, d := range decided {
		m.alerts.WithLabelValues(d.Kind).Inc()
	}
}

func (m *metrics) facts(events []incident.Event) {
	for _, e := range events {
		switch f := e.Fact.(type) {
		case incident.Ended:
			m.phases.WithLabelValues(string(f.Phase)).Inc()
		case incident.Judged:
			m.verdicts.WithLabelValues(string(f.Judgement.Verdict), string(f.Judgement.Mode)).Inc()
		case incident.StepSucceeded:
			m.steps.WithLabelValues("succeeded").Inc()
		case incident.StepErred:
			m.steps.WithLabelValues("failed").Inc()
		case incident.StepDoubted:
			m.steps.WithLabelValues("in_doubt").Inc()
		}
	}
}

// logFacts writes one line for what an operator would want to see in the log; the history has everything.
func (e *Engine) logFacts(i incident.Incident, events []incident.Event) {
	for _, ev := range events {
		switch f := ev.Fact.(type) {
		case incident.Opened, incident.Approved, incident.Declined, incident.Aborted, incident.Requested, incident.StepBegan, incident.StepSucceeded, incident.Marked, incident.StepSettled:
			e.log.Info(ev.Type, logIncident(i.ID), zap.String("by", ev.By), zap.String("reason", i.Reason))
		case incident.Judged:
			e.log.Info(ev.Type, logIncident(i.ID), logRule(f.Rule), zap.String("verdict", string(f.Judgement.Verdict)), zap.String("reason", f.Judgement.Reason))
		case incident.StepErred, incident.StepDoubted, incident.StepHeld, incident.NoticeErred, incident.NoticeOverdue:
			e.log.Warn(ev.Type, append([]zap.Field{logIncident(i.ID)}, trouble(i, f)...)...)
		case incident.Ended:
			e.log.Info(ev.Type, logIncident(i.ID), zap.String("phase", string(f.Phase)), zap.String("reason", f.Reason))
		}
	}
}

// trouble says what went wrong in flat fields: logfmt has no others.
func trouble(i incident.Incident, f incident.Fact) []zap.Field {
	step := func(n int) zap.Field {
		if i.Plan == nil || n < 0 || n >= len(i.Plan.Steps) {
			return zap.Int("step", n)
		}
		return zap.String("step", i.Plan.Steps[n].Name)
	}
	switch f := f.(type) {
	case incident.StepErred:
		return []zap.Field{step(f.Step), zap.Int("attempt", f.Attempt), zap.String("error", f.Error)}
	case incident.StepDoubted:
		return []zap.Field{step(f.Step), zap.Int("attempt", f.Attempt), zap.String("reason", f.Reason)}
	case incident.StepHeld:
		return []zap.Field{step(f.Step), zap.String("reason", f.Reason)}
	case incident.NoticeErred:
		return []zap.Field{zap.String("notice", f.ID), zap.String("error", f.Error)}
	case incident.NoticeOverdue:
		return []zap.Field{zap.String("notice", f.ID)}
	}
	return nil
}

func logReason(text string) zap.Field     { return zap.String("reason", text) }
func logIncident(id string) zap.Field     { return zap.String("incident", id) }
func logStream(stream string) zap.Field   { return zap.String("stream", stream) }
func logWhat(what string) zap.Field       { return zap.String("command", what) }
func logRule(name string) zap.Field       { return zap.String("rule", name) }
func logSource(name string) zap.Field     { return zap.String("source", name) }
func logCount(n int) zap.Field            { return zap.Int("count", n) }
func logError(err error) zap.Field        { return zap.Error(err) }
func logAlert(a incident.Alert) zap.Field { return zap.String("alert", a.Labels["alertname"]) }
