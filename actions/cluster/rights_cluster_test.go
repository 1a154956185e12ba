//go:build cluster

package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"astern.dev/astern/actions"
	"astern.dev/astern/tools/controlplane"
)

// as is the cluster as a ServiceAccount with a Role of these rules reaches it.
func as(t *testing.T, plane *controlplane.ControlPlane, namespace, account string, rules ...string) *Cluster {
	t.Helper()
	file, err := plane.KubeconfigFor(t.Context(), namespace, account)
	require.NoError(t, err)
	require.NoError(t, plane.Apply(t.Context(), fmt.Sprintf(`{apiVersion: v1, kind: List, items: [
		{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: %[2]s, namespace: %[1]s}, rules: [%[3]s]},
		{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: %[2]s, namespace: %[1]s}, subjects: [{kind: ServiceAccount, name: %[2]s, namespace: %[1]s}],
		 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[2]s}}]}`, namespace, account, strings.Join(rules, ", "))))
	c := open(t, Connection{Kubeconfig: file})
	if len(rules) > 0 { // a Role counts a moment after it is written
		require.NoError(t, controlplane.Await(t.Context(), "the role", func(ctx context.Context) error {
			_, err := c.List(ctx, "Deployment", namespace, "")
			return err
		}))
	}
	return c
}

// A missing right is named with what prints it, when it is asked for and when it is used.
func TestClusterMissingRightsAreNamed(t *testing.T) {
	plane, _, web := real(t)
	c := as(t, plane, web.Namespace, "reader", `{apiGroups: [apps], resources: [deployments], verbs: [get, list]}`)
	_, err := c.Get(t.Context(), web)
	require.NoError(t, err)
	_, err = c.MergePatch(t.Context(), web, map[string]any{"spec": map[string]any{"paused": true}}, PatchOptions{})
	require.True(t, IsForbidden(err))
	require.True(t, actions.IsPermanent(err))
	require.ErrorContains(t, err, "the right to patch deployments.apps in namespace "+web.Namespace+" is missing; `astern rbac` prints what is needed")
	_, err = c.MergePatch(t.Context(), web, map[string]any{}, PatchOptions{Subresource: "scale"})
	require.ErrorContains(t, err, "the right to patch deployments/scale.apps in namespace "+web.Namespace)
	_, err = c.List(t.Context(), "Secret", "", "")
	require.ErrorContains(t, err, "the right to list secrets in the whole cluster is missing")

	err = c.Allowed(t.Context(), []actions.Access{web.Access("get", "patch"), web.Sub("scale", "patch"), {Resource: "nodes", Verbs: []string{"list"}}})
	require.True(t, actions.IsPermanent(err))
	require.ErrorContains(t, err, fmt.Sprintf("patch deployments.apps web in namespace %[1]s, patch deployments/scale.apps web in namespace %[1]s, list nodes;", web.Namespace))
	require.NoError(t, c.Allowed(t.Context(), []actions.Access{web.Access("get"), Ref{"Deployment", web.Namespace, ""}.Access("list")}))
}

func TestClusterImpersonationIsARightOfItsOwn(t *testing.T) {
	plane, _, web := real(t)
	as(t, plane, web.Namespace, "reader", `{apiGroups: [apps], resources: [deployments], verbs: [get, list]}`)
	c := open(t, Connection{Kubeconfig: plane.Kubeconfig, Impersonate: "system:serviceaccount:" + web.Namespace + ":reader"})
	_, err := c.Get(t.Context(), web)
	require.NoError(t, err)
	_, err = c.Get(t.Context(), Ref{"Secret", web.Namespace, "x"})
	require.True(t, IsForbidden(err))
}

// Of installations that reach for one object at once, one has it, and it alone until its lease ends.
func TestClusterOneInstallationHasAnObject(t *testing.T) {
	_, c, web := real(t)
	var all errgroup.Group
	won := make(chan string, 8)
	for n := range 8 {
		name := fmt.Sprintf("astern-%d", n)
		all.Go(func() error {
			err := c.Claim(t.Context(), env(name, 1, noon), web)
			if err == nil {
				won <- name
			} else if !actions.IsPermanent(err) {
				return err
			}
			return nil
		})
	}
	require.NoError(t, all.Wait())
	close(won)
	winner := <-won
	require.NotEmpty(t, winner)
	require.Empty(t, won)
	require.NoError(t, c.Claim(t.Context(), env(winner, 2, noon.Add(time.Minute)), web))
	require.ErrorContains(t, c.Claim(t.Context(), env(winner, 1, noon.Add(time.Minute)), web), "newer run")
	require.ErrorContains(t, c.Claim(t.Context(), env("other", 1, noon.Add(time.Minute)), web), winner)
	require.NoError(t, c.Claim(t.Context(), env("other", 1, noon.Add(time.Hour)), web))
	require.ErrorContains(t, c.Claim(t.Context(), env(winner, 3, noon.Add(time.Hour)), web), "other")
}

// The rights that a claim says it needs are enough for it.
func TestClusterAClaimNeedsNoMoreThanItSays(t *testing.T) {
	plane, _, web := real(t)
	var rules []string
	for _, a := range append(ClaimAccess(web), Ref{"Deployment", web.Namespace, ""}.Access("list")) {
		names := ""
		if a.Name != "" {
			names = ", resourceNames: [" + a.Name + "]"
		}
		rules = append(rules, fmt.Sprintf("{apiGroups: [%q], resources: [%s], verbs: [%s]%s}", a.Group, a.Resource, strings.Join(a.Verbs, ", "), names))
	}
	c := as(t, plane, web.Namespace, "claimant", rules...)
	require.NoError(t, c.Claim(t.Context(), env("a", 1, noon), web))
	require.NoError(t, c.Claim(t.Context(), env("a", 2, noon), web))
}
