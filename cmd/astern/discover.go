package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/config"
	"astern.dev/astern/engine/discover"
	"astern.dev/astern/engine/incident"
)

// discovery holds what clusters say of targets, for the next reload.
type discovery struct {
	path string // of astern.yaml

	mu      sync.Mutex
	found   map[string]discover.Found // the last word of each cluster
	inForce discovered
}

// discovered is what of the targets of clusters goes into a configuration, and what does not.
type discovered struct {
	taken   []discover.Entry
	refused []discover.Refused
}

// load reads the configuration with the targets that clusters name. A mistake of one of those leaves that one out; any
// other mistake refuses the whole.
func (d *discovery) load() (*loaded, discovered, error) {
	inForce, newcomers := d.candidates()
	all := slices.Concat(inForce, newcomers)
	l, mistakes, err := loadWith(d.path, filesOf(all))
	if err != nil || mistakes.Err() == nil {
		return l, discovered{taken: all}, err
	}
	if _, alone, err := load(d.path); err != nil || alone.Err() != nil || len(all) == 0 {
		return nil, discovered{}, cmp.Or(err, alone.Err(), mistakes.Err())
	}
	taken, refused := discover.Accept(inForce, newcomers, d.check)
	l, mistakes, err = loadWith(d.path, filesOf(taken))
	return l, discovered{taken, refused}, cmp.Or(err, mistakes.Err())
}

// candidates are the targets that clusters name now, those that are in force as they are apart.
func (d *discovery) candidates() (inForce, newcomers []discover.Entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(d.found)) {
		for _, e := range d.found[name].Entries {
			if slices.ContainsFunc(d.inForce.taken, e.Same) {
				inForce = append(inForce, e)
				continue
			}
			newcomers = append(newcomers, e)
		}
	}
	return inForce, newcomers
}

// filesOf writes the entries into a file for each cluster. What astern.yaml no longer lets a place name stays out.
func filesOf(entries []discover.Entry) func(*config.Config) map[string][]byte {
	return func(c *config.Config) map[string][]byte {
		files := map[string][]byte{}
		for site, some := range bySite(slices.DeleteFunc(slices.Clone(entries), func(e discover.Entry) bool { return !mayName(c, e) })) {
			files[discover.FileName(site)] = discover.Write(site, some)
		}
		return files
	}
}

func bySite(entries []discover.Entry) map[string][]discover.Entry {
	sites := map[string][]discover.Entry{}
	for _, e := range entries {
		sites[e.Site()] = append(sites[e.Site()], e)
	}
	return sites
}

func mayName(c *config.Config, e discover.Entry) bool {
	return slices.Contains(placesOf(c)[e.Site()], e.Place())
}

// placesOf are the namespaces that may name targets, by connection.
func placesOf(c *config.Config) map[string][]discover.Place {
	places := map[string][]discover.Place{}
	for _, d := range c.Discover {
		for _, namespace := range d.Namespaces {
			places[d.Connection] = append(places[d.Connection], discover.Place{Namespace: namespace, Environment: d.Environment})
		}
	}
	return places
}

// check loads the configuration with some targets and says which of them its mistakes blame.
func (d *discovery) check(entries []discover.Entry) []discover.Mistake {
	l, found, err := loadWith(d.path, filesOf(entries))
	if err != nil {
		return []discover.Mistake{{Entry: -1, Text: err.Error()}}
	}
	lines := map[string][]int{} // the entries of a file, in its order
	for n, e := range entries {
		if mayName(l.Config, e) {
			name := discover.FileName(e.Site())
			lines[name] = append(lines[name], n)
		}
	}
	var mistakes []discover.Mistake
	for _, m := range found {
		if m.Severity() != "error" {
			continue
		}
		blamed := -1
		if n := discover.EntryAt(m.Line); n >= 0 && n < len(lines[m.File]) {
			blamed = lines[m.File][n]
		}
		mistakes = append(mistakes, discover.Mistake{Entry: blamed, Text: m.Message})
	}
	return mistakes
}

// recall takes up the targets that were in force when astern ended: an incident on one of them goes on although its
// cluster cannot be asked yet. It says whether there were any.
func (d *discovery) recall(ctx context.Context, kept interface {
	NewestConfiguration(ctx context.Context) ([]byte, error)
}) (bool, error) {
	raw, err := kept.NewestConfiguration(ctx)
	if errors.Is(err, incident.ErrNotFound) {
		return false, nil
	}
	var s snapshot
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if err != nil {
		return false, fmt.Errorf("recall the targets that were discovered: %w", err)
	}
	for name, text := range s.Targets {
		site, is := discover.SiteOf(name)
		if !is {
			continue
		}
		entries, err := discover.Parse([]byte(text))
		if err != nil {
			return false, fmt.Errorf("recall the targets that were discovered: %s: %w", name, err)
		}
		d.inForce.taken = append(d.inForce.taken, entries...)
		d.found[site] = discover.Found{Entries: entries}
	}
	return len(d.inForce.taken) > 0, nil
}

// putInForce tells the engine what was left out, and the watcher which clusters there are now.
func (s *server) putInForce(l *loaded, cfg *engine.Configuration, d discovered) {
	s.discovery.mu.Lock()
	s.discovery.inForce = d
	found := maps.Clone(s.discovery.found)
	s.discovery.mu.Unlock()
	places, connections := placesOf(l.Config), l.Config.Connections["kubernetes"]
	for name := range found {
		if _, there := connections[name]; !there {
			s.engine.SetDiscoveryProblems(name, nil)
		}
	}
	var sites []discover.Site
	for name, connection := range connections {
		if c, is := cfg.Settings.Connections["kubernetes"][name].(*cluster.Cluster); is {
			sites = append(sites, discover.Site{Name: name, Cluster: c, Identity: fmt.Sprintf("%+v %v", connection, l.Config.Egress.Allow),
				Places: places[name], Known: found[name].Entries})
		}
		s.engine.SetDiscoveryProblems(name, s.discovery.problems(name))
	}
	s.watcher.Configure(sites)
}

// problems is what is wrong with the targets of a cluster.
func (d *discovery) problems(site string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := slices.Clone(d.found[site].Problems)
	for _, r := range d.inForce.refused {
		if r.Entry.Site() == site {
			all = append(all, r.String())
		}
	}
	return all
}

// found is told what a cluster names now.
func (s *server) found(ctx context.Context, site string, f discover.Found) {
	s.discovery.mu.Lock()
	before := s.discovery.found[site]
	s.discovery.found[site] = f
	s.discovery.mu.Unlock()
	if slices.EqualFunc(before.Entries, f.Entries, discover.Entry.Same) {
		s.engine.SetDiscoveryProblems(site, s.discovery.problems(site))
		return
	}
	s.log.Info("targets discovered", zap.String("cluster", site), zap.Int("targets", len(f.Entries)), zap.Int("problems", len(f.Problems)))
	_ = s.reload(ctx) // logged, counted and shown by /-/ready
	s.engine.SetDiscoveryProblems(site, s.discovery.problems(site))
}

func (s *server) newWatcher() *discover.Watcher {
	return discover.New(discover.Options{Engine: s.engine, Log: s.log, Now: time.Now, Found: s.found})
}
