package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster/clustertest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestAnObjectBelongsToOneInstallation(t *testing.T) {
	s := clustertest.New(t)
	c := open(t, Connection{Kubeconfig: s.Kubeconfig(t)})
	claims := func(installation string, token int64, at time.Time) error {
		return c.Claim(t.Context(), env(installation, token, at), api)
	}
	require.NoError(t, claims("", 1, noon))
	require.Empty(t, s.Writes(), "without an installation there is no claim")

	require.NoError(t, claims("astern-a", 7, noon))
	lease := s.Get("Lease", "shop", "astern-deployment-api")
	require.Equal(t, map[string]string{tokenKey: "7", objectKey: "Deployment shop/api"}, lease.GetAnnotations())
	require.NoError(t, claims("astern-a", 7, noon.Add(time.Second)))
	require.Len(t, s.Writes(), 1, "a step with many writes does not renew at each")
	require.NoError(t, claims("astern-a", 7, noon.Add(2*time.Minute)))
	require.NoError(t, claims("astern-a", 8, noon.Add(2*time.Minute)))
	require.Len(t, s.Writes(), 3)

	err := claims("astern-a", 7, noon.Add(3*time.Minute))
	require.True(t, actions.IsPermanent(err))
	require.ErrorContains(t, err, "newer run of this installation (token 8, ours is 7)")
	err = claims("astern-b", 1, noon.Add(3*time.Minute))
	require.True(t, actions.IsPermanent(err))
	require.ErrorContains(t, err, `Deployment shop/api is claimed by the installation "astern-a" until 2026-03-01T12:17:00Z (Lease shop/astern-deployment-api)`)
	require.Len(t, s.Writes(), 3)

	require.NoError(t, claims("astern-b", 1, noon.Add(18*time.Minute)), "the one before is gone")
	lease = s.Get("Lease", "shop", "astern-deployment-api")
	require.Equal(t, "astern-b", lease.Object["spec"].(map[string]any)["holderIdentity"])
	require.EqualValues(t, 1, lease.Object["spec"].(map[string]any)["leaseTransitions"])
	require.Equal(t, "1", lease.GetAnnotations()[tokenKey])
	require.ErrorContains(t, claims("astern-a", 9, noon.Add(19*time.Minute)), `"astern-b"`)
}

func TestAClaimNeedsNoMoreThanItSays(t *testing.T) {
	s := clustertest.New(t)
	c := open(t, Connection{Kubeconfig: s.Kubeconfig(t)})
	s.Only(ClaimAccess(api)...)
	require.NoError(t, c.Claim(t.Context(), env("a", 1, noon), api))
	require.NoError(t, c.Claim(t.Context(), env("a", 2, noon), api))
	require.NoError(t, c.Allowed(t.Context(), ClaimAccess(api)))
	err := c.Allowed(t.Context(), []actions.Access{api.Access("get", "patch"), api.Sub("scale", "patch"), ClaimAccess(api)[0]})
	require.True(t, actions.IsPermanent(err))
	require.ErrorContains(t, err, "get deployments.apps api in namespace shop, patch deployments.apps api in namespace shop, patch deployments/scale.apps api in namespace shop; `astern rbac`")
	require.NotContains(t, err.Error(), "leases")
}

func TestLeasesHaveNames(t *testing.T) {
	require.Equal(t, Ref{"Lease", "shop", "astern-deployment-api"}, leaseOf(api))
	require.Equal(t, Ref{"Lease", "argocd", "astern-application-argoproj-io-shop"}, leaseOf(Ref{"Application.argoproj.io", "argocd", "shop"}))
	long, other := strings.Repeat("a", 200), strings.Repeat("a", 199)+"b"
	require.NotEqual(t, leaseOf(Ref{"Deployment", "shop", long}), leaseOf(Ref{"Deployment", "shop", other}))
	require.NoError(t, leaseOf(Ref{"Deployment", "shop", long}).Validate())
	require.Len(t, leaseOf(Ref{"Deployment", "shop", long}).Name, maxName)
}

func TestRightsByKind(t *testing.T) {
	require.Equal(t, actions.Access{Group: "apps", Resource: "deployments", Namespace: "shop", Name: "api", Verbs: []string{"get"}}, api.Access("get"))
	require.Equal(t, "kustomizations", Ref{"Kustomization.kustomize.toolkit.fluxcd.io", "a", "b"}.Access("get").Resource)
	require.Equal(t, "gitrepositories", Ref{"GitRepository.source.toolkit.fluxcd.io", "a", "b"}.Access("get").Resource)
	require.Equal(t, "networkpolicies", Ref{"NetworkPolicy", "a", "b"}.Access("get").Resource)
	require.Equal(t, "ingresses", Ref{"Ingress", "a", "b"}.Access("get").Resource)
}
