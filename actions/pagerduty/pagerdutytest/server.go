// Package pagerdutytest is a double of PagerDuty's Events API v2: it opens, acknowledges and resolves alerts by their dedup
// key, pages when a new one opens, and refuses what PagerDuty refuses. Tests and the demo run against it.
// It was written from PagerDuty's documentation and was never compared with the real service.
package pagerdutytest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"astern.dev/astern/actions/message/fault"
)

// RoutingKey is the integration that a new Server knows.
const RoutingKey = "00double0000000000000000astern00"

const bodyLimit = 512_000

// Server is the double. It is an http.Handler for /v2/enqueue and /v2/change/enqueue, safe for concurrent use.
type Server struct {
	faults fault.Plan

	mu      sync.Mutex
	keys    map[string]bool
	alerts  []*Alert
	pages   []Page
	changes []Change
	calls   []Call
	changed chan struct{}
	now     func() time.Time
}

// Call is one event as the double saw it. Error is why it was refused, empty when it was taken.
type Call struct {
	Action, DedupKey, Error string
	At                      time.Time
}

// New gives an account with one integration.
func New() *Server {
	return &Server{keys: map[string]bool{RoutingKey: true}, changed: make(chan struct{}), now: time.Now}
}

// AddKey makes another integration.
func (s *Server) AddKey(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[key] = true
}

// Fail makes the next events fail, one fault each; nil lets its event through.
func (s *Server) Fail(faults ...fault.Fault) { s.faults.Add("/v2/enqueue", faults...) }

// FailChanges makes the next change events fail.
func (s *Server) FailChanges(faults ...fault.Fault) { s.faults.Add("/v2/change/enqueue", faults...) }

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.faults.Wrap(http.HandlerFunc(s.serve)).ServeHTTP(w, r)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	take := map[string]func([]byte) (Call, error){"/v2/enqueue": s.event, "/v2/change/enqueue": s.change}[r.URL.Path]
	if take == nil || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyLimit+1))
	if err != nil || len(body) > bodyLimit {
		http.Error(w, "payload too large", http.StatusRequestEntityTooLarge)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	call, err := take(body)
	if r.Header.Get("Content-Type") != "application/json" {
		err = fmt.Errorf("content type %q", r.Header.Get("Content-Type"))
	}
	call.At = s.now()
	if err != nil {
		call.Error = err.Error()
	}
	s.calls = append(s.calls, call)
	close(s.changed)
	s.changed = make(chan struct{})
	answer(w, call)
}

func answer(w http.ResponseWriter, call Call) {
	w.Header().Set("Content-Type", "application/json")
	body := map[string]any{"status": "success", "message": "Event processed", "dedup_key": call.DedupKey}
	status := http.StatusAccepted
	if call.Error != "" {
		body = map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": []string{call.Error}}
		status = http.StatusBadRequest
	}
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) //nolint:errcheck // a client that has gone is no fault of the double
}
