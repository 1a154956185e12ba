package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/config"
	"astern.dev/astern/engine/discover"
	"astern.dev/astern/engine/dispatch"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/store"
	"astern.dev/astern/web"
)

// configuration turns what was loaded into what the engine holds: connections are opened, none of them is dialled.
func configuration(l *loaded, externalURL string) (*engine.Configuration, error) {
	c := l.Config
	s := closedSettings(c)
	s.ExternalURL, s.Connections = externalURL, map[string]map[string]any{}
	dial := client.NewDialer(c.Egress.Allow)
	for kind, named := range c.Connections {
		s.Connections[kind] = map[string]any{}
		for name, connection := range named {
			opened, err := connection.Open(dial)
			if err != nil {
				return nil, fmt.Errorf("open connection %s/%s: %w", kind, name, err)
			}
			s.Connections[kind][name] = opened
		}
	}
	if err := openDefaults(l.Registry, s.Connections, dial); err != nil {
		return nil, err
	}
	source, err := l.snapshot()
	return &engine.Configuration{Rules: l.Rules, Book: l.Book, Settings: s, Digest: l.Digest, Source: source}, err
}

// closedSettings is what astern.yaml says, without connections.
func closedSettings(c *config.Config) engine.Settings {
	s := engine.Settings{
		DefaultMode: c.Modes.Default, Modes: c.Modes.ByEnvironment, Guards: c.Guards, TeamGuards: map[string]incident.Guards{},
		SenderConnections: map[string]string{}, Retention: c.Retention.Incidents,
	}
	for _, t := range c.Teams {
		s.TeamGuards[t.Name] = t.Guards
	}
	for _, sender := range c.Senders {
		s.SenderConnections[sender.Name] = senderConnection(c, sender)
	}
	return s
}

// openDefaults opens the empty connection of each kind that has none configured and is valid without a word: a smoke test
// needs no `connections.http`.
func openDefaults(r *actions.Registry, opened map[string]map[string]any, dial actions.Dial) error {
	for _, kind := range r.Kinds() {
		empty, _ := r.Connection(kind)
		connection := empty()
		if len(opened[kind]) > 0 || connection.Validate() != nil {
			continue
		}
		first, err := connection.Open(dial)
		if err != nil {
			return fmt.Errorf("open the default connection of kind %s: %w", kind, err)
		}
		opened[kind] = map[string]any{"default": first}
	}
	return nil
}

// senderConnection is the Alertmanager whose API is read for a sender: the one it names, or the only one there is.
func senderConnection(c *config.Config, s config.Sender) string {
	if s.Connection != "" || len(c.Connections["alertmanager"]) != 1 {
		return s.Connection
	}
	for only := range c.Connections["alertmanager"] {
		return only
	}
	return ""
}

// server is one running astern: everything that serve starts, and how it ends, last first.
type server struct {
	flags    serveFlags
	log      *zap.Logger
	store    *store.SQLite
	engine   *engine.Engine
	dispatch *dispatch.Local
	web      *web.Server
	registry *prometheus.Registry
	reloads  *reloads
	cleanups []func()

	// reloading lets one reload follow another.
	reloading sync.Mutex
	discovery *discovery
	watcher   *discover.Watcher
}

func (s *server) defers(what string, do func() error) {
	s.cleanups = append(s.cleanups, func() {
		if err := do(); err != nil {
			s.log.Error("could not end cleanly", zap.String("part", what), zap.Error(err))
		}
	})
}

func (s *server) close() {
	for n := len(s.cleanups) - 1; n >= 0; n-- {
		s.cleanups[n]()
	}
}

// wire builds the server from flags and files, in the order in which the parts need each other.
func wire(ctx context.Context, flags serveFlags, log *zap.Logger) (_ *server, err error) {
	s := &server{flags: flags, log: log, registry: prometheus.NewRegistry(), discovery: &discovery{path: flags.configFile, found: map[string]discover.Found{}}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	l, cfg, targets, err := s.read()
	if err != nil {
		return nil, err
	}
	if err := web.CheckAuth(l.Config, flags.anonymous); err != nil {
		return nil, err
	}
	if err := s.openStore(ctx, l.Config); err != nil {
		return nil, err
	}
	if some, err := s.discovery.recall(ctx, s.store); err != nil || some {
		if err != nil {
			return nil, err
		}
		if l, cfg, targets, err = s.read(); err != nil {
			return nil, err
		}
	}
	s.engine, err = engine.New(engine.Options{
		Store: s.store, Log: log, Now: time.Now, Elapsed: elapsed(), Registry: l.Registry, Config: cfg, Metrics: s.registry,
		Anonymous: flags.anonymous, StopFile: flags.stopFile, Hook: failpoint, Watches: true, NewID: newID,
		Reopen: func(raw []byte) (*engine.Configuration, error) { return reopenConfiguration(l.Registry, raw) },
	})
	if err != nil {
		return nil, err
	}
	s.watcher = s.newWatcher()
	s.putInForce(l, cfg, targets)
	s.reloads = newReloads(s.registry)
	s.web, err = web.New(web.Options{
		Engine: s.engine, Config: l.Config, Log: log, Registry: s.registry, Now: time.Now,
		Anonymous: flags.anonymous, Reload: s.reload, WebConfigFile: flags.webConfig,
	})
	if err != nil {
		return nil, err
	}
	s.dispatch = dispatch.NewLocal(s.engine.Perform, dispatch.Options{
		Panicked: func(p dispatch.Panic) {
			log.Error("a panic was caught; the incident rests before it is worked on again",
				zap.String("stream", p.Stream), zap.Any("value", p.Value), zap.Time("next", p.Next), zap.ByteString("stack", p.Stack))
		},
	})
	s.defers("dispatcher", s.dispatch.Close)
	return s, s.engine.Start(ctx, s.dispatch)
}

// elapsed counts from now on, on the clock that is never set.
func elapsed() func() time.Duration {
	begun := time.Now()
	return func() time.Duration { return time.Since(begun) }
}

// read loads the configuration whole; any mistake refuses all of it (S28).
func (s *server) read() (*loaded, *engine.Configuration, discovered, error) {
	l, targets, err := s.discovery.load()
	if err != nil {
		return nil, nil, targets, err
	}
	cfg, err := configuration(l, s.flags.externalURL)
	return l, cfg, targets, err
}

func (s *server) openStore(ctx context.Context, c *config.Config) error {
	url := s.flags.storageURL
	if url == "" {
		url = c.Storage
	}
	path, isSQLite := strings.CutPrefix(url, "sqlite:")
	if !isSQLite || path == "" {
		return fmt.Errorf("storage %q: this version keeps its histories in one file: write sqlite:PATH", url)
	}
	if s.flags.storageURL == "" && !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(s.flags.configFile), path)
	}
	var err error
	s.store, err = store.OpenSQLite(ctx, path, store.Options{
		LedgerRows: c.Retention.MaxDeliveries, LedgerAge: c.Retention.Deliveries,
	})
	if err != nil {
		return err
	}
	s.defers("store", s.store.Close)
	s.registry.MustRegister(storeCollector{s.store})
	return nil
}

// reload reads everything again; a mistake keeps what is in force.
func (s *server) reload(ctx context.Context) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	l, cfg, targets, err := s.read()
	if err == nil {
		err = web.CheckAuth(l.Config, s.flags.anonymous)
	}
	if err == nil { // before anything is swapped: the door and the engine go together
		err = s.engine.KeepConfiguration(ctx, cfg)
	}
	if err == nil {
		err = s.web.Configure(l.Config)
	}
	if err == nil {
		err = s.engine.Reload(ctx, cfg)
	}
	s.reloads.done(err, time.Now())
	s.engine.ReloadFailed(err)
	if err != nil {
		s.log.Error("the configuration was not reloaded; the last good one stays in force", zap.Error(err))
		return err
	}
	s.putInForce(l, cfg, targets)
	s.log.Info("configuration reloaded", zap.String("digest", cfg.Digest))
	return nil
}

// newID names an installation: 128 random bits.
func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	return hex.EncodeToString(id[:])
}
