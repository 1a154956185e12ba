package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
)

var errEgress = client.ErrEgress

func refuseAll(context.Context, string, string) (net.Conn, error) {
	return nil, fmt.Errorf("%w: the test says so", errEgress)
}

func TestAConnectionHasOneIdentity(t *testing.T) {
	for yaml, why := range map[Connection]string{
		{}: "kubeconfig: is required", {Kubeconfig: "x", InCluster: true}: "name one of them",
		{InCluster: true, Context: "prod"}: "context: needs a kubeconfig", {InCluster: true, Impersonate: "a\r\nb"}: "impersonate",
		{InCluster: true, Timeout: -1}: "timeout",
	} {
		require.ErrorContains(t, yaml.Validate(), why)
	}
	c := Connection{Kubeconfig: "kube/prod"}
	c.SetDirectory("/etc/astern")
	require.Equal(t, "/etc/astern/kube/prod", c.Kubeconfig)
}

// Files are checked far from the cluster: nothing is read before the first request, and what is missing is said then.
func TestCredentialsAreReadAtTheFirstRequest(t *testing.T) {
	missing := open(t, Connection{Kubeconfig: filepath.Join(t.TempDir(), "none")})
	_, err := missing.Get(t.Context(), api)
	require.ErrorContains(t, err, "kubernetes credentials: stat")
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	outside := open(t, Connection{InCluster: true})
	_, err = outside.Get(t.Context(), api)
	require.ErrorContains(t, err, "does not run in a pod")
	named := open(t, Connection{Kubeconfig: kubeconfig(t, "https://127.0.0.1:1", ""), Context: "nowhere"})
	_, err = named.Get(t.Context(), api)
	require.ErrorContains(t, err, "nowhere")
}

// A kubeconfig that somebody replaces counts from the next request on.
func TestAKubeconfigIsReadAgainWhenItChanges(t *testing.T) {
	var seen atomic.Value
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Header.Get("Authorization"))
		refuse(w, 404, "NotFound", "not found", "")
	})
	_, err := s.Get(t.Context(), api)
	require.True(t, IsNotFound(err), err)
	require.Equal(t, "Bearer "+canary, seen.Load())
	before, err := os.ReadFile(s.connection.Kubeconfig)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(s.connection.Kubeconfig, []byte(strings.ReplaceAll(string(before), canary, "another-token-9")), 0o600))
	_, err = s.Get(t.Context(), api)
	require.True(t, IsNotFound(err), err)
	require.Equal(t, "Bearer another-token-9", seen.Load())
}

func TestImpersonation(t *testing.T) {
	var seen atomic.Value
	s := server(t, func(w http.ResponseWriter, r *http.Request) { seen.Store(r.Header.Get("Impersonate-User")) })
	s.connection.Impersonate = "system:serviceaccount:shop:astern"
	_, _ = s.Get(t.Context(), api)
	require.Equal(t, "system:serviceaccount:shop:astern", seen.Load())
}

func lists(kinds string) string {
	return `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"x","resources":[` + kinds + `]}`
}

// Kinds of extensions are learned from the server; one that is missed is asked for again, but not at every question.
func TestKindsAreLearned(t *testing.T) {
	var asked atomic.Int32
	var later, back atomic.Bool
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/apis":
			asked.Add(1)
			fmt.Fprint(w, `{"kind":"APIGroupList","apiVersion":"v1","groups":[
				{"name":"serving.knative.dev","versions":[{"groupVersion":"serving.knative.dev/v1","version":"v1"}],"preferredVersion":{"version":"v1"}},
				{"name":"argoproj.io","versions":[{"version":"v1"},{"version":"v1alpha1"}],"preferredVersion":{"version":"v1alpha1"}},
				{"name":"example.com","versions":[{"version":"v1"}],"preferredVersion":{"version":"v1"}},
				{"name":"metrics.k8s.io","versions":[{"version":"v1"}],"preferredVersion":{"version":"v1"}}]}`)
		case "/apis/serving.knative.dev/v1":
			fmt.Fprint(w, lists(`{"name":"services","kind":"Service","namespaced":true,"verbs":["get"]},{"name":"services/status","kind":"Service","namespaced":true,"verbs":["get"]}`))
		case "/apis/argoproj.io/v1alpha1":
			fmt.Fprint(w, lists(`{"name":"applications","kind":"Application","namespaced":true,"verbs":["get"]}`))
		case "/apis/argoproj.io/v1", "/apis/example.com/v1":
			more := ""
			if later.Load() {
				more = `{"name":"applications","kind":"Application","namespaced":true,"verbs":["get"]}`
			}
			fmt.Fprint(w, lists(more))
		case "/api/v1":
			fmt.Fprint(w, lists(`{"name":"services","kind":"Service","namespaced":true,"verbs":["get"]}`))
		default: // metrics.k8s.io: an aggregated API whose server may be away
			if back.Load() {
				fmt.Fprint(w, lists(`{"name":"nodes","kind":"NodeMetrics","namespaced":false,"verbs":["get"]}`))
				return
			}
			refuse(w, 503, "ServiceUnavailable", "away", "")
		}
	})
	now := time.Unix(0, 0)
	s.kinds.now = func() time.Time { return now }

	k, err := s.Kind(t.Context(), "Service")
	require.NoError(t, err)
	require.Equal(t, "", k.Group)
	require.Zero(t, asked.Load(), "what every cluster has needs no question")
	k, err = s.Kind(t.Context(), "Service.serving.knative.dev")
	require.NoError(t, err)
	require.Equal(t, Kind{"serving.knative.dev", "v1", "Service", "services", true, []string{"get"}}, k)
	k, err = s.Kind(t.Context(), "Application")
	require.NoError(t, err)
	require.Equal(t, "v1alpha1", k.Version)
	_, err = s.Kind(t.Context(), "NodeMetrics.metrics.k8s.io")
	require.ErrorContains(t, err, "whether the cluster serves NodeMetrics.metrics.k8s.io is not known: GET /apis/metrics.k8s.io/v1: the server is currently unable")
	require.NotErrorIs(t, err, ErrNoKind, "a group that could not be read may have the kind")
	require.False(t, actions.IsPermanent(err))
	back.Store(true)
	k, err = s.Kind(t.Context(), "NodeMetrics.metrics.k8s.io")
	require.NoError(t, err, "it is asked for again at once")
	require.Equal(t, "nodes", k.Resource)
	back.Store(false)
	require.EqualValues(t, 1, asked.Load())

	later.Store(true)
	_, err = s.Kind(t.Context(), "Application.example.com")
	require.ErrorIs(t, err, ErrNoKind)
	require.True(t, actions.IsPermanent(err))
	require.EqualValues(t, 1, asked.Load(), "asked a moment ago")
	now = now.Add(askAgain)
	k, err = s.Kind(t.Context(), "Application.example.com")
	require.NoError(t, err)
	require.Equal(t, "v1", k.Version)
	require.EqualValues(t, 2, asked.Load())
	_, err = s.Kind(t.Context(), "Application")
	require.ErrorContains(t, err, "write Application.argoproj.io")
}

func TestListsAreReadPageByPageAndBounded(t *testing.T) {
	endless := false
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		require.Empty(t, r.URL.Query().Get("resourceVersion"), "a quorum read")
		w.Header().Set("Content-Type", "application/json")
		items, more := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`, ""
		if endless {
			items += strings.Repeat(","+items, page-1)
		}
		if endless || r.URL.Query().Get("continue") == "" {
			more = "next"
		}
		fmt.Fprintf(w, `{"kind":"PodList","apiVersion":"v1","metadata":{"continue":%q},"items":[%s]}`, more, items)
	})
	pods, err := s.List(t.Context(), "Pod", "shop", "app=api")
	require.NoError(t, err)
	require.Len(t, pods, 2)
	endless = true
	_, err = s.List(t.Context(), "Pod", "shop", "")
	require.ErrorContains(t, err, "more than 20000 objects; narrow the selector")
	require.True(t, actions.IsPermanent(err))
}

func TestOfWantsACluster(t *testing.T) {
	_, err := Of(actions.Env{Connect: func(string, string) (any, error) { return "no cluster", nil }})
	require.True(t, actions.IsPermanent(err))
	_, err = Of(actions.Env{Connect: func(string, string) (any, error) { return nil, errors.New("none is configured") }})
	require.EqualError(t, err, "none is configured")
	c := &Cluster{}
	got, err := Of(actions.Env{Connect: func(kind, name string) (any, error) { return c, nil }})
	require.NoError(t, err)
	require.Same(t, c, got)
}

func TestUntil(t *testing.T) {
	asked := 0
	require.NoError(t, Until(t.Context(), time.Nanosecond, func(context.Context) (bool, error) { asked++; return asked == 3, nil }))
	require.Equal(t, 3, asked)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, Until(ended, time.Hour, func(context.Context) (bool, error) { return false, nil }), context.Canceled)
}
