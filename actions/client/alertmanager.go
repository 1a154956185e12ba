package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	var alerts []GettableAlert
	err := a.EachAlert(ctx, filter, func(alert GettableAlert) { alerts = append(alerts, alert) })
	if err != nil {
		return nil, err
	}
	return alerts, nil
}

// EachAlert is Alerts one by one: in a storm the list is longer than anyone wants to hold. After an error what was visited
// is not the whole list.
func (a *Alertmanager) EachAlert(ctx context.Context, filter []string, visit func(GettableAlert)) error {
	address := *a.root
	address.Path += "/api/v2/alerts"
	address.RawQuery = url.Values{"filter": filter}.Encode()
	return a.http.Read(ctx, address.String(), func(status int, body io.Reader) error {
		if status/100 == 2 {
			return a.visitEach(body, visit)
		}
		text, err := io.ReadAll(io.LimitReader(body, 4<<10))
		if err != nil {
			return err
		}
		return a.refused(Answer{Status: status, Body: text})
	})
}

func (a *Alertmanager) visitEach(body io.Reader, visit func(GettableAlert)) error {
	list := json.NewDecoder(body)
	if begin, err := list.Token(); err != nil || begin != json.Delim('[') {
		return a.notAList(err)
	}
	for list.More() {
		var alert GettableAlert
		if err := list.Decode(&alert); err != nil {
			return a.notAList(err)
		}
		if len(alert.Labels) == 0 || alert.Status.State == "" {
			return fmt.Errorf("%s answered with an alert without labels or state", a.root.Host)
		}
		visit(alert)
	}
	if _, err := list.Token(); err != nil {
		return a.notAList(err)
	}
	if _, err := list.Token(); !errors.Is(err, io.EOF) {
		return a.notAList(err)
	}
	return nil
}

// notAList tells a wrong answer from an exchange that broke off.
func (a *Alertmanager) notAList(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	if err == nil || errors.As(err, &syntax) || errors.As(err, &kind) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s answered with something that is not Alertmanager's list of alerts", a.root.Host)
	}
	return err
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
