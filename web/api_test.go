package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPersonsRequestIsReadStrictly(t *testing.T) {
	f := newFixture(t)
	const approve, reject, settle = "/api/v1/incidents/none/approve", "/api/v1/incidents/none/reject", "/api/v1/incidents/none/settle"
	const hold, release, judge = "/api/v1/targets/none/hold", "/api/v1/releases", "/api/v1/releases/judge"
	for _, c := range []struct{ name, path, body, field, says string }{
		{"unknown member", approve, `{"plan":"abcdef","force":true}`, "/force", "unknown member"},
		{"member in capitals", approve, `{"Plan":"abcdef"}`, "/Plan", "unknown member"},
		{"member twice", approve, `{"plan":"abcdef","plan":"abcdef"}`, "/plan", "twice"},
		{"wrong kind", approve, `{"plan":123456}`, "/plan", "must be a string, not a number"},
		{"not JSON", approve, `plan=abcdef`, "", "not JSON"},
		{"empty", approve, ` `, "", "not JSON"},
		{"two documents", approve, `{"plan":"abcdef"}{}`, "", "not JSON"},
		{"an array", approve, `[]`, "", "must be an object, not an array"},
		{"no plan", approve, `{}`, "/plan", "at least the first 6"},
		{"plan too short", approve, `{"plan":"abcde"}`, "/plan", "at least the first 6"},
		{"comment too long", approve, `{"plan":"abcdef","comment":"` + strings.Repeat("c", 4097) + `"}`, "/comment", "longer than 4096"},
		{"no reason", reject, `{}`, "/reason", "missing"},
		{"no reason", "/api/v1/incidents/none/abort", `{}`, "/reason", "missing"},
		{"no settlement", settle, `{"step":"s","reason":"r"}`, "/settlement", "neither"},
		{"no step", settle, `{"settlement":"done","reason":"r"}`, "/step", "missing"},
		{"no reason", settle, `{"settlement":"done","step":"s"}`, "/reason", "missing"},
		{"no target", "/api/v1/rollbacks", `{"reason":"r"}`, "/target", "missing"},
		{"no reason", "/api/v1/rollbacks", `{"target":"t"}`, "/reason", "missing"},
		{"plan too short", "/api/v1/rollbacks", `{"target":"t","reason":"r","plan":"abc"}`, "/plan", "at least the first 6"},
		{"no length", hold, `{"reason":"r"}`, "/for", "not a duration"},
		{"length not one", hold, `{"reason":"r","for":"soon"}`, "/for", "not a duration"},
		{"length negative", hold, `{"reason":"r","for":"-1h"}`, "/for", "not a duration"},
		{"no reason", hold, `{"for":"1h"}`, "/reason", "missing"},
		{"no target", release, `{"version":"v1"}`, "/target", "missing"},
		{"no version", release, `{"target":"t"}`, "/version", "missing"},
		{"time not one", release, `{"target":"t","version":"v1","at":"today"}`, "/at", "RFC 3339"},
		{"var not a string", release, `{"target":"t","version":"v1","vars":{"track":1}}`, "/vars/track", "must be a string"},
		{"verdict unknown", release, `{"target":"t","version":"v1","verdict":"fine"}`, "/verdict", "none of good"},
		{"no verdict", judge, `{"target":"t","version":"v1"}`, "/verdict", "none of good"},
		{"denied without a reason", judge, `{"target":"t","version":"v1","verdict":"denied"}`, "/reason", "missing"},
		{"scope unknown", "/api/v1/stop", `{"scope":"production","reason":"r"}`, "/scope", "none of all"},
		{"scope without a name", "/api/v1/stop", `{"scope":"team/","reason":"r"}`, "/scope", "none of all"},
		{"no reason", "/api/v1/stop", `{}`, "/reason", "missing"},
		{"scope unknown", "/api/v1/resume", `{"scope":"everything"}`, "/scope", "none of all"},
		{"no reason", "/api/v1/disarm", `{}`, "/reason", "missing"},
		{"no reason", "/api/v1/mass-event/release", `{}`, "/reason", "missing"},
		{"a body where none is known", "/-/reload", `{"force":true}`, "/force", "unknown member"},
	} {
		t.Run(c.path+" "+c.name, func(t *testing.T) {
			a := f.as(Admin, "POST", c.path, c.body)
			require.Equal(t, 400, a.StatusCode, string(a.body))
			p := a.problem(t)
			require.Equal(t, "malformed", p.Code)
			require.Equal(t, c.field, p.Field)
			require.Contains(t, p.Message, c.says)
		})
	}
}

func TestAPersonsRequestIsBounded(t *testing.T) {
	f := newFixture(t)
	long := `{"reason":"` + strings.Repeat("r", 1<<20) + `"}`
	for _, change := range []func(*http.Request){header_("X", "y"), func(r *http.Request) { r.ContentLength = -1 }} {
		require.Equal(t, 413, f.as(Admin, "POST", "/api/v1/arm", long, change).StatusCode)
	}
	require.Equal(t, 415, f.as(Admin, "POST", "/api/v1/arm", `{}`, header_("Content-Type", "text/plain")).StatusCode)
	require.Equal(t, 415, f.as(Admin, "POST", "/api/v1/arm", `{}`, header_("Content-Encoding", "gzip")).StatusCode)
}

func TestAQueryIsReadStrictly(t *testing.T) {
	f := newFixture(t)
	for path, says := range map[string]string{
		"/api/v1/incidents?opne=true":          `"opne" is not known here`,
		"/api/v1/incidents?open=true&open=no":  `"open" stands twice`,
		"/api/v1/incidents?open=maybe":         "neither true nor false",
		"/api/v1/incidents?limit=-1":           "not a whole number",
		"/api/v1/incidents?limit=100000000000": "not a whole number",
		"/api/v1/incidents?a=%zz":              "cannot be read",
		"/api/v1/incidents/none?wait=now":      "not a whole number",
		"/api/v1/deliveries?limit=x":           "not a whole number",
		"/api/v1/targets?target=x":             "is not known here",
	} {
		a := f.as(Viewer, "GET", path, "")
		require.Equal(t, 400, a.StatusCode, path)
		require.Contains(t, a.problem(t).Message, says)
	}
}

func TestThereIsOneShapeOfError(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/api/v1/nothing", 404, "not_found"},
		{"GET", "/api/v1/targets/..%2f..", 404, "not_found"},
		{"DELETE", "/api/v1/incidents/x", 405, "method_not_allowed"},
		{"POST", "/metrics", 405, "method_not_allowed"},
		{"GET", "/-/reload", 405, "method_not_allowed"},
	} {
		a := f.as(Admin, c.method, c.path, "")
		require.Equal(t, c.status, a.StatusCode, c.path)
		require.Equal(t, c.code, a.problem(t).Code)
		require.NotEmpty(t, a.problem(t).Hint)
	}
	require.Equal(t, "POST, PUT", f.as(Admin, "GET", "/-/reload", "").Header.Get("Allow"))
}

func TestTheFrontNamesTheWays(t *testing.T) {
	f := newFixture(t)
	a := f.send(f.request("GET", "/", ""))
	require.Equal(t, 200, a.StatusCode)
	require.Contains(t, string(a.body), "/api/v1/openapi.json")
	a = f.send(f.request("GET", "/metrics", ""))
	require.Equal(t, 200, a.StatusCode)
	require.Contains(t, string(a.body), `astern_http_request_duration_seconds_count{code="200",method="GET",route="/"} 1`)
}
