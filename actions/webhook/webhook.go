// Package webhook tells incidents to any HTTP endpoint as signed JSON, in the form of Standard Webhooks.
// It imports actions, actions/client and actions/message.
package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/message"
)

const kind = "webhook"

// Webhook posts each revision of an incident as JSON: an envelope after CloudEvents with the whole message in `data`.
// The header Webhook-Id is the same for every attempt of one telling, so that a receiver takes it once. An answer of 2xx
// is proof of delivery; 410 and other refusals that would come again end the telling.
type Webhook struct{}

// Family is what this package registers.
func Family() actions.Family {
	return actions.Family{
		Actions: []actions.Entry{{
			New:     func() actions.Action { return new(Webhook) },
			Channel: true, Updates: true,
			Example: "to: records\nvia: webhook\nwithin: 15m\n",
		}},
		Kind:          kind,
		NewConnection: func() actions.Connection { return new(Connection) },
	}
}

// Name is "webhook".
func (*Webhook) Name() string { return kind }

// Outputs is nil: a notice has none.
func (*Webhook) Outputs() any { return nil }

// Validate finds nothing wrong: there are no parameters.
func (*Webhook) Validate() error { return nil }

// Plan asks nothing of the receiver.
func (*Webhook) Plan(context.Context, actions.Env) (actions.Change, error) {
	return actions.Change{Changes: true, Summary: "post the incident to the webhook"}, nil
}

// Run tells the notice. A receiver knows a telling by its id, so one in doubt is sent again.
func (*Webhook) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	receiver, notice, err := message.Telling[*Receiver](env, kind)
	if err != nil {
		return actions.Result{}, err
	}
	body, err := json.Marshal(told(notice))
	if err != nil {
		return actions.Result{}, actions.Permanent(fmt.Errorf("cannot %s: %w", what, err))
	}
	if err := receiver.post(ctx, notice.Delivery, env.Now(), body); err != nil {
		return actions.Result{}, err
	}
	return actions.Result{Summary: "told the webhook", Ref: notice.Delivery}, nil
}

// envelope is CloudEvents' own, with the incident and its revision as extensions.
type envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Time            time.Time       `json:"time"`
	Subject         string          `json:"subject"`
	DataContentType string          `json:"datacontenttype"`
	Incident        string          `json:"incident"`
	Revision        int             `json:"revision"`
	Data            actions.Message `json:"data"`
}

func told(n *actions.Notice) envelope {
	m := n.Message
	kind := "astern.incident.updated"
	switch {
	case m.Final:
		kind = "astern.incident.ended"
	case n.First:
		kind = "astern.incident.opened"
	}
	return envelope{"1.0", n.Delivery, "astern", kind, m.UpdatedAt.UTC(), m.Target, "application/json", m.Incident, m.Story, m}
}

const what = "post to the webhook"

func (r *Receiver) post(ctx context.Context, id string, now time.Time, body []byte) error {
	address, err := r.address()
	if err != nil {
		return fmt.Errorf("cannot %s: %w", what, err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	stamp := strconv.FormatInt(now.Unix(), 10)
	header.Set("Webhook-Id", id)
	header.Set("Webhook-Timestamp", stamp)
	signatures, err := r.sign(id, stamp, body)
	if err != nil {
		return fmt.Errorf("cannot %s: %w", what, err)
	}
	if signatures != "" {
		header.Set("Webhook-Signature", signatures)
	}
	answer, err := message.Exchange(ctx, r.http, what, client.Request{Method: http.MethodPost, URL: address, Header: header, Body: body})
	if err != nil {
		return err
	}
	return message.Judge(what, answer, meaning(answer.Status))
}

// meaning says of a status what to do about it. The answer's body is a stranger's, and of no use here.
func meaning(status int) string {
	switch {
	case status == http.StatusGone:
		return "the receiver wants no more of these: take it out of the communications"
	case status/100 == 3:
		return "a redirect, which is never followed: write the final address"
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return "the receiver does not accept the signature or the credentials"
	}
	return ""
}
