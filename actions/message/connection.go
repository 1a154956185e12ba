package message

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"astern.dev/astern/actions"
)

// CheckURL says what is wrong with the address of a provider. The error does not hold the address: it can be a credential.
func CheckURL(field, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("%s is no http or https address", field)
	}
	return nil
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
