package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/prometheus/common/config"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/message"
)

const (
	secretPrefix = "whsec_"
	secretBytes  = 24 // as Standard Webhooks asks
	secretLimit  = 4
)

// Connection is one receiver (`connections.webhook.<name>`).
type Connection struct {
	message.Server `yaml:",inline"`
	// URLFile holds the address, in place of url, when the address itself is a secret. It is read at each use.
	URLFile string `yaml:"url_file,omitempty"`
	// SecretFiles hold the secrets that sign each message, whsec_ and base64 or plain text of at least 24 bytes. With
	// two of them a receiver can change from one to the other. Without any the messages are not signed.
	SecretFiles []string `yaml:"secret_files,omitempty"`
}

// SetDirectory makes relative files relative to dir.
func (c *Connection) SetDirectory(dir string) {
	c.URLFile = config.JoinDir(dir, c.URLFile)
	for i, file := range c.SecretFiles {
		c.SecretFiles[i] = config.JoinDir(dir, file)
	}
	c.Server.SetDirectory(dir)
}

// Validate says what is missing or wrong.
func (c *Connection) Validate() error {
	if (c.URL == "") == (c.URLFile == "") {
		return errors.New("url: exactly one of url and url_file is needed")
	}
	if c.URL != "" {
		if err := checkURL(c.URL); err != nil {
			return fmt.Errorf("url: %w", err)
		}
	}
	if len(c.SecretFiles) > secretLimit {
		return fmt.Errorf("secret_files: %d of them are more than %d", len(c.SecretFiles), secretLimit)
	}
	for _, file := range c.SecretFiles {
		if file == "" {
			return errors.New("secret_files: a name is empty")
		}
	}
	return c.Server.Validate()
}

// checkURL never prints the address: it may be a credential.
func checkURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil, u.Host == "", u.Scheme != "https" && u.Scheme != "http":
		return errors.New("is no address such as https://hooks.example/astern")
	case u.User != nil:
		return errors.New("must not hold credentials; use http_config.basic_auth with password_file, or url_file")
	case u.Fragment != "":
		return errors.New("must not hold a fragment")
	}
	return nil
}

// Open gives a *Receiver.
func (c *Connection) Open(dial actions.Dial) (any, error) {
	through, err := c.Client(dial)
	if err != nil {
		return nil, err
	}
	return &Receiver{url: c.URL, urlFile: c.URLFile, secretFiles: c.SecretFiles, http: through}, nil
}

// Receiver is an opened connection, safe for concurrent use.
type Receiver struct {
	url, urlFile string
	secretFiles  []string
	http         *client.HTTP
}

func (r *Receiver) address() (string, error) {
	if r.urlFile == "" {
		return r.url, nil
	}
	address, err := message.Secret("url_file", r.urlFile)
	if err != nil {
		return "", err
	}
	if err := checkURL(address); err != nil {
		return "", fmt.Errorf("url_file: what %s holds %w", r.urlFile, err)
	}
	return address, nil
}

// sign gives one signature for each secret, as Standard Webhooks writes them.
func (r *Receiver) sign(id, stamp string, body []byte) (string, error) {
	var all []string
	for _, file := range r.secretFiles {
		written, err := message.Secret("secret_files", file)
		if err != nil {
			return "", err
		}
		key, err := signingKey(written)
		if err != nil {
			return "", fmt.Errorf("secret_files: what %s holds %w", file, err)
		}
		all = append(all, "v1,"+signature(key, id, stamp, body))
	}
	return strings.Join(all, " "), nil
}

func signingKey(written string) ([]byte, error) {
	key := []byte(written)
	if encoded, is := strings.CutPrefix(written, secretPrefix); is {
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, errors.New("is not base64 after " + secretPrefix)
		}
		key = decoded
	}
	if len(key) < secretBytes {
		return nil, fmt.Errorf("is shorter than %d bytes", secretBytes)
	}
	return key, nil
}

func signature(key []byte, id, stamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
