package repositorytest

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/repository"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// Canary is the token that HTTPS and the APIs want.
const Canary = "canary-git-5d1e77c0"

// HTTPS serves an origin by git http-backend behind TLS and Basic authentication.
type HTTPS struct {
	*httptest.Server
	backend http.Handler
	dir     string

	mu      sync.Mutex
	status  int
	stalled bool
	lose    bool
	gone    chan struct{}
	pause   chan struct{} // not nil: requests wait until it is closed
	paused  chan struct{} // told when one waits
	asked   []string
}

// Pause makes requests wait; what it gives ends that.
func (s *HTTPS) Pause() (resume func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pause := make(chan struct{})
	s.pause, s.paused = pause, make(chan struct{}, 100)
	return sync.OnceFunc(func() { s.mu.Lock(); defer s.mu.Unlock(); s.pause = nil; close(pause) })
}

// Paused waits until a request waits.
func (s *HTTPS) Paused(t testing.TB) {
	s.mu.Lock()
	paused := s.paused
	s.mu.Unlock()
	select {
	case <-paused:
	case <-t.Context().Done():
	}
}

// Asked counts the requests whose path ends so.
func (s *HTTPS) Asked(end string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, path := range s.asked {
		if strings.HasSuffix(path, end) {
			n++
		}
	}
	return n
}

// HTTPS begins to serve.
func (o *Origin) HTTPS(t testing.TB) *HTTPS {
	t.Helper()
	backend := filepath.Join(run(t, o.Bare, "--exec-path"), "git-http-backend")
	s := &HTTPS{dir: t.TempDir(), gone: make(chan struct{}), backend: &cgi.Handler{
		Path: backend, InheritEnv: []string{"PATH"}, Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + filepath.Dir(filepath.Dir(o.Bare)), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=astern", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"},
	}}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // git is preceded by a connection that only asks whether there is one
	s.StartTLS()
	t.Cleanup(func() { close(s.gone); s.CloseClientConnections(); s.Close() })
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "ca.pem"), certificate, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "token"), []byte(Canary+"\n"), 0o600))
	return s
}

// Connection reaches it, with a mirror of its own.
func (s *HTTPS) Connection(t testing.TB) *repository.Connection {
	return &repository.Connection{
		URL: s.URL + "/team/config.git", Cache: t.TempDir(),
		HTTPS: repository.HTTPS{TokenFile: filepath.Join(s.dir, "token"), Username: "astern", CAFile: filepath.Join(s.dir, "ca.pem")},
	}
}

// SetToken changes what the client sends.
func (s *HTTPS) SetToken(t testing.TB, token string) {
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "token"), []byte(token), 0o600))
}

// SetStatus makes every request end with this status and no effect; 0 ends that.
func (s *HTTPS) SetStatus(code int) { s.mu.Lock(); defer s.mu.Unlock(); s.status = code }

// Stall takes every request and never answers.
func (s *HTTPS) Stall() { s.mu.Lock(); defer s.mu.Unlock(); s.stalled = true }

// LoseAnswers carries pushes out and ends the connection without an answer.
func (s *HTTPS) LoseAnswers() { s.mu.Lock(); defer s.mu.Unlock(); s.lose = true }

func (s *HTTPS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	status, stalled, lose, pause := s.status, s.stalled, s.lose, s.pause
	s.asked = append(s.asked, r.URL.Path)
	s.mu.Unlock()
	if pause != nil {
		s.paused <- struct{}{}
		<-pause
	}
	user, password, _ := r.BasicAuth()
	switch {
	case stalled:
		select {
		case <-s.gone:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	case status == 0 && (user != "astern" || password != Canary):
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		status = http.StatusUnauthorized
	}
	if status != 0 {
		w.Header().Set("Location", "/elsewhere?token="+Canary)
		http.Error(w, "refused; the request was "+strings.Join(r.Header["Authorization"], " ")+" "+password, status)
		return
	}
	if lose && strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
		s.backend.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	s.backend.ServeHTTP(w, r)
}
