package http_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/client"
	astern "astern.dev/astern/actions/http"
)

// seen is the one request that an action may make.
type seen struct {
	requests                    int
	method, host, path, a, body string
	query                       map[string][]string
	header                      http.Header
}

func observe(t *testing.T) (*httptest.Server, *seen) {
	s := &seen{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		*s = seen{s.requests + 1, r.Method, r.Host, r.URL.Path, r.Header.Get("X-A"), string(raw), r.URL.Query(), r.Header}
	}))
	t.Cleanup(server.Close)
	return server, s
}

// A hostile header value arrives as that header and nothing else, or is refused before anything is sent.
func TestHostileHeadersStayOneHeader(t *testing.T) {
	server, s := observe(t)
	env := actiontest.Env(&actiontest.World{Connections: map[string]any{"http": actiontest.Client(t)}})
	_, err := (&astern.Request{URL: actions.URL(server.URL), Headers: map[string]string{"X-A": "x"}}).Run(t.Context(), env)
	require.NoError(t, err)
	headers := len(s.header)
	for _, hostile := range actiontest.Hostile() {
		s.requests = 0
		action := &astern.Request{URL: actions.URL(server.URL), Headers: map[string]string{"X-A": hostile}}
		if _, err := action.Run(t.Context(), env); err != nil {
			require.Zero(t, s.requests, "%.60q", hostile)
			require.True(t, actions.IsPermanent(err), "%.60q: %v", hostile, err)
			continue
		}
		require.Equal(t, 1, s.requests)
		require.Equal(t, strings.Trim(hostile, " \t"), s.a)
		require.Len(t, s.header, headers, "%.60q brought another header", hostile)
		s.requests = 0
		_, err := (&astern.Request{URL: actions.URL(server.URL), Headers: map[string]string{hostile: "x"}}).Run(t.Context(), env)
		if err == nil {
			require.Len(t, s.header, headers, "%.60q", hostile)
		}
	}
}

// A hostile value in a structured body stays one JSON string.
func TestHostileBodiesStayOneValue(t *testing.T) {
	server, s := observe(t)
	env := actiontest.Env(&actiontest.World{Connections: map[string]any{"http": actiontest.Client(t)}})
	for _, hostile := range actiontest.Hostile() {
		action := &astern.Request{Method: "PUT", URL: actions.URL(server.URL), Body: map[string]any{"reason": hostile, "admin": false}}
		_, err := action.Run(t.Context(), env)
		require.NoError(t, err)
		var got map[string]any
		require.NoError(t, json.Unmarshal([]byte(s.body), &got), "%.60q", hostile)
		want := hostile
		if !utf8.ValidString(hostile) {
			want = got["reason"].(string) // JSON has no other text than UTF-8
		}
		require.Equal(t, map[string]any{"reason": want, "admin": false}, got)
	}
}

// A hostile path reaches the configured host under the configured prefix, literally, or nothing is sent.
func TestHostilePathsStayInTheirPlace(t *testing.T) {
	server, s := observe(t)
	env := actiontest.Env(&actiontest.World{Connections: map[string]any{"http": actiontest.Client(t)}})
	sent := 0
	for _, hostile := range actiontest.Hostile() {
		s.requests = 0
		smoke := &astern.Smoke{Base: actions.URL(server.URL + "/app"), Checks: []astern.Check{{Path: "/v/" + hostile, Query: map[string]string{"q": hostile}}}}
		if _, err := smoke.Run(t.Context(), env); err != nil {
			require.Zero(t, s.requests, "%.60q: %v", hostile, err)
			continue
		}
		sent++
		require.Equal(t, 1, s.requests)
		require.Equal(t, "/app/v/"+hostile, s.path)
		require.Equal(t, map[string][]string{"q": {hostile}}, s.query)
		require.Equal(t, strings.TrimPrefix(server.URL, "http://"), s.host)
	}
	require.Greater(t, sent, 150)
	for _, path := range []string{"", "x", "http://evil.test/", "/a/../b", "/..", "/./x", "\\evil"} {
		err := (&astern.Smoke{Base: "http://a", Checks: []astern.Check{{Path: path}}}).Validate()
		require.ErrorContains(t, err, "checks[0].path", path)
	}
}

// Whatever stands for the method or the address, it is refused before anything is sent, or it is this one request.
func TestHostileMethodsAndAddresses(t *testing.T) {
	server, s := observe(t)
	env := actiontest.Env(&actiontest.World{Connections: map[string]any{"http": actiontest.Client(t)}})
	for _, hostile := range actiontest.Hostile() {
		if hostile == "" {
			continue
		}
		_, err := (&astern.Request{Method: hostile, URL: actions.URL(server.URL)}).Run(t.Context(), env)
		require.ErrorContains(t, err, "method", "%.60q", hostile)
		_, err = (&astern.Request{URL: actions.URL(hostile)}).Run(t.Context(), env)
		require.True(t, actions.IsPermanent(err), "%.60q: %v", hostile, err)
		require.True(t, errors.Is(err, client.ErrEgress) || strings.Contains(err.Error(), "url: "), "%.60q: %v", hostile, err)
	}
	require.Zero(t, s.requests)
}
