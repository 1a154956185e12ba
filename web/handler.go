package web

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"go.uber.org/zap"
)

// Handler is the whole server as a handler: one straight line for every request.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.handle) }

func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	rec := &recorder{ResponseWriter: w}
	began := s.now()
	s.metrics.inFlight.Inc()
	name := "none"
	defer func() {
		s.recovered(rec, recover(), name)
		s.metrics.inFlight.Dec()
		s.metrics.observe(name, methodLabel(r.Method), rec.status, s.now().Sub(began))
		s.logged(r, rec, name)
	}()
	harden(rec.Header())
	found, params, allowed := s.router.find(r.Method, r.URL)
	switch {
	case found != nil:
		name = found.path
		s.admit(rec, r, found, params)
	case len(allowed) > 0:
		rec.Header().Set("Allow", strings.Join(allowed, ", "))
		refuse(rec, problem(http.StatusMethodNotAllowed, "method_not_allowed", "use "+strings.Join(allowed, " or "), "%s is not for this path", quote(r.Method)))
	default:
		refuse(rec, problem(http.StatusNotFound, "not_found", "the paths are in /api/v1/openapi.json", "there is no such path"))
	}
}

// admit asks who it is and whether they may, before anything of the body is read.
func (s *Server) admit(w *recorder, r *http.Request, to *route, params map[string]string) {
	who, refusal := s.authorise(r, to.role)
	if refusal != nil {
		if to.role == Sender {
			s.metrics.deliveries.WithLabelValues(who.name, refusal.Code).Inc()
		}
		if refusal.status == http.StatusUnauthorized {
			w.Header()["Www-Authenticate"] = challenges(to.role)
		}
		w.err = refusal
		refuse(w, refusal)
		return
	}
	if to.role != Sender && to.role != Public {
		if err := s.origin.Check(r); err != nil {
			refuse(w, problem(http.StatusForbidden, "cross_origin", "", "the request comes from another site's page"))
			return
		}
	}
	query, err := r.URL.Query(), error(nil)
	if to.query != nil || to.out != nil && to.role != Sender {
		query, err = queryOf(r, to.query)
	}
	if err != nil {
		fail(w, err)
		return
	}
	to.serve(w, r, call{who: who, params: params, query: query})
}

func (s *Server) authorise(r *http.Request, need Role) (identity, *httpError) {
	if need == Public {
		return identity{}, nil
	}
	all := s.access.Load()
	who, err := all.identify(r)
	if need == Sender && all.anonymous && errors.Is(err, errUnauthenticated) && len(r.Header.Values("Authorization")) == 0 {
		return identity{anonymousSource, Sender}, nil
	}
	switch {
	case errors.Is(err, errUnauthenticated):
		return identity{}, problem(http.StatusUnauthorized, "unauthenticated", hintFor(need), "%s", err)
	case err != nil:
		s.log.Error("a secret cannot be read", zap.Error(err))
		return identity{}, unavailable("credentials cannot be checked now")
	case !need.Allows(who.role):
		return who, problem(http.StatusForbidden, "forbidden", "", "%s has role %s; this needs %s", who.name, who.role, need)
	}
	return who, nil
}

func hintFor(need Role) string {
	if need == Sender {
		return "send the basic, bearer or client certificate credentials of one of `senders` in astern.yaml"
	}
	return "send `Authorization: Bearer` with the token of one of `people` in astern.yaml"
}

func challenges(need Role) []string {
	if need == Sender {
		return []string{`Basic realm="astern", charset="UTF-8"`, `Bearer realm="astern"`}
	}
	return []string{`Bearer realm="astern"`}
}

// refuse answers without the body: the connection ends instead of reading what nobody wants.
func refuse(w http.ResponseWriter, p *httpError) {
	w.Header().Set("Connection", "close")
	writeProblem(w, p)
}

// harden sets what every answer carries.
func harden(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// recovered turns a panic of one request into its 500: the process goes on.
func (s *Server) recovered(w *recorder, panicked any, route string) {
	if panicked == nil {
		return
	}
	s.metrics.panics.Inc()
	s.log.Error("a request panicked", zap.String("route", route), zap.String("panic", fmt.Sprint(panicked)), zap.ByteString("stack", debug.Stack()))
	if w.status == 0 {
		refuse(w, problem(http.StatusInternalServerError, "internal", "the server's log says more", "something went wrong here"))
	}
}

func (s *Server) logged(r *http.Request, w *recorder, route string) {
	fields := []zap.Field{zap.String("method", methodLabel(r.Method)), zap.String("route", route), zap.Int("status", w.status),
		zap.Int64("bytes", w.written), zap.String("remote", r.RemoteAddr), zap.Error(w.err)}
	switch {
	case w.status >= http.StatusInternalServerError:
		s.log.Error("request failed", fields...)
	case w.status == http.StatusUnauthorized, w.status == http.StatusForbidden:
		s.log.Warn("request refused", fields...)
	default:
		s.log.Debug("request", fields...)
	}
}

// methodLabel keeps a stranger's words out of logs and metrics.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions:
		return method
	}
	return "other"
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status  int
	written int64
	err     error
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
