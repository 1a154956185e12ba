package lint

import (
	"strings"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/notify/webhook"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"

	"astern.dev/astern/rules/expr"
)

// door is where astern takes notifications.
const door = "/api/v1/alertmanager"

// routing is one alertmanager.yml, read and routed by Alertmanager's own code.
type routing struct {
	config *amconfig.Config
	root   *dispatch.Route
	file   *expr.File
	// nodes and parents are where routes are written and what they stand in.
	nodes   map[*dispatch.Route]*expr.Node
	parents map[*dispatch.Route]*dispatch.Route
	// ours are the receivers that lead to astern's door.
	ours map[string]bool
}

// readRouting gives nil when Alertmanager would refuse the file; that is told.
func (w *world) readRouting(name string, text []byte) *routing {
	c, err := amconfig.Load(string(text))
	if err != nil {
		w.refused(name, text, "route/unreadable", []error{err})
		return nil
	}
	file, _ := expr.ParseFile(name, text) // what is strange to astern may be usual there
	r := &routing{config: c, root: dispatch.NewRoute(c.Route, nil), file: file,
		nodes: map[*dispatch.Route]*expr.Node{}, parents: map[*dispatch.Route]*dispatch.Route{}, ours: map[string]bool{}}
	r.place(r.root, file.Root().Get("route"))
	for _, receiver := range c.Receivers {
		for _, hook := range receiver.WebhookConfigs {
			r.ours[receiver.Name] = r.ours[receiver.Name] || toDoor(hook)
		}
	}
	return r
}

func toDoor(hook *webhook.WebhookConfig) bool {
	return strings.HasSuffix(strings.TrimRight(string(hook.URL), "/"), door)
}

func (r *routing) place(route *dispatch.Route, at *expr.Node) {
	r.nodes[route] = at
	items := at.Get("routes").List()
	for i, child := range route.Routes {
		r.parents[child] = route
		if i < len(items) {
			r.place(child, items[i])
		} else {
			r.place(child, at) // behind an alias
		}
	}
}

// reached are the routes that take an alert to astern, and to people.
func (r *routing) reached(sample labelSet) (ours, others []*dispatch.Route) {
	for _, route := range r.root.Match(sample.model()) {
		if r.ours[route.RouteOpts.Receiver] {
			ours = append(ours, route)
		} else {
			others = append(others, route)
		}
	}
	return ours, others
}

// may says whether an alert could come to a receiver that is wanted, if labels that nobody knows had fitting values.
func (r *routing) may(route *dispatch.Route, sample labelSet, wanted func(receiver string) bool) bool {
	taken := false
	for _, child := range route.Routes {
		matches := sample.matches(child.Matchers)
		if matches == no {
			continue
		}
		if r.may(child, sample, wanted) {
			return true
		}
		if matches == yes {
			if taken = true; !child.Continue {
				return false
			}
		}
	}
	return !taken && wanted(route.RouteOpts.Receiver)
}

func (r *routing) mayReachUs(sample labelSet) bool {
	return r.may(r.root, sample, func(receiver string) bool { return r.ours[receiver] })
}

func (r *routing) mayReachOthers(sample labelSet) bool {
	return r.may(r.root, sample, func(receiver string) bool { return !r.ours[receiver] })
}

// labelSet is what is known of an alert's labels. It may have others: Prometheus adds external labels.
type labelSet map[string]string

func (s labelSet) model() model.LabelSet {
	set := model.LabelSet{}
	for name, value := range s {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	return set
}

func (s labelSet) matches(all labels.Matchers) answer {
	worst := yes
	for _, m := range all {
		value, known := s[m.Name]
		if !known {
			worst = min(worst, perhaps)
			continue
		}
		if !m.Matches(value) {
			return no
		}
	}
	return worst
}
