package cluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"astern.dev/astern/actions"
)

func need(why, namespace, resource, name string, verbs ...string) Need {
	group, resource, _ := strings.Cut(resource, ".")
	resource, sub, _ := strings.Cut(resource, "/")
	return Need{actions.Access{Group: group, Resource: resource, Subresource: sub, Namespace: namespace, Name: name, Verbs: verbs}, why}
}

func shown(roles []Role) string {
	var lines []string
	for _, role := range roles {
		for _, r := range role.Rules {
			lines = append(lines, fmt.Sprintf("%s: %s %s.%s %s # %s", role.Namespace, strings.Join(r.Verbs, ","), strings.Join(r.Resources, ","), r.Group, r.Names, strings.Join(r.For, "; ")))
		}
	}
	return strings.Join(lines, "\n")
}

// Roles grant what is needed and no more: by name where it is known, once where something wider holds it, together where
// they are alike.
func TestRolesAreTheFewestRights(t *testing.T) {
	for name, c := range map[string]struct {
		needs []Need
		want  string
	}{
		"names of one right stand together": {[]Need{need("a", "shop", "apps.deployments", "api", "get", "patch"), need("b", "shop", "apps.deployments", "web", "patch", "get")},
			"shop: get,patch deployments.apps [api web] # a; b"},
		"another right for another name": {[]Need{need("a", "shop", "apps.deployments", "api", "get", "patch"), need("b", "shop", "apps.deployments", "web", "get")},
			"shop: get deployments.apps [web] # b\nshop: get,patch deployments.apps [api] # a"},
		"what the namespace has, a name needs not": {[]Need{need("watch", "shop", "apps.deployments", "", "get", "list", "watch"), need("a", "shop", "apps.deployments", "api", "get", "patch")},
			"shop: get,list,watch deployments.apps [] # a; watch\nshop: patch deployments.apps [api] # a"},
		"what the cluster has, a namespace needs not": {[]Need{need("all", "", ".pods", "", "list"), need("a", "shop", ".pods", "", "list"), need("b", "shop", ".pods", "p", "list", "delete")},
			": list pods. [] # a; all; b\nshop: delete pods. [p] # b"},
		"a name in all namespaces": {[]Need{need("all", "", ".pods", "p", "get"), need("a", "shop", ".pods", "p", "get"), need("a", "shop", ".pods", "q", "get")},
			": get pods. [p] # a; all\nshop: get pods. [q] # a"},
		"resources that are looked at alike": {[]Need{need("watch", "shop", "apps.deployments", "", "get", "list"), need("watch", "shop", "apps.replicasets", "", "list", "get")},
			"shop: get,list deployments,replicasets.apps [] # watch"},
		"a subresource is a resource of its own": {[]Need{need("a", "shop", "apps.deployments/scale", "api", "patch"), need("a", "shop", "apps.deployments", "api", "get")},
			"shop: get deployments.apps [api] # a\nshop: patch deployments/scale.apps [api] # a"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, shown(Roles(c.needs)))
		})
	}
	require.Empty(t, Roles(nil))
}

// Whatever is needed, the Roles grant all of it, and nothing that no need asked for.
func TestRolesGrantWhatIsNeeded(t *testing.T) {
	pick := func(t *rapid.T, what string, of ...string) string { return rapid.SampledFrom(of).Draw(t, what) }
	rapid.Check(t, func(t *rapid.T) {
		var needs []Need
		for n := range rapid.IntRange(0, 12).Draw(t, "needs") {
			needs = append(needs, need(fmt.Sprint(n), pick(t, "namespace", "", "a", "b"), pick(t, "resource", ".pods", "apps.deployments", "apps.deployments/scale"),
				pick(t, "name", "", "x", "y"), pick(t, "verb", "get", "list", "patch"), pick(t, "other verb", "get", "watch", "delete")))
		}
		wanted, granted := expanded(Roles(needs)), map[string]bool{}
		for _, n := range needs {
			for _, verb := range n.Verbs {
				granted[strings.Join([]string{n.Namespace, n.Group, resourceName("", n.Resource, n.Subresource), n.Name, verb}, " ")] = true
			}
		}
		for g := range wanted {
			require.True(t, granted[g], "%q is granted and nobody needs it", g)
		}
		for g := range granted {
			require.True(t, covered(wanted, g), "%q is needed and not granted by\n%s", g, shown(Roles(needs)))
		}
	})
}

func expanded(roles []Role) map[string]bool {
	all := map[string]bool{}
	for _, role := range roles {
		for _, r := range role.Rules {
			for _, resource := range r.Resources {
				for _, verb := range r.Verbs {
					for _, name := range orAny(r.Names) {
						all[strings.Join([]string{role.Namespace, r.Group, resource, name, verb}, " ")] = true
					}
				}
			}
		}
	}
	return all
}

func orAny(names []string) []string {
	if len(names) == 0 {
		return []string{""}
	}
	return names
}

func covered(by map[string]bool, right string) bool {
	p := strings.Split(right, " ")
	for _, namespace := range []string{p[0], ""} {
		for _, name := range []string{p[3], ""} {
			if by[strings.Join([]string{namespace, p[1], p[2], name, p[4]}, " ")] {
				return true
			}
		}
	}
	return false
}

func TestWatching(t *testing.T) {
	require.Equal(t, "shop: get,list,watch pods. [] # w\nshop: get,list,watch deployments,replicasets.apps [] # w", shown(Roles(asNeeds(WatchAccess("Deployment", "shop")))))
	require.Equal(t, "shop: get,list,watch pods,services. [] # w\nshop: get,list,watch controllerrevisions,daemonsets,deployments,replicasets,statefulsets.apps [] # w",
		shown(Roles(asNeeds(DiscoverAccess("shop")))))
}

func asNeeds(all []actions.Access) []Need {
	var needs []Need
	for _, a := range all {
		needs = append(needs, Need{a, "w"})
	}
	return needs
}
