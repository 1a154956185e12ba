// Package clustertest is a small Kubernetes API in memory, over TLS and HTTP: objects with uid, resourceVersion, generation and
// managed fields, patches of every type but the strategic one, subresources, dry run, access reviews, and faults on demand.
// It refuses what a real API server refuses. Only tests import it; it imports actions alone.
package clustertest

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"astern.dev/astern/actions"
)

// Canary is the bearer token that the API wants; it must be in no error.
const Canary = "canary-k8s-51c0ffee"

// User is who the token belongs to.
const User = "system:serviceaccount:astern:astern"

// Call is one request as the API understood it.
type Call struct {
	// Verb is as RBAC has it: get, list, create, patch, update, delete.
	Verb string
	// Resource is the plural, with its subresource: deployments/scale. Group is its API group.
	Group, Resource string
	Namespace, Name string
	DryRun          bool
	Manager         string
	Body            []byte
	ContentType     string
}

func (c Call) String() string {
	dry := ""
	if c.DryRun {
		dry = " (dry run)"
	}
	return fmt.Sprintf("%s %s %s/%s%s", c.Verb, c.Resource, c.Namespace, c.Name, dry)
}

// Fault is what a hook makes of a call.
type Fault struct {
	// Status is answered instead of the truth; nothing is done.
	Status int
	// Cut ends the connection without an answer and without an effect; CutAfter with the effect.
	Cut, CutAfter bool
}

// Server is one API server.
type Server struct {
	http *httptest.Server

	mu      sync.Mutex
	kinds   []Kind
	objects map[string]*object
	version int64
	born    int64
	writes  []string
	calls   []Call
	hooks   []func(Call) *Fault
	loops   bool
	only    []actions.Access // nil: everything is allowed
	limited bool
	denied  [][2]string
	logs    map[string]string
	status  int
	stalled bool
	gone    chan struct{}
}

// New starts an API server with the namespaces default and shop.
func New(t testing.TB) *Server {
	s := &Server{kinds: standard, objects: map[string]*object{}, version: 1000, logs: map[string]string{}, gone: make(chan struct{})}
	s.http = httptest.NewTLSServer(s)
	t.Cleanup(func() { close(s.gone); s.http.CloseClientConnections(); s.http.Close() })
	s.Add("{apiVersion: v1, kind: Namespace, metadata: {name: default}}\n---\n{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
	return s
}

// URL is its address.
func (s *Server) URL() string { return s.http.URL }

// Kubeconfig writes a kubeconfig for it and gives its path.
func (s *Server) Kubeconfig(t testing.TB) string {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test}}]
clusters: [{name: test, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: test, user: {token: %s}}]
`, s.http.URL, base64.StdEncoding.EncodeToString(ca), Canary)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Before adds a hook that sees every authenticated call before it is served, and may change the world meanwhile.
func (s *Server) Before(hook func(Call) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, hook)
}

// Status makes the API answer every request with a status and do nothing; 0 ends that.
func (s *Server) Status(code int) { s.mu.Lock(); defer s.mu.Unlock(); s.status = code }

// Stall makes the API take requests and answer none.
func (s *Server) Stall() { s.mu.Lock(); defer s.mu.Unlock(); s.stalled = true }

// Calls are the requests so far, discovery left out.
func (s *Server) Calls() []Call { s.mu.Lock(); defer s.mu.Unlock(); return slices.Clone(s.calls) }

// ServeHTTP authenticates, lets hooks act, and serves.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	status, stalled := s.status, s.stalled
	s.mu.Unlock()
	switch {
	case stalled:
		select {
		case <-r.Context().Done():
		case <-s.gone:
		}
	case status != 0:
		answer(w, status, apierrors.NewGenericServerResponse(status, r.Method, Kind{}.resource(), "", "injected, with "+r.Header.Get("Authorization"), 0, true).Status())
	case r.Header.Get("Authorization") != "Bearer "+Canary:
		fail(w, apierrors.NewUnauthorized("Unauthorized"))
	default:
		s.serve(w, r, body)
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, body []byte) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	s.mu.Lock()
	known := s.discover(w, parts)
	s.mu.Unlock()
	if known {
		return
	}
	q, err := s.parse(r, parts, body)
	if err != nil {
		fail(w, err)
		return
	}
	s.mu.Lock()
	hooks := slices.Clone(s.hooks)
	s.calls = append(s.calls, q.Call)
	s.mu.Unlock()
	cutAfter := false
	for _, hook := range hooks {
		fault := hook(q.Call)
		switch {
		case fault == nil:
		case fault.Cut:
			cut()
			return
		case fault.Status != 0:
			fail(w, apierrors.NewGenericServerResponse(fault.Status, q.Verb, q.kind.resource(), q.Name, "injected", 0, true))
			return
		default:
			cutAfter = cutAfter || fault.CutAfter
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.allows(q.Call) {
		fail(w, s.forbidden(q))
		return
	}
	into := w
	if cutAfter {
		into = httptest.NewRecorder()
	}
	s.do(into, q)
	if cutAfter {
		cut()
	}
}

// cut ends the connection as a server does that dies.
func cut() {
	panic(http.ErrAbortHandler)
}

func answer(w http.ResponseWriter, code int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(what)
}

func fail(w http.ResponseWriter, err error) {
	status, ok := err.(apierrors.APIStatus)
	if !ok {
		status = apierrors.NewBadRequest(err.Error())
	}
	is := status.Status()
	is.Kind, is.APIVersion = "Status", "v1"
	answer(w, int(is.Code), is)
}
