package cluster

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
)

func patchReplicas(ctx context.Context, c *Cluster, dry bool) error {
	_, err := c.MergePatch(ctx, api, map[string]any{"spec": map[string]any{"replicas": 0}}, PatchOptions{DryRun: dry})
	return err
}

// What each answer means to the engine: try again, never again, or nobody knows.
func TestWhatAnswersMean(t *testing.T) {
	for name, c := range map[string]struct {
		code                     int
		reason, message, details string
		json                     bool
		is                       error
		permanent, doubtful      bool
		says                     string
	}{
		"stale":                {409, "Conflict", "the object has been modified", "", false, ErrMoved, false, false, "patch Deployment shop/api"},
		"failed test":          {422, "Invalid", "the server rejected our request due to an error in our request", "", true, ErrMoved, false, false, "no longer as it was read"},
		"refused object":       {422, "Invalid", "spec.replicas: Invalid value", `"causes":[{"field":"spec.replicas"}]`, true, ErrInvalid, true, false, "spec.replicas"},
		"refused by a webhook": {422, "Invalid", "admission webhook denied the request: no", "", true, ErrInvalid, true, false, "denied the request"},
		"refused merge":        {422, "Invalid", "denied by policy", "", false, ErrInvalid, true, false, "denied by policy"},
		"strict":               {400, "BadRequest", `strict decoding error: unknown field "spec.x"`, "", false, ErrInvalid, true, false, "spec.x"},
		"schema":               {500, "InternalError", "failed to create typed patch object: .spec.x: field not declared in schema", "", false, ErrInvalid, true, false, "not declared"},
		"rights": {403, "Forbidden", `deployments.apps "api" is forbidden: User "u" cannot patch resource "deployments"`, "", false, nil, true, false,
			"the right to patch deployments.apps in namespace shop is missing; `astern rbac`"},
		"admission": {403, "Forbidden", "exceeded quota: compute", "", false, nil, true, false, "refused by admission"},
		"webhook":   {500, "InternalError", "failed calling webhook: connection refused", "", false, nil, false, false, "failed calling webhook"},
		"etcd":      {500, "InternalError", "etcdserver: request timed out", "", false, nil, false, true, "etcdserver"},
		"gateway":   {504, "Timeout", "the request did not finish in time", "", false, nil, false, true, "did not finish"},
		"busy":      {429, "TooManyRequests", "slow down", "", false, nil, false, false, "slow down"},
		"identity":  {401, "Unauthorized", "Unauthorized", "", false, nil, false, false, "does not accept the credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			s := server(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/readyz" {
					return
				}
				asked.Add(1)
				w.Header().Set("Retry-After", "0")
				refuse(w, c.code, c.reason, c.message, c.details)
			})
			write := func() error { return patchReplicas(t.Context(), s, false) }
			if c.json {
				write = func() error {
					_, err := s.JSONPatch(t.Context(), api, []Op{{"replace", "/spec/replicas", 0}}, PatchOptions{})
					return err
				}
			}
			err := write()
			require.ErrorContains(t, err, c.says)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			require.Equal(t, c.permanent, actions.IsPermanent(err), err)
			require.Equal(t, c.doubtful, actions.IsDoubtful(err), err)
			require.EqualValues(t, 1, asked.Load(), "the engine alone repeats, and shows it")
			require.False(t, actions.IsDoubtful(patchReplicas(t.Context(), s, true)), "a dry run leaves nothing behind")
		})
	}
}

// An API server that has just begun refuses everybody everything: that says nothing about rights.
func TestAServerThatStartsKnowsNoRights(t *testing.T) {
	var ready atomic.Bool
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" && ready.Load() {
			return
		}
		refuse(w, 403, "Forbidden", `deployments.apps "api" is forbidden: User "u" cannot patch resource "deployments"`, "")
	})
	err := patchReplicas(t.Context(), s, false)
	require.ErrorContains(t, err, "the API server is starting and knows no rights yet")
	require.False(t, actions.IsPermanent(err))
	require.False(t, actions.IsDoubtful(err))
	ready.Store(true)
	require.True(t, actions.IsPermanent(patchReplicas(t.Context(), s, false)))
}

func TestFieldManagersInConflictAreNamed(t *testing.T) {
	s := server(t, func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, 409, "Conflict", "Apply failed with 1 conflict", `"causes":[{"reason":"FieldManagerConflict","message":"conflict with \"kubectl\" using apps/v1","field":".spec.replicas"}]`)
	})
	err := patchReplicas(t.Context(), s, false)
	var conflict *ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, []FieldConflict{{"kubectl", ".spec.replicas"}}, conflict.Conflicts)
	require.NotErrorIs(t, err, ErrMoved)
	require.ErrorContains(t, err, "apply Deployment shop/api: .spec.replicas belongs to kubectl")
}

// A write whose answer is lost may have been done; one that was never sent was not; a reading leaves nothing behind.
func TestALostAnswerIsADoubt(t *testing.T) {
	var asked atomic.Int32
	cut := server(t, func(http.ResponseWriter, *http.Request) { asked.Add(1); panic(http.ErrAbortHandler) })
	require.True(t, actions.IsDoubtful(patchReplicas(t.Context(), cut, false)))
	require.False(t, actions.IsDoubtful(patchReplicas(t.Context(), cut, true)))
	_, err := cut.Get(t.Context(), api)
	require.Error(t, err)
	require.False(t, actions.IsDoubtful(err))
	require.EqualValues(t, 3, asked.Load(), "client-go does not repeat by itself")

	gone := make(chan struct{})
	hangs := server(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-gone:
		}
	})
	defer close(gone)
	hangs.timeout = 1
	require.True(t, actions.IsDoubtful(patchReplicas(t.Context(), hangs, false)))

	away := open(t, Connection{Kubeconfig: kubeconfig(t, "https://127.0.0.1:1", "")})
	err = patchReplicas(t.Context(), away, false)
	require.False(t, actions.IsDoubtful(err), "nothing was sent: %v", err)
	refused, err := (&Connection{Kubeconfig: kubeconfig(t, "https://127.0.0.1:1", "")}).Open(refuseAll)
	require.NoError(t, err)
	err = patchReplicas(t.Context(), refused.(*Cluster), false)
	require.ErrorIs(t, err, errEgress)
	require.False(t, actions.IsDoubtful(err))
}

// The credentials stay out of errors even where the server sends them back, and go to no other host.
func TestCredentialsStayWhereTheyBelong(t *testing.T) {
	echo := server(t, func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "Bearer "+canary, r.Header.Get("Authorization"))
		require.True(t, strings.HasPrefix(r.UserAgent(), "astern/"), r.UserAgent())
		refuse(w, 403, "Forbidden", "cannot do it with "+r.Header.Get("Authorization"), "")
	})
	_, err := echo.Get(t.Context(), api)
	require.ErrorContains(t, err, "<secret>")
	require.NotContains(t, err.Error(), canary)
	require.True(t, IsForbidden(err))

	var followed atomic.Bool
	elsewhere := server(t, func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	_, err = elsewhere.through()
	require.NoError(t, err)
	moved := server(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.session.config.Host+"/take", http.StatusTemporaryRedirect)
	})
	_, err = moved.Get(t.Context(), api)
	require.Error(t, err)
	require.False(t, followed.Load())
}

func TestAnEndlessAnswerIsCut(t *testing.T) {
	block := strings.Repeat("x", 1<<20)
	s := server(t, func(w http.ResponseWriter, _ *http.Request) {
		for range maxAnswer>>20 + 1 {
			if _, err := w.Write([]byte(block)); err != nil {
				return
			}
		}
	})
	_, err := s.raw(t.Context(), "/endless", nil)
	require.ErrorContains(t, err, "longer than 64 MiB")
}

func TestHostileNamesReachNoPath(t *testing.T) {
	var asked atomic.Bool
	s := server(t, func(http.ResponseWriter, *http.Request) { asked.Store(true) })
	for _, ref := range []Ref{
		{"Deployment", "shop", "../../secrets/x"}, {"Deployment", "a/b", "api"}, {"Deployment", "shop", ""}, {"Deployment", "shop", "api?x=1"},
		{"Deploy/ment", "shop", "api"}, {"", "shop", "api"}, {"Deployment", "", "api"}, {"Node", "shop", "n1"}, {"Deployment", "shop", strings.Repeat("a", 254)},
	} {
		_, err := s.Get(t.Context(), ref)
		require.True(t, actions.IsPermanent(err), "%v: %v", ref, err)
		require.True(t, actions.IsPermanent(s.Delete(t.Context(), ref, DeleteOptions{})), "%v", ref)
	}
	require.False(t, asked.Load())
}

func TestAgainGivesUp(t *testing.T) {
	asked := 0
	err := Again(t.Context(), func(context.Context) error { asked++; return ErrMoved })
	require.ErrorIs(t, err, ErrMoved)
	require.Equal(t, attempts, asked)
	asked = 0
	require.EqualError(t, Again(t.Context(), func(context.Context) error { asked++; return errors.New("other") }), "other")
	require.Equal(t, 1, asked)
}
