package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/config"
)

// Options are what a server is made of.
type Options struct {
	Engine *engine.Engine
	// Config says who may knock and who may ask.
	Config *config.Config
	// Anonymous opens the door to all (the engine must be told, too: it then only observes).
	Anonymous bool
	// WebConfigFile is exporter-toolkit's file for TLS and client certificates; empty for plain HTTP.
	WebConfigFile string
	// Reload reads the configuration again; its error is shown to the admin who asked.
	Reload func(context.Context) error
	// Registry is where the server's metrics go and what /metrics shows.
	Registry *prometheus.Registry
	Log      *zap.Logger
	Now      func() time.Time
	// BodyLimit bounds a notification in bytes; zero is 32 MiB.
	BodyLimit int64
}

// Server is the door and the API. It is safe for concurrent use.
type Server struct {
	options Options
	engine  *engine.Engine
	log     *zap.Logger
	now     func() time.Time
	metrics *metrics
	door    *door
	scrape  http.Handler
	router  *router
	origin  *http.CrossOriginProtection
	access  atomic.Pointer[access]
	// explaining lets one question be answered at a time: with thousands of rules each takes a second of a processor.
	explaining *semaphore.Weighted
	// headerIn and bodyIn bound how long a request's header, and the whole request, may take to arrive; pollFor is how
	// long `?wait=` waits for something new.
	headerIn, bodyIn, pollFor time.Duration

	drain   sync.Once
	drained chan struct{}
	mu      sync.Mutex
	stopped bool
	serving []*http.Server
}

// New makes a server. It fails when callers cannot be told apart, a secret cannot be read, or nobody would have to
// authenticate and that was not asked for.
func New(o Options) (*Server, error) {
	m, err := newMetrics(o.Registry)
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, engine: o.Engine, log: o.Log, now: o.Now, metrics: m, headerIn: 5 * time.Second, bodyIn: 30 * time.Second, pollFor: 30 * time.Second,
		origin: http.NewCrossOriginProtection(), drained: make(chan struct{}), explaining: semaphore.NewWeighted(1)}
	if err := s.Configure(o.Config); err != nil {
		return nil, err
	}
	if o.BodyLimit == 0 {
		o.BodyLimit = defaultBodyLimit
	}
	s.door = &door{receive: o.Engine.Receive, now: o.Now, limit: o.BodyLimit, room: semaphore.NewWeighted(max(doorRoom, o.BodyLimit)),
		draining: s.draining, metrics: m, log: o.Log}
	s.scrape = promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{})
	s.router = newRouter(s.routes())
	return s, nil
}

// Configure puts another configuration's senders and people in force. On an error the former stay.
func (s *Server) Configure(cfg *config.Config) error {
	if err := CheckAuth(cfg, s.options.Anonymous); err != nil {
		return err
	}
	if err := CheckWebConfig(s.options.WebConfigFile, cfg); err != nil {
		return err
	}
	a, err := newAccess(callers(cfg, s.now), s.options.Anonymous)
	if err != nil {
		return err
	}
	s.access.Store(a)
	return nil
}

// Serve answers on the listener until Shutdown, which makes it return nil.
func (s *Server) Serve(l net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: s.headerIn,
		ReadTimeout:       s.bodyIn,
		WriteTimeout:      90 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          zap.NewStdLog(s.log),
	}
	if !s.serves(server) {
		return l.Close()
	}
	none := []string{}
	err := toolkit.Serve(l, server, &toolkit.FlagConfig{WebListenAddresses: &none, WebConfigFile: &s.options.WebConfigFile}, slog.New(slogToZap{s.log}))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", l.Addr(), err)
}

// serves takes a server among those that Shutdown ends; after Shutdown there are none.
func (s *Server) serves(server *http.Server) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.serving = append(s.serving, server)
	}
	return !s.stopped
}

// Drain makes the door and /-/ready answer 503 from now on and ends waiting requests; all else goes on.
func (s *Server) Drain() { s.drain.Do(func() { close(s.drained) }) }

func (s *Server) draining() bool {
	select {
	case <-s.drained:
		return true
	default:
		return false
	}
}

// Shutdown drains, lets the requests under way end, and closes the listeners.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	var errs []error
	for _, server := range s.serving {
		errs = append(errs, server.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// slogToZap hands exporter-toolkit's log lines to ours.
type slogToZap struct{ log *zap.Logger }

func (h slogToZap) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (h slogToZap) WithAttrs([]slog.Attr) slog.Handler               { return h }
func (h slogToZap) WithGroup(string) slog.Handler                    { return h }

func (h slogToZap) Handle(_ context.Context, r slog.Record) error {
	var fields []zap.Field
	r.Attrs(func(a slog.Attr) bool { fields = append(fields, zap.Any(a.Key, a.Value.Any())); return true })
	if r.Level >= slog.LevelWarn {
		h.log.Warn(r.Message, fields...)
	} else {
		h.log.Info(r.Message, fields...)
	}
	return nil
}
