package http

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
)

const smokeExample = `- name: goal_ready
  uses: http/smoke
  with:
    base: "http://blue.honeylink:8080"
    checks:
      - {path: /healthz, status: 200}
      - {path: /version, contains: '"v41"', within: 2s}
`

// Smoke asks a service some questions by GET; all must be answered as expected. It changes nothing. A service that needs
// time to get ready is given it by the step's retry.
type Smoke struct {
	// Base is the address of the service, such as http://blue:8080; each check's path is put after it.
	Base actions.URL `yaml:"base"`
	// Checks are asked one after the other; one that fails does not keep the others from being asked.
	Checks []Check `yaml:"checks"`
}

// Check is one question of a smoke test.
type Check struct {
	// Path begins with "/". It is taken literally: "?" and "%" are characters like others.
	Path string `yaml:"path"`
	// Query holds the parameters after the path.
	Query map[string]string `yaml:"query,omitempty"`
	// Status is the expected status; 200 without a word.
	Status int `yaml:"status,omitempty"`
	// Contains is what the body must hold.
	Contains string `yaml:"contains,omitempty"`
	// Within is how long the whole answer may take; the connection's timeout without a word.
	Within actions.Duration `yaml:"within,omitempty"`
}

// Name is http/smoke.
func (s *Smoke) Name() string { return "http/smoke" }

// Outputs is nothing: a smoke test passes or fails.
func (s *Smoke) Outputs() any { return nil }

// Validate checks the address and every check.
func (s *Smoke) Validate() error {
	failed := []error{checkURL("base", s.Base)}
	if root, err := parseURL(string(s.Base)); err == nil && root.RawQuery != "" {
		failed = append(failed, errors.New("base: must end with the path; parameters belong to a check's query"))
	}
	if len(s.Checks) == 0 {
		failed = append(failed, errors.New("checks: at least one is needed"))
	}
	for n, check := range s.Checks {
		if err := check.validate(); err != nil {
			failed = append(failed, fmt.Errorf("checks[%d].%w", n, err))
		}
	}
	return errors.Join(failed...)
}

func (c Check) validate() error {
	segments := strings.Split(c.Path, "/")
	switch {
	case !strings.HasPrefix(c.Path, "/"):
		return fmt.Errorf("path: %q does not begin with /", c.Path)
	case slices.Contains(segments, ".") || slices.Contains(segments, ".."):
		return fmt.Errorf("path: %q leaves its place", c.Path)
	case c.Within < 0:
		return errors.New("within: must not be negative")
	}
	return checkStatus("status", c.status())
}

func (c Check) status() int { return cmp.Or(c.Status, http.StatusOK) }

// OnlyLooks is true: it asks and changes nothing.
func (s *Smoke) OnlyLooks() bool { return true }

// Plan asks nobody.
func (s *Smoke) Plan(context.Context, actions.Env) (actions.Change, error) {
	if err := s.Validate(); err != nil {
		return actions.Change{}, actions.Permanent(err)
	}
	var asked []string
	for _, check := range s.Checks {
		asked = append(asked, fmt.Sprintf("%s %d", check.Path, check.status()))
	}
	return actions.Change{Summary: fmt.Sprintf("smoke test of %s: %s", s.Base, strings.Join(asked, ", "))}, nil
}

// Run asks every check once.
func (s *Smoke) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	if err := s.Validate(); err != nil {
		return actions.Result{}, actions.Permanent(err)
	}
	h, err := through(env)
	if err != nil {
		return actions.Result{}, err
	}
	var failed []error
	for _, check := range s.Checks {
		if err := check.ask(ctx, h, string(s.Base)); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", check.Path, err))
		}
	}
	if len(failed) > 0 {
		return actions.Result{}, fmt.Errorf("smoke test of %s: %d of %d checks failed: %w", s.Base, len(failed), len(s.Checks), errors.Join(failed...))
	}
	return actions.Result{Summary: fmt.Sprintf("smoke test of %s: %d of %d passed", s.Base, len(s.Checks), len(s.Checks))}, nil
}

func (c Check) ask(ctx context.Context, h *client.HTTP, base string) error {
	if c.Within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.Within))
		defer cancel()
	}
	address, err := c.address(base)
	if err != nil {
		return actions.Permanent(err)
	}
	answer, err := h.Exchange(ctx, client.Request{URL: address})
	switch {
	case err != nil:
		return err
	case answer.Status != c.status():
		return fmt.Errorf("answered %d, not %d", answer.Status, c.status())
	case !strings.Contains(string(answer.Body), c.Contains):
		return fmt.Errorf("the answer does not contain %q", c.Contains)
	}
	return nil
}

// address puts the path after the base's, so that nothing in it can choose another host.
func (c Check) address(base string) (string, error) {
	root, err := parseURL(base)
	if err != nil {
		return "", err
	}
	whole := url.URL{Scheme: root.Scheme, Host: root.Host, Path: strings.TrimRight(root.Path, "/") + c.Path}
	query := url.Values{}
	for name, value := range c.Query {
		query.Set(name, value)
	}
	whole.RawQuery = query.Encode()
	return whole.String(), nil
}
