package backtest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
)

// Release is one version of a target that began to run.
type Release struct {
	Target string
	incident.Release
	// Before says that it ran already when the window began: since when is not known.
	Before bool
}

// Mapping says which series tell of releases: each series that is there while a version runs.
type Mapping struct {
	Name string
	// Query gives one series for each version that runs. When its value is a time near to when the series came, that is
	// when the release began: kube_replicaset_created tells it.
	Query string
	// Version is the label that names the version.
	Version string
	// Target is the label that names the target. Without a word, or where no target has that name, the series' labels choose
	// the target by its `select`, as an alert's would.
	Target string
	// Labels are further labels to choose by: the name that `select` asks for, and the label of the series.
	Labels map[string]string
	// Vars are the release's vars, each with the label that holds its value.
	Vars map[string]string
}

// perInstance are labels that tell the instances of one service apart.
const perInstance = "instance, pod, pod_name, container, container_id, endpoint, node, host, replica, uid"

// DefaultMappings are asked where nothing else is written: what kube-state-metrics tells of Deployments, and series such as
// build_info that carry a version.
func DefaultMappings() []Mapping {
	return []Mapping{
		{
			Name: "replicasets", Version: "replicaset", Target: "deployment", Labels: map[string]string{"service": "deployment", "app": "deployment"},
			Query: `label_replace(max by (namespace, replicaset, owner_name) (` +
				`(kube_replicaset_created and on (namespace, replicaset) (kube_replicaset_spec_replicas > 0))` +
				` * on (namespace, replicaset) group_left (owner_name) kube_replicaset_owner{owner_kind="Deployment"}),` +
				` "deployment", "$1", "owner_name", "(.+)")`,
		},
		{
			Name: "build_info", Version: "version", Target: "service",
			Query: `max without (` + perInstance + `) (label_replace({__name__=~"(.+_)?build_info",version!="",` +
				`__name__!~"(go|prometheus|alertmanager|grafana|thanos|loki|python|jvm|node_exporter|blackbox_exporter|kube_state_metrics|.*_exporter)_build_info"},` +
				` "metric", "$1", "__name__", "(.+)"))`,
		},
	}
}

// Every coarseStep it is looked what changed; where a version came, it is looked for at the distance of releaseStep. A
// version that ran for less than coarseStep may not be seen.
const (
	coarseStep  = 5 * time.Minute
	releaseStep = 15 * time.Second
)

// before is how long ago releases began of which it is only known that they ran when the window began.
const before = 30 * 24 * time.Hour

// edge is a series that came or went.
type edge struct {
	At     int64             `json:"at"` // seconds
	Labels map[string]string `json:"labels"`
	Gone   bool              `json:"gone,omitempty"`
	Value  float64           `json:"value,omitempty"`
}

// came asks for the series that are there now and were not one step before. This and changed are the server's work, so
// that what does not change is not sent.
func came(query string, step time.Duration) string {
	return fmt.Sprintf("(%s) unless (%s)", query, ago(query, step))
}

// changed asks for the series that came or went within one step; the value says which.
func changed(query string, step time.Duration) string {
	now, then := fmt.Sprintf(`label_replace((%s) * 0 + %d, "astern_when", "now", "", "")`, query, isNow), fmt.Sprintf(`label_replace((%s) * 0 + %d, "astern_when", "then", "", "")`, ago(query, step), wasThen)
	return fmt.Sprintf("sum without (astern_when) (%s or %s) != %d", now, then, isNow+wasThen)
}

const isNow, wasThen = 1, 2

// ago is what a query gave one step earlier: the subquery's steps lie on the same grid, and only one of them in its range.
func ago(query string, step time.Duration) string {
	s := int(step / time.Second)
	return fmt.Sprintf("last_over_time((%s)[%ds:%ds] offset %ds)", query, max(s-1, 1), s, s)
}

// edges reads when the series of a query came and went, those that were there at the beginning first.
func (p *past) edges(ctx context.Context, m Mapping) ([]edge, error) {
	begin := p.begin(coarseStep)
	what := "releases (" + m.Name + ")"
	first, err := p.ask(ctx, m.Query, span{begin, begin}, time.Second)
	if err != nil {
		return nil, &ReadError{what, begin, begin, err}
	}
	all := edgesOf(first)
	parts, err := each(ctx, p, what, m.Query, coarseStep, func(ctx context.Context, s span) ([]edge, error) {
		return p.edgesIn(ctx, m.Query, s)
	})
	return slices.Concat(append([][]edge{all}, parts...)...), err
}

// edgesIn looks for changes, and finely where a version came.
func (p *past) edgesIn(ctx context.Context, query string, s span) ([]edge, error) {
	found, err := p.ask(ctx, changed(query, coarseStep), span{s.From.Add(coarseStep), s.To}, coarseStep)
	if err != nil {
		return nil, err
	}
	var all []edge
	looked := map[int64]bool{}
	for _, series := range found {
		for _, point := range series.Points {
			if point.Value == wasThen {
				all = append(all, edge{At: point.At.Unix(), Labels: series.Labels, Gone: true})
				continue
			}
			if looked[point.At.Unix()] {
				continue
			}
			looked[point.At.Unix()] = true
			there, err := p.ask(ctx, came(query, releaseStep), span{point.At.Add(releaseStep - coarseStep), point.At}, releaseStep)
			if err != nil {
				return nil, err
			}
			all = append(all, edgesOf(there)...)
		}
	}
	return all, nil
}

func edgesOf(series []client.Series) []edge {
	var all []edge
	for _, s := range series {
		for _, point := range s.Points {
			e := edge{At: point.At.Unix(), Labels: s.Labels}
			if !math.IsNaN(point.Value) && !math.IsInf(point.Value, 0) {
				e.Value = point.Value
			}
			all = append(all, e)
		}
	}
	return all
}

// releases reads what the mappings tell of the targets of a book. Of each target the first mapping, and the one of its
// metrics, that tells of a change is heard: two that speak of one target do not speak of the same versions.
func (p *past) releases(ctx context.Context, books []*plan.Book, mappings []Mapping, quiet []Silence) ([]Release, error) {
	begins := beginnings{p.begin(coarseStep), quiet}
	known := map[string][]Release{}
	for _, m := range mappings {
		edges, err := p.edges(ctx, m)
		if err != nil {
			return nil, err
		}
		told := map[string]map[string][]edge{} // by target and metric
		for _, e := range edges {
			target, ok := m.targetOf(books, e.Labels)
			if !ok || e.Labels[m.Version] == "" {
				continue
			}
			if told[target] == nil {
				told[target] = map[string][]edge{}
			}
			told[target][e.Labels["metric"]] = append(told[target][e.Labels["metric"]], e)
		}
		for target, byMetric := range told {
			for _, metric := range slices.Sorted(maps.Keys(byMetric)) {
				if found := m.releasesOf(target, byMetric[metric], begins); len(found) > len(known[target]) && len(known[target]) < 2 {
					known[target] = found
				}
			}
		}
	}
	var all []Release
	for _, target := range slices.Sorted(maps.Keys(known)) {
		all = append(all, known[target]...)
	}
	return sorted(all), nil
}

func sorted(all []Release) []Release {
	slices.SortStableFunc(all, func(a, b Release) int {
		return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Target, b.Target))
	})
	return all
}

// targetOf says of which target a series speaks, in the first of the books that has one.
func (m Mapping) targetOf(books []*plan.Book, labels map[string]string) (string, bool) {
	choose := maps.Clone(labels)
	for name, from := range m.Labels {
		if value, there := labels[from]; there {
			choose[name] = value
		}
	}
	for _, book := range books {
		if t, ok := book.Target(labels[m.Target]); ok && m.Target != "" {
			return t.Name, true
		}
		if t, err := book.Choose(choose); err == nil {
			return t.Name, true
		}
	}
	return "", false
}

// turn is a version that came or went, whichever of its series it was.
type turn struct {
	edge
	version string
}

// blink is how long a version may be gone without having been gone: a scrape failed.
const blink = 5 * time.Minute

// turns are when versions came and went, blinks apart.
func (m Mapping) turns(edges []edge) []turn {
	slices.SortStableFunc(edges, func(a, b edge) int {
		return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.Labels[m.Version], b.Labels[m.Version]))
	})
	series, left := map[string]int{}, map[string]int{} // by version; left is the place of its last going
	var all []turn
	for _, e := range edges {
		v := e.Labels[m.Version]
		was := series[v]
		if series[v] = was + 1; e.Gone {
			series[v] = max(was-1, 0)
		}
		at, wasThere := left[v]
		switch {
		case e.Gone && was == 1:
			left[v] = len(all)
			all = append(all, turn{e, v})
		case !e.Gone && was == 0 && wasThere && e.At-all[at].At <= int64(blink/time.Second):
			all[at].version = ""
		case !e.Gone && was == 0:
			all = append(all, turn{e, v})
		}
	}
	return slices.DeleteFunc(all, func(t turn) bool { return t.version == "" })
}

// releasesOf follows one target's versions: what came last runs; when it goes and an older one is still there, that one
// runs again. When none is left, what ran last still counts: nothing was recorded.
func (m Mapping) releasesOf(target string, edges []edge, begins beginnings) []Release {
	var there []string
	var all []Release
	came, seen := map[string]edge{}, map[string]bool{}
	for _, t := range m.turns(edges) {
		if t.Gone {
			there = slices.DeleteFunc(there, func(v string) bool { return v == t.version })
		} else {
			there, came[t.version] = append(there, t.version), t.edge
		}
		if len(there) == 0 {
			continue
		}
		current := there[len(there)-1]
		if n := len(all); n > 0 && all[n-1].Version == current {
			continue
		}
		as := came[current]
		as.At = t.At
		all = append(all, m.release(target, as, seen[current], len(all) == 0 && begins.at(as.At)))
		seen[current] = true
	}
	return all
}

// slow is how long after a release was made its series may come.
const slow = 10 * time.Minute

// beginnings are when recording began: the beginning of what was read, and each end of a silence.
type beginnings struct {
	begin time.Time
	quiet []Silence
}

// at says whether a series that came then may have been there before.
func (b beginnings) at(seconds int64) bool {
	came := time.Unix(seconds, 0)
	return !came.After(b.begin) || slices.ContainsFunc(b.quiet, func(s Silence) bool { return came.Sub(s.To).Abs() <= slow })
}

// release is one version that came. What there was at the beginning ran before, since when is not known unless its series
// tells when it was made.
func (m Mapping) release(target string, e edge, again, atBeginning bool) Release {
	r := Release{Target: target, Release: incident.Release{Version: e.Labels[m.Version], At: time.Unix(e.At, 0).UTC(), By: m.Name}}
	made := time.Unix(int64(e.Value), 0).UTC()
	switch known := e.Value > 1e9 && !made.After(r.At) && !again; {
	case atBeginning && known:
		r.At = made
	case atBeginning:
		r.At, r.Before = r.At.Add(-before), true
	case known && r.At.Sub(made) <= slow:
		r.At = made
	}
	for name, label := range m.Vars {
		if value, there := e.Labels[label]; there {
			if r.Vars == nil {
				r.Vars = map[string]string{}
			}
			r.Vars[name] = value
		}
	}
	return r
}
