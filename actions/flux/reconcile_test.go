package flux

import (
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster/clustertest"
)

func TestReconcileWaitsForTheRevision(t *testing.T) {
	r := begin(t)
	r.standIn.head = good
	change, err := fetch(t, good).Plan(t.Context(), r.env())
	require.NoError(t, err)
	require.Equal(t, "reconcile GitRepository flux-system/config to 111111111111", change.Summary)
	require.Equal(t, []string{"~ GitRepository flux-system/config revision: main@sha1:" + bad + " -> " + good}, change.Diff)
	require.ErrorIs(t, fetch(t, good).Verify(t.Context(), r.env()), actions.ErrNotDone)
	r.standIn.did = nil
	did := must(fetch(t, good).Run(t.Context(), r.env()))(t)
	require.Equal(t, ReconcileOutputs{Revision: "main@sha1:" + good, Before: "main@sha1:" + bad}, did.Outputs)
	require.NoError(t, fetch(t, good).Verify(t.Context(), r.env()))
	must(fetch(t, good).Run(t.Context(), r.env()))(t)
	second := r.env()
	second.Attempt = 2
	must(fetch(t, good).Run(t.Context(), second))(t)
	r.settle()
	require.Equal(t, []string{"GitRepository main@sha1:" + good, "Kustomization main@sha1:" + good}, r.standIn.did, "one effect, however often it is called")
	must(reconcile(t, ", revision: "+good).Run(t.Context(), r.env()))(t)
}

// Flux says that it handled the request of what is suspended, and does nothing.
func TestReconcileIsRefusedWhereItIsSuspended(t *testing.T) {
	r := begin(t)
	change, err := reconcile(t, "").Plan(t.Context(), r.env())
	require.NoError(t, err)
	must(suspend(t, "").Run(t.Context(), r.env()))(t)
	later, err := reconcile(t, "").Plan(t.Context(), r.env())
	require.NoError(t, err, "an earlier step resumes it")
	require.Contains(t, later.Diff, "= it is suspended: an earlier step must resume it")
	require.Equal(t, change.Found, later.Found)
	before := r.State()
	_, err = reconcile(t, "").Run(t.Context(), r.env())
	require.ErrorContains(t, err, "is suspended: Flux ignores the request")
	require.True(t, actions.IsPermanent(err))
	require.Equal(t, before, r.State())
}

func TestReconcileSaysWhatFails(t *testing.T) {
	r := begin(t)
	r.standIn.head, r.standIn.broken = next, next
	must(fetch(t, next).Run(t.Context(), r.env()))(t)
	_, err := reconcile(t, ", revision: "+next).Run(t.Context(), r.env())
	require.ErrorContains(t, err, "Kustomization flux-system/shop is not ready: BuildFailed: kustomize build failed")
	require.False(t, actions.IsPermanent(err))
	require.ErrorIs(t, reconcile(t, ", revision: "+next).Verify(t.Context(), r.env()), actions.ErrNotDone)

	r.standIn.broken = "" // mended: a further attempt asks again
	second := r.env()
	second.Attempt = 2
	must(reconcile(t, ", revision: "+next).Run(t.Context(), second))(t)

	env := r.env()
	env.Key = "another/step-2"
	_, err = reconcile(t, ", revision: "+good).Run(cut(t, &env, "not at "+good), env)
	require.ErrorContains(t, err, "is not reconciled: it is at main@sha1:"+next+", not at "+good)
}

func TestReconcileSaysThatNobodyListens(t *testing.T) {
	r := begin(t)
	r.standIn.deaf = true
	env := r.env()
	_, err := reconcile(t, "").Run(cut(t, &env, "does its controller run?"), env)
	require.ErrorContains(t, err, "has not worked the request off; does its controller run?")
}

func TestReconcileSeesItsRequestReplaced(t *testing.T) {
	r := begin(t)
	r.standIn.deaf = true
	env := r.env()
	env.Progress = func(string) {
		r.change(theShop, func(o map[string]any) { set(o, "by hand", "metadata", "annotations", requestedKey) })
	}
	_, err := reconcile(t, "").Run(t.Context(), env)
	require.ErrorContains(t, err, "another request took the place of this step's")
}

// The tokens of a forced release and of a reset come in the same write as the request, or Flux loses them.
func TestReconcileForcesInOneWrite(t *testing.T) {
	r := begin(t, chart)
	force := decode(t, &Reconcile{}, "{kind: HelmRelease, namespace: flux-system, name: api, revision: 1.4.0, force: true, reset: true}")
	patches := 0
	r.Before(func(c clustertest.Call) *clustertest.Fault {
		if c.Verb == "patch" && c.Resource == "helmreleases" {
			patches++
			require.Contains(t, string(c.Body), requestedKey)
			require.Contains(t, string(c.Body), forceKey)
			require.Contains(t, string(c.Body), resetKey)
		}
		return nil
	})
	r.standIn.did = nil
	did := must(force.Run(t.Context(), r.env()))(t)
	require.Equal(t, "1.4.0", did.Outputs.(ReconcileOutputs).Revision)
	must(force.Run(t.Context(), r.env()))(t)
	require.Equal(t, 1, patches)
	require.Equal(t, []string{"HelmRelease 1.4.0"}, r.standIn.did)
	f := r.the(t, theChart)
	require.Equal(t, f.Status.LastHandledReconcileAt, f.Status.LastHandledForceAt)
	require.Equal(t, f.Status.LastHandledReconcileAt, f.Status.LastHandledResetAt)
	for _, field := range []string{"lastHandledForceAt", "lastHandledResetAt"} {
		handled := f.Status.LastHandledReconcileAt
		r.standIn.deaf = true
		r.change(theChart, func(o map[string]any) { set(o, "before", "status", field) })
		require.ErrorContains(t, force.Verify(t.Context(), r.env()), "has not worked the request off", field)
		r.change(theChart, func(o map[string]any) { set(o, handled, "status", field) })
		require.NoError(t, force.Verify(t.Context(), r.env()))
	}
}
