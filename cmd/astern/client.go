package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"astern.dev/astern/web"
)

const (
	// answerWithin bounds one request and its answer; the server's own bound is 45 s, and a long poll lasts 30 s.
	answerWithin = 50 * time.Second
	// answerLimit bounds an answer in bytes.
	answerLimit = 64 << 20
)

// apiClient asks one server as one person.
type apiClient struct {
	base  *url.URL
	token string
	http  *http.Client
}

// connect makes a client from the global flags; it does not touch the network.
func (a *app) connect() (*apiClient, error) {
	token, err := readToken(a.tokenFile)
	if err != nil {
		return nil, err
	}
	return a.client(token)
}

// client is for whoever shows this token; an empty one is for what is open to everybody.
func (a *app) client(token string) (*apiClient, error) {
	base, err := url.Parse(strings.TrimRight(a.server, "/"))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.User != nil || base.RawQuery != "" {
		return nil, usageHint("write it as http://HOST:PORT or https://HOST", "--server: %q is not the address of a server", a.server)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	transport.TLSHandshakeTimeout = 5 * time.Second
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &apiClient{base, token, &http.Client{Transport: transport, Timeout: answerWithin, CheckRedirect: stay}}, nil
}

func readToken(path string) (string, error) {
	if path == "" {
		return "", fail(exitNotAllowed, "name the file that holds your token with --token-file or ASTERN_TOKEN_FILE", "the server answers only people it knows")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", usage("read the token: %s", err)
	}
	token := strings.TrimSpace(string(raw))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", usageHint("the file must hold the token and nothing else", "%s holds no token", path)
	}
	return token, nil
}

// answer is what the server said: its bytes, for programs, and their meaning.
type answer[T any] struct {
	raw   []byte
	value T
}

// get reads one answer of the API. path is made of apiPath.
func get[T any](ctx context.Context, c *apiClient, path string, query url.Values) (answer[T], error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return exchange[T](ctx, c, http.MethodGet, path, nil)
}

// post tells the server a wish.
func post[T any](ctx context.Context, c *apiClient, path string, wish any) (answer[T], error) {
	body, err := json.Marshal(wish)
	if err != nil {
		return answer[T]{}, err
	}
	return exchange[T](ctx, c, http.MethodPost, path, body)
}

// apiPath is a path of the API; its parts are escaped.
func apiPath(parts ...string) string {
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return "/api/v1/" + strings.Join(parts, "/")
}

func exchange[T any](ctx context.Context, c *apiClient, method, path string, body []byte) (a answer[T], err error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return a, usage("ask %s: %s", c.base, err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("User-Agent", "astern/"+version())
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return a, c.unreachable(ctx, method, err)
	}
	defer response.Body.Close()
	a.raw, err = io.ReadAll(io.LimitReader(response.Body, answerLimit+1))
	switch {
	case err != nil:
		return a, c.unreachable(ctx, method, err)
	case len(a.raw) > answerLimit:
		return a, fail(exitUnreachable, "narrow the question", "the answer of %s is larger than %d MiB", c.base, answerLimit>>20)
	case response.StatusCode != http.StatusOK:
		return a, c.refusal(response, a.raw)
	}
	return a, c.read(a.raw, &a.value)
}

// read decodes an answer. Members that a newer server adds are no mistake.
func (c *apiClient) read(raw []byte, into any) error {
	var head web.Header
	if json.Unmarshal(raw, &head) != nil || head.APIVersion != web.APIVersion {
		return c.stranger()
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fail(exitUnreachable, "use an astern of the server's version", "the answer of %s cannot be read: %s", c.base, err)
	}
	return nil
}

func (c *apiClient) stranger() error {
	return fail(exitUnreachable, "--server or ASTERN_SERVER must name an astern server", "what answers at %s is not astern's API %s", c.base, web.APIVersion)
}

// unreachable says what a person can know when no answer came.
func (c *apiClient) unreachable(ctx context.Context, method string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var through *url.Error
	if errors.As(err, &through) {
		err = through.Err
	}
	var network *net.OpError
	mayHaveArrived := !errors.As(err, &network) || network.Op != "dial"
	if method != http.MethodGet && mayHaveArrived {
		return fail(exitUnreachable, "look what became of it before you try again: astern incidents", "no answer came from %s: %s", c.base, err)
	}
	return fail(exitUnreachable, "is `astern serve` running there? --server or ASTERN_SERVER says where to ask", "cannot reach %s: %s", c.base, err)
}

// refusal turns an answer that is not 200 into the exit code it means.
func (c *apiClient) refusal(response *http.Response, raw []byte) error {
	var problem web.ErrorAnswer
	if json.Unmarshal(raw, &problem) != nil || problem.Error.Message == "" {
		if response.StatusCode >= http.StatusInternalServerError {
			return fail(exitUnreachable, "try again", "%s answers %s", c.base, response.Status)
		}
		return c.stranger()
	}
	message := problem.Error.Message
	if field := problem.Error.Field; field != "" && !strings.HasPrefix(message, field) {
		message = fmt.Sprintf("%s: %s", problem.Error.Field, message)
	}
	return &failure{exitOf(response.StatusCode), message, hintOf(response.StatusCode, problem.Error.Hint)}
}

func exitOf(status int) int {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return exitNotAllowed
	case status == http.StatusConflict:
		return exitConflict
	case status == http.StatusNotFound, status == http.StatusUnprocessableEntity:
		return exitNo
	case status >= http.StatusInternalServerError:
		return exitUnreachable
	}
	return exitUsage
}

func hintOf(status int, said string) string {
	switch {
	case status == http.StatusUnauthorized:
		return "--token-file or ASTERN_TOKEN_FILE must hold the token of one of `people` in the server's astern.yaml"
	case status == http.StatusForbidden && said == "":
		return "someone with that role must do it, or an admin changes `people` in the server's astern.yaml"
	}
	return said
}
