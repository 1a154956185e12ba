package slack

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/common/config"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/message"
)

const (
	defaultURL     = "https://slack.com/api"
	defaultRecheck = 5 * time.Second
)

// Connection is one Slack workspace, reached as a bot (`connections.slack.<name>`).
type Connection struct {
	// URL is where the Web API is; default https://slack.com/api.
	URL string `yaml:"url"`
	// TokenFile holds the bot token (xoxb-…). It is read at each use.
	TokenFile string `yaml:"token_file"`
	// Recheck is how long to wait before looking a second time for a message that may have arrived; default 5s.
	Recheck actions.Duration `yaml:"recheck"`
	// HTTP is http_config as in Prometheus, for a proxy or an own certificate authority.
	HTTP config.HTTPClientConfig `yaml:"http_config"`
}

// SetDirectory makes relative files relative to the configuration file.
func (c *Connection) SetDirectory(dir string) {
	c.TokenFile = config.JoinDir(dir, c.TokenFile)
	c.HTTP.SetDirectory(dir)
}

// Validate says what is missing or wrong.
func (c *Connection) Validate() error {
	if c.TokenFile == "" {
		return errors.New("token_file is missing: the file that holds the bot token")
	}
	if c.Recheck < 0 {
		return errors.New("recheck is negative")
	}
	if err := c.HTTP.Validate(); err != nil {
		return fmt.Errorf("http_config: %w", err)
	}
	if h := c.HTTP; h.Authorization != nil || h.BasicAuth != nil || h.OAuth2 != nil || h.BearerToken != "" || h.BearerTokenFile != "" {
		return errors.New("http_config holds credentials: Slack takes only the token of token_file")
	}
	return message.CheckURL("url", c.address())
}

func (c *Connection) address() string {
	if c.URL == "" {
		return defaultURL
	}
	return c.URL
}

// Open gives a *Workspace.
func (c *Connection) Open(dial actions.Dial) (any, error) {
	through, err := client.NewHTTP(client.HTTPConfig{Client: c.HTTP}, dial)
	if err != nil {
		return nil, fmt.Errorf("open slack connection: %w", err)
	}
	recheck := time.Duration(c.Recheck)
	if recheck == 0 {
		recheck = defaultRecheck
	}
	return &Workspace{url: c.address(), tokenFile: c.TokenFile, recheck: recheck, http: through}, nil
}

// Workspace is an opened connection, safe for concurrent use.
type Workspace struct {
	url, tokenFile string
	recheck        time.Duration
	http           *client.HTTP
	ids            sync.Map // of channels by what the configuration calls them
}
