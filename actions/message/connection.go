package message

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/common/config"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
)

// Server is how a provider is reached: what the connections of all channels have.
type Server struct {
	// URL is where the provider's API is.
	URL string `yaml:"url,omitempty"`
	// HTTPConfig is http_config as in Prometheus, for a proxy or an own certificate authority. Redirects are never followed.
	HTTPConfig config.HTTPClientConfig `yaml:"http_config,omitempty"`
	// Timeout bounds one exchange; default 10s.
	Timeout actions.Duration `yaml:"timeout,omitempty"`
}

// Validate checks what all channels share; the address is the channel's to judge.
func (s *Server) Validate() error {
	if s.Timeout < 0 {
		return errors.New("timeout: must not be negative")
	}
	if err := s.HTTPConfig.Validate(); err != nil {
		return fmt.Errorf("http_config: %w", err)
	}
	return nil
}

// Root is the address with a default, without a slash at its end.
func (s *Server) Root(otherwise string) (string, error) {
	if s.URL == "" {
		return otherwise, nil
	}
	root, err := client.ParseRoot(s.URL)
	if err != nil {
		return "", fmt.Errorf("url: %w", err)
	}
	return root.String(), nil
}

// SetDirectory makes the files of http_config relative to dir.
func (s *Server) SetDirectory(dir string) { s.HTTPConfig.SetDirectory(dir) }

// Client makes the client that speaks to the provider.
func (s *Server) Client(dial actions.Dial) (*client.HTTP, error) {
	return client.NewHTTP(client.HTTPConfig{Client: s.HTTPConfig, Timeout: time.Duration(s.Timeout)}, dial)
}

// Secret reads a file that holds one secret. It is read at each use, because secrets are changed under a running program.
// A missing file is no permanent error: someone may be about to put it there.
func Secret(field, file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", field, err)
	}
	secret := strings.TrimSpace(string(raw))
	if secret == "" || strings.ContainsFunc(secret, func(r rune) bool { return r < '!' || r > '~' }) {
		return "", fmt.Errorf("read %s: %s holds no secret of one line", field, file)
	}
	return secret, nil
}

// Telling gives the notice and the opened connection that a channel needs.
func Telling[C any](env actions.Env, kind string) (C, *actions.Notice, error) {
	var none C
	if env.Notice == nil {
		return none, nil, actions.Permanent(fmt.Errorf("%s tells notices only; it cannot be a step", kind))
	}
	opened, err := env.Connect(kind, "")
	if err != nil {
		return none, nil, fmt.Errorf("connect to %s: %w", kind, err)
	}
	connection, fits := opened.(C)
	if !fits {
		return none, nil, actions.Permanent(fmt.Errorf("the %s connection is of another kind", kind))
	}
	return connection, env.Notice, nil
}
