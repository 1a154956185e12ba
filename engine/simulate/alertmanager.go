package simulate

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine"
)

// Alertmanager is the list that its API shows: what fires, and what mutes it. It is safe for concurrent use.
type Alertmanager struct {
	mu     sync.Mutex
	now    func() time.Time
	alerts map[string]client.GettableAlert // by identity
	mutes  []Mute
	down   bool
}

// Mute silences or inhibits every alert that carries its labels.
type Mute struct {
	Labels   map[string]string
	Inhibits bool   // by another alert, not by a person's silence
	ID       string // of the silence or the other alert
}

// Set shows an alert as firing since a time.
func (a *Alertmanager) Set(labels, annotations map[string]string, since time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := engine.AlertID("", labels)
	a.alerts[id] = client.GettableAlert{
		Labels: labels, Annotations: annotations, Fingerprint: id[:16], StartsAt: since, Receivers: []client.Receiver{{Name: Receiver}},
	}
}

// Remove takes an alert off the list.
func (a *Alertmanager) Remove(labels map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.alerts, engine.AlertID("", labels))
}

// Mute and Unmute add and end a silence or an inhibition.
func (a *Alertmanager) Mute(m Mute) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mutes = append(a.mutes, m)
}

// Unmute ends the mutes with this ID.
func (a *Alertmanager) Unmute(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mutes = slices.DeleteFunc(a.mutes, func(m Mute) bool { return m.ID == id })
}

// Muted says whether an alert is silenced or inhibited now: then Alertmanager sends nothing about it.
func (a *Alertmanager) Muted(labels map[string]string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.statusOf(labels).State != "active"
}

// SetDown makes its API answer 503.
func (a *Alertmanager) SetDown(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

// ServeHTTP answers GET /api/v2/alerts.
func (a *Alertmanager) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	list := make([]client.GettableAlert, 0, len(a.alerts))
	for _, id := range slices.Sorted(maps.Keys(a.alerts)) {
		alert := a.alerts[id]
		alert.Status, alert.UpdatedAt, alert.EndsAt = a.statusOf(alert.Labels), a.now(), a.now().Add(4*time.Minute)
		list = append(list, alert)
	}
	_ = json.NewEncoder(w).Encode(list)
}

func (a *Alertmanager) statusOf(labels map[string]string) client.AlertStatus {
	s := client.AlertStatus{State: "active", SilencedBy: []string{}, InhibitedBy: []string{}, MutedBy: []string{}}
	for _, m := range a.mutes {
		switch {
		case !carries(labels, m.Labels):
			continue
		case m.Inhibits:
			s.InhibitedBy = append(s.InhibitedBy, m.ID)
		default:
			s.SilencedBy = append(s.SilencedBy, m.ID)
		}
		s.State = "suppressed"
	}
	return s
}

func carries(labels, wanted map[string]string) bool {
	for name, value := range wanted {
		if labels[name] != value {
			return false
		}
	}
	return true
}
