package web

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v4"

	"astern.dev/astern/engine/config"
)

// CheckAuth refuses a configuration under which anybody could deliver alerts, unless that was asked for.
func CheckAuth(cfg *config.Config, anonymous bool) error {
	if len(cfg.Senders) == 0 && !anonymous {
		return errors.New("nobody would have to authenticate: write `senders` in astern.yaml, " +
			"or start with --insecure-allow-anonymous-webhook, which only observes")
	}
	for _, s := range cfg.Senders {
		if s.PasswordFile == "" && s.BearerTokenFile == "" && s.ClientCertificate == "" {
			return fmt.Errorf("sender %s has no credential: give it bearer_token_file, username and password_file, or client_certificate", s.Name)
		}
	}
	return nil
}

// callers are the senders and people of a configuration. A person without a token is told things and asks nothing.
func callers(cfg *config.Config, now func() time.Time) []caller {
	var all []caller
	for _, s := range cfg.Senders {
		c := caller{identity: identity{s.Name, Sender}, username: s.Username, certificate: s.ClientCertificate}
		if s.PasswordFile != "" {
			c.password = &secretFile{path: s.PasswordFile, now: now}
		}
		if s.BearerTokenFile != "" {
			c.bearer = &secretFile{path: s.BearerTokenFile, now: now}
		}
		all = append(all, c)
	}
	for _, p := range cfg.People {
		if p.TokenFile != "" {
			all = append(all, caller{identity: identity{p.Name, Role(p.Role)}, bearer: &secretFile{path: p.TokenFile, now: now}})
		}
	}
	return all
}

// CheckWebConfig reads exporter-toolkit's file and refuses what would break the door. An empty path is fine unless a
// sender is known by its client certificate.
func CheckWebConfig(path string, cfg *config.Config) error {
	certified := slices.IndexFunc(cfg.Senders, func(s config.Sender) bool { return s.ClientCertificate != "" })
	if path == "" && certified < 0 {
		return nil
	}
	if path == "" {
		return noCertificates(cfg.Senders[certified])
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the web configuration: %w", err)
	}
	var file struct {
		Users     map[string]any `yaml:"basic_auth_users"`
		RateLimit map[string]any `yaml:"rate_limit"`
		TLS       struct {
			ClientAuth string `yaml:"client_auth_type"`
		} `yaml:"tls_server_config"`
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		return fmt.Errorf("read the web configuration %s: %w", path, err)
	}
	switch {
	case len(file.Users) > 0:
		return fmt.Errorf("%s: basic_auth_users would lock out bearer senders, people and probes: "+
			"give each sender its username and password_file under `senders` in astern.yaml", path)
	case len(file.RateLimit) > 0:
		return fmt.Errorf("%s: rate_limit answers 429, after which Alertmanager does not come again in time: leave it out, the door bounds itself with 503", path)
	case certified >= 0 && file.TLS.ClientAuth != "RequireAndVerifyClientCert" && file.TLS.ClientAuth != "VerifyClientCertIfGiven":
		return noCertificates(cfg.Senders[certified])
	}
	if err := toolkit.Validate(path); err != nil {
		return fmt.Errorf("read the web configuration %s: %w", path, err)
	}
	return nil
}

func noCertificates(s config.Sender) error {
	return fmt.Errorf("sender %s is known by its client certificate, and none is verified: "+
		"set client_ca_file and client_auth_type: VerifyClientCertIfGiven (or RequireAndVerifyClientCert) in --web.config.file", s.Name)
}
