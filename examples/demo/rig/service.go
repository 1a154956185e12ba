package rig

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Service is one version of a small web service: it answers "/" after some milliseconds, "/healthz" and "/metrics".
// It is safe for concurrent use.
type Service struct {
	Track, Version string
	// URL is where it listens.
	URL string

	server   *http.Server
	perMille atomic.Int64 // how many of 1,000 requests fail
	requests *prometheus.CounterVec
	seconds  prometheus.Histogram
	mu       sync.Mutex
	arrivals int
	last     time.Time
}

// StartService starts a version on a free port of 127.0.0.1.
func StartService(track, version string) (*Service, error) {
	s := &Service{
		Track: track, Version: version,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total", Help: "Requests answered, by status code."}, []string{"code"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "Time to answer.", Buckets: []float64{.01, .02, .05, .1, .2, .5, 1}}),
	}
	s.requests.WithLabelValues("200")
	s.requests.WithLabelValues("500")
	var err error
	s.server, s.URL, err = serve(s.handler())
	return s, err
}

func (s *Service) handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.requests, s.seconds)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Version", s.Version)
		fmt.Fprintf(w, "ok %s\n", s.Version)
	})
	mux.HandleFunc("GET /{$}", s.answer)
	return mux
}

// work is how long an answer takes: some milliseconds, and now and then more than a second, so that a drain has
// something to wait for.
func work() time.Duration {
	if rand.IntN(50) == 0 {
		return 1200 * time.Millisecond
	}
	return time.Duration(2+rand.IntN(8)) * time.Millisecond
}

// answer works a while, then answers or fails.
func (s *Service) answer(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	s.mu.Lock()
	s.arrivals, s.last = s.arrivals+1, begun
	s.mu.Unlock()
	select {
	case <-time.After(work()):
	case <-r.Context().Done():
	}
	code := http.StatusOK
	if rand.Int64N(1000) < s.perMille.Load() {
		code = http.StatusInternalServerError
	}
	w.Header().Set("X-Track", s.Track)
	w.WriteHeader(code)
	fmt.Fprintf(w, "%s %s\n", s.Version, http.StatusText(code))
	s.requests.WithLabelValues(strconv.Itoa(code)).Inc()
	s.seconds.Observe(time.Since(begun).Seconds())
}

// Fail makes the given share of requests fail, 0 to 1.
func (s *Service) Fail(share float64) { s.perMille.Store(int64(share * 1000)) }

// Arrivals tells how many requests for "/" have come, and when the last one did.
func (s *Service) Arrivals() (count int, last time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arrivals, s.last
}

// Stop closes the listener and waits for what is being answered.
func (s *Service) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return errors.Join(s.server.Shutdown(ctx), s.server.Close())
}
