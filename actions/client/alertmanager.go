package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"astern.dev/astern/actions"
)

// Alertmanager reads from Alertmanager's v2 API. It is safe for concurrent use.
type Alertmanager struct {
	root *url.URL
	http *HTTP
}

// NewAlertmanager reads from the server at root through h.
func NewAlertmanager(root *url.URL, h *HTTP) *Alertmanager { return &Alertmanager{root: root, http: h} }

// GettableAlert is one alert as Alertmanager holds it.
type GettableAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	Fingerprint  string            `json:"fingerprint"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	UpdatedAt    time.Time         `json:"updatedAt"`
	GeneratorURL string            `json:"generatorURL"`
	Status       AlertStatus       `json:"status"`
	Receivers    []Receiver        `json:"receivers"`
}

// AlertStatus says whether an alert is muted, and by what.
type AlertStatus struct {
	State       string   `json:"state"` // active, suppressed or unprocessed
	SilencedBy  []string `json:"silencedBy"`
	InhibitedBy []string `json:"inhibitedBy"`
	MutedBy     []string `json:"mutedBy"`
}

// Receiver names who is told of an alert.
type Receiver struct {
	Name string `json:"name"`
}

// Alerts lists the alerts that match all filters (matchers such as `alertname="X"`), silenced and inhibited ones too.
func (a *Alertmanager) Alerts(ctx context.Context, filter []string) ([]GettableAlert, error) {
	address := *a.root
	address.Path += "/api/v2/alerts"
	address.RawQuery = url.Values{"filter": filter}.Encode()
	answer, err := a.http.Get(ctx, address.String(), nil)
	if err != nil {
		return nil, err
	}
	if answer.Status/100 != 2 {
		return nil, a.refused(answer)
	}
	var alerts []GettableAlert
	if err := json.Unmarshal(answer.Body, &alerts); err != nil || alerts == nil {
		return nil, fmt.Errorf("%s answered with something that is not Alertmanager's list of alerts", a.root.Host)
	}
	for _, alert := range alerts {
		if len(alert.Labels) == 0 || alert.Status.State == "" {
			return nil, fmt.Errorf("%s answered with an alert without labels or state", a.root.Host)
		}
	}
	return alerts, nil
}

func (a *Alertmanager) refused(answer Answer) error {
	text := string(answer.Body)
	var quoted string
	if json.Unmarshal(answer.Body, &quoted) == nil {
		text = quoted
	}
	refused := &RefusedError{What: a.root.Host, Status: answer.Status, Text: a.http.Scrub(oneLine(text))}
	if Temporary(answer.Status) {
		return refused
	}
	return actions.Permanent(refused)
}
