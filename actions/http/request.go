package http

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
)

const (
	maxOutput      = 4 << 10
	keyHeader      = "Idempotency-Key"
	requestExample = `- name: switch_traffic
  uses: http
  with:
    method: PUT
    url: "http://proxy.internal:8081/weights"
    body: {blue: 100, green: 0}
    verify:
      url: "http://proxy.internal:8081/weights"
      contains: '"blue":100'
`
)

var methods = []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// Request sends one HTTP request. A redirect is never followed and counts as an unexpected status.
//
// GET, HEAD and OPTIONS only look. PUT and DELETE converge: after a crash they may be sent again. A POST or PATCH may be
// sent again only with idempotency_key, or when verify says that its effect is not there; otherwise a person is asked.
type Request struct {
	// Method is GET without a word.
	Method string `yaml:"method,omitempty"`
	// URL is the whole address. Credentials belong in the connection's http_config.
	URL actions.URL `yaml:"url"`
	// Headers are sent as they stand. Credentials belong in the connection's http_config, where nobody reads them in a plan.
	Headers map[string]string `yaml:"headers,omitempty"`
	// Body is sent as it stands when it is text, and as JSON when it is anything else. What comes from an alert belongs in
	// the second form: there it stays one value whatever it holds.
	Body any `yaml:"body,omitempty"`
	// Status lists the statuses that mean success; any 2xx without a word.
	Status []int `yaml:"status,omitempty"`
	// IdempotencyKey sends the header Idempotency-Key, the same for every attempt of this step, with a method that changes
	// something: say so only when the server keeps to it.
	IdempotencyKey bool `yaml:"idempotency_key,omitempty"`
	// Reads says that the request changes nothing although its method could.
	Reads bool `yaml:"reads,omitempty"`
	// Verification asks afterwards, and after a crash, whether the effect is there.
	Verification *Question `yaml:"verify,omitempty"`

	succeeded bool // by this value, with nothing to ask about it
}

// Question is a GET that tells whether an effect is there.
type Question struct {
	// URL is asked by GET.
	URL actions.URL `yaml:"url"`
	// Status is the answer when the effect is there; any 2xx without a word.
	Status int `yaml:"status,omitempty"`
	// Contains is what the body of the answer holds then.
	Contains string `yaml:"contains,omitempty"`
}

// RequestOutputs is what later steps can read.
type RequestOutputs struct {
	// Status is the status of the answer.
	Status int `json:"status"`
	// Body is the beginning of the answer.
	Body string `json:"body"`
}

// Name is http.
func (r *Request) Name() string { return "http" }

// Outputs types steps.<name>.status and body.
func (r *Request) Outputs() any { return RequestOutputs{} }

// Validate checks the form of the request.
func (r *Request) Validate() error {
	failed := []error{checkURL("url", r.URL)}
	if !slices.Contains(methods, r.method()) {
		failed = append(failed, fmt.Errorf("method: %q is none of %s", r.Method, strings.Join(methods, ", ")))
	}
	for name, value := range r.Headers {
		failed = append(failed, checkHeader(name, value))
	}
	for _, status := range r.Status {
		failed = append(failed, checkStatus("status", status))
	}
	if _, _, err := r.body(); err != nil {
		failed = append(failed, fmt.Errorf("body: %w", err))
	}
	if q := r.Verification; q != nil {
		failed = append(failed, checkURL("verify.url", q.URL))
		if q.Status != 0 {
			failed = append(failed, checkStatus("verify.status", q.Status))
		}
	}
	return errors.Join(failed...)
}

func checkURL(what string, address actions.URL) error {
	if address == "" {
		return fmt.Errorf("%s: is required", what)
	}
	whole, err := parseURL(string(address))
	if err != nil || whole.Host == "" || whole.User != nil || whole.Fragment != "" {
		return fmt.Errorf("%s: must be http:// or https:// with a host, without credentials and fragment", what)
	}
	return nil
}

func checkStatus(what string, status int) error {
	if status < 200 || status > 599 {
		return fmt.Errorf("%s: %d is no final HTTP status", what, status)
	}
	return nil
}

// ownHeaders are set by the client or belong to the connection.
var ownHeaders = []string{"Authorization", "Proxy-Authorization", "Cookie", "Host", "Content-Length", "Transfer-Encoding", "Connection", keyHeader}

func checkHeader(name, value string) error {
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("headers: %q is no name of a header", name)
	case slices.Contains(ownHeaders, http.CanonicalHeaderKey(name)):
		return fmt.Errorf("headers: %s is not for a step to set; credentials belong in connections.http.<name>.http_config", http.CanonicalHeaderKey(name))
	case !httpguts.ValidHeaderFieldValue(value):
		return fmt.Errorf("headers: the value of %s holds characters that end a header", name)
	}
	return nil
}

func (r *Request) method() string { return cmp.Or(r.Method, http.MethodGet) }

// OnlyLooks is true for a method that reads, and for a request that says so by `reads`.
func (r *Request) OnlyLooks() bool { return !r.changes() }

// changes says whether the request may alter the world.
func (r *Request) changes() bool {
	looks := r.method() == http.MethodGet || r.method() == http.MethodHead || r.method() == http.MethodOptions
	return !r.Reads && !looks
}

// converges says whether sending it twice has the effect of once.
func (r *Request) converges() bool {
	return !r.changes() || r.IdempotencyKey || r.method() == http.MethodPut || r.method() == http.MethodDelete
}

// body is what is sent and its type.
func (r *Request) body() ([]byte, string, error) {
	switch body := r.Body.(type) {
	case nil:
		return nil, "", nil
	case string:
		return []byte(body), "text/plain; charset=utf-8", nil
	}
	raw, err := json.Marshal(r.Body)
	return raw, "application/json", err
}

// Plan asks nobody: what is sent is all there is to say.
func (r *Request) Plan(context.Context, actions.Env) (actions.Change, error) {
	if err := r.Validate(); err != nil {
		return actions.Change{}, actions.Permanent(err)
	}
	return actions.Change{Changes: r.changes(), Summary: r.what()}, nil
}

// what is the method and the address without its query.
func (r *Request) what() string {
	whole, err := parseURL(string(r.URL))
	if err != nil {
		return r.method()
	}
	whole.RawQuery = ""
	return r.method() + " " + whole.String()
}

func (r *Request) request(env actions.Env) (client.Request, error) {
	body, contentType, err := r.body()
	if err != nil {
		return client.Request{}, fmt.Errorf("body: %w", err)
	}
	header := http.Header{}
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	for name, value := range r.Headers {
		header.Set(name, value)
	}
	if r.IdempotencyKey && r.changes() {
		header.Set(keyHeader, env.Key)
	}
	return client.Request{Method: r.method(), URL: string(r.URL), Header: header, Body: body}, nil
}
