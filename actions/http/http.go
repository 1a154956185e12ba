// Package http calls HTTP endpoints: http sends one request, http/smoke checks that a service answers as it should.
// Both go through the guarded client: egress rules, no redirects, bounded answers. It imports actions and actions/client.
package http

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/config"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
)

const kind = "http"

// Family brings http, http/smoke and the connection kind "http". The empty connection is valid: where none is configured
// the engine opens that one, so that a smoke test needs no words about connections.
func Family() actions.Family {
	return actions.Family{
		Kind:          kind,
		NewConnection: func() actions.Connection { return &Connection{} },
		Actions: []actions.Entry{
			{New: func() actions.Action { return &Request{} }, Example: requestExample},
			{New: func() actions.Action { return &Smoke{} }, Example: smokeExample},
		},
	}
}

// Connection is one entry of `connections.http`: with which credentials and limits requests are sent.
type Connection struct {
	// HTTPConfig is `http_config` as in Prometheus: credentials, headers, TLS. Redirects are never followed.
	HTTPConfig config.HTTPClientConfig `yaml:"http_config,omitempty"`
	// Timeout bounds one exchange; 10s without a word.
	Timeout actions.Duration `yaml:"timeout,omitempty"`
}

// Validate checks the settings.
func (c *Connection) Validate() error {
	if c.Timeout < 0 {
		return errors.New("timeout: must not be negative")
	}
	return c.HTTPConfig.Validate()
}

// SetDirectory makes the files the connection names relative to dir.
func (c *Connection) SetDirectory(dir string) { c.HTTPConfig.SetDirectory(dir) }

// Open gives a *client.HTTP.
func (c *Connection) Open(dial actions.Dial) (any, error) {
	return client.NewHTTP(client.HTTPConfig{Client: c.HTTPConfig, Timeout: time.Duration(c.Timeout)}, dial)
}

func through(env actions.Env) (*client.HTTP, error) {
	opened, err := env.Connect(kind, "")
	if err != nil {
		return nil, err
	}
	h, ok := opened.(*client.HTTP)
	if !ok {
		return nil, actions.Permanent(fmt.Errorf("the http connection is a %T", opened))
	}
	return h, nil
}
