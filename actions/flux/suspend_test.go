package flux

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

func TestSuspendRecordsHowItWas(t *testing.T) {
	for before, spec := range map[any]string{nil: "", false: ", suspend: false"} {
		r := begin(t, fmt.Sprintf(`{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: shop, namespace: flux-system}, spec: {interval: 10m, sourceRef: {kind: GitRepository, name: config}%s}}`, spec))
		s := suspend(t, "")
		change, err := s.Plan(t.Context(), r.env())
		require.NoError(t, err)
		require.Equal(t, "suspend Kustomization flux-system/shop", change.Summary)
		require.Regexp(t, `^[+~] Kustomization flux-system/shop spec.suspend: (false -> )?true$`, change.Diff[0])
		require.ErrorIs(t, s.Verify(t.Context(), r.env()), actions.ErrNotDone)
		did, err := s.Run(t.Context(), r.env())
		require.NoError(t, err)
		require.Equal(t, SuspendOutputs{ByHand: "flux resume kustomization shop -n flux-system"}, did.Outputs)
		require.Contains(t, did.Summary, "by hand back: flux resume kustomization shop -n flux-system")
		require.NoError(t, s.Verify(t.Context(), r.env()))
		record, known, err := cluster.PausedOf(r.Get("Kustomization", "flux-system", "shop"), cluster.PausedKey)
		require.NoError(t, err)
		require.True(t, known)
		require.Equal(t, before, record.Before)

		r.standIn.head = next
		must(fetch(t, next).Run(t.Context(), r.env()))(t)
		r.settle()
		require.Equal(t, "main@sha1:"+bad, r.the(t, theShop).reached(), "a new commit is not applied")
		again, err := s.Plan(t.Context(), r.env())
		require.NoError(t, err)
		require.Equal(t, "Kustomization flux-system/shop is suspended already", again.Summary)
		require.Equal(t, change.Found, again.Found, "that it is suspended for an incident is no change")

		r.standIn.head = good
		must(fetch(t, good).Run(t.Context(), r.as("x")))(t)
		must(resume(t, ", not: "+bad+", watch: 1ms").Run(t.Context(), r.env()))(t)
		after, _ := r.Get("Kustomization", "flux-system", "shop").Object["spec"].(map[string]any)["suspend"]
		require.Equal(t, before, after, "exactly as it was")
		require.NotContains(t, r.State(), cluster.PausedKey)
	}
}

func TestSuspendLeavesWhatAPersonSuspended(t *testing.T) {
	r := begin(t)
	planned := must(suspend(t, "").Plan(t.Context(), r.env()))(t)
	r.change(theShop, func(o map[string]any) { set(o, true, "spec", "suspend") })
	r.settle()
	require.NotEqual(t, planned.Found, must(suspend(t, "").Plan(t.Context(), r.env()))(t).Found, "that a person suspended it is a change")
	before := r.State()
	did := must(suspend(t, "").Run(t.Context(), r.env()))(t)
	require.Equal(t, SuspendOutputs{Suspended: true}, did.Outputs)
	did = must(resume(t, ", not: "+good).Run(t.Context(), r.env()))(t)
	require.Equal(t, "Kustomization flux-system/shop: suspended, and not by astern: left so", did.Summary)
	require.Equal(t, before, r.State())
}

// A reconciliation that began before goes on applying the bad version: the step is done when that is.
func TestSuspendWaitsForTheReconciliationUnderWay(t *testing.T) {
	r := begin(t)
	r.standIn.head, r.standIn.hangs = next, next
	r.change(theSource, func(o map[string]any) { set(o, "main@sha1:"+next, "status", "artifact", "revision") })
	r.settle()
	env := r.env()
	_, err := suspend(t, "").Run(cut(t, &env, "Building manifests"), env)
	require.ErrorContains(t, err, "is suspended, but Flux is still at work on it: Building manifests for revision main@sha1:"+next)
	require.ErrorContains(t, suspend(t, "").Verify(t.Context(), r.env()), "still at work")
	require.True(t, r.the(t, theShop).suspended())

	r.change(theShop, func(o map[string]any) {
		conditions(o, "Unknown", "Progressing", "Running health checks for revision main@sha1:"+next, "Progressing")
	})
	must(suspend(t, "").Run(t.Context(), r.env()))(t) // everything is applied while health is awaited
	r.change(theShop, func(o map[string]any) { conditions(o, "False", "BuildFailed", "no", "ProgressingWithRetry") })
	must(suspend(t, "").Run(t.Context(), r.env()))(t) // what failed is not under way
}

const parent = `{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: all, namespace: flux-system}, spec: {interval: 10m, %s sourceRef: {kind: GitRepository, name: config}}}`

// child is the Kustomization shop as the one above applied it.
func child(spec string) string {
	return fmt.Sprintf(`
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: shop
  namespace: flux-system
  labels: {kustomize.toolkit.fluxcd.io/name: all, kustomize.toolkit.fluxcd.io/namespace: flux-system}
spec: {interval: 10m, %s sourceRef: {kind: GitRepository, name: config}}
`, spec)
}

// applied marks the spec as set by Flux: what it has out of Git it sets again.
func applied(r *rig, fields string) {
	r.change(theShop, func(o map[string]any) {
		o["metadata"].(map[string]any)["managedFields"] = []any{map[string]any{"manager": "kustomize-controller", "operation": "Apply",
			"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "fieldsType": "FieldsV1", "fieldsV1": map[string]any{"f:spec": map[string]any{fields: map[string]any{}}}}}
	})
}

func TestSuspendIsRefusedWhereItWouldBeUndone(t *testing.T) {
	under := ", under: flux/Kustomization/flux-system/all"
	for name, c := range map[string]struct{ above, fields, more, planned, ran string }{
		"Git says suspend: false":       {"", "f:suspend", "", "would be undone by Kustomization flux-system/all", "with what Git says of the pause: suspend this one, too"},
		"Git does not say":              {"", "f:interval", "", "", ""},
		"the one above is suspended":    {"suspend: true,", "f:suspend", "", "", ""},
		"an earlier step suspends it":   {"", "f:suspend", under, "", "would be undone by Kustomization flux-system/all"},
		"an earlier step suspended it":  {"suspend: true,", "f:suspend", under, "", ""},
		"another one is suspended":      {"", "f:suspend", ", under: flux/Kustomization/flux-system/other", "would be undone by", "would be undone by"},
		"the one above is not here":     {"none", "f:suspend", "", "it is not in this cluster", "it is not in this cluster"},
		"one that is not here is named": {"none", "f:suspend", under, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			manifests := []string{child("suspend: false,")}
			if c.above != "none" {
				manifests = append(manifests, fmt.Sprintf(parent, c.above))
			}
			r := begin(t, manifests...)
			applied(r, c.fields)
			s := suspend(t, c.more)
			before := r.State()
			change, err := s.Plan(t.Context(), r.env())
			if c.planned == "" {
				require.NoError(t, err)
				require.Contains(t, fmt.Sprint(change.Diff), "Kustomization flux-system/all: ")
			} else {
				require.ErrorContains(t, err, c.planned)
			}
			_, err = s.Run(t.Context(), r.env())
			if c.ran == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.ran)
			require.True(t, actions.IsPermanent(err))
			require.Equal(t, before, r.State())
		})
	}
}

// Flux is installed by itself: the Kustomization that applies its own object does not undo its own suspension.
func TestSuspendWhatIsAboveItself(t *testing.T) {
	r := begin(t, `
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: shop, namespace: flux-system, labels: {kustomize.toolkit.fluxcd.io/name: shop, kustomize.toolkit.fluxcd.io/namespace: flux-system}}
spec: {interval: 10m, suspend: false, sourceRef: {kind: GitRepository, name: config}}
`)
	applied(r, "f:suspend")
	must(suspend(t, "").Run(t.Context(), r.env()))(t)
}

func TestSuspendNamesTheRobots(t *testing.T) {
	r := begin(t, shop, robot)
	plan := func(a actions.Action) string {
		change, err := a.Plan(t.Context(), r.env())
		require.NoError(t, err)
		return fmt.Sprint(change.Diff)
	}
	says := "= ImageUpdateAutomation flux-system/tags: writes image tags into the same repository: suspend it, too"
	require.Contains(t, plan(suspend(t, "")), says)
	require.Contains(t, plan(resume(t, ", watch: 0s")), says)
	itself := decode(t, &Suspend{}, "{kind: ImageUpdateAutomation, namespace: flux-system, name: tags}")
	require.NotContains(t, plan(itself), "the same repository")
	must(itself.Run(t.Context(), r.env()))(t)
	require.Contains(t, plan(suspend(t, "")), "writes image tags into the same repository; it is suspended")
	r.Forbid("list", "imageupdateautomations")
	require.Contains(t, plan(suspend(t, "")), "is not known: astern may not list it")
	must(decode(t, &Resume{}, "{kind: ImageUpdateAutomation, namespace: flux-system, name: tags, watch: 0s}").Run(t.Context(), r.env()))(t)
}
