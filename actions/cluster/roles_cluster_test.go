//go:build cluster

package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/tools/controlplane"
)

// The Roles made of what is needed are enough for it, as the API server judges; with one verb less, that one is named.
func TestClusterRolesAreEnoughAndNoVerbIsSpare(t *testing.T) {
	plane, _, web := real(t)
	needed := append(WatchAccess("Deployment", web.Namespace), ClaimAccess(web)...)
	needed = append(needed, web.Access("get", "patch"), web.Sub("scale", "get", "patch"))
	var needs []Need
	for _, a := range needed {
		needs = append(needs, Need{a, "the test"})
	}
	roles := Roles(needs)
	require.Len(t, roles, 1)
	c := as(t, plane, web.Namespace, "astern", rulesOf(roles[0])...)
	require.NoError(t, c.Allowed(t.Context(), needed))
	require.NoError(t, c.Claim(t.Context(), env("a", 1, noon), web))

	type short struct {
		account, verb, resource string
		rule                    Rule
	}
	var all []short
	var items []string
	for n, rule := range roles[0].Rules {
		for _, verb := range rule.Verbs {
			less := Role{web.Namespace, slices.Clone(roles[0].Rules)}
			if less.Rules[n].Verbs = slices.DeleteFunc(slices.Clone(rule.Verbs), func(v string) bool { return v == verb }); len(rule.Verbs) == 1 {
				less.Rules = slices.Delete(less.Rules, n, n+1)
			}
			s := short{fmt.Sprintf("less-%d-%s", n, verb), verb, rule.Resources[0], rule}
			all = append(all, s)
			items = append(items, fmt.Sprintf(`{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: %[1]s, namespace: %[2]s}, rules: [%[3]s]},
				{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: %[1]s, namespace: %[2]s}, subjects: [{kind: User, name: %[1]s}],
				 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[1]s}}`, s.account, web.Namespace, strings.Join(rulesOf(less), ", ")))
		}
	}
	require.NoError(t, plane.Apply(t.Context(), "{apiVersion: v1, kind: List, items: ["+strings.Join(items, ", ")+"]}"))
	for _, s := range all {
		resource, sub, _ := strings.Cut(s.resource, "/")
		a := actions.Access{Group: s.rule.Group, Resource: resource, Subresource: sub, Namespace: web.Namespace, Verbs: s.rule.Verbs}
		if len(s.rule.Names) > 0 {
			a.Name = s.rule.Names[0]
		}
		c := open(t, Connection{Kubeconfig: plane.Kubeconfig, Impersonate: s.account})
		want := "rights are missing at the API server: " + s.verb + " " + describe(a) + ";"
		require.NoError(t, controlplane.Await(t.Context(), "the role "+s.account, func(ctx context.Context) error {
			if err := c.Allowed(ctx, []actions.Access{a}); err == nil || !strings.HasPrefix(err.Error(), want) {
				return fmt.Errorf("not %s but %w", want, err)
			}
			return nil
		}))
	}
	require.Len(t, all, 12)
}

func rulesOf(role Role) []string {
	var rules []string
	for _, r := range role.Rules {
		names := ""
		if len(r.Names) > 0 {
			names = ", resourceNames: [" + strings.Join(r.Names, ", ") + "]"
		}
		rules = append(rules, fmt.Sprintf("{apiGroups: [%q], resources: [%s], verbs: [%s]%s}", r.Group, strings.Join(r.Resources, ", "), strings.Join(r.Verbs, ", "), names))
	}
	return rules
}
