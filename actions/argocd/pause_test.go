package argocd

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/cluster/clustertest"
)

func TestPauseTurnsAutoSyncOffAndRecordsHowItWas(t *testing.T) {
	r := begin(t)
	p := pause(t, "")
	change, err := p.Plan(t.Context(), r.env())
	require.NoError(t, err)
	require.Equal(t, "auto-sync of argocd/shop: on with prune with selfHeal -> off", change.Summary)
	require.Equal(t, []string{"+ Application argocd/shop spec.syncPolicy.automated.enabled: false"}, change.Diff)
	require.ErrorIs(t, p.Verify(t.Context(), r.env()), actions.ErrNotDone)

	did, err := p.Run(t.Context(), r.env())
	require.NoError(t, err)
	require.Equal(t, map[string]any{"prune": true, "selfHeal": true, "enabled": false}, r.automated(t))
	require.NoError(t, p.Verify(t.Context(), r.env()))
	by := did.Outputs.(PauseOutputs)
	require.True(t, by.Automated)
	require.Equal(t, `kubectl -n argocd patch applications.argoproj.io shop --type merge -p '{"spec":{"syncPolicy":{"automated":{"enabled":true,"prune":true,"selfHeal":true}}}}'`, by.ByHand)
	require.Contains(t, did.Summary, by.ByHand)
	record, known, err := cluster.PausedOf(r.app(t).object, cluster.PausedKey)
	require.NoError(t, err)
	require.True(t, known)
	require.Equal(t, map[string]any{"prune": true, "selfHeal": true}, record.Before)
	require.Equal(t, []string{"incident-1"}, record.By)

	r.standIn.head = next
	r.change(func(o map[string]any) { set(o, "now", "metadata", "annotations", refreshKey) })
	r.settle()
	require.Equal(t, bad, r.app(t).at(), "a new commit is not deployed while it is paused")
	again, err := p.Plan(t.Context(), r.env())
	require.NoError(t, err)
	require.Equal(t, "auto-sync of argocd/shop is off already", again.Summary)
	require.Equal(t, change.Found, again.Found, "that it is paused for an incident is no change")
	r.change(func(o map[string]any) { set(o, false, "spec", "syncPolicy", "automated", "prune") })
	again, err = p.Plan(t.Context(), r.env())
	require.NoError(t, err)
	require.NotEqual(t, change.Found, again.Found, "that a person changed the policy is one")
}

// An auto-sync that a person turned off before is left off afterwards.
func TestPauseLeavesWhatAPersonPaused(t *testing.T) {
	for name, off := range map[string]func(map[string]any){
		"enabled false": func(o map[string]any) { set(o, false, "spec", "syncPolicy", "automated", "enabled") },
		"no block":      func(o map[string]any) { set(o, map[string]any{}, "spec", "syncPolicy") },
	} {
		t.Run(name, func(t *testing.T) {
			r := begin(t)
			r.change(off)
			before := r.State()
			did, err := pause(t, "").Run(t.Context(), r.env())
			require.NoError(t, err)
			require.Equal(t, PauseOutputs{}, did.Outputs)
			require.Equal(t, before, r.State())
			did, err = resume(t, ", watch: 0s").Run(t.Context(), r.env())
			require.NoError(t, err)
			require.Equal(t, "auto-sync of argocd/shop: off, not paused by astern: left so", did.Summary)
			require.Equal(t, before, r.State())
		})
	}
}

// The sync of the bad version that is under way goes on applying it: the step is done when that is.
func TestPauseWaitsForTheSyncUnderWay(t *testing.T) {
	r := begin(t)
	r.standIn.head, r.standIn.hangs = next, next
	r.change(func(o map[string]any) { set(o, "now", "metadata", "annotations", refreshKey) })
	r.settle()
	text, busy := r.app(t).busy()
	require.True(t, busy)
	require.Contains(t, text, "a sync by auto-sync is under way")

	env := r.env()
	_, err := pause(t, "").Run(cut(t, &env, "under way"), env)
	require.ErrorContains(t, err, "auto-sync is off, but a sync by auto-sync is under way")
	require.False(t, r.app(t).automatic())
	require.ErrorIs(t, pause(t, "").Verify(t.Context(), r.env()), actions.ErrNotDone)

	did, err := pause(t, ", terminate: true").Run(t.Context(), r.env())
	require.NoError(t, err)
	require.Contains(t, did.Summary, "by hand back on", "the record of the first attempt is kept")
	require.Equal(t, "Failed", r.app(t).Status.OperationState.Phase)
	require.NoError(t, pause(t, "").Verify(t.Context(), r.env()))
}

// A sync that a person began is not ended.
func TestPauseTerminatesOnlyWhatAutoSyncBegan(t *testing.T) {
	r := begin(t)
	r.standIn.hangs = next
	r.change(func(o map[string]any) {
		o["operation"] = map[string]any{"initiatedBy": map[string]any{"username": "nina"}, "sync": map[string]any{"revision": next}}
	})
	r.settle()
	env := r.env()
	_, err := pause(t, ", terminate: true").Run(cut(t, &env, "under way"), env)
	require.ErrorContains(t, err, `a sync by "nina" is under way`)
	require.Equal(t, phaseRunning, r.app(t).Status.OperationState.Phase)
}

const (
	set4    = `{apiVersion: argoproj.io/v1alpha1, kind: ApplicationSet, metadata: {name: shops, namespace: argocd, uid: 00000000-0000-4000-8000-00000000aaaa}, spec: {%s}}`
	madeBy  = `ownerReferences: [{apiVersion: argoproj.io/v1alpha1, kind: ApplicationSet, name: shops, uid: 00000000-0000-4000-8000-00000000aaaa, controller: true}]`
	tracked = `annotations: {argocd.argoproj.io/tracking-id: "root:argoproj.io/Application:argocd/shop"}`
)

func with(metadata string) string {
	return fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: argocd, %s}
spec:
  project: shop
  source: {repoURL: "https://git.example/config", path: shop, targetRevision: main}
  destination: {namespace: shop}
  syncPolicy: {automated: {}}
`, metadata)
}

func root(policy string) string {
	return `{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: root, namespace: argocd}, spec: {project: shop, syncPolicy: {` + policy + `}}}`
}

// Whoever is above the Application would turn it on again: the step names them and writes nothing.
func TestPauseIsRefusedWhereItWouldBeUndone(t *testing.T) {
	for name, c := range map[string]struct {
		above, metadata, refused string
	}{
		"an ApplicationSet":                         {fmt.Sprintf(set4, ""), madeBy, "ApplicationSet argocd/shops: made the Application and puts its sync policy back"},
		"an ApplicationSet that ignores the policy": {fmt.Sprintf(set4, `ignoreApplicationDifferences: [{jsonPointers: [/spec/syncPolicy]}]`), madeBy, ""},
		"one that ignores another's":                {fmt.Sprintf(set4, `ignoreApplicationDifferences: [{name: other, jsonPointers: [/spec/syncPolicy]}]`), madeBy, "ApplicationSet argocd/shops"},
		"an ApplicationSet that only creates":       {fmt.Sprintf(set4, `syncPolicy: {applicationsSync: create-only}`), madeBy, ""},
		"an app of apps that heals":                 {root("automated: {selfHeal: true}"), tracked, "Application argocd/root: its auto-sync heals"},
		"an app of apps that is paused":             {root("automated: {enabled: false, selfHeal: true}"), tracked, ""},
		"an app of apps that is synced by hand":     {root(""), tracked, ""},
		"an app of apps that is elsewhere":          {"", tracked, "it is not in this cluster"},
		"a copied annotation":                       {root("automated: {}"), `annotations: {argocd.argoproj.io/tracking-id: "root:argoproj.io/Application:argocd/other"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := begin(t, with(c.metadata), c.above)
			before := r.State()
			plan, err := pause(t, "").Plan(t.Context(), r.env())
			_, ran := pause(t, "").Run(t.Context(), r.env())
			if c.refused == "" {
				require.NoError(t, err)
				require.NoError(t, ran)
				require.False(t, r.app(t).automatic())
				if c.above != "" && name != "a copied annotation" {
					require.Regexp(t, "= (ApplicationSet argocd/shops|Application argocd/root): .+", plan.Diff[len(plan.Diff)-1])
				}
				return
			}
			for _, err := range []error{err, ran, pause(t, "").Ready(t.Context(), r.env())} {
				require.ErrorContains(t, err, "would be undone by A")
				require.ErrorContains(t, err, c.refused)
				require.ErrorContains(t, err, "window: {project: shop, for: 2h}")
				require.True(t, actions.IsPermanent(err))
			}
			require.Equal(t, before, r.State())

			did, err := pause(t, ", window: {project: shop, for: 2h}").Run(t.Context(), r.env())
			require.NoError(t, err)
			require.Contains(t, did.Summary, "kept off for 2h by a window of AppProject shop")
		})
	}
}

// What cannot be read is not taken to be harmless.
func TestPauseIsRefusedWhereWhoIsAboveCannotBeRead(t *testing.T) {
	r := begin(t, with(madeBy), fmt.Sprintf(set4, `ignoreApplicationDifferences: [{jsonPointers: [/spec/syncPolicy]}]`))
	r.Forbid("get", "applicationsets")
	_, err := pause(t, "").Run(t.Context(), r.env())
	require.ErrorContains(t, err, "ApplicationSet argocd/shops: made the Application, but astern may not read it")
}

func TestPauseSaysThatImageUpdaterWrites(t *testing.T) {
	r := begin(t, with(`annotations: {argocd-image-updater.argoproj.io/image-list: "api=registry.example/api"}`))
	change, err := pause(t, "").Plan(t.Context(), r.env())
	require.NoError(t, err)
	require.Contains(t, change.Diff, "= Application argocd/shop: Argo CD Image Updater writes its image tags: let it ignore the bad tag, or it comes back")
}

// A window closes for the Application alone, lets a sync by hand through, and is over when its time is.
func TestPauseByWindow(t *testing.T) {
	r := begin(t)
	p := pause(t, ", window: {project: shop, for: 90m}")
	change, err := p.Plan(t.Context(), r.env())
	require.NoError(t, err)
	require.Contains(t, change.Diff, "+ AppProject argocd/shop spec.syncWindows: deny shop from the step on for 1h30m, a sync by hand allowed")
	require.ErrorIs(t, p.Verify(t.Context(), r.env()), actions.ErrNotDone)
	must(p.Run(t.Context(), r.env()))(t)
	require.True(t, r.app(t).automatic(), "the Application is left as it is")
	require.NoError(t, p.Verify(t.Context(), r.env()))

	windows := cluster.Windows(r.Get("AppProject", "argocd", "shop"))
	require.Len(t, windows, 2, "the window that was there stays")
	open, until, err := windows[1].Open(time.Now())
	require.NoError(t, err)
	require.True(t, open)
	require.WithinDuration(t, time.Now().Add(90*time.Minute), until, time.Minute)
	require.True(t, windows[1].ManualSync)
	later, _, err := windows[1].Open(time.Now().Add(2 * time.Hour))
	require.NoError(t, err)
	require.False(t, later)

	r.standIn.head = next
	r.change(func(o map[string]any) { set(o, "now", "metadata", "annotations", refreshKey) })
	r.settle()
	require.Equal(t, bad, r.app(t).at(), "auto-sync is on, and the window keeps it")
	must(syncTo(t, good, "").Run(t.Context(), r.env()))(t)
	require.Equal(t, good, r.app(t).at())

	r.standIn.head = good
	must(resume(t, ", not: "+bad+", watch: 0s, window: {project: shop}").Run(t.Context(), r.env()))(t)
	require.Len(t, cluster.Windows(r.Get("AppProject", "argocd", "shop")), 1)
	require.NotContains(t, r.State(), cluster.PausedKey)
}

func TestPauseByWindowIsHeldByEveryIncident(t *testing.T) {
	r := begin(t)
	window, project := ", window: {project: shop, for: 2h}", ", watch: 0s, window: {project: shop}"
	must(pause(t, window).Run(t.Context(), r.as("one")))(t)
	must(pause(t, window).Run(t.Context(), r.as("two")))(t)
	require.Len(t, cluster.Windows(r.Get("AppProject", "argocd", "shop")), 2, "one window does for both")
	did := must(resume(t, project).Run(t.Context(), r.as("one")))(t)
	require.Contains(t, did.Summary, "the window stays, two needs it, too")
	require.NoError(t, pause(t, window).Verify(t.Context(), r.as("two")))
	did = must(resume(t, project).Run(t.Context(), r.as("two")))(t)
	require.Contains(t, did.Summary, "taken away")
	require.ErrorIs(t, pause(t, window).Verify(t.Context(), r.as("two")), actions.ErrNotDone)
}

func TestPauseByWindowWantsTheApplicationsProject(t *testing.T) {
	r := begin(t)
	_, err := pause(t, ", window: {project: default, for: 2h}").Plan(t.Context(), r.env())
	require.ErrorContains(t, err, "belongs to AppProject shop, not to default")
}

// The controller writes to the Application all the time: a race lost against it is begun again, one lost against a person who
// changed the policy records what they wrote.
func TestPauseLosesRaces(t *testing.T) {
	r := begin(t)
	raced := 0
	r.Before(func(c clustertest.Call) *clustertest.Fault {
		if c.Verb == "patch" && c.Resource == "applications" && raced < 2 {
			raced++
			r.change(func(o map[string]any) { set(o, raced == 2, "spec", "syncPolicy", "automated", "allowEmpty") })
		}
		return nil
	})
	must(pause(t, "").Run(t.Context(), r.env()))(t)
	record, _, err := cluster.PausedOf(r.app(t).object, cluster.PausedKey)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"prune": true, "selfHeal": true, "allowEmpty": true}, record.Before)
}

// An API server that drops what it does not know, without a word, is seen through: the block goes.
func TestPauseWhereEnabledIsDropped(t *testing.T) {
	r := begin(t)
	drop := func() {
		r.change(func(o map[string]any) {
			unstructured.RemoveNestedField(o, "spec", "syncPolicy", "automated", "enabled")
		})
	}
	app, err := read(t.Context(), r.cluster, cluster.ArgoApplication("argocd", "shop"))
	require.NoError(t, err)
	r.Before(func(c clustertest.Call) *clustertest.Fault { // before each look the field is gone again
		if c.Resource == "applications" {
			drop()
		}
		return nil
	})
	_, err = app.off(t.Context(), r.cluster, false, nil)
	require.NoError(t, err)
	require.ErrorIs(t, pause(t, "").Verify(t.Context(), r.env()), actions.ErrNotDone, "what does not stay is seen")
}

// Repair takes the record of a pause away that did not come about, and never undoes one that did.
func TestPauseRepair(t *testing.T) {
	r := begin(t)
	must(pause(t, "").Run(t.Context(), r.env()))(t)
	before := r.State()
	require.NoError(t, pause(t, "").Repair(t.Context(), r.env()))
	require.Equal(t, before, r.State())
	r.change(func(o map[string]any) { set(o, true, "spec", "syncPolicy", "automated", "enabled") })
	require.NoError(t, pause(t, "").Repair(t.Context(), r.env()))
	require.NotContains(t, r.State(), cluster.PausedKey)
}

func TestShort(t *testing.T) {
	for d, text := range map[time.Duration]string{2 * time.Hour: "2h", 10 * time.Minute: "10m", 90 * time.Minute: "1h30m", 30 * time.Second: "30s", time.Hour + 10*time.Second: "1h0m10s"} {
		require.Equal(t, text, short(actions.Duration(d)))
	}
}
