package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/config"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"astern.dev/astern/actions"
)

func newHTTP(t *testing.T, cfg HTTPConfig) *HTTP {
	t.Helper()
	h, err := NewHTTP(cfg, NewDialer(loopback))
	require.NoError(t, err)
	h.reads.RetryWaitMin, h.reads.RetryWaitMax = time.Millisecond, time.Millisecond
	t.Cleanup(h.Close)
	return h
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func TestRedirectsAreNeverFollowed(t *testing.T) {
	var elsewhere atomic.Int32
	target := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target.URL, http.StatusTemporaryRedirect)
	})
	h := newHTTP(t, HTTPConfig{Client: config.HTTPClientConfig{FollowRedirects: true}})
	answer, err := h.Get(t.Context(), server.URL, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusTemporaryRedirect, answer.Status)
	answer, err = h.Exchange(t.Context(), Request{Method: http.MethodPost, URL: server.URL, Body: []byte("x")})
	require.NoError(t, err)
	require.Equal(t, http.StatusTemporaryRedirect, answer.Status)
	require.Zero(t, elsewhere.Load())
}

func TestAnswersAreBounded(t *testing.T) {
	size := 0
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", size)) })
	h := newHTTP(t, HTTPConfig{MaxAnswer: 1000})
	for _, size = range []int{0, 999, 1000} {
		answer, err := h.Exchange(t.Context(), Request{URL: server.URL})
		require.NoError(t, err)
		require.Len(t, answer.Body, size)
	}
	for _, size = range []int{1001, 5000, 5 << 20} {
		_, err := h.Exchange(t.Context(), Request{URL: server.URL})
		require.ErrorIs(t, err, ErrTooLong)
		require.True(t, actions.IsPermanent(err))
		resp, err := h.Do(must(http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)))
		require.NoError(t, err)
		_, err = resp.Body.Read(make([]byte, 4096))
		for err == nil {
			_, err = resp.Body.Read(make([]byte, 4096))
		}
		require.ErrorIs(t, err, ErrTooLong)
		resp.Body.Close()
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestOnlyGetTriesAgain(t *testing.T) {
	var asked atomic.Int32
	status := 0
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); w.WriteHeader(status) })
	h := newHTTP(t, HTTPConfig{})
	for code, times := range map[int]int32{200: 1, 204: 1, 302: 1, 400: 1, 404: 1, 501: 1, 429: 3, 500: 3, 503: 3} {
		status = code
		asked.Store(0)
		answer, err := h.Get(t.Context(), server.URL, nil)
		require.NoError(t, err)
		require.Equal(t, code, answer.Status)
		require.Equal(t, times, asked.Load(), "GET %d", code)
		asked.Store(0)
		answer, err = h.Exchange(t.Context(), Request{Method: http.MethodPost, URL: server.URL})
		require.NoError(t, err)
		require.Equal(t, code, answer.Status)
		require.Equal(t, int32(1), asked.Load(), "POST %d", code)
	}
}

func TestGetTriesAgainAfterACut(t *testing.T) {
	var asked atomic.Int32
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			panic(http.ErrAbortHandler)
		}
	})
	_, err := newHTTP(t, HTTPConfig{}).Get(t.Context(), server.URL, nil)
	require.NoError(t, err)
	require.Equal(t, int32(3), asked.Load())
}

func TestTimeoutBoundsTheWholeExchange(t *testing.T) {
	quit := make(chan struct{})
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-quit:
		}
	})
	defer close(quit)
	h := newHTTP(t, HTTPConfig{Timeout: 20 * time.Millisecond})
	_, err := h.Get(t.Context(), server.URL, nil)
	require.ErrorContains(t, err, "no answer in time")
	_, err = h.Exchange(t.Context(), Request{URL: server.URL})
	require.ErrorContains(t, err, "no answer in time")
	require.True(t, Sent(err))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = h.Exchange(ctx, Request{URL: server.URL})
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, Sent(err))
}

// everySecret is a client with a secret in each place that http_config has for one.
func everySecret(t *testing.T) ([]string, []config.HTTPClientConfig) {
	dir := t.TempDir()
	var canaries []string
	canary := func(name string) string {
		canaries = append(canaries, "canary-"+name)
		return "canary-" + name
	}
	file := func(name string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(canary(name)+"\n"), 0o600))
		return path
	}
	proxy := config.URL{URL: must(http.NewRequest(http.MethodGet, "http://me:"+canary("proxy")+"@127.0.0.1:1", nil)).URL}
	return canaries, []config.HTTPClientConfig{
		{BasicAuth: &config.BasicAuth{Username: "me", Password: config.Secret(canary("password"))}},
		{BasicAuth: &config.BasicAuth{Username: "me", PasswordFile: file("password-file")}},
		{Authorization: &config.Authorization{Type: "Bearer", Credentials: config.Secret(canary("bearer"))}},
		{Authorization: &config.Authorization{Type: "Bearer", CredentialsFile: file("bearer-file")}},
		{BearerToken: config.Secret(canary("old-bearer"))}, {BearerTokenFile: file("old-bearer-file")},
		{HTTPHeaders: &config.Headers{Headers: map[string]config.Header{
			"X-A": {Secrets: []config.Secret{config.Secret(canary("header"))}}, "X-B": {Files: []string{file("header-file")}},
		}}},
		{OAuth2: &config.OAuth2{ClientID: "me", ClientSecret: config.Secret(canary("oauth")), TokenURL: "http://127.0.0.1:1/token"}},
		{OAuth2: &config.OAuth2{ClientID: "me", ClientSecretFile: file("oauth-file"), TokenURL: "http://127.0.0.1:1/token"}},
		{ProxyConfig: config.ProxyConfig{ProxyURL: proxy}},
	}
}

// A server that shows the whole request in its answer, one that is away, and an address that is a credential itself.
func TestNoSecretInErrors(t *testing.T) {
	echo := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"status":"error","errorType":"bad_data","error":"%v %s %s"}`, strings.ReplaceAll(fmt.Sprint(r.Header), `"`, ""), user, password)
	})
	_, configs := everySecret(t)
	for _, cfg := range configs {
		for _, address := range []string{echo.URL, "http://127.0.0.1:1"} {
			h := newHTTP(t, HTTPConfig{Client: cfg, Timeout: 2 * time.Second})
			root := must(ParseRoot(address))
			_, err := NewPrometheus(root, h).Query(t.Context(), "up", time.Unix(0, 0))
			require.Error(t, err)
			require.NotContains(t, err.Error(), "canary")
			require.NotContains(t, err.Error(), "bWU6Y2FuYXJ5", "nor its base64 form") // me:canary
			_, err = NewAlertmanager(root, h).Alerts(t.Context(), nil)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "canary")
			for _, err := range []error{err, errors.Unwrap(err)} {
				require.NotContains(t, fmt.Sprintf("%v", err), "canary")
			}
		}
	}
	_, err := newHTTP(t, HTTPConfig{Timeout: time.Second}).Exchange(t.Context(), Request{URL: "http://127.0.0.1:1/services/canary-path?token=canary-query"})
	require.ErrorContains(t, err, "GET http://127.0.0.1:1: ")
	require.NotContains(t, err.Error(), "canary")
	_, err = newHTTP(t, HTTPConfig{}).Exchange(t.Context(), Request{URL: "http://[canary"})
	require.NotContains(t, err.Error(), "canary")
	require.True(t, actions.IsPermanent(err))
}

func TestScrubKnowsEverySecret(t *testing.T) {
	canaries, configs := everySecret(t)
	text := strings.Join(canaries, " ")
	for _, cfg := range configs {
		text = newHTTP(t, HTTPConfig{Client: cfg}).Scrub(text)
	}
	require.NotContains(t, text, "canary")
}

func TestTemporary(t *testing.T) {
	for status, temporary := range map[int]bool{200: false, 301: false, 400: false, 401: false, 404: false, 408: true, 409: false,
		425: true, 429: true, 500: true, 501: false, 502: true, 503: true, 504: true, 505: false, 599: true} {
		require.Equal(t, temporary, Temporary(status), "%d", status)
	}
}

func TestConnectionsReadAsWritten(t *testing.T) {
	for _, family := range []actions.Family{PrometheusFamily, AlertmanagerFamily} {
		c := family.NewConnection()
		require.Error(t, c.Validate(), "a url is required")
		written := "url: http://server:9090/prefix/\ntimeout: 3s\nhttp_config:\n  authorization: {credentials_file: token}\n  tls_config: {ca_file: ca.pem}\n"
		require.NoError(t, yaml.Load([]byte(written), c, yaml.WithKnownFields()))
		require.NoError(t, c.Validate())
		c.(interface{ SetDirectory(string) }).SetDirectory("/etc/astern")
		raw, err := yaml.Dump(c)
		require.NoError(t, err)
		require.Contains(t, string(raw), "/etc/astern/token")
		require.Contains(t, string(raw), "/etc/astern/ca.pem")
		require.ErrorContains(t, yaml.Load([]byte(written+"tiemout: 1s"), family.NewConnection(), yaml.WithKnownFields()), "tiemout")
		require.ErrorContains(t, yaml.Load([]byte("url: http://s\nhttp_config: {basic_aut: {}}"), family.NewConnection(), yaml.WithKnownFields()), "basic_aut")
	}
	for _, address := range []string{"", "server:9090", "ftp://server", "http://", "http://me:secret@server", "http://server/?x=1", "http://server/#x", "http://ser ver"} {
		c := &PrometheusConnection{}
		c.URL = address
		err := c.Validate()
		require.Error(t, err, address)
		require.NotContains(t, err.Error(), "secret")
	}
}
