package cluster

import (
	"os"
	"strings"
)

// minSecret is the length below which a value is not looked for in a text.
const minSecret = 4

// secrets are the credentials now in use.
func (c *Cluster) secrets() []string {
	c.session.mu.Lock()
	config := c.session.config
	c.session.mu.Unlock()
	if config == nil {
		return nil
	}
	all := []string{config.BearerToken, config.Password, string(config.KeyData)}
	if config.BearerTokenFile != "" {
		if raw, err := os.ReadFile(config.BearerTokenFile); err == nil { // what cannot be read was not sent either
			all = append(all, strings.TrimSpace(string(raw)))
		}
	}
	var long []string
	for _, secret := range all {
		if len(secret) >= minSecret {
			long = append(long, secret)
		}
	}
	return long
}
