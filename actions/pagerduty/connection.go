package pagerduty

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/prometheus/common/config"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/message"
)

const (
	defaultURL = "https://events.pagerduty.com"
	keyLength  = 32
)

// Connection is one integration of a PagerDuty service (`connections.pagerduty.<name>`). Its url is
// https://events.pagerduty.com without a word; accounts in Europe write https://events.eu.pagerduty.com.
type Connection struct {
	message.Server `yaml:",inline"`
	// RoutingKeyFile holds the integration key of Events API v2 (32 characters). It is read at each use. Use an
	// integration of its own: what Alertmanager opened, only Alertmanager can resolve.
	RoutingKeyFile string `yaml:"routing_key_file"`
}

// SetDirectory makes relative files relative to dir.
func (c *Connection) SetDirectory(dir string) {
	c.RoutingKeyFile = config.JoinDir(dir, c.RoutingKeyFile)
	c.Server.SetDirectory(dir)
}

// Validate says what is missing or wrong.
func (c *Connection) Validate() error {
	if c.RoutingKeyFile == "" {
		return errors.New("routing_key_file: is missing; it names the file that holds the integration key")
	}
	if _, err := c.Root(defaultURL); err != nil {
		return err
	}
	return c.Server.Validate()
}

// Open gives an *Integration.
func (c *Connection) Open(dial actions.Dial) (any, error) {
	root, err := c.Root(defaultURL)
	if err != nil {
		return nil, err
	}
	through, err := c.Client(dial)
	if err != nil {
		return nil, err
	}
	return &Integration{url: root, keyFile: c.RoutingKeyFile, http: through}, nil
}

// Integration is an opened connection, safe for concurrent use.
type Integration struct {
	url, keyFile string
	http         *client.HTTP
}

// send gives one event to PagerDuty, once. What it answers is that it took the event, not that someone was paged.
func (i *Integration) send(ctx context.Context, e event) error {
	what := "send " + e.path.what + " to PagerDuty"
	key, err := message.Secret("routing_key_file", i.keyFile)
	if err != nil {
		return fmt.Errorf("cannot %s: %w", what, err)
	}
	if len(key) != keyLength {
		return fmt.Errorf("cannot %s: routing_key_file holds %d characters; an integration key has %d", what, len(key), keyLength)
	}
	body, err := e.encode(key)
	if err != nil {
		return actions.Permanent(fmt.Errorf("cannot %s: %w", what, err))
	}
	answer, err := message.Exchange(ctx, i.http, what, client.Request{Method: http.MethodPost, URL: i.url + e.path.path,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: body})
	if err != nil {
		return err
	}
	return judge(what, e, answer, key)
}

func judge(what string, e event, answer client.Answer, key string) error {
	var said struct {
		Status   string   `json:"status"`
		Message  string   `json:"message"`
		Errors   []string `json:"errors"`
		DedupKey string   `json:"dedup_key"`
	}
	broken := json.Unmarshal(answer.Body, &said)
	detail := strings.Join(append([]string{said.Message}, said.Errors...), ", ")
	if err := message.Judge(what, answer, strings.ReplaceAll(detail, key, "<secret>")); err != nil {
		return err
	}
	if broken != nil || said.Status != "success" || said.DedupKey != e.DedupKey {
		return &message.Error{What: what, Reason: "the answer is not PagerDuty's; is a proxy in between?", Unknown: true}
	}
	return nil
}
