package message

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
)

// Error is a telling that was not proven and may be tried again. The engine finds RetryAfter with errors.As.
type Error struct {
	// What completes "cannot …", Reason says why.
	What, Reason string
	// Unknown says that the telling may have arrived all the same.
	Unknown bool
	// After is how long the provider asked to be left alone; 0 when it did not say.
	After time.Duration
	Cause error
}

func (e *Error) Error() string {
	text := fmt.Sprintf("cannot %s: %s", e.What, e.Reason)
	if e.Unknown {
		text += "; it may have arrived"
	}
	return text
}

func (e *Error) Unwrap() error { return e.Cause }

// RetryAfter is how long the provider asked to be left alone; 0 when it did not say.
func (e *Error) RetryAfter() time.Duration { return e.After }

// Exchange makes one call, once, and reads its answer, whatever its status. Without a whole answer it gives an *Error,
// which tells whether anything can have left, or a permanent error when the configuration forbids the call.
func Exchange(ctx context.Context, through *client.HTTP, what string, r client.Request) (client.Answer, error) {
	answer, err := through.Exchange(ctx, r)
	switch {
	case err == nil:
		return answer, nil
	case actions.IsPermanent(err) && !errors.Is(err, client.ErrTooLong):
		return answer, actions.Permanent(fmt.Errorf("cannot %s: %w", what, err))
	}
	return answer, &Error{What: what, Reason: err.Error(), Unknown: client.Sent(err), Cause: err}
}

// Judge reads the status of an answer: nil for 2xx; a permanent error for a refusal that would come again; else an *Error.
// Detail is what the provider said, already freed of secrets; it may be empty.
func Judge(what string, a client.Answer, detail string) error {
	if a.Status/100 == 2 {
		return nil
	}
	said := fmt.Sprintf("answered %d", a.Status)
	if detail = Clean(detail, lineLimit); detail != "" {
		said += ", " + detail
	}
	switch {
	case a.Status == http.StatusTooManyRequests:
		return &Error{What: what, Reason: said, After: RetryAfter(a)}
	case a.Status >= 500, client.Temporary(a.Status):
		return &Error{What: what, Reason: said, Unknown: true, After: RetryAfter(a)}
	}
	return actions.Permanent(fmt.Errorf("cannot %s: %s", what, said))
}

// RetryAfter reads the header of the same name: seconds, or a date held against the answer's own.
func RetryAfter(a client.Answer) time.Duration {
	value := a.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	sent, err := http.ParseTime(a.Header.Get("Date"))
	if err != nil {
		return 0
	}
	return max(0, until.Sub(sent))
}
