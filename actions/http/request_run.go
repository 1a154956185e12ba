package http

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
)

// Run sends the request once. A further attempt asks verify first: an effect that is there is not made again.
func (r *Request) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	if err := r.Validate(); err != nil {
		return actions.Result{}, actions.Permanent(err)
	}
	h, err := through(env)
	if err != nil {
		return actions.Result{}, err
	}
	if env.Attempt > 1 && r.changes() && r.Verification != nil && r.ask(ctx, env) == nil {
		return actions.Result{Summary: r.what() + ": its effect was there already"}, nil
	}
	request, err := r.request(env)
	if err != nil {
		return actions.Result{}, actions.Permanent(err)
	}
	answer, err := h.Exchange(ctx, request)
	if err != nil {
		return actions.Result{}, r.unanswered(ctx, env, err)
	}
	body := h.Scrub(excerpt(answer.Body))
	did := actions.Result{Summary: fmt.Sprintf("%s: %d", r.what(), answer.Status), Output: body,
		Outputs: RequestOutputs{Status: answer.Status, Body: body}}
	if !r.expected(answer.Status, env.Attempt) {
		return did, r.judge(ctx, env, answer.Status)
	}
	r.succeeded = true
	return did, nil
}

// expected knows that a DELETE which is repeated finds nothing left.
func (r *Request) expected(status, attempt int) bool {
	if r.method() == http.MethodDelete && attempt > 1 && (status == http.StatusNotFound || status == http.StatusGone) {
		return true
	}
	if len(r.Status) == 0 {
		return status/100 == 2
	}
	return slices.Contains(r.Status, status)
}

// unanswered says what a request without an answer means.
func (r *Request) unanswered(ctx context.Context, env actions.Env, err error) error {
	if r.converges() || !client.Sent(err) {
		return fmt.Errorf("%s: %w", r.what(), err)
	}
	return r.doubt(ctx, env, err)
}

// judge says what an unexpected status means. 429, 503 and their like say that nothing was done; other 5xx of a request
// that must not be repeated leave a doubt; the rest would come again.
func (r *Request) judge(ctx context.Context, env actions.Env, status int) error {
	err := fmt.Errorf("%s: answered %d %s", r.what(), status, http.StatusText(status))
	notTaken := status < 500 || status == http.StatusServiceUnavailable
	switch {
	case status/100 == 3:
		return actions.Permanent(fmt.Errorf("%w; redirects are not followed: name the address itself", err))
	case !client.Temporary(status):
		return actions.Permanent(err)
	case r.converges() || notTaken:
		return err
	}
	return r.doubt(ctx, env, err)
}

// doubt is what is left when the request may have had its effect and must not be repeated blindly: verify is asked, else
// the engine is told that nobody knows.
func (r *Request) doubt(ctx context.Context, env actions.Env, err error) error {
	if r.Verification != nil {
		switch asked := r.ask(ctx, env); {
		case asked == nil:
			return nil
		case errors.Is(asked, actions.ErrNotDone):
			return err
		}
	}
	return actions.Doubtful(fmt.Errorf("%w; it may have had its effect", err))
}

// Verify asks the verify block. Without one, what may be sent again is "not done"; for the rest nobody can tell.
func (r *Request) Verify(ctx context.Context, env actions.Env) error {
	switch {
	case r.Verification != nil:
		return r.ask(ctx, env)
	case r.succeeded:
		return nil
	case r.converges():
		return actions.NotDone("%s may be sent again", r.what())
	}
	return fmt.Errorf("%s: whether it had its effect cannot be asked: the step has neither verify nor idempotency_key", r.what())
}

func (r *Request) ask(ctx context.Context, env actions.Env) error {
	h, err := through(env)
	if err != nil {
		return err
	}
	answer, err := h.Get(ctx, string(r.Verification.URL), nil)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if client.Temporary(answer.Status) && answer.Status != r.Verification.Status {
		return fmt.Errorf("verify: answered %d", answer.Status)
	}
	return r.Verification.holds(answer)
}

func (q *Question) holds(answer client.Answer) error {
	if answer.Status != q.Status && (q.Status != 0 || answer.Status/100 != 2) {
		return actions.NotDone("verify: answered %d", answer.Status)
	}
	if !strings.Contains(string(answer.Body), q.Contains) {
		return actions.NotDone("verify: the answer does not contain %q", q.Contains)
	}
	return nil
}

// excerpt is the beginning of an answer as text a terminal can show.
func excerpt(body []byte) string {
	if len(body) > maxOutput {
		body = body[:maxOutput]
	}
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (r < ' ' || r == 0x7f) || r == utf8.RuneError {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(string(body), "\uFFFD"))
}

func parseURL(address string) (*url.URL, error) {
	whole, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if whole.Scheme != "http" && whole.Scheme != "https" {
		return nil, errors.New("the scheme is neither http nor https")
	}
	return whole, nil
}
