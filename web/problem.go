package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// httpError is an error that knows its answer.
type httpError struct {
	status int
	Problem
}

func (e *httpError) Error() string { return e.Message }

func problem(status int, code, hint, format string, args ...any) *httpError {
	return &httpError{status, Problem{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint}}
}

// unavailable is the answer to everything temporary. Alertmanager comes again within the same flush after a 503, and
// after no 4xx.
func unavailable(format string, args ...any) *httpError {
	return problem(http.StatusServiceUnavailable, "unavailable", "nothing was stored; try again", format, args...)
}

// problemOf maps what went wrong to its answer. What it does not know is internal: its text stays in the log.
func problemOf(err error) *httpError {
	var known *httpError
	var malformed *Malformed
	var refused *engine.RefusedError
	var stale *engine.StaleError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &malformed):
		p := problem(malformed.Status, codeOf(malformed.Status), malformed.Hint, "%s", malformed.Error())
		p.Field = malformed.Field
		return p
	case errors.As(err, &refused):
		return problem(http.StatusUnprocessableEntity, "refused", "", "%s", refused.Reason)
	case errors.As(err, &stale):
		return problem(http.StatusConflict, "conflict", "look again and decide on what is so now", "%s", stale.Reason)
	case errors.Is(err, engine.ErrNotFound):
		return problem(http.StatusNotFound, "not_found", "`astern incidents`, `astern targets` and `astern rules` list what there is", "%s", err)
	case errors.Is(err, engine.ErrDraining), errors.Is(err, incident.ErrUnavailable), errors.Is(err, incident.ErrConflict):
		return unavailable("%s", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return unavailable("it took too long")
	}
	return problem(http.StatusInternalServerError, "internal", "the server's log says more", "something went wrong here")
}

func codeOf(status int) string {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return "too_large"
	case http.StatusUnsupportedMediaType:
		return "unsupported_media_type"
	}
	return "malformed"
}

// writeProblem answers with the one shape of every error.
func writeProblem(w http.ResponseWriter, p *httpError) {
	if p.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, p.status, ErrorAnswer{p.Problem})
}

// writeJSON renders to a buffer first: an answer is whole or an error, never half.
func writeJSON(w http.ResponseWriter, status int, answer any) {
	var page bytes.Buffer
	if err := json.NewEncoder(&page).Encode(answer); err != nil {
		panic(fmt.Errorf("encode %T: %w", answer, err)) // the one recover of each request answers 500 and logs it
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // a caller that went away is no fault of ours
}
