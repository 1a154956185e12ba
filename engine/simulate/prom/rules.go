package prom

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
)

// As Prometheus' flags are without a word.
const (
	resendDelay     = time.Minute
	outageTolerance = time.Hour
	forGracePeriod  = 10 * time.Minute
	// externalURL is where the server says that it can be seen.
	externalHost = "prometheus:9090"
	externalURL  = "http://" + externalHost
)

// file is one rule file that was read.
type file struct {
	name   string
	groups *rulefmt.RuleGroups
}

// group is one rule group and when it is due.
type group struct {
	*rules.Group
	next time.Time
	// restore counts the evaluations until the alerts' state before a restart is restored; zero when it is not owed.
	restore int
}

// Rules loads rule files (text by name) with Prometheus' own code, in place of those loaded before. All mistakes come at
// once, each with its file. Groups are evaluated in the order of the files' names, then as they are written.
func (s *Server) Rules(files map[string][]byte) error {
	loaded, problems := []file{}, []error{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		groups, mistakes := rulefmt.Parse(files[name], false, model.UTF8Validation, s.parser, promslog.NewNopLogger())
		for _, m := range mistakes {
			problems = append(problems, fmt.Errorf("%s: %w", name, m))
		}
		loaded = append(loaded, file{name, groups})
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	defer s.enter()()
	s.loaded = loaded
	return s.reload()
}

// reload takes the rule files into force; a group that stays keeps its alerts, as in Prometheus.
func (s *Server) reload() error {
	old := s.groups
	if err := s.makeGroups(0); err != nil {
		return err
	}
	for _, g := range s.groups {
		eachAlerting(g, func(r *rules.AlertingRule) { r.SetRestored(true) })
		for _, before := range old {
			if before.File() == g.File() && before.Name() == g.Name() {
				g.CopyState(before.Group)
				g.next = later(g.next, before.next)
			}
		}
	}
	return nil
}

// restart begins anew with the same rule files; what the alerts were is restored after the second evaluation.
func (s *Server) restart() {
	if err := s.makeGroups(2); err != nil {
		panic(fmt.Sprintf("rules that were loaded once do not load again: %v", err)) // the same text through the same code
	}
}

// makeGroups makes the groups anew, each due at its next slot.
func (s *Server) makeGroups(restore int) error {
	made, mistakes := s.manager().LoadGroups(s.opts.Interval, s.external, externalURL, nil, false, names(s.loaded)...)
	if len(mistakes) > 0 {
		return errors.Join(mistakes...)
	}
	s.groups = nil
	for _, f := range s.loaded {
		for _, g := range f.groups.Groups {
			group := &group{Group: made[rules.GroupKey(f.name, g.Name)], restore: restore}
			group.next = s.slot(group.Interval(), s.now)
			s.groups = append(s.groups, group)
		}
	}
	return nil
}

// slot is the first evaluation at or after a time: Start + k*interval.
func (s *Server) slot(interval time.Duration, from time.Time) time.Time {
	since := from.Sub(s.opts.Start)
	if since <= 0 {
		return s.opts.Start
	}
	return s.opts.Start.Add((since + interval - 1) / interval * interval)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func names(files []file) []string {
	out := []string{}
	for _, f := range files {
		out = append(out, f.name)
	}
	return out
}

// manager only makes groups; it never runs.
func (s *Server) manager() *rules.Manager {
	return rules.NewManager(&rules.ManagerOptions{
		ExternalURL: &url.URL{Scheme: "http", Host: externalHost}, QueryFunc: rules.EngineQueryFunc(s.engine, s.memory), NotifyFunc: s.notify,
		Appendable: s.memory, Queryable: s.memory, Parser: s.parser, GroupLoader: loader{s},
		ResendDelay: resendDelay, OutageTolerance: outageTolerance, ForGracePeriod: forGracePeriod,
	})
}

// loader hands the manager what was read.
type loader struct{ server *Server }

// Load gives the groups of one file.
func (l loader) Load(name string, _ bool, _ model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	for _, f := range l.server.loaded {
		if f.name == name {
			return f.groups, nil
		}
	}
	return nil, []error{fmt.Errorf("%s: was not read", name)}
}

// Parse reads one expression.
func (l loader) Parse(query string) (parser.Expr, error) { return l.server.parser.ParseExpr(query) }
