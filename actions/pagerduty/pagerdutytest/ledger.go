package pagerdutytest

import (
	"slices"
	"time"
)

// Status is where an alert stands.
type Status string

// The states of an alert.
const (
	Triggered    Status = "triggered"
	Acknowledged Status = "acknowledged"
	Resolved     Status = "resolved"
)

// Alert is one alert; a trigger after it was resolved makes another with the same key.
type Alert struct {
	RoutingKey, DedupKey string
	Status               Status
	Payload              Payload // of the trigger that opened it
	Links                []Link
	Log                  []string // the summary of each trigger
}

// Page is one time that a person was called.
type Page struct {
	DedupKey, Summary, Severity string
	At                          time.Time
}

// Change is an entry under "recent changes"; it calls nobody.
type Change struct {
	Summary string
	Payload Payload
}

// Alerts are all alerts, oldest first.
func (s *Server) Alerts() []Alert {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Alert
	for _, a := range s.alerts {
		out = append(out, *a)
	}
	return out
}

// Open are the alerts that are not resolved.
func (s *Server) Open() []Alert {
	return slices.DeleteFunc(s.Alerts(), func(a Alert) bool { return a.Status == Resolved })
}

// Pages are all calls to a person.
func (s *Server) Pages() []Page {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.pages)
}

// Changes are all change events.
func (s *Server) Changes() []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.changes)
}

// Calls are all events so far; Rejected those that were answered with an error.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Rejected are the events that were answered with an error.
func (s *Server) Rejected() []Call {
	return slices.DeleteFunc(s.Calls(), func(c Call) bool { return c.Error == "" })
}

// Changed is closed after the next call: take it, look, and wait for it when what was looked for is not there yet.
func (s *Server) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Acknowledge is a person who takes the open alert of a key.
func (s *Server) Acknowledge(dedup string) { s.person("acknowledge", dedup) }

// Resolve is a person who closes the open alert of a key.
func (s *Server) Resolve(dedup string) { s.person("resolve", dedup) }

func (s *Server) person(does, dedup string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.keys {
		s.settle(event{RoutingKey: key, EventAction: does, DedupKey: dedup})
	}
}
