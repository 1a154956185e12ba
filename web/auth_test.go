package web

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/config"
)

func basic(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

func TestWhoMayKnock(t *testing.T) {
	f := newFixture(t)
	both := func(r *http.Request) {
		r.Header["Authorization"] = []string{"Bearer " + senderToken, "Bearer " + senderToken}
	}
	for _, c := range []struct {
		name   string
		with   func(*http.Request)
		status int
		source string
	}{
		{"bearer", bearer(senderToken), 200, "am-bearer"},
		{"bearer in small letters", header_("Authorization", "bearer "+senderToken), 200, "am-bearer"},
		{"basic", basic("alertmanager", senderPassword), 200, "am-basic"},
		{"nothing", header_("Authorization", ""), 401, ""},
		{"junk", header_("Authorization", "junk"), 401, ""},
		{"another scheme", header_("Authorization", "Digest "+senderToken), 401, ""},
		{"no token", header_("Authorization", "Bearer "), 401, ""},
		{"wrong token", bearer(senderToken + "x"), 401, ""},
		{"the beginning of a token", bearer(senderToken[:5]), 401, ""},
		{"twice", both, 401, ""},
		{"wrong password", basic("alertmanager", "x"), 401, ""},
		{"no password", basic("alertmanager", ""), 401, ""},
		{"wrong user", basic("Alertmanager", senderPassword), 401, ""},
		{"no user", basic("", senderPassword), 401, ""},
		{"the password as a token", bearer(senderPassword), 401, ""},
		{"the token as a password", basic("alertmanager", senderToken), 401, ""},
		{"not base64", header_("Authorization", "Basic %%%"), 401, ""},
		{"a person's token", bearer(tokenOf(Admin)), 403, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(f.handed())
			a := f.deliver(good, c.with)
			require.Equal(t, c.status, a.StatusCode, string(a.body))
			if c.source != "" {
				require.Equal(t, c.source, f.handed()[before].Source)
				return
			}
			require.Len(t, f.handed(), before)
			require.NotEmpty(t, a.problem(t).Code)
			if c.status == 401 {
				require.Len(t, a.Header.Values("WWW-Authenticate"), 2)
			}
		})
	}
}

func TestASecretIsReadAgainWhenItChanges(t *testing.T) {
	f := newFixture(t)
	require.Equal(t, 200, f.deliver(good).StatusCode)
	f.secret("sender-token", "canary-new-token")
	f.pass(secretFor)
	require.Equal(t, 401, f.deliver(good).StatusCode, "the old token has expired")
	require.Equal(t, 200, f.deliver(good, bearer("canary-new-token")).StatusCode)
}

func TestATokenThatBecameTwoCallersIsNobodys(t *testing.T) {
	f := newFixture(t)
	f.secret(string(Viewer), tokenOf(Admin))
	f.pass(secretFor)
	require.Equal(t, 401, f.as(Admin, "GET", "/api/v1/status", "").StatusCode)
	require.Equal(t, 200, f.as(Operator, "GET", "/api/v1/status", "").StatusCode)
}

func TestASecretThatCannotBeReadLetsNobodyInAndIsTemporary(t *testing.T) {
	f := newFixture(t)
	for _, broken := range []func(path string) error{os.Remove, func(path string) error { return os.WriteFile(path, []byte("\n"), 0o600) }} {
		path := filepath.Join(f.dir, "sender-token")
		require.NoError(t, broken(path))
		f.pass(secretFor)
		for _, token := range []string{senderToken, "junk"} {
			a := f.deliver(good, bearer(token))
			require.Equal(t, 503, a.StatusCode)
			require.NotContains(t, string(a.body), f.dir)
		}
		require.Equal(t, 401, f.deliver(good, bearer("")).StatusCode, "an empty token is nobody's")
		require.Equal(t, 200, f.deliver(good, basic("alertmanager", senderPassword)).StatusCode, "who can be told apart still is")
		f.secret("sender-token", senderToken)
		f.pass(secretFor)
		require.Equal(t, 200, f.deliver(good).StatusCode)
	}
	require.Empty(t, f.metric("astern_http_panics_total"))
}

func TestTheDoorMayBeOpenedToAll(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Anonymous = true })
	require.Equal(t, 200, f.deliver(good, header_("Authorization", "")).StatusCode)
	require.Equal(t, "anonymous", f.handed()[0].Source)
	require.Equal(t, 200, f.deliver(good).StatusCode)
	require.Equal(t, "am-bearer", f.handed()[1].Source, "who shows a credential is still known by it")
	require.Equal(t, 401, f.deliver(good, bearer("junk")).StatusCode, "a wrong credential is a mistake, not a wish to be nobody")
	require.Equal(t, 401, f.send(f.request("GET", "/api/v1/status", "")).StatusCode, "the API stays closed")
}

func TestNoStartWithoutAuthentication(t *testing.T) {
	one := config.Sender{Name: "am", BearerTokenFile: "token"}
	require.ErrorContains(t, CheckAuth(&config.Config{}, false), "nobody would have to authenticate")
	require.NoError(t, CheckAuth(&config.Config{}, true))
	require.NoError(t, CheckAuth(&config.Config{Senders: []config.Sender{one}}, false))
	require.ErrorContains(t, CheckAuth(&config.Config{Senders: []config.Sender{one, {Name: "open"}}}, false), "sender open has no credential")
	require.ErrorContains(t, CheckAuth(&config.Config{Senders: []config.Sender{{Name: "half", Username: "u"}}}, true), "no credential")
}

func TestCallersThatCannotBeToldApartAreRefused(t *testing.T) {
	f := newFixture(t)
	for says, change := range map[string]func(*config.Config){
		"sender am-bearer and person sre-viewer have the same token": func(c *config.Config) { c.People[0].TokenFile = c.Senders[0].BearerTokenFile },
		"person sre-viewer and person sre-admin have the same token": func(c *config.Config) { c.People[3].TokenFile = f.secret("copy", tokenOf(Viewer)) },
		"sender am-basic and sender other have the same username": func(c *config.Config) {
			c.Senders = append(c.Senders, config.Sender{Name: "other", Username: "alertmanager", PasswordFile: c.Senders[1].PasswordFile})
		},
		"person sre-viewer and person sre-viewer have the same name": func(c *config.Config) { c.People[1].Name = c.People[0].Name },
		"sender am-bearer: read a secret":                            func(c *config.Config) { c.Senders[0].BearerTokenFile = filepath.Join(f.dir, "none") },
		"person sre-viewer: read a secret from":                      func(c *config.Config) { c.People[0].TokenFile = f.secret("empty", " \n") },
		"nobody would have to authenticate":                          func(c *config.Config) { c.Senders = nil },
	} {
		c := f.config()
		change(c)
		require.ErrorContains(t, f.Configure(c), says)
	}
	require.Equal(t, 200, f.deliver(good).StatusCode, "the former configuration stays in force")
	c := f.config()
	c.Senders = c.Senders[1:]
	require.NoError(t, f.Configure(c))
	require.Equal(t, 401, f.deliver(good).StatusCode, "the new one is in force at once")
}

func TestEveryRouteAdmitsExactlyItsRoles(t *testing.T) {
	f := newFixture(t)
	f.secret("viewer", tokenOf("expired"))
	f.pass(secretFor)
	require.NotEqual(t, 401, f.as("expired", "GET", "/api/v1/targets/none", "").StatusCode)
	f.secret("viewer", tokenOf(Viewer))
	f.pass(secretFor)
	everyone := []Role{"none", "junk", "expired", Sender, Viewer, Operator, Approver, Admin}
	for _, r := range f.routes() {
		path := strings.NewReplacer("{id}", "none", "{name}", "none", "{target}", "none").Replace(r.path)
		for _, who := range everyone {
			t.Run(r.method+" "+r.path+" as "+string(who), func(t *testing.T) {
				// A body that no request takes: who is let in gets 400, and nothing happens.
				q := f.request(r.method, path, `{"canary":1}`)
				switch who {
				case "none":
				case "junk":
					bearer("junk")(q)
				case "expired":
					bearer(tokenOf("expired"))(q)
				case Sender:
					bearer(senderToken)(q)
				default:
					bearer(tokenOf(who))(q)
				}
				a := f.send(q)
				rank := map[Role]int{Viewer: 1, Operator: 2, Approver: 3, Admin: 4}
				known := rank[who] > 0 || who == Sender
				switch {
				case r.role == Public, r.role == Sender && who == Sender, rank[r.role] > 0 && rank[who] >= rank[r.role]:
					require.NotContains(t, []int{401, 403}, a.StatusCode, string(a.body))
				case known:
					require.Equal(t, 403, a.StatusCode)
					require.Equal(t, "forbidden", a.problem(t).Code)
				default:
					require.Equal(t, 401, a.StatusCode)
					require.Equal(t, "unauthenticated", a.problem(t).Code)
					require.NotEmpty(t, a.Header.Values("WWW-Authenticate"))
				}
				require.NotContains(t, string(a.body), "canary-")
			})
		}
	}
	require.Empty(t, f.handed())
}

func TestWhatChangesNeedsMoreThanAViewer(t *testing.T) {
	f := newFixture(t)
	for _, r := range f.routes() {
		if r.method != "GET" && r.role != Sender && !r.reads {
			require.False(t, r.role.Allows(Viewer), r.path)
			require.False(t, r.role.Allows(Sender), r.path)
			require.False(t, r.role.Allows(""), r.path)
		}
	}
}

func TestAnotherSitesPageChangesNothing(t *testing.T) {
	f := newFixture(t)
	for _, r := range f.routes() {
		if r.method == "GET" || r.role == Sender {
			continue
		}
		path := strings.NewReplacer("{id}", "none", "{name}", "none").Replace(r.path)
		a := f.as(Admin, r.method, path, `{}`, header_("Sec-Fetch-Site", "cross-site"))
		require.Equal(t, 403, a.StatusCode, r.path)
		require.Equal(t, "cross_origin", a.problem(t).Code)
		a = f.as(Admin, r.method, path, `{}`, header_("Origin", "https://elsewhere.example"))
		require.Equal(t, 403, a.StatusCode, r.path)
	}
}

func TestEveryAnswerIsHardened(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/", "/metrics", "/api/v1/openapi.json", "/api/v1/status", "/nothing", "/-/ready"} {
		a := f.send(f.request("GET", path, ""))
		require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"), path)
		require.Contains(t, a.Header.Get("Content-Security-Policy"), "default-src 'none'", path)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"), path)
	}
}

func TestAWebConfigurationThatWouldBreakTheDoorIsRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(content string) string {
		path := filepath.Join(dir, "web.yml")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	none := config.Config{}
	require.NoError(t, CheckWebConfig("", &none))
	require.NoError(t, CheckWebConfig(write("http_server_config: {http2: true}\n"), &none))
	require.ErrorContains(t, CheckWebConfig(write("basic_auth_users: {x: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}\n"), &none), "lock out")
	require.ErrorContains(t, CheckWebConfig(write("rate_limit: {burst: 1, interval: 1s}\n"), &none), "429")
	require.ErrorContains(t, CheckWebConfig(write("tls: {}\n"), &none), "web.yml")
	require.ErrorContains(t, CheckWebConfig(write("tls_server_config: {cert_file: none, key_file: none}\n"), &none), "web.yml")
	require.ErrorContains(t, CheckWebConfig(filepath.Join(dir, "none"), &none), "none")

	certified := config.Config{Senders: []config.Sender{{Name: "am-mtls", ClientCertificate: "am"}}}
	require.ErrorContains(t, CheckWebConfig("", &certified), "none is verified")
	newAuthority(t, dir, "ca")
	for kind, fine := range map[string]bool{"RequireAndVerifyClientCert": true, "VerifyClientCertIfGiven": true, "RequireAnyClientCert": false, "RequestClientCert": false} {
		err := CheckWebConfig(write("tls_server_config: {cert_file: ca.crt, key_file: ca.key, client_ca_file: ca.crt, client_auth_type: "+kind+"}\n"), &certified)
		if fine {
			require.NoError(t, err, kind)
		} else {
			require.ErrorContains(t, err, "none is verified", kind)
		}
	}

	f := newFixture(t)
	o := f.options
	o.WebConfigFile = write("basic_auth_users: {x: y}\n")
	require.ErrorContains(t, (&Server{options: o, now: time.Now}).Configure(f.config()), "lock out")
}

func TestServeFailsWhereItCannot(t *testing.T) {
	f := newFixture(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.ErrorContains(t, f.Serve(l), "serve 127.0.0.1")
	require.NoError(t, f.Shutdown(context.Background()))
}

func TestNoSecretLeaks(t *testing.T) {
	f := newFixture(t)
	f.deliver(good)
	f.deliver(good, basic("alertmanager", senderPassword))
	f.deliver("{", bearer(senderToken))
	f.deliver(good, bearer(tokenOf(Viewer)))
	f.deliver(good, bearer("canary-junk"))
	f.deliver(good, basic("alertmanager", "canary-junk"))
	var bodies strings.Builder
	for _, r := range f.routes() {
		path := strings.NewReplacer("{id}", "none", "{name}", "none", "{target}", "none").Replace(r.path)
		bodies.Write(f.as(Admin, r.method, path, `{"unknown":true}`).body)
	}
	require.NotEmpty(t, f.logs.String())
	require.NotContains(t, f.logs.String(), "canary")
	require.NotContains(t, bodies.String(), "canary")
}
