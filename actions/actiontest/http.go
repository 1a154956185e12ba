package actiontest

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/common/config"
	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/client"
)

// Canary is the bearer token that Server's client sends.
const Canary = "canary-7f3a9b21c4"

// Server is an HTTP service with state: what stands under a path, and how often it was changed. It keeps to
// Idempotency-Key as a careful service does, and shows each failure with the request's own headers, as careless ones do.
type Server struct {
	*httptest.Server
	mu      sync.Mutex
	stored  map[string]string
	changes map[string]int
	keys    map[string]bool
	status  int
	cut     bool
	stalled bool
	gone    chan struct{}
}

// NewServer starts a service that wants Canary as bearer token.
func NewServer(t *testing.T) *Server {
	s := &Server{stored: map[string]string{}, changes: map[string]int{}, keys: map[string]bool{}, gone: make(chan struct{})}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() { close(s.gone); s.Server.Close() })
	return s
}

// Loopback is the egress list of tests.
var Loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// Client is a guarded client that may reach this machine and sends Canary.
func Client(t *testing.T) *client.HTTP {
	t.Helper()
	h, err := client.NewHTTP(client.HTTPConfig{Client: config.HTTPClientConfig{
		Authorization: &config.Authorization{Type: "Bearer", Credentials: Canary},
	}}, client.NewDialer(Loopback))
	require.NoError(t, err)
	t.Cleanup(h.Close)
	return h
}

// World is the service as a world for actions that use the connection kind "http".
func (s *Server) World(t *testing.T) *World {
	return &World{
		Connections: map[string]any{"http": Client(t)},
		State:       s.State, Canary: Canary, Stall: s.Stall, Status: s.SetStatus,
		Break: map[string]func(){
			"the service answers 500":        func() { s.SetStatus(500) },
			"the service answers 404":        func() { s.SetStatus(404) },
			"the service redirects":          func() { s.SetStatus(302) },
			"connections are cut":            s.Cut,
			"the service is down":            s.Server.Close,
			"the service wants another name": func() { s.SetStatus(401) },
		},
	}
}

// SetStatus makes every request end with this status and no effect.
func (s *Server) SetStatus(code int) { s.mu.Lock(); defer s.mu.Unlock(); s.status = code }

// Cut takes every request and ends the connection without an answer; the effect stays.
func (s *Server) Cut() { s.mu.Lock(); defer s.mu.Unlock(); s.cut = true }

// Stall takes every request and never answers.
func (s *Server) Stall() { s.mu.Lock(); defer s.mu.Unlock(); s.stalled = true }

// Put stores something under a path.
func (s *Server) Put(path, body string) { s.mu.Lock(); defer s.mu.Unlock(); s.stored[path] = body }

// Changes counts the changes under a path.
func (s *Server) Changes(path string) int { s.mu.Lock(); defer s.mu.Unlock(); return s.changes[path] }

// State is everything that is stored, and for each POST how often it had an effect.
func (s *Server) State() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for path, body := range s.stored {
		lines = append(lines, path+" = "+body)
	}
	for path, n := range s.changes {
		lines = append(lines, fmt.Sprintf("%s changed %d times", path, n))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	stalled, cut, status := s.stalled, s.cut, s.status
	s.mu.Unlock()
	switch {
	case stalled:
		select {
		case <-r.Context().Done():
		case <-s.gone:
		}
		panic(http.ErrAbortHandler)
	case r.Header.Get("Authorization") != "Bearer "+Canary:
		status = http.StatusUnauthorized
	}
	if status != 0 {
		w.Header().Set("Location", "/elsewhere?token="+Canary)
		w.WriteHeader(status)
		fmt.Fprintf(w, "refused; the request was %v", r.Header)
		return
	}
	answer, code := s.apply(r, string(body))
	if cut {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(code)
	io.WriteString(w, answer)
}

// apply keeps to HTTP: PUT and DELETE converge, POST has an effect each time unless its key was seen.
func (s *Server) apply(r *http.Request, body string) (string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := r.URL.RequestURI()
	stored, there := s.stored[path]
	switch r.Method {
	case http.MethodPut:
		s.stored[path] = body
		return body, http.StatusOK
	case http.MethodDelete:
		if !there {
			return "", http.StatusNotFound
		}
		delete(s.stored, path)
		return "", http.StatusNoContent
	case http.MethodPost, http.MethodPatch:
		if key := r.Header.Get("Idempotency-Key"); key == "" || !s.keys[key] {
			s.keys[key] = true
			s.changes[path]++
			s.stored[path] = body
		}
		return body, http.StatusCreated
	}
	if !there {
		return "", http.StatusNotFound
	}
	return cmp.Or(stored, "ok"), http.StatusOK
}
