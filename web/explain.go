package web

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"astern.dev/astern/engine"
)

// ExplainRequest asks why something happened to an alert, or why nothing did. One of notification, incident and labels
// says about what; with none, it is the newest alert delivered up to `at`.
type ExplainRequest struct {
	// Notification is a whole notification of Alertmanager, one alert, or a list of alerts: judged as if it came now.
	// Labels pick among several.
	Notification json.RawMessage `json:"notification,omitempty"`
	// Source is the sender the alert counts as; the only one there is when absent.
	Source   string            `json:"source,omitempty"`
	Incident string            `json:"incident,omitempty"`
	At       time.Time         `json:"at,omitzero"` // the ledger is looked through up to here; now when absent
	Labels   map[string]string `json:"labels,omitempty"`
}

// ExplanationList is what is known of each alert; kind ExplanationList. Several are explained shortly. Left counts the
// alerts that were not explained.
type ExplanationList struct {
	Header
	Items []engine.Explanation `json:"items"`
	Left  int                  `json:"left,omitempty"`
}

// explainMost bounds how many alerts of one question are explained.
const explainMost = 20

const explainLate = "explaining takes too long: ask for fewer alerts, or again when others have been answered"

// explain reads only; it is no GET because an alert is a body.
func (s *Server) explain(ctx context.Context, _ engine.Person, _ call, in ExplainRequest) (ExplanationList, error) {
	a := ExplanationList{Header: header("ExplanationList"), Items: []engine.Explanation{}}
	if len(in.Notification) > 0 && in.Incident != "" {
		return a, malformedAt("/incident", "a notification is asked about already")
	}
	if year := in.At.Year(); !in.At.IsZero() && (year < 1970 || year > 2200) {
		return a, malformedAt("/at", "%d is no year of a ledger", year)
	}
	queries := []engine.ExplainQuery{{Incident: in.Incident, At: in.At, Labels: in.Labels, Decode: Decode}}
	if len(in.Notification) > 0 {
		alerts, left, err := Pick(in.Notification, in.Labels, s.now())
		if err != nil {
			return a, err
		}
		queries, a.Left = nil, left
		for n := range alerts {
			queries = append(queries, engine.ExplainQuery{Alert: &alerts[n], Source: in.Source})
		}
	}
	if s.explaining.Acquire(ctx, 1) != nil {
		return a, unavailable(explainLate)
	}
	defer s.explaining.Release(1)
	for _, q := range queries {
		if ctx.Err() != nil {
			return a, unavailable(explainLate)
		}
		x, err := s.engine.Explain(ctx, q)
		if err != nil {
			return a, err
		}
		if len(queries) > 1 {
			x = x.Short()
		}
		a.Items = append(a.Items, x)
	}
	return a, nil
}

// Pick reads a payload and gives the alerts in it that have these labels, at most explainMost; left counts the others
// that have them.
func Pick(payload []byte, labels map[string]string, receipt time.Time) (picked []engine.Delivered, left int, err error) {
	all, err := decodePayload(payload, receipt)
	if err != nil {
		return nil, 0, err
	}
	picked = slices.DeleteFunc(all, func(d engine.Delivered) bool {
		for name, value := range labels {
			if have, ok := d.Alert.Labels[name]; !ok || have != value {
				return true
			}
		}
		return false
	})
	if len(picked) == 0 {
		return nil, 0, malformedAt("", "no alert in it has these labels")
	}
	most := min(len(picked), explainMost)
	return picked[:most], len(picked) - most, nil
}

// decodePayload reads what people have at hand of an alert: a notification as it was delivered, one alert of it, or what
// the APIs of Alertmanager and Prometheus show. It is for questions; at the door, Decode is strict.
func decodePayload(payload []byte, receipt time.Time) ([]engine.Delivered, error) {
	payload = bytes.TrimSpace(payload)
	if bytes.HasPrefix(payload, []byte("[")) {
		var alerts []shownAlert
		if err := json.Unmarshal(payload, &alerts); err != nil {
			return nil, malformedAt("", "not a list of alerts: %v", err)
		}
		return settleShown(alerts, receipt)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(payload, &members); err != nil {
		return nil, malformedAt("", "neither a notification nor an alert: %v", err)
	}
	if _, whole := members["alerts"]; whole {
		n, err := Decode(payload, receipt)
		return n.Alerts, err
	}
	var one shownAlert
	if err := json.Unmarshal(payload, &one); err != nil {
		return nil, malformedAt("", "neither a notification nor an alert: %v", err)
	}
	return settleShown([]shownAlert{one}, receipt)
}

// shownAlert is an alert as a notification, Alertmanager's API (status is an object) or Prometheus' API (state, activeAt)
// shows it.
type shownAlert struct {
	Status                    json.RawMessage
	State                     string
	Labels, Annotations       map[string]string
	StartsAt, ActiveAt        time.Time
	EndsAt                    time.Time
	GeneratorURL, Fingerprint string
}

func settleShown(alerts []shownAlert, receipt time.Time) ([]engine.Delivered, error) {
	var all []engine.Delivered
	for _, a := range alerts {
		if len(a.Labels) == 0 {
			return nil, malformedAt("", "neither a notification nor an alert: an alert has at least one label")
		}
		status, note := a.status()
		if a.StartsAt.IsZero() {
			a.StartsAt = a.ActiveAt
		}
		d := settle(rawAlert{status: status, fingerprint: a.Fingerprint, generatorURL: a.GeneratorURL, labels: a.Labels,
			annotations: a.Annotations, startsAt: a.StartsAt, endsAt: a.endsAt(status)}, nil, receipt.UTC())
		if note != "" {
			d.Note = note
		}
		all = append(all, d)
	}
	return all, nil
}

// status reads the three ways in which an alert says whether it fires.
func (a shownAlert) status() (status, note string) {
	var word string
	if json.Unmarshal(a.Status, &word) == nil && word == "resolved" {
		return "resolved", ""
	}
	var object struct{ State string }
	_ = json.Unmarshal(a.Status, &object) // a word, or nothing
	switch {
	case object.State == "suppressed":
		return "firing", "Alertmanager shows it as suppressed (silenced or inhibited): then it is not delivered"
	case a.State == "pending":
		return "firing", "Prometheus shows it as pending: it does not fire yet, and is not delivered"
	}
	return "firing", ""
}

// endsAt is when it ended; Alertmanager's API gives firing alerts an end in the future.
func (a shownAlert) endsAt(status string) time.Time {
	if status == "firing" {
		return time.Time{}
	}
	return a.EndsAt
}
