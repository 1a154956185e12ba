package cluster

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
)

const canary = "canary-7f3a9b21c4"

// server starts an HTTP server that answers as an API server would where a real one cannot be made to: it cuts, redirects,
// echoes. What a real one does is asked of a real one.
func server(t *testing.T, answer http.HandlerFunc) *Cluster {
	t.Helper()
	s := httptest.NewUnstartedServer(answer)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return open(t, Connection{Kubeconfig: kubeconfig(t, s.URL, string(ca))})
}

func open(t *testing.T, c Connection) *Cluster {
	t.Helper()
	require.NoError(t, c.Validate())
	opened, err := c.Open(client.NewDialer([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}))
	require.NoError(t, err)
	return opened.(*Cluster)
}

func kubeconfig(t *testing.T, url, ca string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(name, fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: here
contexts:
- {name: here, context: {cluster: here, user: me}}
- {name: away, context: {cluster: away, user: me}}
clusters:
- {name: here, cluster: {server: %q, certificate-authority-data: %q}}
- {name: away, cluster: {server: "http://192.0.2.1:1"}}
users:
- {name: me, user: {token: %s}}
`, url, base64.StdEncoding.EncodeToString([]byte(ca)), canary), 0o600))
	return name
}

// refuse answers with a Status object, as the API server does.
func refuse(w http.ResponseWriter, code int, reason, message, details string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":%q,"details":{%s}}`, code, reason, message, details)
}

func env(installation string, token int64, now time.Time) actions.Env {
	return actions.Env{Installation: installation, Token: token, Now: func() time.Time { return now }}
}

var api = Ref{"Deployment", "shop", "api"}
