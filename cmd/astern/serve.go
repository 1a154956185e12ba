package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	zaplogfmt "github.com/jsternberg/zap-logfmt"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sync/errgroup"

	"astern.dev/astern/engine/store"
)

type serveFlags struct {
	configFile, listen, externalURL, webConfig, storageURL string
	logLevel, logFormat, stopFile                          string
	anonymous                                              bool
	autoReload                                             time.Duration
}

func serveCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Receive alerts and carry out rollbacks",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return serve(c.Context(), f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.configFile, "config.file", "astern.yaml", "configuration file")
	flags.DurationVar(&f.autoReload, "config.auto-reload-interval", 0, "how often the files are looked at, and read again when they changed; 0: on SIGHUP and /-/reload alone")
	flags.StringVar(&f.listen, "web.listen-address", ":9494", "address to listen on")
	flags.StringVar(&f.externalURL, "web.external-url", "", "address under which people reach this server; goes into messages")
	flags.StringVar(&f.webConfig, "web.config.file", "", "TLS and client certificates, in the form of Prometheus' exporter-toolkit")
	flags.StringVar(&f.storageURL, "storage.url", "", "overrides storage.url of the configuration file, such as sqlite:/var/lib/astern/astern.db")
	flags.StringVar(&f.logLevel, "log.level", "info", "debug, info, warn or error")
	flags.StringVar(&f.logFormat, "log.format", "logfmt", "logfmt or json")
	flags.StringVar(&f.stopFile, "stop.file", "", "while this file exists, no step starts (a kill switch beside astern stop)")
	flags.BoolVar(&f.anonymous, "insecure-allow-anonymous-webhook", false, "let anybody send alerts; everything is then only observed")
	return c
}

func newLogger(level, format string) (*zap.Logger, error) {
	at, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, usage("--log.level: %q is not debug, info, warn or error", level)
	}
	c := zap.NewProductionEncoderConfig()
	c.EncodeTime, c.TimeKey, c.CallerKey = zapcore.RFC3339NanoTimeEncoder, "ts", ""
	encoder := zapcore.NewJSONEncoder(c)
	switch format {
	case "json":
	case "logfmt":
		encoder = zaplogfmt.NewEncoder(c)
	default:
		return nil, usage("--log.format: %q is not logfmt or json", format)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), at)), nil
}

// serve runs until a signal comes, then stops taking alerts in, lets the steps under way come to a safe point and ends.
func serve(ctx context.Context, f serveFlags) error {
	log, err := newLogger(f.logLevel, f.logFormat)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }() // stderr cannot be synced on every system
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := wire(ctx, f, log)
	if err != nil {
		return err
	}
	defer s.close()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", f.listen, err)
	}
	return s.run(ctx, listener)
}

const (
	shutdownPatience = 15 * time.Second
	compactEvery     = time.Hour
)

func (s *server) run(ctx context.Context, listener net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.web.Serve(listener) })
	group.Go(func() error { s.engine.Reconcile(ctx); return nil })
	group.Go(func() error { s.reloadOnHangup(ctx); return nil })
	group.Go(func() error { s.autoReload(ctx); return nil })
	group.Go(func() error { s.compact(ctx); return nil })
	group.Go(func() error { s.watcher.Run(ctx); return nil })
	group.Go(func() error { s.askReadiness(ctx); return nil })
	group.Go(func() error {
		<-ctx.Done()
		s.log.Info("stopping: no more alerts are taken in")
		s.engine.Drain()
		s.web.Drain()
		ctx, cancel := context.WithTimeout(context.Background(), shutdownPatience)
		defer cancel()
		return s.web.Shutdown(ctx)
	})
	s.log.Info("listening", zap.String("address", listener.Addr().String()), zap.String("version", version()))
	err := group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (s *server) reloadOnHangup(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			_ = s.reload(ctx) // logged, counted and shown by /-/ready
		}
	}
}

func (s *server) compact(ctx context.Context) {
	tick := time.NewTicker(compactEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.engine.Compact(ctx); err != nil {
				s.log.Error("ended incidents were not compacted", zap.Error(err))
			}
		}
	}
}

// How long until the targets are asked once more whether their way back is open: when all were, when one was not, and when
// something changed.
const readinessEvery, readinessAgain, readinessSoon = 10 * time.Minute, 3 * time.Minute, 10 * time.Second

func (s *server) askReadiness(ctx context.Context) {
	next, soon := time.NewTimer(readinessSoon), true
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.engine.ReadinessOutdated():
			if !soon { // what changes again and again puts nothing off
				next.Reset(readinessSoon)
				soon = true
			}
		case <-next.C:
			soon = false
			if s.engine.AskReadiness(ctx) {
				next.Reset(readinessEvery)
				continue
			}
			next.Reset(readinessAgain)
		}
	}
}

// reloads are the metrics that Prometheus' own programs have for theirs.
type reloads struct{ success, at prometheus.Gauge }

func newReloads(r prometheus.Registerer) *reloads {
	m := &reloads{
		prometheus.NewGauge(prometheus.GaugeOpts{Name: "astern_config_last_reload_successful", Help: "Whether the last reload of the configuration succeeded."}),
		prometheus.NewGauge(prometheus.GaugeOpts{Name: "astern_config_last_reload_success_timestamp_seconds", Help: "When the configuration was last loaded."}),
	}
	r.MustRegister(m.success, m.at)
	m.done(nil, time.Now())
	return m
}

func (m *reloads) done(err error, at time.Time) {
	if err != nil {
		m.success.Set(0)
		return
	}
	m.success.Set(1)
	m.at.Set(float64(at.Unix()))
}

// storeCollector shows the store's own figures on /metrics.
type storeCollector struct{ store *store.SQLite }

var (
	storeEvents = prometheus.NewDesc("astern_store_events", "Events in the store.", nil, nil)
	storeOpen   = prometheus.NewDesc("astern_incidents_open", "Incidents that have not ended.", nil, nil)
	storeQueue  = prometheus.NewDesc("astern_store_queue_length", "Writes that wait for the disk.", nil, nil)
	storeBytes  = prometheus.NewDesc("astern_store_size_bytes", "Size of the database file.", nil, nil)
)

func (c storeCollector) Describe(d chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, d) }

func (c storeCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	stats, err := c.store.Stats(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(storeEvents, err)
		return
	}
	out <- prometheus.MustNewConstMetric(storeEvents, prometheus.GaugeValue, float64(stats.Events))
	out <- prometheus.MustNewConstMetric(storeOpen, prometheus.GaugeValue, float64(stats.Open))
	out <- prometheus.MustNewConstMetric(storeQueue, prometheus.GaugeValue, float64(stats.Queued))
	out <- prometheus.MustNewConstMetric(storeBytes, prometheus.GaugeValue, float64(stats.FileBytes))
}
