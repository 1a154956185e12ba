package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/message"
)

// Code is the error of an ok:false, such as "channel_not_found".
type Code string

func (c Code) Error() string { return string(c) }

// The refusals that would come again, by Slack's documentation.
var permanent = map[Code]bool{
	"channel_not_found": true, "not_in_channel": true, "is_archived": true, "user_not_found": true, "is_inactive": true,
	"not_authed": true, "invalid_auth": true, "token_revoked": true, "token_expired": true, "account_inactive": true,
	"missing_scope": true, "no_permission": true, "not_allowed_token_type": true, "access_denied": true, "ekm_access_denied": true,
	"invalid_blocks": true, "invalid_blocks_format": true, "msg_too_long": true, "msg_blocks_too_long": true, "no_text": true,
	"metadata_too_large": true, "invalid_metadata_format": true, "invalid_arguments": true, "block_mismatch": true,
	"cannot_dm_bot": true, "as_user_not_supported": true, "unknown_method": true, "thread_not_found": true,
}

// After these Slack says itself that the call may have been carried out.
var undecided = map[Code]bool{"fatal_error": true, "internal_error": true, "request_timeout": true, "service_unavailable": true}

// envelope is what every answer has, and what the channel reads of them.
type envelope struct {
	OK       bool            `json:"ok"`
	Error    Code            `json:"error"`
	Needed   string          `json:"needed"`
	TS       string          `json:"ts"`
	BotID    string          `json:"bot_id"`
	Channel  json.RawMessage `json:"channel"` // an id, or an object with one
	Messages []posted        `json:"messages"`
	Channels []struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"channels"`
	Metadata struct {
		NextCursor string `json:"next_cursor"`
	} `json:"response_metadata"`
}

// channelID is the channel of an answer.
func (e envelope) channelID() string {
	var id string
	if json.Unmarshal(e.Channel, &id) == nil {
		return id
	}
	var object struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(e.Channel, &object) != nil {
		return ""
	}
	return object.ID
}

// write calls a method with JSON arguments, once. It is never repeated here: Slack knows no idempotency key.
func (w *Workspace) write(ctx context.Context, what, method string, args any) (envelope, error) {
	body, err := json.Marshal(args)
	if err != nil {
		return envelope{}, actions.Permanent(fmt.Errorf("cannot %s: %w", what, err))
	}
	return w.call(ctx, what, client.Request{Method: http.MethodPost, URL: w.url + "/" + method, Body: body})
}

func (w *Workspace) read(ctx context.Context, what, method string, args url.Values) (envelope, error) {
	return w.call(ctx, what, client.Request{Method: http.MethodGet, URL: w.url + "/" + method + "?" + args.Encode()})
}

func (w *Workspace) call(ctx context.Context, what string, r client.Request) (envelope, error) {
	token, err := message.Secret("token_file", w.tokenFile)
	if err != nil {
		return envelope{}, fmt.Errorf("cannot %s: %w", what, err)
	}
	r.Header = http.Header{"Authorization": {"Bearer " + token}}
	if r.Method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	answer, err := message.Exchange(ctx, w.http, what, r)
	if err != nil {
		return envelope{}, err
	}
	return open(what, answer)
}

// open reads an answer. Slack tells most errors with status 200.
func open(what string, answer client.Answer) (envelope, error) {
	var e envelope
	broken := json.Unmarshal(answer.Body, &e)
	if err := message.Judge(what, answer, string(e.Error)); err != nil {
		return e, err
	}
	if broken != nil || (!e.OK && e.Error == "") {
		return e, &message.Error{What: what, Reason: "the answer is not Slack's; is a proxy in between?", Unknown: true}
	}
	if e.OK {
		return e, nil
	}
	return e, refused(what, e, answer)
}

func refused(what string, e envelope, answer client.Answer) error {
	reason := message.Clean("Slack answered "+string(e.Error), 128)
	if e.Needed != "" {
		reason += message.Clean(", the app lacks the scope "+e.Needed, 128)
	}
	switch {
	case permanent[e.Error], strings.HasPrefix(string(e.Error), "restricted_action"):
		return actions.Permanent(&message.Error{What: what, Reason: reason, Cause: e.Error})
	case e.Error == "ratelimited", e.Error == "rate_limited":
		return &message.Error{What: what, Reason: reason, After: message.RetryAfter(answer), Cause: e.Error}
	}
	return &message.Error{What: what, Reason: reason, Unknown: undecided[e.Error], Cause: e.Error}
}

// code is what Slack called an error, empty when it is not Slack's.
func code(err error) Code {
	var c Code
	errors.As(err, &c)
	return c
}
