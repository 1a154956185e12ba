// Package fault makes a double of a provider fail on demand, in the ways that real ones do. It stands around the double's
// handler, so that what was applied and what was answered can differ; tests and the demo use it through the doubles.
package fault

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Fault answers one request in place of the double; next is the double itself.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// DropBefore closes the connection; nothing was applied.
func DropBefore(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

// DropAfter applies the call and closes the connection without an answer.
func DropAfter(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// ErrorAfter applies the call and answers 500.
func ErrorAfter(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	http.Error(w, "internal error", http.StatusInternalServerError)
}

// ErrorBefore answers 500; nothing was applied.
func ErrorBefore(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	http.Error(w, "internal error", http.StatusInternalServerError)
}

// SlowAfter applies the call and gives no answer until the client has gone.
func SlowAfter(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	<-r.Context().Done()
}

// SlowBefore gives no answer until the client has gone; nothing was applied.
func SlowBefore(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	io.Copy(io.Discard, r.Body) //nolint:errcheck // only a body that was read shows that the client has gone
	<-r.Context().Done()
}

// TruncatedAfter applies the call and breaks off in the middle of the answer.
func TruncatedAfter(w http.ResponseWriter, r *http.Request, next http.Handler) {
	whole := httptest.NewRecorder()
	next.ServeHTTP(whole, r)
	w.Header().Set("Content-Length", strconv.Itoa(whole.Body.Len()))
	w.Header().Set("Content-Type", whole.Header().Get("Content-Type"))
	w.Write(whole.Body.Bytes()[:whole.Body.Len()/2]) //nolint:errcheck // the fault is a broken answer
	panic(http.ErrAbortHandler)
}

// HTMLPage is the 200 of a proxy that knows better; nothing was applied.
func HTMLPage(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "text/html")
	w.Write([]byte("<html><body>Please log in</body></html>")) //nolint:errcheck // a test server
}

// Busy answers 429; a wait of 0 leaves Retry-After out.
func Busy(wait time.Duration) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		if wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		w.Write([]byte(`{"ok":false,"error":"ratelimited","status":"throttled"}`)) //nolint:errcheck // a test server
	}
}

// Say gives an answer; nothing was applied.
func Say(status int, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		w.Write([]byte(body)) //nolint:errcheck // a test server
	}
}

// Each repeats a fault often enough for every call of a test.
func Each(f Fault) []Fault { return slices.Repeat([]Fault{f}, 64) }

// Plan says which calls fail and how. It is safe for concurrent use; its zero value lets every call through.
type Plan struct {
	mu   sync.Mutex
	next map[string][]Fault
}

// Add makes the next calls of the path fail, one fault each. A nil fault lets its call through.
func (p *Plan) Add(path string, faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == nil {
		p.next = map[string][]Fault{}
	}
	p.next[path] = append(p.next[path], faults...)
}

// Wrap puts the plan before a double.
func (p *Plan) Wrap(double http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := p.take(r.URL.Path); f != nil {
			f(w, r, double)
			return
		}
		double.ServeHTTP(w, r)
	})
}

func (p *Plan) take(path string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	queue := p.next[path]
	if len(queue) == 0 {
		return nil
	}
	p.next[path] = queue[1:]
	return queue[0]
}
