package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/prometheus/common/config"

	"astern.dev/astern/actions"
)

const (
	defaultTimeout   = 10 * time.Second
	defaultMaxAnswer = 1 << 20
	defaultTries     = 3 // of one reading, within its timeout
)

// HTTPConfig says how to talk to one server.
type HTTPConfig struct {
	// Client is `http_config` as in Prometheus. Its follow_redirects is not heeded: a redirect is never followed.
	Client config.HTTPClientConfig
	// Timeout bounds a whole exchange, its repeats included; 0 is 10 s.
	Timeout time.Duration
	// MaxAnswer bounds an answer's body in bytes; 0 is 1 MiB. A longer one is an error, never cut silently.
	MaxAnswer int64
	// Tries is how often a reading is tried within Timeout; 0 is 3.
	Tries int
}

// HTTP talks to servers under the egress rules. It follows no redirect, and no error of it holds a path, a query or a
// secret of its configuration. It is safe for concurrent use.
type HTTP struct {
	client  *http.Client
	reads   *retryablehttp.Client
	cfg     HTTPConfig
	secrets secrets
}

// NewHTTP makes a client; dial is usually NewDialer's.
func NewHTTP(cfg HTTPConfig, dial actions.Dial) (*HTTP, error) {
	cfg.Client.FollowRedirects = false
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.MaxAnswer == 0 {
		cfg.MaxAnswer = defaultMaxAnswer
	}
	if cfg.Tries == 0 {
		cfg.Tries = defaultTries
	}
	through, err := config.NewClientFromConfig(cfg.Client, "astern",
		config.WithDialContextFunc(config.DialContextFunc(dial)), config.WithUserAgent("astern"))
	if err != nil {
		return nil, fmt.Errorf("make http client: %w", err)
	}
	through.Timeout = cfg.Timeout
	h := &HTTP{client: through, cfg: cfg, secrets: secrets{cfg.Client}}
	h.reads = &retryablehttp.Client{HTTPClient: through, RetryWaitMin: 200 * time.Millisecond, RetryWaitMax: time.Second,
		RetryMax: cfg.Tries - 1, CheckRetry: h.readAgain, Backoff: retryablehttp.DefaultBackoff, ErrorHandler: retryablehttp.PassthroughErrorHandler}
	return h, nil
}

// Request is one request. Only URL is required; Method is GET without a word.
type Request struct {
	Method, URL string
	Header      http.Header
	Body        []byte
}

// Answer is a whole answer, whatever its status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Error is an exchange without a whole answer. It names the method and the server, no path.
type Error struct {
	What, Reason string
	// Sent says that the server may have got the request.
	Sent  bool
	Cause error
}

func (e *Error) Error() string { return e.What + ": " + e.Reason }

func (e *Error) Unwrap() error { return e.Cause }

// Sent says whether the request that gave this error may have reached its server.
func Sent(err error) bool {
	var failed *Error
	return !errors.As(err, &failed) || failed.Sent
}

// Do makes one exchange, once. The body of the answer ends with an error when it is longer than MaxAnswer.
func (h *HTTP) Do(req *http.Request) (*http.Response, error) {
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &bounded{ReadCloser: resp.Body, left: h.cfg.MaxAnswer}
	return resp, nil
}

// Exchange makes one exchange, once, and reads the whole answer. Errors are *Error.
func (h *HTTP) Exchange(ctx context.Context, r Request) (Answer, error) {
	return h.exchange(ctx, r, func(req *http.Request) (*http.Response, error) { return h.client.Do(req) })
}

// Get reads, and tries again what failed in passing, within the timeout. Only for what may be asked twice.
func (h *HTTP) Get(ctx context.Context, address string, header http.Header) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	return h.exchange(ctx, Request{URL: address, Header: header}, h.repeating)
}

// Read is Get for an answer that is taken in as it comes. What broke off in the middle is not tried again. An error of
// read that is not the exchange's own comes back as it is.
func (h *HTTP) Read(ctx context.Context, address string, read func(status int, body io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	return h.open(ctx, Request{URL: address}, h.repeating, func(resp *http.Response, body io.Reader) error {
		return read(resp.StatusCode, body)
	})
}

func (h *HTTP) repeating(req *http.Request) (*http.Response, error) {
	again, err := retryablehttp.FromRequest(req)
	if err != nil {
		return nil, err
	}
	return h.reads.Do(again)
}

func (h *HTTP) exchange(ctx context.Context, r Request, do func(*http.Request) (*http.Response, error)) (Answer, error) {
	var answer Answer
	err := h.open(ctx, r, do, func(resp *http.Response, body io.Reader) error {
		text, err := io.ReadAll(body)
		answer = Answer{resp.StatusCode, resp.Header, text}
		return err
	})
	if err != nil {
		return Answer{}, err
	}
	return answer, nil
}

// open makes an exchange and hands the bounded body of its answer over.
func (h *HTTP) open(ctx context.Context, r Request, do func(*http.Request) (*http.Response, error), take func(*http.Response, io.Reader) error) error {
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return actions.Permanent(&Error{What: "make request", Reason: "the address or the method is not usable", Cause: errAddress})
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	resp, err := do(req)
	if err != nil {
		return h.failed(req, err, sent.Load())
	}
	defer resp.Body.Close()
	body := &broken{Reader: &bounded{ReadCloser: resp.Body, left: h.cfg.MaxAnswer}}
	if err := take(resp, body); body.err == nil {
		return err
	}
	return h.failed(req, body.err, true)
}

// broken notes why a body could not be read to its end.
type broken struct {
	io.Reader
	err error
}

func (b *broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

var errAddress = errors.New("address not usable")

func (h *HTTP) failed(req *http.Request, err error, sent bool) error {
	var with *url.Error
	if errors.As(err, &with) {
		err = with.Err // the outer one prints the whole address, which may be a credential
	}
	failed := &Error{What: req.Method + " " + req.URL.Scheme + "://" + req.URL.Host, Reason: h.Scrub(reason(err)), Sent: sent, Cause: err}
	if hopeless(err) {
		return actions.Permanent(failed)
	}
	return failed
}

// Scrub replaces every secret of the client's configuration in a text by <secret>.
func (h *HTTP) Scrub(text string) string { return h.secrets.scrub(text) }

// Close ends idle connections.
func (h *HTTP) Close() { h.client.CloseIdleConnections() }

func reason(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "it was stopped"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	}
	return err.Error()
}

// hopeless errors come from configuration: trying again cannot mend them.
func hopeless(err error) bool {
	var certificate *tls.CertificateVerificationError
	return errors.Is(err, ErrEgress) || errors.Is(err, ErrTooLong) || errors.As(err, &certificate)
}

func (h *HTTP) readAgain(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		return !hopeless(err), nil
	}
	return Temporary(resp.StatusCode), nil
}

// Temporary says whether a status may be another one soon: 408, 425, 429 and the 5xx that do not speak of the request.
func Temporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	}
	return status >= 500
}

// ErrTooLong is wrapped when an answer is longer than the client takes.
var ErrTooLong = errors.New("the answer is too long")

type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, ErrTooLong
	}
	return n, err
}
