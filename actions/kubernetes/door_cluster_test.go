//go:build cluster

package kubernetes

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/clientcmd"

	"astern.dev/astern/tools/controlplane"
)

// door stands before a real API server and kills it when it has done the first write, before the answer goes on.
type door struct {
	kubeconfig string
	killed     atomic.Bool
}

func newDoor(t *testing.T, plane *controlplane.ControlPlane) *door {
	t.Helper()
	d := &door{}
	to, err := url.Parse(plane.URL)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.Method == http.MethodPatch && !strings.Contains(r.Request.URL.RawQuery, "dryRun") && d.killed.CompareAndSwap(false, true) {
			plane.KillAPIServer()
			panic(http.ErrAbortHandler)
		}
		return nil
	}
	server := httptest.NewTLSServer(proxy)
	t.Cleanup(server.Close)
	config, err := clientcmd.LoadFromFile(plane.Kubeconfig)
	require.NoError(t, err)
	var token string
	for _, user := range config.AuthInfos {
		token = user.Token
	}
	d.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	text := strings.NewReplacer("URL", server.URL, "CA", base64.StdEncoding.EncodeToString(ca), "TOKEN", token).Replace(`apiVersion: v1
kind: Config
current-context: door
contexts: [{name: door, context: {cluster: door, user: door}}]
clusters: [{name: door, cluster: {server: "URL", certificate-authority-data: "CA"}}]
users: [{name: door, user: {token: "TOKEN"}}]
`)
	require.NoError(t, os.WriteFile(d.kubeconfig, []byte(text), 0o600))
	return d
}
