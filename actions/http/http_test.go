package http_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/common/config"
	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/actiontest"
	"astern.dev/astern/actions/client"
	astern "astern.dev/astern/actions/http"
)

func newRequest() actions.Action { return &astern.Request{} }
func newSmoke() actions.Action   { return &astern.Smoke{} }

// world gives a service whose address the parameters of a case name as http://service.test:1.
func world(t *testing.T) *actiontest.World {
	server := actiontest.NewServer(t)
	server.Put("/healthz", "ready")
	server.Put("/old", "something")
	w := server.World(t)
	w.Connections["http"] = rerouted(t, server)
	return w
}

// rerouted is a client for which the name in the cases leads to the server.
func rerouted(t *testing.T, server *actiontest.Server) *client.HTTP {
	t.Helper()
	dial := client.NewDialer(actiontest.Loopback)
	h, err := client.NewHTTP(client.HTTPConfig{Client: bearer(actiontest.Canary)}, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dial(ctx, network, server.Listener.Addr().String())
	})
	require.NoError(t, err)
	t.Cleanup(h.Close)
	return h
}

func bearer(token string) config.HTTPClientConfig {
	return config.HTTPClientConfig{Authorization: &config.Authorization{Type: "Bearer", Credentials: config.Secret(token)}}
}

var (
	always = []int{301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 409, 410, 413, 422, 501, 505}
	passes = []int{408, 425, 429, 500, 502, 503, 504}
)

func TestRequest(t *testing.T) {
	actiontest.Run(t, newRequest,
		actiontest.Case{Name: "get", World: world, Temporary: passes, Permanent: always,
			YAML: `{url: "http://service.test:1/healthz"}`},
		actiontest.Case{Name: "put", World: world, Temporary: passes, Permanent: always,
			YAML: `{method: PUT, url: "http://service.test:1/weights", body: {blue: 100, green: 0}, headers: {X-Reason: rollback}}`},
		actiontest.Case{Name: "delete", World: world, Temporary: passes, Permanent: always,
			YAML: `{method: DELETE, url: "http://service.test:1/old"}`},
		actiontest.Case{Name: "post with a key", World: world, Temporary: passes, Permanent: always,
			YAML: `{method: POST, url: "http://service.test:1/switch", body: now, idempotency_key: true, status: [201]}`},
	)
}

func TestSmoke(t *testing.T) {
	// A service that is getting ready may answer anything: only the step's retry bounds how often it is asked.
	actiontest.Run(t, newSmoke, actiontest.Case{Name: "healthy", World: func(t *testing.T) *actiontest.World {
		w := world(t)
		w.Status = nil
		return w
	}, YAML: `{base: "http://service.test:1", checks: [{path: /healthz, status: 200, contains: ready, within: 20s}]}`})
}

func run(t *testing.T, newAction func() actions.Action, parameters string, env actions.Env) (actions.Result, error) {
	t.Helper()
	action, err := actiontest.Decode(newAction, parameters)
	require.NoError(t, err)
	return action.Run(t.Context(), env)
}

func TestPostInDoubtIsNotRepeated(t *testing.T) {
	server := actiontest.NewServer(t)
	env := actiontest.Env(server.World(t))
	parameters := fmt.Sprintf(`{method: POST, url: "%s/switch"}`, server.URL)
	for _, status := range []int{500, 502, 504} {
		server.SetStatus(status)
		_, err := run(t, newRequest, parameters, env)
		require.True(t, actions.IsDoubtful(err), "%d: %v", status, err)
		require.ErrorContains(t, err, "may have had its effect")
	}
	for _, status := range []int{408, 425, 429, 503} {
		server.SetStatus(status)
		_, err := run(t, newRequest, parameters, env)
		require.Error(t, err)
		require.False(t, actions.IsPermanent(err) || actions.IsDoubtful(err), "%d says that nothing was done: %v", status, err)
	}
	server.SetStatus(0)
	server.Cut()
	_, err := run(t, newRequest, parameters, env)
	require.True(t, actions.IsDoubtful(err))
	require.Equal(t, 1, server.Changes("/switch"))
	server.Close()
	_, err = run(t, newRequest, parameters, env)
	require.Error(t, err)
	require.False(t, actions.IsDoubtful(err), "nothing was sent: %v", err)
}

func TestPostInDoubtIsSettledByVerify(t *testing.T) {
	server := actiontest.NewServer(t)
	env := actiontest.Env(server.World(t))
	parameters := fmt.Sprintf(`{method: POST, url: "%[1]s/switch", body: blue, verify: {url: "%[1]s/switch", contains: blue}}`, server.URL)
	server.SetStatus(0)
	action, err := actiontest.Decode(newRequest, parameters)
	require.NoError(t, err)
	require.ErrorIs(t, action.(actions.Verifier).Verify(t.Context(), env), actions.ErrNotDone)
	_, err = action.Run(t.Context(), env)
	require.NoError(t, err)
	fresh, err := actiontest.Decode(newRequest, parameters)
	require.NoError(t, err)
	require.NoError(t, fresh.(actions.Verifier).Verify(t.Context(), env))
	server.Put("/switch", "green")
	require.ErrorIs(t, fresh.(actions.Verifier).Verify(t.Context(), env), actions.ErrNotDone)
	server.SetStatus(503)
	err = fresh.(actions.Verifier).Verify(t.Context(), env)
	require.Error(t, err)
	require.NotErrorIs(t, err, actions.ErrNotDone, "a service that is away cannot tell")
}

// halfDone loses the answer of every POST and answers everything else.
func halfDone(t *testing.T, happens bool) *httptest.Server {
	done := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			done = happens
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintf(w, "done: %t", done)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestPostWithoutAnswerAsksVerifyAtOnce(t *testing.T) {
	for _, happens := range []bool{true, false} {
		server := halfDone(t, happens)
		env := actiontest.Env(&actiontest.World{Connections: map[string]any{"http": actiontest.Client(t)}})
		_, err := run(t, newRequest, fmt.Sprintf(`{method: POST, url: "%[1]s", verify: {url: "%[1]s", contains: "done: true"}}`, server.URL), env)
		if happens {
			require.NoError(t, err)
			continue
		}
		require.Error(t, err)
		require.False(t, actions.IsDoubtful(err), "it certainly did not happen: %v", err)
	}
}

func TestFurtherAttemptAsksVerifyFirst(t *testing.T) {
	server := actiontest.NewServer(t)
	env := actiontest.Env(server.World(t))
	parameters := fmt.Sprintf(`{method: POST, url: "%[1]s/switch", body: blue, verify: {url: "%[1]s/switch", contains: blue}}`, server.URL)
	for env.Attempt = 1; env.Attempt <= 3; env.Attempt++ {
		_, err := run(t, newRequest, parameters, env)
		require.NoError(t, err)
	}
	require.Equal(t, 1, server.Changes("/switch"))
}

func TestWithoutVerifyOnlyWhatConvergesMayRunAgain(t *testing.T) {
	env := actiontest.Env(&actiontest.World{})
	again := []string{`{url: "http://a/"}`, `{method: PUT, url: "http://a/"}`, `{method: DELETE, url: "http://a/"}`,
		`{method: POST, url: "http://a/", idempotency_key: true}`, `{method: POST, url: "http://a/", reads: true}`}
	for _, parameters := range again {
		action, err := actiontest.Decode(newRequest, parameters)
		require.NoError(t, err)
		require.ErrorIs(t, action.(actions.Verifier).Verify(t.Context(), env), actions.ErrNotDone, parameters)
	}
	for _, parameters := range []string{`{method: POST, url: "http://a/"}`, `{method: PATCH, url: "http://a/"}`} {
		action, err := actiontest.Decode(newRequest, parameters)
		require.NoError(t, err)
		err = action.(actions.Verifier).Verify(t.Context(), env)
		require.Error(t, err)
		require.NotErrorIs(t, err, actions.ErrNotDone, parameters)
	}
}

func TestIdempotencyKeyIsSentOnlyWhenSaid(t *testing.T) {
	var keys []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { keys = append(keys, r.Header.Get("Idempotency-Key")) }))
	t.Cleanup(server.Close)
	env := actiontest.Env(&actiontest.World{Connections: map[string]any{"http": actiontest.Client(t)}})
	for _, parameters := range []string{`method: POST`, `{method: POST, idempotency_key: true}`, `{method: GET, idempotency_key: true}`} {
		action, err := actiontest.Decode(newRequest, parameters)
		require.NoError(t, err)
		action.(*astern.Request).URL = actions.URL(server.URL)
		_, err = action.Run(t.Context(), env)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"", env.Key, ""}, keys)
}

func TestChanges(t *testing.T) {
	for parameters, changes := range map[string]bool{
		`{url: "http://a/"}`:                               false,
		`{method: HEAD, url: "http://a/"}`:                 false,
		`{method: POST, url: "http://a/"}`:                 true,
		`{method: POST, url: "http://a/", reads: true}`:    false,
		`{method: DELETE, url: "http://a/?token=verysec"}`: true,
	} {
		action, err := actiontest.Decode(newRequest, parameters)
		require.NoError(t, err)
		change, err := action.Plan(t.Context(), actions.Env{})
		require.NoError(t, err)
		require.Equal(t, changes, change.Changes, parameters)
		require.NotContains(t, change.Summary, "verysec")
	}
}

func TestRequestIsRefused(t *testing.T) {
	for parameters, message := range map[string]string{
		`{url: "http://a/", method: BREW}`: "method",
		`{url: "ftp://a/"}`:                "url",
		`{url: "http://"}`:                 "url",
		`{url: "//a/"}`:                    "url",
		`{url: "http://me:secret@a/"}`:     "url",
		`{url: "http://a/", headers: {Authorization: Bearer x}}`:           "credentials belong",
		`{url: "http://a/", headers: {idempotency-key: x}}`:                "Idempotency-Key",
		`{url: "http://a/", headers: {"X Y": z}}`:                          "no name of a header",
		`{url: "http://a/", headers: {X-Y: "z\r\nEvil: 1"}}`:               "end a header",
		`{url: "http://a/", status: [700]}`:                                "status",
		`{url: "http://a/", verify: {url: ""}}`:                            "verify.url",
		`{method: POST, url: "http://a/", verify: {url: "gopher://a/"}}`:   "verify.url",
		`{url: "http://a/", verify: {url: "http://a/", status: 100}}`:      "verify.status",
		`{url: "http://a/#fragment"}`:                                      "url",
		`{url: "http://a/", headers: {Host: b}, body: {"a": "b"}}`:         "Host",
		`{url: "http://a/", method: "GET / HTTP/1.1\r\nEvil: 1\r\n\r\nX"}`: "method",
	} {
		action, err := actiontest.Decode(newRequest, parameters)
		require.NoError(t, err, parameters)
		require.ErrorContains(t, action.Validate(), message, parameters)
	}
}

func TestSmokeNamesEveryFailedCheck(t *testing.T) {
	server := actiontest.NewServer(t)
	server.Put("/healthz", "ready")
	server.Put("/a?b", "a question mark is a character")
	server.Put("/q?a=1", "a query is said as one")
	env := actiontest.Env(server.World(t))
	_, err := run(t, newSmoke, fmt.Sprintf(`{base: "%s/", checks: [{path: /healthz}, {path: /missing}, {path: /healthz, contains: gone}, {path: /q, query: {a: "1"}}, {path: "/a?b"}]}`, server.URL), env)
	require.ErrorContains(t, err, "3 of 5 checks failed")
	require.ErrorContains(t, err, "/missing: answered 404, not 200")
	require.ErrorContains(t, err, `/healthz: the answer does not contain "gone"`)
	require.ErrorContains(t, err, "/a?b: answered 404, not 200")
	require.False(t, actions.IsPermanent(err))
	did, err := run(t, newSmoke, fmt.Sprintf(`{base: "%s", checks: [{path: /missing, status: 404}]}`, server.URL), env)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(did.Summary, "1 of 1 passed"))
}

func TestSmokeBoundsTheAnswer(t *testing.T) {
	server := actiontest.NewServer(t)
	server.Stall()
	env := actiontest.Env(server.World(t))
	_, err := run(t, newSmoke, fmt.Sprintf(`{base: "%s", checks: [{path: /healthz, within: 20ms}]}`, server.URL), env)
	require.ErrorContains(t, err, "no answer in time")
}
