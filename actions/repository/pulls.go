package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
)

var projectForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$`)

func (a *API) validate() error {
	if a.Kind == "" {
		if a.URL != "" || a.Project != "" || a.TokenFile != "" {
			return errors.New("api.kind: is missing: github or gitlab")
		}
		return nil
	}
	if _, known := hosts[a.Kind]; !known {
		return fmt.Errorf("api.kind: %s is neither github nor gitlab", shown(a.Kind))
	}
	if !projectForm.MatchString(a.Project) || a.Kind == "github" && strings.Count(a.Project, "/") != 1 {
		return fmt.Errorf("api.project: %s is no project such as owner/name", shown(a.Project))
	}
	if a.TokenFile == "" {
		return errors.New("api.token_file: is missing; it names the file that holds the token")
	}
	if h := a.HTTPConfig; h.Authorization != nil || h.BasicAuth != nil || h.OAuth2 != nil || h.BearerToken != "" || h.BearerTokenFile != "" {
		return errors.New("api.http_config: must not hold credentials; the API takes the token of token_file")
	}
	if a.URL != "" {
		if _, err := client.ParseRoot(a.URL); err != nil {
			return fmt.Errorf("api.url: %w", err)
		}
	}
	return a.HTTPConfig.Validate()
}

func (a *API) open(dial actions.Dial) (*Pulls, error) {
	h := hosts[a.Kind]
	root := h.root
	if a.URL != "" {
		at, err := client.ParseRoot(a.URL)
		if err != nil {
			return nil, fmt.Errorf("url: %w", err)
		}
		root = at.String()
	}
	through, err := client.NewHTTP(client.HTTPConfig{Client: a.HTTPConfig, MaxAnswer: 8 << 20}, dial)
	if err != nil {
		return nil, err
	}
	return &Pulls{h, root, a.Project, a.TokenFile, through}, nil
}

// Pulls makes and reads pull requests (merge requests). It is safe for concurrent use.
type Pulls struct {
	host                     host
	root, project, tokenFile string
	http                     *client.HTTP
}

// Pull is one pull request.
type Pull struct {
	Number int
	URL    string
	// State is open, merged or closed.
	State string
	// Merge is the commit that merged it, as the API names it.
	Merge string
}

// PullRequest is a pull request to make.
type PullRequest struct{ Head, Base, Title, Body string }

// host is how one API names things.
type host struct {
	root   string
	header http.Header
	// list and create are paths below the root; check is asked with GET whether the token is good.
	list   func(project, head, base string) string
	create func(project string) string
	check  func(project string) string
	body   func(PullRequest) map[string]any
	// read gives the pull requests of an answer whose branches are these.
	read func(answer []byte, project, head, base string) ([]Pull, error)
}

var hosts = map[string]host{"github": github, "gitlab": gitlab}

// Find gives the pull request from head to base: one that is open, else one that was merged, else one that was closed. Nil
// when there is none.
func (p *Pulls) Find(ctx context.Context, head, base string) (*Pull, error) {
	const what = "look for the pull request"
	header, err := p.header()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	answer, err := p.http.Get(ctx, p.root+p.host.list(p.project, head, base), header)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if answer.Status != http.StatusOK {
		return nil, p.refused(what, answer)
	}
	all, err := p.host.read(answer.Body, p.project, head, base)
	if err != nil {
		return nil, fmt.Errorf("%s: the answer is not the API's: %w", what, err)
	}
	for _, state := range []string{"open", "merged", "closed"} {
		for _, pull := range all {
			if pull.State == state {
				return &pull, nil
			}
		}
	}
	return nil, nil
}

// FindOrCreate gives the one pull request from head to base, however often it is asked: there can be one open at a time,
// and a second creation is refused by the API.
func (p *Pulls) FindOrCreate(ctx context.Context, r PullRequest) (*Pull, error) {
	if found, err := p.Find(ctx, r.Head, r.Base); err != nil || found != nil {
		return found, err
	}
	refused := p.create(ctx, r)
	found, err := p.Find(ctx, r.Head, r.Base)
	switch {
	case found != nil:
		return found, nil
	case refused != nil:
		return nil, refused
	case err != nil:
		return nil, err
	}
	return nil, errors.New("make a pull request: the API took it and does not list it yet")
}

func (p *Pulls) create(ctx context.Context, r PullRequest) error {
	const what = "make a pull request"
	header, err := p.header()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	body, err := json.Marshal(p.host.body(r))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	header.Set("Content-Type", "application/json")
	answer, err := p.http.Exchange(ctx, client.Request{Method: http.MethodPost, URL: p.root + p.host.create(p.project), Header: header, Body: body})
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case answer.Status == http.StatusCreated:
		return nil
	}
	return p.refused(what, answer)
}

// Check asks whether the token may see the project.
func (p *Pulls) Check(ctx context.Context) error {
	const what = "ask the API for the project"
	header, err := p.header()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	answer, err := p.http.Get(ctx, p.root+p.host.check(p.project), header)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case answer.Status != http.StatusOK:
		return p.refused(what, answer)
	}
	return nil
}

func (p *Pulls) header() (http.Header, error) {
	token, err := secret("api.token_file", p.tokenFile)
	if err != nil {
		return nil, err
	}
	header := p.host.header.Clone()
	header.Set("Authorization", "Bearer "+token)
	return header, nil
}

// refused reads a status: what asks for patience is tried again, the rest would come again.
func (p *Pulls) refused(what string, a client.Answer) error {
	var said struct {
		Message any `json:"message"`
		Error   any `json:"error"`
		Errors  any `json:"errors"`
	}
	detail := ""
	if json.Unmarshal(a.Body, &said) == nil {
		for _, part := range []any{said.Message, said.Error, said.Errors} {
			if part != nil {
				detail += ", " + fmt.Sprint(part)
			}
		}
	}
	if token, err := secret("api.token_file", p.tokenFile); err == nil {
		detail = scrub(detail, []string{token})
	}
	err := fmt.Errorf("%s: the API answered %d%s", what, a.Status, Clean(detail, 200))
	patience := a.Header.Get("Retry-After") != "" || a.Header.Get("X-Ratelimit-Remaining") == "0"
	if client.Temporary(a.Status) || patience {
		return err
	}
	return actions.Permanent(err)
}

// pullURL takes an address for people only when it is one.
func pullURL(text string) string {
	at, err := url.Parse(text)
	if err != nil || at.Scheme != "https" && at.Scheme != "http" || at.Host == "" {
		return ""
	}
	return at.String()
}
