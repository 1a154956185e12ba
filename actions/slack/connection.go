package slack

import (
	"cmp"
	"errors"
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

// Connection is one Slack workspace, reached as a bot (`connections.slack.<name>`). Its url is https://slack.com/api
// without a word; credentials in http_config are refused, for Slack takes the token alone.
type Connection struct {
	message.Server `yaml:",inline"`
	// TokenFile holds the bot token (xoxb-…). It is read at each use.
	TokenFile string `yaml:"token_file"`
	// Recheck is how long to wait before looking a second time for a message that may have arrived; default 5s.
	Recheck actions.Duration `yaml:"recheck,omitempty"`
}

// SetDirectory makes relative files relative to dir.
func (c *Connection) SetDirectory(dir string) {
	c.TokenFile = config.JoinDir(dir, c.TokenFile)
	c.Server.SetDirectory(dir)
}

// Validate says what is missing or wrong.
func (c *Connection) Validate() error {
	if c.TokenFile == "" {
		return errors.New("token_file: is missing; it names the file that holds the bot token")
	}
	if c.Recheck < 0 {
		return errors.New("recheck: must not be negative")
	}
	if h := c.HTTPConfig; h.Authorization != nil || h.BasicAuth != nil || h.OAuth2 != nil || h.BearerToken != "" || h.BearerTokenFile != "" {
		return errors.New("http_config: must not hold credentials; Slack takes only the token of token_file")
	}
	if _, err := c.Root(defaultURL); err != nil {
		return err
	}
	return c.Server.Validate()
}

// Open gives a *Workspace.
func (c *Connection) Open(dial actions.Dial) (any, error) {
	root, err := c.Root(defaultURL)
	if err != nil {
		return nil, err
	}
	through, err := c.Client(dial)
	if err != nil {
		return nil, err
	}
	return &Workspace{url: root, tokenFile: c.TokenFile, recheck: cmp.Or(time.Duration(c.Recheck), defaultRecheck), http: through}, nil
}

// Workspace is an opened connection, safe for concurrent use.
type Workspace struct {
	url, tokenFile string
	recheck        time.Duration
	http           *client.HTTP
	ids            sync.Map // of channels by what the configuration calls them
}
