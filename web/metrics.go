package web

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	deliveries *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	inFlight   prometheus.Gauge
	panics     prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "astern_deliveries_total",
			Help: "Notifications at the door by sender and result: stored, malformed, unauthenticated, forbidden, overload, unavailable or error. Only stored ones were answered with 2xx."}, []string{"source", "result"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "astern_http_request_duration_seconds",
			Help:    "How long requests took, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"route", "method", "code"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "astern_http_requests_in_flight", Help: "Requests under way."}),
		panics:   prometheus.NewCounter(prometheus.CounterOpts{Name: "astern_http_panics_total", Help: "Requests that panicked and were answered with 500."}),
	}
	for _, c := range []prometheus.Collector{m.deliveries, m.durations, m.inFlight, m.panics} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of the web server: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) observe(route, method string, status int, took time.Duration) {
	m.durations.WithLabelValues(route, method, strconv.Itoa(status)).Observe(took.Seconds())
}
