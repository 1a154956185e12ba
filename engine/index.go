package engine

import (
	"slices"
	"sync"
	"time"

	"astern.dev/astern/engine/incident"
)

// index is what the engine remembers of open incidents to find them fast. The histories are the truth.
type index struct {
	mu       sync.RWMutex
	open     map[string]string            // target -> id of its open incident
	states   map[string]incident.Incident // open incidents by id
	alerts   map[string][]place           // open episode -> the open incidents that hold it
	watchdog map[string]time.Time         // last Watchdog by source
	delivery map[string]time.Time         // last delivery by source
	receiver map[string]map[string]bool   // receivers seen by source
	truncate map[string]bool              // sources whose view was partial
}

// place is where an episode is: one alert may concern two targets.
type place struct{ target, incident string }

func (x *index) init() {
	x.open, x.states, x.alerts = map[string]string{}, map[string]incident.Incident{}, map[string][]place{}
	x.watchdog, x.delivery = map[string]time.Time{}, map[string]time.Time{}
	x.receiver, x.truncate = map[string]map[string]bool{}, map[string]bool{}
}

// learn takes in the newest state of an incident. Older states that come late are passed over.
func (x *index) learn(i incident.Incident) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if i.Phase.Final() {
		if x.open[i.Target] == i.ID {
			delete(x.open, i.Target)
		}
		delete(x.states, i.ID)
		for alert := range i.Episodes {
			x.leave(alert, i.Target)
		}
		return
	}
	if known, ok := x.states[i.ID]; ok && known.Version > i.Version {
		return
	}
	x.open[i.Target], x.states[i.ID] = i.ID, i
}

func openEpisodes(i incident.Incident) []incident.Seen {
	var open []incident.Seen
	for id, ep := range i.Episodes {
		if ep.Open() {
			open = append(open, incident.Seen{ID: id})
		}
	}
	return open
}

func (x *index) openFor(target string) (string, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	id, ok := x.open[target]
	return id, ok
}

// openOn is the state of the target's open incident.
func (x *index) openOn(target string) (incident.Incident, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	i, ok := x.states[x.open[target]]
	return i, ok
}

// openIncidents are the states of all open incidents.
func (x *index) openIncidents() []incident.Incident {
	x.mu.RLock()
	defer x.mu.RUnlock()
	all := make([]incident.Incident, 0, len(x.states))
	for _, i := range x.states {
		all = append(all, i)
	}
	return all
}

func (x *index) knows(alerts []incident.Seen, target, id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.open[target] != id {
		return // it has ended meanwhile
	}
	for _, a := range alerts {
		if !slices.Contains(x.alerts[a.ID], place{target, id}) {
			x.leave(a.ID, target)
			x.alerts[a.ID] = append(x.alerts[a.ID], place{target, id})
		}
	}
}

// incidentOf is the target's open incident that holds an alert.
func (x *index) incidentOf(alert, target string) (string, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, p := range x.alerts[alert] {
		if p.target == target {
			return p.incident, true
		}
	}
	return "", false
}

// targetsOf are the targets with an open incident that holds an alert.
func (x *index) targetsOf(alert string) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var targets []string
	for _, p := range x.alerts[alert] {
		targets = append(targets, p.target)
	}
	return targets
}

func (x *index) ended(alerts []string, target string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, a := range alerts {
		x.leave(a, target)
	}
}

// leave forgets the place of an alert. The caller holds the lock.
func (x *index) leave(alert, target string) {
	left := slices.DeleteFunc(slices.Clone(x.alerts[alert]), func(p place) bool { return p.target == target })
	if len(left) == 0 {
		delete(x.alerts, alert)
		return
	}
	x.alerts[alert] = left
}

func (x *index) heard(source, receiver string, at time.Time, truncated bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.delivery[source] = at
	if truncated {
		x.truncate[source] = true
	}
	if x.receiver[source] == nil {
		x.receiver[source] = map[string]bool{}
	}
	if len(x.receiver[source]) < 100 {
		x.receiver[source][receiver] = true
	}
}

func (x *index) sawWatchdog(source string, at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if at.After(x.watchdog[source]) {
		x.watchdog[source] = at
	}
}

func (x *index) watchdogAt(source string) time.Time {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.watchdog[source]
}

// watchers are those who wait for an incident to change.
type watchers struct {
	mu   sync.Mutex
	wait map[string]map[chan struct{}]bool
}

// Watch tells on the channel that the incident may have changed. Stop must be called.
func (e *Engine) Watch(id string) (changed <-chan struct{}, stop func()) {
	w := &e.watchers
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wait == nil {
		w.wait = map[string]map[chan struct{}]bool{}
	}
	if w.wait[id] == nil {
		w.wait[id] = map[chan struct{}]bool{}
	}
	w.wait[id][c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.wait[id], c)
		if len(w.wait[id]) == 0 {
			delete(w.wait, id)
		}
	}
}

func (w *watchers) changed(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.wait[id] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
