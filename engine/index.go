package engine

import (
	"sync"
	"time"

	"astern.dev/astern/engine/incident"
)

// index is what the engine remembers of open incidents to find them fast. The histories are the truth.
type index struct {
	mu       sync.RWMutex
	open     map[string]string            // target -> id of its open incident
	states   map[string]incident.Incident // open incidents by id
	alerts   map[string]string            // open episode -> incident id
	watchdog map[string]time.Time         // last Watchdog by source
	delivery map[string]time.Time         // last delivery by source
	receiver map[string]map[string]bool   // receivers seen by source
	truncate map[string]bool              // sources whose view was partial
}

func (x *index) init() {
	x.open, x.states, x.alerts = map[string]string{}, map[string]incident.Incident{}, map[string]string{}
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
		return
	}
	if known, ok := x.states[i.ID]; ok && known.Version > i.Version {
		return
	}
	x.open[i.Target], x.states[i.ID] = i.ID, i
}

func (x *index) openFor(target string) (string, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	id, ok := x.open[target]
	return id, ok
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

func (x *index) knows(alerts []incident.Seen, id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, a := range alerts {
		x.alerts[a.ID] = id
	}
}

func (x *index) incidentOf(alert string) (string, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	id, ok := x.alerts[alert]
	return id, ok
}

func (x *index) ended(alerts []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, a := range alerts {
		delete(x.alerts, a)
	}
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
