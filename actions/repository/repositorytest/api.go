package repositorytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/repository"
)

// API is a double of GitHub's or GitLab's API for one project, team/config. It knows the branches of its origin, refuses a
// second open pull request from the same branch, and one without commits, as the real ones do, in their words.
type API struct {
	*httptest.Server
	kind   string
	origin *Origin
	t      testing.TB
	dir    string

	mu     sync.Mutex
	pulls  []*pull
	status int
	asked  func(*API)
	// LoseAnswers makes a pull request and ends the connection without an answer.
	LoseAnswers bool
	created     int
}

type pull struct {
	number                         int
	head, base, title, body, state string
	merge                          string
}

// API begins to serve; kind is github or gitlab.
func (o *Origin) API(t testing.TB, kind string) *API {
	t.Helper()
	a := &API{kind: kind, origin: o, t: t, dir: t.TempDir()}
	mux := http.NewServeMux()
	if kind == "github" {
		mux.HandleFunc("GET /repos/team/config", a.project)
		mux.HandleFunc("GET /repos/team/config/pulls", a.listGitHub)
		mux.HandleFunc("POST /repos/team/config/pulls", a.create)
	} else {
		mux.HandleFunc("GET /projects/{id}", a.project)
		mux.HandleFunc("GET /projects/{id}/merge_requests", a.listGitLab)
		mux.HandleFunc("POST /projects/{id}/merge_requests", a.create)
	}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.door(mux, w, r) }))
	t.Cleanup(a.Close)
	require.NoError(t, os.WriteFile(filepath.Join(a.dir, "token"), []byte(Canary), 0o600))
	return a
}

// Config is the api of a connection.
func (a *API) Config() repository.API {
	return repository.API{Kind: a.kind, URL: a.URL, Project: "team/config", TokenFile: filepath.Join(a.dir, "token")}
}

// SetStatus makes every request end with this status; 0 ends that.
func (a *API) SetStatus(code int) { a.mu.Lock(); defer a.mu.Unlock(); a.status = code }

// WhenListed is called at each listing, before it is answered.
func (a *API) WhenListed(do func(*API)) { a.mu.Lock(); defer a.mu.Unlock(); a.asked = do }

// Created counts the pull requests that were ever made.
func (a *API) Created() int { a.mu.Lock(); defer a.mu.Unlock(); return a.created }

// Open says whether there is an open pull request.
func (a *API) Open() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.open() != nil }

func (a *API) open() *pull {
	for _, p := range a.pulls {
		if p.state == "open" {
			return p
		}
	}
	return nil
}

// Body is the text of the newest pull request.
func (a *API) Body() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.pulls[len(a.pulls)-1]
	return p.title + "\n" + p.body
}

// CloseUnmerged is what a person does who does not want it.
func (a *API) CloseUnmerged() { a.mu.Lock(); defer a.mu.Unlock(); a.open().state = "closed" }

// Merge is what a person does: with a merge commit, or squashed to one commit whose message keeps no trailer, the branch
// removed.
func (a *API) Merge(squash bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, o := a.open(), a.origin
	tree := o.Server(a.t, "merge-tree", "--write-tree", p.base, p.head)
	args := []string{"commit-tree", tree, "-p", p.base, "-m", "Merge pull request: " + p.title}
	if !squash {
		args = append(args, "-p", p.head)
	}
	p.merge = o.Server(a.t, args...)
	o.Server(a.t, "update-ref", "refs/heads/"+p.base, p.merge)
	if squash {
		o.Server(a.t, "update-ref", "-d", "refs/heads/"+p.head)
	}
	p.state = "merged"
}

func (a *API) door(mux http.Handler, w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	status := a.status
	a.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+Canary {
		status = http.StatusUnauthorized
	}
	if a.kind == "gitlab" && !strings.HasPrefix(r.URL.EscapedPath(), "/projects/team%2Fconfig") {
		status = http.StatusNotFound
	}
	if status != 0 {
		answer(w, status, map[string]any{"message": "refused: " + r.Header.Get("Authorization")})
		return
	}
	mux.ServeHTTP(w, r)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (a *API) project(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"id": 7, "full_name": "team/config"})
}

func (a *API) listed() []*pull {
	a.mu.Lock()
	asked := a.asked
	a.mu.Unlock()
	if asked != nil {
		asked(a)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*pull(nil), a.pulls...)
}

// listGitHub heeds head only in the form owner:branch, and lists everything when it has another.
func (a *API) listGitHub(w http.ResponseWriter, r *http.Request) {
	owner, head, form := strings.Cut(r.URL.Query().Get("head"), ":")
	list := []any{}
	for _, p := range a.listed() {
		if form && (owner != "team" || p.head != head) || p.base != r.URL.Query().Get("base") {
			continue
		}
		state, mergedAt := p.state, any(nil)
		if p.state == "merged" {
			state, mergedAt = "closed", "2026-01-01T00:00:00Z"
		}
		list = append(list, map[string]any{
			"number": p.number, "html_url": a.address(p), "state": state, "merged_at": mergedAt, "merge_commit_sha": p.merge,
			"head": map[string]any{"ref": p.head, "repo": map[string]any{"full_name": "team/config"}}, "base": map[string]any{"ref": p.base},
		})
	}
	answer(w, http.StatusOK, list)
}

func (a *API) listGitLab(w http.ResponseWriter, r *http.Request) {
	list := []any{}
	for _, p := range a.listed() {
		if p.head != r.URL.Query().Get("source_branch") || p.base != r.URL.Query().Get("target_branch") {
			continue
		}
		state := p.state
		if state == "open" {
			state = "opened"
		}
		list = append(list, map[string]any{
			"iid": p.number, "web_url": a.address(p), "state": state, "source_branch": p.head, "target_branch": p.base,
			"source_project_id": 7, "target_project_id": 7, "merge_commit_sha": p.merge,
		})
	}
	answer(w, http.StatusOK, list)
}

func (a *API) address(p *pull) string {
	return fmt.Sprintf("https://%s.example.org/team/config/pull/%d", a.kind, p.number)
}

func (a *API) create(w http.ResponseWriter, r *http.Request) {
	var asked map[string]any
	if json.NewDecoder(r.Body).Decode(&asked) != nil {
		answer(w, http.StatusBadRequest, map[string]any{"message": "Problems parsing JSON"})
		return
	}
	text := func(names ...string) string {
		for _, name := range names {
			if s, ok := asked[name].(string); ok {
				return s
			}
		}
		return ""
	}
	p := &pull{head: text("head", "source_branch"), base: text("base", "target_branch"), title: text("title"), body: text("body", "description"), state: "open"}
	a.mu.Lock()
	defer a.mu.Unlock()
	if status, body := a.refusal(p); status != 0 {
		answer(w, status, body)
		return
	}
	a.created++
	p.number = len(a.pulls) + 1
	a.pulls = append(a.pulls, p)
	if a.LoseAnswers {
		a.LoseAnswers = false
		panic(http.ErrAbortHandler)
	}
	answer(w, http.StatusCreated, map[string]any{"number": p.number, "iid": p.number, "html_url": a.address(p), "web_url": a.address(p), "state": "open"})
}

// refusal is what the real ones say when they do not make one.
func (a *API) refusal(p *pull) (int, any) {
	twice := a.open() != nil && a.open().head == p.head && a.open().base == p.base
	ahead, err := person(a.origin.Bare, "rev-list", "--count", p.base+".."+p.head).Output()
	nothing := err != nil || strings.TrimSpace(string(ahead)) == "0"
	switch {
	case a.kind == "github" && twice:
		return http.StatusUnprocessableEntity, validation("A pull request already exists for team:" + p.head + ".")
	case a.kind == "github" && nothing:
		return http.StatusUnprocessableEntity, validation("No commits between " + p.base + " and " + p.head)
	case twice:
		return http.StatusConflict, map[string]any{"message": []string{"Another open merge request already exists for this source branch: !1"}}
	case err != nil:
		return http.StatusBadRequest, map[string]any{"message": map[string]any{"source_branch": []string{url.QueryEscape(p.head) + " does not exist"}}}
	}
	return 0, nil
}

func validation(message string) any {
	return map[string]any{"message": "Validation Failed", "errors": []any{map[string]any{"resource": "PullRequest", "code": "custom", "message": message}}}
}
