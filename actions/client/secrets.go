package client

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/common/config"
)

// minSecret is the length below which a value is not looked for in a text: replacing "a" everywhere would hide more
// than it keeps.
const minSecret = 4

// secrets knows what of a configuration must not be shown. Files are read when asked: they rotate.
type secrets struct{ cfg config.HTTPClientConfig }

func (s secrets) scrub(text string) string {
	values := s.values()
	slices.SortFunc(values, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, value := range values {
		if len(value) < minSecret {
			continue
		}
		for _, form := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
			text = strings.ReplaceAll(text, form, "<secret>")
		}
	}
	return text
}

func (s secrets) values() []string {
	c := s.cfg
	all := []string{string(c.BearerToken), fromFile(c.BearerTokenFile), string(c.TLSConfig.Key)}
	if c.Authorization != nil {
		all = append(all, string(c.Authorization.Credentials), fromFile(c.Authorization.CredentialsFile))
	}
	if c.OAuth2 != nil {
		all = append(all, string(c.OAuth2.ClientSecret), fromFile(c.OAuth2.ClientSecretFile),
			string(c.OAuth2.ClientCertificateKey), fromFile(c.OAuth2.ClientCertificateKeyFile))
	}
	if c.BasicAuth != nil {
		all = append(all, basic(*c.BasicAuth)...)
	}
	if c.HTTPHeaders != nil {
		for _, header := range c.HTTPHeaders.Headers {
			all = append(all, headerSecrets(header)...)
		}
	}
	if password, set := proxyPassword(c); set {
		all = append(all, password)
	}
	return all
}

func basic(b config.BasicAuth) []string {
	user := cmp.Or(b.Username, fromFile(b.UsernameFile))
	var all []string
	for _, password := range []string{string(b.Password), fromFile(b.PasswordFile)} {
		if password != "" {
			all = append(all, password, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
		}
	}
	return all
}

func headerSecrets(h config.Header) []string {
	var all []string
	for _, secret := range h.Secrets {
		all = append(all, string(secret))
	}
	for _, file := range h.Files {
		all = append(all, fromFile(file))
	}
	return all
}

func proxyPassword(c config.HTTPClientConfig) (string, bool) {
	if c.ProxyURL.URL == nil {
		return "", false
	}
	return c.ProxyURL.User.Password()
}

func fromFile(path string) string {
	if path == "" {
		return ""
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "" // what cannot be read was not sent either
	}
	return strings.TrimSpace(string(raw))
}
