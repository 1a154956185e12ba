package pagerdutytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"
)

const (
	summaryLimit = 1024
	dedupLimit   = 255
	sourceLimit  = 255
)

type event struct {
	RoutingKey  string   `json:"routing_key"`
	EventAction string   `json:"event_action"`
	DedupKey    string   `json:"dedup_key"`
	Payload     *Payload `json:"payload"`
	Links       []Link   `json:"links"`
	Client      string   `json:"client"`
	ClientURL   string   `json:"client_url"`
}

// Payload is what a trigger says.
type Payload struct {
	Summary       string         `json:"summary"`
	Source        string         `json:"source"`
	Severity      string         `json:"severity"`
	Timestamp     string         `json:"timestamp"`
	Component     string         `json:"component"`
	Group         string         `json:"group"`
	Class         string         `json:"class"`
	CustomDetails map[string]any `json:"custom_details"`
}

// Link is an address shown with an alert.
type Link struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

func (s *Server) event(body []byte) (Call, error) {
	var e event
	if err := strict(body, &e); err != nil {
		return Call{}, err
	}
	call := Call{Action: e.EventAction, DedupKey: e.DedupKey}
	if err := s.key(e.RoutingKey); err != nil {
		return call, err
	}
	if utf8.RuneCountInString(e.DedupKey) > dedupLimit {
		return call, errors.New("dedup_key is too long")
	}
	switch e.EventAction {
	case "trigger":
		if e.DedupKey == "" {
			call.DedupKey = fmt.Sprintf("double-%d", len(s.alerts))
		}
		if err := e.Payload.check(true); err != nil {
			return call, err
		}
		if err := checkLinks(e.Links); err != nil {
			return call, err
		}
		s.trigger(e, call.DedupKey)
		return call, nil
	case "acknowledge", "resolve":
		if e.DedupKey == "" || e.Payload != nil || e.Links != nil || e.Client != "" {
			return call, errors.New("routing_key, event_action and dedup_key are all that is taken")
		}
		s.settle(e)
		return call, nil
	}
	return call, fmt.Errorf("event_action %q", e.EventAction)
}

// trigger opens an alert and pages, or adds a line to the one that is open.
func (s *Server) trigger(e event, dedup string) {
	if a := s.open(e.RoutingKey, dedup); a != nil {
		a.Log = append(a.Log, e.Payload.Summary)
		return
	}
	s.alerts = append(s.alerts, &Alert{RoutingKey: e.RoutingKey, DedupKey: dedup, Status: Triggered, Payload: *e.Payload,
		Links: e.Links, Log: []string{e.Payload.Summary}})
	s.pages = append(s.pages, Page{DedupKey: dedup, Summary: e.Payload.Summary, Severity: e.Payload.Severity, At: s.now()})
}

// settle acknowledges or resolves. Without an open alert of the same routing key nothing happens, and nobody says so.
func (s *Server) settle(e event) {
	a := s.open(e.RoutingKey, e.DedupKey)
	if a == nil {
		return
	}
	a.Status = Acknowledged
	if e.EventAction == "resolve" {
		a.Status = Resolved
	}
}

func (s *Server) open(key, dedup string) *Alert {
	for _, a := range s.alerts {
		if a.RoutingKey == key && a.DedupKey == dedup && a.Status != Resolved {
			return a
		}
	}
	return nil
}

func (s *Server) change(body []byte) (Call, error) {
	var e struct {
		RoutingKey string   `json:"routing_key"`
		Payload    *Payload `json:"payload"`
		Links      []Link   `json:"links"`
	}
	call := Call{Action: "change"}
	if err := strict(body, &e); err != nil {
		return call, err
	}
	if err := s.key(e.RoutingKey); err != nil {
		return call, err
	}
	if err := e.Payload.check(false); err != nil {
		return call, err
	}
	if err := checkLinks(e.Links); err != nil {
		return call, err
	}
	s.changes = append(s.changes, Change{Summary: e.Payload.Summary, Payload: *e.Payload})
	return call, nil
}

func (s *Server) key(key string) error {
	if len(key) != 32 {
		return errors.New("Length of 'routing_key' is incorrect (should be 32 characters)")
	}
	if !s.keys[key] {
		return errors.New("Invalid routing key")
	}
	return nil
}

func (p *Payload) check(alert bool) error {
	if p == nil {
		return errors.New("'payload' is missing or blank")
	}
	if n := utf8.RuneCountInString(p.Summary); n == 0 || n > summaryLimit {
		return fmt.Errorf("'payload.summary' has %d characters", n)
	}
	if n := utf8.RuneCountInString(p.Source); n > sourceLimit || (alert && n == 0) {
		return fmt.Errorf("'payload.source' has %d characters", n)
	}
	if alert && !slices.Contains([]string{"critical", "error", "warning", "info"}, p.Severity) {
		return fmt.Errorf("'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')")
	}
	if p.Timestamp == "" {
		return nil
	}
	_, err := time.Parse(time.RFC3339, p.Timestamp)
	return err
}

func checkLinks(links []Link) error {
	for _, l := range links {
		if u, err := url.Parse(l.Href); err != nil || u.Host == "" {
			return fmt.Errorf("link %q", l.Href)
		}
	}
	return nil
}

func strict(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
