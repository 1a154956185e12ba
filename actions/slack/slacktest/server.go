// Package slacktest is a double of Slack's Web API as far as the slack channel uses it: a state machine that keeps channels,
// messages and threads and refuses what Slack refuses, not a set of canned answers. Tests and the demo run against it.
// It was written from Slack's documentation and was never compared with the real service.
package slacktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"astern.dev/astern/actions/message/fault"
)

// Who and what a new Server knows.
const (
	Token    = "xoxb-double-0000000000-astern"
	Bot      = "B0ASTERN"
	App      = "A0ASTERN"
	Incident = "C0INCIDENTS" // the channel #incidents
	Person   = "U0ONCALL"
)

// Server is the double. It is an http.Handler for paths such as /api/chat.postMessage, safe for concurrent use.
type Server struct {
	faults fault.Plan

	mu       sync.Mutex
	channels map[string]*room
	lacks    map[string]bool // scopes taken away
	lag      int
	calls    []Call
	changed  chan struct{}
	now      func() time.Time
}

// Call is one request as the double saw it. Error is what it answered, empty for ok.
type Call struct {
	Method, Error, Detail string
	At                    time.Time
}

type room struct {
	id, name           string
	archived, stranger bool // stranger: the bot is no member
	last               int64
	messages           []*Message
}

// New gives a workspace with the channel #incidents, one person and the bot in it.
func New() *Server {
	s := &Server{channels: map[string]*room{}, lacks: map[string]bool{}, changed: make(chan struct{}), now: time.Now}
	s.AddChannel(Incident, "incidents")
	return s
}

// AddChannel makes a channel that the bot is a member of.
func (s *Server) AddChannel(id, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channels[id] = &room{id: id, name: name}
}

// Archive archives a channel; Leave takes the bot out of it.
func (s *Server) Archive(id string) { s.alter(id, func(c *room) { c.archived = true }) }

// Leave takes the bot out of a channel.
func (s *Server) Leave(id string) { s.alter(id, func(c *room) { c.stranger = true }) }

// Revoke takes a scope such as channels:history from the token.
func (s *Server) Revoke(scope string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lacks[scope] = true
}

// Lag hides each message posted from now on from the first reads that would show it.
func (s *Server) Lag(reads int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag = reads
}

// Fail makes the next calls of a method such as chat.postMessage fail, one fault each; nil lets its call through.
func (s *Server) Fail(method string, faults ...fault.Fault) { s.faults.Add("/api/"+method, faults...) }

func (s *Server) alter(id string, change func(*room)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.channels[id])
}

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.faults.Wrap(http.HandlerFunc(s.serve)).ServeHTTP(w, r)
}

// refusal is an ok:false.
type refusal struct{ code, detail string }

func (e *refusal) Error() string { return e.code + ": " + e.detail }

func refuse(code, format string, args ...any) error {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

type answer map[string]any

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	method, found := strings.CutPrefix(r.URL.Path, "/api/")
	if !found {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := s.call(method, r)
	call := Call{Method: method, At: s.now()}
	var no *refusal
	if errors.As(err, &no) {
		call.Error, call.Detail = no.code, no.detail
		body = answer{"error": no.code}
	}
	s.calls = append(s.calls, call)
	close(s.changed)
	s.changed = make(chan struct{})
	body["ok"] = err == nil
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	json.NewEncoder(w).Encode(body) //nolint:errcheck // a client that has gone is no fault of the double
}

func (s *Server) call(method string, r *http.Request) (answer, error) {
	if err := authorised(r); err != nil {
		return nil, err
	}
	switch method {
	case "auth.test":
		return answer{"bot_id": Bot, "app_id": App, "user_id": "U0ASTERN", "team_id": "T0DOUBLE"}, nil
	case "chat.postMessage":
		return s.post(r)
	case "chat.update":
		return s.update(r)
	case "conversations.history":
		return s.history(r)
	case "conversations.replies":
		return s.replies(r)
	case "conversations.list":
		return s.list(r)
	case "conversations.open":
		return s.open(r)
	}
	return nil, refuse("unknown_method", "%s", method)
}

func authorised(r *http.Request) error {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		return refuse("not_authed", "no bearer token")
	}
	if token != Token {
		return refuse("invalid_auth", "another token")
	}
	if r.Header.Get("Idempotency-Key") != "" {
		return refuse("invalid_arguments", "Slack has no idempotency key: Go would repeat the post by itself")
	}
	return nil
}

// decode reads a JSON body; an argument that the method does not know is refused.
func decode(r *http.Request, into any) error {
	if r.Method != http.MethodPost {
		return refuse("invalid_arguments", "%s is no POST", r.Method)
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/json" {
		return refuse("invalid_form_data", "content type %q", kind)
	}
	return strict(r.Body, into)
}
