package cluster_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/cluster/clustertest"
)

// inMemory is a cluster in memory with these objects.
func inMemory(t *testing.T, manifests ...string) (*clustertest.Server, *cluster.Cluster) {
	t.Helper()
	s := clustertest.New(t)
	for _, namespace := range []string{"argocd", "flux-system", "apps"} {
		s.Add("{apiVersion: v1, kind: Namespace, metadata: {name: " + namespace + "}}")
	}
	for _, m := range manifests {
		s.Add(m)
	}
	c := cluster.Connection{Kubeconfig: s.Kubeconfig(t)}
	opened, err := c.Open((&net.Dialer{}).DialContext)
	require.NoError(t, err)
	return s, opened.(*cluster.Cluster)
}

func deployment(metadata string) string {
	return `{apiVersion: apps/v1, kind: Deployment, metadata: {name: api, namespace: shop, ` + metadata + `}, spec: {selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api}}, spec: {containers: [{name: api, image: api}]}}}}`
}

func argoApp(at, name, policy, rest string) string {
	return fmt.Sprintf(`{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: %s, namespace: %s}, spec: {project: shop, destination: {namespace: shop}, syncPolicy: {%s}}, %s}`, name, at, policy, rest)
}

func kustomization(name, spec string) string {
	return fmt.Sprintf(`{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: %s, namespace: flux-system}, spec: {interval: 10m, sourceRef: {kind: GitRepository, name: config}, %s}}`, name, spec)
}

const (
	tracking = `annotations: {argocd.argoproj.io/tracking-id: "shop:apps/Deployment:shop/api"}`
	instance = `labels: {app.kubernetes.io/instance: shop}`
	byFlux   = `labels: {kustomize.toolkit.fluxcd.io/name: shop, kustomize.toolkit.fluxcd.io/namespace: flux-system}`
	byChart  = `labels: {helm.toolkit.fluxcd.io/name: api, helm.toolkit.fluxcd.io/namespace: flux-system}, annotations: {meta.helm.sh/release-name: api, meta.helm.sh/release-namespace: shop}`
	keepsIt  = `status: {resources: [{group: apps, kind: Deployment, namespace: shop, name: api}]}`
	heals    = "automated: {selfHeal: true}"
	release  = `{apiVersion: helm.toolkit.fluxcd.io/v2, kind: HelmRelease, metadata: {name: api, namespace: flux-system}, spec: {interval: 5m %s}}`
)

// Each case says who would undo a change of the Deployment shop/api, and whether they would now.
func TestOwner(t *testing.T) {
	for name, c := range map[string]struct {
		deployment string
		others     []string
		owner      string // its name, empty for nobody
		active     bool
		why        string
	}{
		"nobody":                              {"", nil, "", false, ""},
		"an Application that heals":           {tracking, []string{argoApp("argocd", "shop", heals, "")}, "argocd/argocd/shop", true, "its auto-sync heals"},
		"one that does not heal":              {tracking, []string{argoApp("argocd", "shop", "automated: {}", "")}, "argocd/argocd/shop", true, "the next commit puts a change back"},
		"one that is off":                     {tracking, []string{argoApp("argocd", "shop", "automated: {enabled: false, selfHeal: true}", "")}, "argocd/argocd/shop", false, "its auto-sync is off"},
		"one that is synced by hand":          {tracking, []string{argoApp("argocd", "shop", "", "")}, "argocd/argocd/shop", false, "its auto-sync is off"},
		"one in another namespace":            {tracking, []string{argoApp("apps", "shop", heals, "")}, "argocd/apps/shop", true, "heals"},
		"of several of a name the one":        {tracking, []string{argoApp("apps", "shop", heals, ""), argoApp("flux-system", "shop", heals, keepsIt)}, "argocd/flux-system/shop", true, "heals"},
		"one whose namespace is said":         {strings.Replace(tracking, "shop:", "apps_shop:", 1), []string{argoApp("argocd", "shop", "", ""), argoApp("apps", "shop", heals, "")}, "argocd/apps/shop", true, "heals"},
		"one of another cluster":              {tracking, nil, "argocd/argocd/shop", true, "it is not in this cluster"},
		"a copied annotation":                 {strings.Replace(tracking, "shop/api", "shop/web", 1), []string{argoApp("argocd", "shop", heals, "")}, "", false, ""},
		"an annotation that is no name":       {`annotations: {argocd.argoproj.io/tracking-id: "../x:apps/Deployment:shop/api"}`, nil, "", false, ""},
		"a label and an Application keeps it": {instance, []string{argoApp("argocd", "shop", heals, keepsIt)}, "argocd/argocd/shop", true, "heals"},
		"a label, an Application of the name": {instance, []string{argoApp("argocd", "shop", heals, "")}, "", false, ""},
		"a label of helm's own":               {instance + `, annotations: {meta.helm.sh/release-name: shop, meta.helm.sh/release-namespace: shop}`, []string{argoApp("argocd", "shop", heals, keepsIt)}, "helm/shop/shop", false, "helm upgrade"},
		"skipped":                             {tracking, []string{strings.Replace(argoApp("argocd", "shop", heals, ""), "namespace: argocd}", "namespace: argocd, annotations: {argocd.argoproj.io/skip-reconcile: 'true'}}", 1)}, "argocd/argocd/shop", false, "leaves it alone"},
		"not skipped":                         {tracking, []string{strings.Replace(argoApp("argocd", "shop", heals, ""), "namespace: argocd}", "namespace: argocd, annotations: {argocd.argoproj.io/skip-reconcile: 'maybe'}}", 1)}, "argocd/argocd/shop", true, "heals"},

		"a Kustomization":                 {byFlux, []string{kustomization("shop", "")}, "flux/Kustomization/flux-system/shop", true, "Flux applies it again every 10m"},
		"one that is suspended":           {byFlux, []string{kustomization("shop", "suspend: true")}, "flux/Kustomization/flux-system/shop", false, "it is suspended"},
		"one that is elsewhere":           {byFlux, nil, "flux/Kustomization/flux-system/shop", true, "it is not in this cluster"},
		"one that leaves the object":      {byFlux + `, annotations: {kustomize.toolkit.fluxcd.io/reconcile: disabled}`, []string{kustomization("shop", "")}, "flux/Kustomization/flux-system/shop", false, "own annotation"},
		"one that only creates":           {byFlux + `, annotations: {kustomize.toolkit.fluxcd.io/ssa: IfNotPresent}`, []string{kustomization("shop", "")}, "flux/Kustomization/flux-system/shop", false, "own annotation"},
		"one that merges":                 {byFlux + `, annotations: {kustomize.toolkit.fluxcd.io/ssa: Merge}`, []string{kustomization("shop", "")}, "flux/Kustomization/flux-system/shop", true, "every 10m"},
		"a HelmRelease":                   {byChart, []string{fmt.Sprintf(release, "")}, "flux/HelmRelease/flux-system/api", true, "as soon as its chart"},
		"a HelmRelease that sees drift":   {byChart, []string{fmt.Sprintf(release, ", driftDetection: {mode: enabled}")}, "flux/HelmRelease/flux-system/api", true, "corrects drift every 5m"},
		"a HelmRelease that is suspended": {byChart, []string{fmt.Sprintf(release, ", suspend: true")}, "flux/HelmRelease/flux-system/api", false, "suspended"},
		"helm":                            {`annotations: {meta.helm.sh/release-name: api, meta.helm.sh/release-namespace: shop}`, nil, "helm/shop/api", false, "helm upgrade"},
		"an operator": {`ownerReferences: [{apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: api, uid: 00000000-0000-4000-8000-00000000000a, controller: true}]`,
			[]string{`{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: api, namespace: shop}}`}, "controller/Rollout/shop/api", true, "change that object instead"},
		"an operator that Flux applies": {`ownerReferences: [{apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: api, uid: 00000000-0000-4000-8000-00000000000a, controller: true}]`,
			[]string{`{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: api, namespace: shop, ` + byFlux + `}}`, kustomization("shop", "")}, "controller/Rollout/shop/api", true, "made it"},
		"an owner that only holds it": {`ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: api, uid: 00000000-0000-4000-8000-00000000000a}]`, nil, "", false, ""},
		"of two the active one":       {byFlux + ", " + tracking, []string{argoApp("argocd", "shop", "", ""), kustomization("shop", "")}, "flux/Kustomization/flux-system/shop", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, at := inMemory(t, append(c.others, deployment(c.deployment))...)
			owner, found, err := at.Owner(t.Context(), s.Get("Deployment", "shop", "api"))
			require.NoError(t, err)
			require.Equal(t, c.owner != "", found, owner)
			if !found {
				return
			}
			require.Equal(t, c.owner, owner.Name())
			require.Equal(t, c.active, owner.Active, owner.Why)
			require.Contains(t, owner.Why, c.why)
			require.NotContains(t, owner.Why, "\n")
		})
	}
}

// What a Deployment makes bears the Deployment's annotations: the owner is found above.
func TestOwnerClimbs(t *testing.T) {
	s, c := inMemory(t)
	s.Controllers()
	s.Add(kustomization("shop", "") + "\n---\n" + deployment(byFlux+", "+tracking) + "\n---\n" + argoApp("argocd", "shop", "", ""))
	for _, kind := range []string{"ReplicaSet", "Pod"} {
		objects := s.All(kind, "shop", "")
		require.NotEmpty(t, objects)
		owner, found, err := c.Owner(t.Context(), objects[0])
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, "flux/Kustomization/flux-system/shop", owner.Name())
	}
}

// Above are those who would undo a pause of the owner, and the robots.
func TestOwnerAbove(t *testing.T) {
	robot := `{apiVersion: image.toolkit.fluxcd.io/v1, kind: ImageUpdateAutomation, metadata: {name: tags, namespace: flux-system}, spec: {sourceRef: {kind: GitRepository, name: %s}}}`
	s, c := inMemory(t, deployment(byFlux), kustomization("shop", ""), fmt.Sprintf(robot, "config"), strings.Replace(fmt.Sprintf(robot, "other"), "tags", "others", 1))
	owner, _, err := c.Owner(t.Context(), s.Get("Deployment", "shop", "api"))
	require.NoError(t, err)
	require.Len(t, owner.Above, 1)
	require.Equal(t, cluster.ByImages, owner.Above[0].Kind)
	require.Equal(t, "ImageUpdateAutomation flux-system/tags", owner.Above[0].Ref.String())
	require.True(t, owner.Above[0].Active)
	s.Without("image.toolkit.fluxcd.io")
	_, without := inMemory(t, kustomization("shop", ""))
	above, err := without.Above(t.Context(), s.Get("Kustomization", "flux-system", "shop"))
	require.NoError(t, err)
	require.Empty(t, above)
}

// A cluster without Argo CD and Flux has nobody to ask; one where they may not be read has somebody who cannot be known.
func TestOwnerThatCannotBeRead(t *testing.T) {
	s, c := inMemory(t, deployment(strings.Replace(instance, "}", ", kustomize.toolkit.fluxcd.io/name: shop, kustomize.toolkit.fluxcd.io/namespace: flux-system}", 1)))
	s.Without("argoproj.io", "kustomize.toolkit.fluxcd.io")
	owner, found, err := c.Owner(t.Context(), s.Get("Deployment", "shop", "api"))
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "flux/Kustomization/flux-system/shop", owner.Name(), "its label stands, its Flux works from elsewhere")
	require.True(t, owner.Elsewhere)

	for _, marked := range []string{instance, tracking} {
		s, c = inMemory(t, deployment(marked), argoApp("argocd", "shop", "", keepsIt))
		s.Forbid("get", "applications")
		owner, found, err = c.Owner(t.Context(), s.Get("Deployment", "shop", "api"))
		require.NoError(t, err)
		require.True(t, found)
		require.True(t, owner.Active)
		require.False(t, owner.Elsewhere)
		require.Contains(t, owner.Why, "astern may not read it")
		err = c.Under(t.Context(), s.Get("Deployment", "shop", "api"), "argocd/argocd/shop", true)
		require.ErrorContains(t, err, "may not read it", "what is not known is not paused")
	}
	s, c = inMemory(t, deployment(tracking))
	s.Status(503)
	obj := &unstructured.Unstructured{Object: s.Get("Deployment", "shop", "api").Object}
	_, _, err = c.Owner(t.Context(), obj)
	require.ErrorContains(t, err, "find who would undo a change of Deployment shop/api")
	require.False(t, actions.IsPermanent(err))
}

// Under refuses what somebody would undo, and says which steps to add.
func TestUnder(t *testing.T) {
	for name, c := range map[string]struct {
		deployment, under string
		others            []string
		planned, ran      string // what it says; empty where it lets through
	}{
		"nobody":                  {"", "", nil, "", ""},
		"nobody, and one named":   {"", "argocd/argocd/shop", nil, "under: argocd/argocd/shop does not keep Deployment shop/api; nobody was found who does", "does not keep"},
		"Argo CD, not named":      {tracking, "", []string{argoApp("argocd", "shop", heals, "")}, "add the step argocd/pause {namespace: argocd, application: shop} before this one and argocd/resume at the end, and write `under: argocd/argocd/shop` here", "add the step"},
		"Argo CD, named":          {tracking, "argocd/argocd/shop", []string{argoApp("argocd", "shop", heals, "")}, "", "would undo this now: its auto-sync heals"},
		"Argo CD, paused":         {tracking, "argocd/argocd/shop", []string{argoApp("argocd", "shop", "automated: {enabled: false}", "")}, "", ""},
		"Argo CD, by hand":        {tracking, "", []string{argoApp("argocd", "shop", "", "")}, "", ""},
		"Argo CD, another named":  {tracking, "argocd/argocd/web", []string{argoApp("argocd", "shop", "", "")}, "it is kept by argocd/argocd/shop", "it is kept by"},
		"Argo CD, elsewhere":      {tracking, "", nil, "it is not in this cluster", "it is not in this cluster"},
		"elsewhere, and named":    {tracking, "argocd/argocd/shop", nil, "", ""},
		"no mark, but it lists":   {"", "argocd/argocd/shop", []string{argoApp("argocd", "shop", heals, keepsIt)}, "", "would undo this now"},
		"no mark, and a list":     {"", "argocd/argocd/shop", []string{argoApp("argocd", "shop", heals, "")}, "does not keep", "does not keep"},
		"no mark, an inventory":   {"", "flux/Kustomization/flux-system/shop", []string{kustomization("shop", "")}, "does not keep", "does not keep"},
		"Flux, not named":         {byFlux, "", []string{kustomization("shop", "")}, "add the step flux/suspend {kind: Kustomization, namespace: flux-system, name: shop} before this one and flux/resume at the end, and write `under: flux/Kustomization/flux-system/shop` here", "add the step"},
		"Flux, named":             {byFlux, "flux/Kustomization/flux-system/shop", []string{kustomization("shop", "")}, "", "would undo this now: Flux applies it again every 10m"},
		"Flux, suspended":         {byFlux, "flux/Kustomization/flux-system/shop", []string{kustomization("shop", "suspend: true")}, "", ""},
		"two, one of them named":  {byFlux + ", " + tracking, "flux/Kustomization/flux-system/shop", []string{kustomization("shop", "suspend: true"), argoApp("argocd", "shop", heals, "")}, "argocd/pause", "argocd/pause"},
		"an operator":             {operated, "", []string{rollout}, "change Rollout shop/api instead, or write `under: controller/Rollout/shop/api` here", "change Rollout"},
		"an operator, accepted":   {operated, "controller/Rollout/shop/api", []string{rollout}, "", ""},
		"what is none":            {"", "shop", nil, "names no owner such as", "names no owner"},
		"a name that is none":     {"", "argocd/argocd/../x", nil, "names no owner such as", "names no owner"},
		"a namespace that is not": {"", "argocd/A_b/x", nil, "is no namespace", "is no namespace"},
		"a source":                {"", "flux/GitRepository/flux-system/x", nil, "names no owner", "names no owner"},
	} {
		t.Run(name, func(t *testing.T) {
			s, at := inMemory(t, append(c.others, deployment(c.deployment))...)
			for running, says := range map[bool]string{false: c.planned, true: c.ran} {
				err := at.Under(t.Context(), s.Get("Deployment", "shop", "api"), c.under, running)
				if says == "" {
					require.NoError(t, err, "running: %t", running)
					continue
				}
				require.ErrorContains(t, err, says)
				require.True(t, actions.IsPermanent(err))
			}
		})
	}
}

const (
	operated = `ownerReferences: [{apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: api, uid: 00000000-0000-4000-8000-00000000000a, controller: true}]`
	rollout  = `{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: api, namespace: shop}}`
)

// A Kustomization whose inventory lists an object keeps it, labels or not.
func TestUnderByInventory(t *testing.T) {
	s, c := inMemory(t, deployment(""), `{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: shop, namespace: flux-system}, spec: {interval: 10m}, status: {inventory: {entries: [{id: shop_api_apps_Deployment, v: v1}]}}}`)
	err := c.Under(t.Context(), s.Get("Deployment", "shop", "api"), "flux/Kustomization/flux-system/shop", true)
	require.ErrorContains(t, err, "would undo this now")
}

func TestUnderAccess(t *testing.T) {
	require.Nil(t, cluster.UnderAccess(""))
	require.Nil(t, cluster.UnderAccess("nonsense"))
	require.Equal(t, []actions.Access{{Group: "argoproj.io", Resource: "applications", Namespace: "argocd", Name: "shop", Verbs: []string{"get"}}}, cluster.UnderAccess("argocd/argocd/shop"))
	require.Equal(t, []actions.Access{{Group: "helm.toolkit.fluxcd.io", Resource: "helmreleases", Namespace: "a", Name: "b", Verbs: []string{"get"}}}, cluster.UnderAccess("flux/HelmRelease/a/b"))
}

// Windows are reckoned as Argo CD reckons them.
func TestWindows(t *testing.T) {
	at := func(text string) time.Time {
		parsed, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return parsed
	}
	for _, c := range []struct {
		window      cluster.SyncWindow
		now, closes string // empty: it is not open
	}{
		{cluster.SyncWindow{Schedule: "0 22 * * *", Duration: "2h"}, "2026-03-01T23:00:00Z", "2026-03-02T00:00:00Z"},
		{cluster.SyncWindow{Schedule: "0 22 * * *", Duration: "2h"}, "2026-03-01T21:59:59Z", ""},
		{cluster.SyncWindow{Schedule: "0 22 * * *", Duration: "2h"}, "2026-03-02T00:00:00Z", ""},
		{cluster.SyncWindow{Schedule: "* * * * *", Duration: "1h"}, "2026-03-01T12:00:30Z", "2026-03-01T13:00:00Z"},
		{cluster.SyncWindow{Schedule: "0 22 * * *", Duration: "2h", TimeZone: "Europe/Berlin"}, "2026-07-01T20:30:00Z", "2026-07-01T22:00:00Z"},
		{cluster.SyncWindow{Schedule: "0 22 * * *", Duration: "2h", TimeZone: "Europe/Berlin"}, "2026-07-01T22:30:00Z", ""},
		{cluster.SyncWindow{Schedule: "5 6 23 11 *", Duration: "1h30m0s", TimeZone: "UTC"}, "2026-11-23T06:05:10Z", "2026-11-23T07:35:00Z"},
		{cluster.SyncWindow{Schedule: "0 0 30 2 *", Duration: "1h"}, "2026-03-01T00:00:00Z", ""},
	} {
		open, until, err := c.window.Open(at(c.now))
		require.NoError(t, err)
		require.Equal(t, c.closes != "", open, c)
		if open {
			require.Equal(t, at(c.closes), until.UTC(), c)
		}
	}
	for _, broken := range []cluster.SyncWindow{{Schedule: "nonsense", Duration: "1h"}, {Schedule: "* * * * *", Duration: "long"}, {Schedule: "* * * * *", Duration: "1h", TimeZone: "Nowhere/Land"}, {Schedule: "@every 1s", Duration: "1h"}} {
		_, _, err := broken.Open(time.Unix(0, 0))
		require.Error(t, err)
	}
}

func TestWindowsOfAProject(t *testing.T) {
	const always = `schedule: "* * * * *", duration: 1h`
	for name, c := range map[string]struct {
		windows string
		closed  bool
	}{
		"none":                        {"", false},
		"a deny for it":               {"{kind: deny, " + always + ", applications: [sh*]}", true},
		"a deny for another":          {"{kind: deny, " + always + ", applications: [web]}", false},
		"a deny for its namespace":    {"{kind: deny, " + always + ", namespaces: [shop]}", true},
		"a deny for its cluster":      {"{kind: deny, " + always + ", clusters: ['https://*']}", true},
		"a deny for both, with and":   {"{kind: deny, " + always + ", applications: [shop], namespaces: [web], andOperator: true}", false},
		"a deny that is not open":     {"{kind: deny, schedule: '0 0 30 2 *', duration: 1h, applications: [shop]}", false},
		"an allow that is open":       {"{kind: allow, " + always + ", applications: [shop]}", false},
		"an allow that is not open":   {"{kind: allow, schedule: '0 0 30 2 *', duration: 1h, applications: [shop]}", true},
		"two allows, one open":        {"{kind: allow, schedule: '0 0 30 2 *', duration: 1h, applications: [shop]}, {kind: allow, " + always + ", applications: [shop]}", false},
		"a deny outweighs an allow":   {"{kind: allow, " + always + ", applications: [shop]}, {kind: deny, " + always + ", applications: [shop]}", true},
		"one that cannot be reckoned": {"{kind: deny, schedule: nonsense, duration: 1h, applications: [shop]}", false},
		"a pattern beyond * and ?":    {"{kind: deny, " + always + ", applications: ['{shop,web}']}", false},
	} {
		t.Run(name, func(t *testing.T) {
			app := strings.Replace(argoApp("argocd", "shop", heals, ""), "destination: {", "destination: {server: 'https://kubernetes.default.svc', ", 1)
			s, at := inMemory(t, app, `{apiVersion: argoproj.io/v1alpha1, kind: AppProject, metadata: {name: shop, namespace: argocd}, spec: {syncWindows: [`+c.windows+`]}}`)
			closed, why := at.WindowClosed(t.Context(), s.Get("Application", "argocd", "shop"))
			require.Equal(t, c.closed, closed, why)
			auto, _ := at.AutoSync(t.Context(), s.Get("Application", "argocd", "shop"))
			require.Equal(t, !c.closed, auto)
			s.Forbid("get", "appprojects")
			closed, why = at.WindowClosed(t.Context(), s.Get("Application", "argocd", "shop"))
			require.False(t, closed, "what cannot be read keeps nothing")
			require.Contains(t, why, "astern may not read AppProject argocd/shop")
		})
	}
}

func TestPausedKeysFit(t *testing.T) {
	require.Equal(t, "astern.dev/paused-shop", cluster.PausedKeyFor("shop"))
	long := cluster.PausedKeyFor(strings.Repeat("a", 200))
	_, name, _ := strings.Cut(long, "/")
	require.LessOrEqual(t, len(name), 63)
	require.NotEqual(t, long, cluster.PausedKeyFor(strings.Repeat("a", 201)))
}
