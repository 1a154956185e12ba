package pagerduty

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/message"
)

// The limits of Events API v2, in characters and bytes.
const (
	summaryLimit = 1024
	dedupLimit   = 255
	sourceLimit  = 255
	bodyLimit    = 512_000
)

type endpoint struct{ path, what string }

var (
	alerts  = endpoint{"/v2/enqueue", "an event"}
	changes = endpoint{"/v2/change/enqueue", "a change event"}
)

// event is one event; encode adds the routing key, which is part of its body.
type event struct {
	path       endpoint
	RoutingKey string   `json:"routing_key"`
	Action     string   `json:"event_action,omitempty"`
	DedupKey   string   `json:"dedup_key,omitempty"`
	Payload    *payload `json:"payload,omitempty"`
	Links      []link   `json:"links,omitempty"`
	Client     string   `json:"client,omitempty"`
	ClientURL  string   `json:"client_url,omitempty"`
}

type payload struct {
	Summary       string         `json:"summary"`
	Source        string         `json:"source"`
	Severity      string         `json:"severity,omitempty"`
	Timestamp     string         `json:"timestamp"`
	Component     string         `json:"component,omitempty"`
	Group         string         `json:"group,omitempty"`
	Class         string         `json:"class,omitempty"`
	CustomDetails map[string]any `json:"custom_details,omitempty"`
}

type link struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

// encode gives the body. Details are left out rather than the event refused for its size.
func (e event) encode(key string) ([]byte, error) {
	e.RoutingKey = key
	body, err := json.Marshal(e)
	if err != nil || len(body) <= bodyLimit || e.Payload == nil {
		return body, err
	}
	short := *e.Payload
	short.CustomDetails = nil
	e.Payload = &short
	return json.Marshal(e)
}

// dedupKey names the alert of a notice, or its second one, which calls a person again.
func dedupKey(notice, suffix string) string {
	key := "astern/" + notice
	if len(key)+len(urgentSuffix) > dedupLimit {
		sum := sha256.Sum256([]byte(notice))
		key = "astern/sha256/" + hex.EncodeToString(sum[:])
	}
	return key + suffix
}

func trigger(n *actions.Notice, key, severity string) event {
	e := event{path: alerts, Action: "trigger", DedupKey: key, Payload: said(n, severity), Links: links(n.Message), Client: "astern"}
	e.ClientURL = message.Link(n.Message)
	return e
}

func acknowledge(key string) event { return event{path: alerts, Action: "acknowledge", DedupKey: key} }
func resolve(key string) event     { return event{path: alerts, Action: "resolve", DedupKey: key} }

// change shows under the service's recent changes and calls nobody.
func change(n *actions.Notice) event {
	p := said(n, "")
	return event{path: changes, Payload: &payload{Summary: p.Summary, Source: p.Source, Timestamp: p.Timestamp,
		CustomDetails: p.CustomDetails}, Links: links(n.Message)}
}

func said(n *actions.Notice, severity string) *payload {
	m := n.Message
	at := m.UpdatedAt
	if at.IsZero() {
		at = m.StartedAt
	}
	return &payload{
		Summary: message.Clean(message.Sentence(m), summaryLimit), Severity: severity,
		Source:    message.Clean(fmt.Sprintf("%s@%s", m.Target, m.Environment), sourceLimit),
		Timestamp: at.UTC().Format(time.RFC3339Nano), Class: "rollback",
		Component: message.Clean(m.Target, sourceLimit), Group: message.Clean(m.Environment, sourceLimit),
		CustomDetails: details(n),
	}
}

func details(n *actions.Notice) map[string]any {
	d := map[string]any{"incident": message.Footer(n.Message), "delivery": n.Delivery}
	for _, line := range message.Sheet(n.Message) {
		d[strings.ToLower(line.Label)] = line.Text
	}
	if steps := message.Steps(n.Message); len(steps) > 0 {
		d["steps"] = steps
	}
	if news := message.News(n.Message); len(news) > 0 {
		d["news"] = news
	}
	return d
}

func links(m actions.Message) []link {
	if to := message.Link(m); to != "" {
		return []link{{Href: to, Text: "Open in astern"}}
	}
	return nil
}
