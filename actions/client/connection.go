package client

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/config"

	"astern.dev/astern/actions"
)

// PrometheusFamily brings the connection kind "prometheus", opened as *Prometheus.
var PrometheusFamily = actions.Family{Kind: "prometheus", NewConnection: func() actions.Connection { return &PrometheusConnection{} }}

// AlertmanagerFamily brings the connection kind "alertmanager", opened as *Alertmanager.
var AlertmanagerFamily = actions.Family{Kind: "alertmanager", NewConnection: func() actions.Connection { return &AlertmanagerConnection{} }}

// ServerConnection is how one server with an HTTP API is reached.
type ServerConnection struct {
	// URL is the address of the server's API root, such as http://prometheus:9090, a path prefix included.
	URL string `yaml:"url"`
	// HTTPConfig is `http_config` as in Prometheus; redirects are never followed.
	HTTPConfig config.HTTPClientConfig `yaml:"http_config,omitempty"`
	// Timeout bounds one reading, its repeats included; 10s without a word.
	Timeout actions.Duration `yaml:"timeout,omitempty"`
}

// Validate checks the address and the HTTP settings.
func (c *ServerConnection) Validate() error {
	if _, err := ParseRoot(c.URL); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if c.Timeout < 0 {
		return errors.New("timeout: must not be negative")
	}
	return c.HTTPConfig.Validate()
}

// SetDirectory makes the files the connection names relative to dir.
func (c *ServerConnection) SetDirectory(dir string) { c.HTTPConfig.SetDirectory(dir) }

func (c *ServerConnection) open(dial actions.Dial, maxAnswer int64) (*url.URL, *HTTP, error) {
	root, err := ParseRoot(c.URL)
	if err != nil {
		return nil, nil, fmt.Errorf("url: %w", err)
	}
	through, err := NewHTTP(HTTPConfig{Client: c.HTTPConfig, Timeout: time.Duration(c.Timeout), MaxAnswer: maxAnswer}, dial)
	return root, through, err
}

// PrometheusConnection is one entry of `connections.prometheus`.
type PrometheusConnection struct {
	ServerConnection `yaml:",inline"`
}

// Open gives a *Prometheus.
func (c *PrometheusConnection) Open(dial actions.Dial) (any, error) {
	root, through, err := c.open(dial, 8<<20)
	if err != nil {
		return nil, err
	}
	return &Prometheus{root: root, http: through}, nil
}

// AlertmanagerConnection is one entry of `connections.alertmanager`.
type AlertmanagerConnection struct {
	ServerConnection `yaml:",inline"`
}

// Open gives an *Alertmanager.
func (c *AlertmanagerConnection) Open(dial actions.Dial) (any, error) {
	root, through, err := c.open(dial, 256<<20) // read one by one: a storm of 100,000 alerts is 60 MB
	if err != nil {
		return nil, err
	}
	return &Alertmanager{root: root, http: through}, nil
}

// ParseRoot reads the address of a server: http or https, a host, perhaps a path; credentials have their own fields.
func ParseRoot(address string) (*url.URL, error) {
	root, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("is not an address such as http://prometheus:9090")
	case root.Scheme != "http" && root.Scheme != "https", root.Host == "":
		return nil, errors.New("must begin with http:// or https:// and name a host")
	case root.User != nil:
		return nil, errors.New("must not hold credentials; use http_config.basic_auth with password_file")
	case root.RawQuery != "" || root.Fragment != "":
		return nil, errors.New("must end with the path; no query, no fragment")
	}
	root.Path = strings.TrimRight(root.Path, "/")
	root.RawPath = ""
	return root, nil
}
