package argocd

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster/clustertest"
)

// off is a rig whose Application is paused at the bad revision.
func off(t *testing.T) *rig {
	r := begin(t)
	must(pause(t, "").Run(t.Context(), r.env()))(t)
	r.standIn.ran = nil
	return r
}

func TestSyncBringsToARevision(t *testing.T) {
	for more, how := range map[string]string{"": "apply", ", hooks: true": "hook", ", hooks: true, prune: true": "hook", ", history: true": "apply"} {
		r := off(t)
		s := syncTo(t, good, more)
		change, err := s.Plan(t.Context(), r.env())
		require.NoError(t, err)
		require.Equal(t, "sync argocd/shop to 111111111111", change.Summary)
		require.Equal(t, "~ Application argocd/shop revision: "+bad+" -> "+good, change.Diff[0])
		require.ErrorIs(t, s.Verify(t.Context(), r.env()), actions.ErrNotDone)
		did, err := s.Run(t.Context(), r.env())
		require.NoError(t, err)
		require.Equal(t, SyncOutputs{Revision: good, Before: bad}, did.Outputs)
		require.Equal(t, []string{good + " " + how}, r.standIn.ran)
		require.NoError(t, s.Verify(t.Context(), r.env()))
		require.ErrorIs(t, s.Verify(t.Context(), r.as("another")), actions.ErrNotDone, "another step's sync is not this one's")

		op := r.app(t).object.Object["status"].(map[string]any)["operationState"].(map[string]any)["operation"].(map[string]any)
		require.Equal(t, []any{"ServerSideApply=true"}, op["sync"].(map[string]any)["syncOptions"], "the policy's options are copied, as Argo CD's server does")
		require.Equal(t, more == ", hooks: true, prune: true", op["sync"].(map[string]any)["prune"])
		_, sourced := op["sync"].(map[string]any)["source"]
		require.Equal(t, more == ", history: true", sourced)
	}
}

// While auto-sync wants another revision the sync would be undone the moment it ends.
func TestSyncIsRefusedWhileAutoSyncWouldUndoIt(t *testing.T) {
	r := begin(t)
	change, err := syncTo(t, good, "").Plan(t.Context(), r.env())
	require.NoError(t, err, "an earlier step pauses")
	require.Contains(t, change.Diff, "= auto-sync is on with prune with selfHeal now: an earlier step must pause it")
	before := r.State()
	_, err = syncTo(t, good, "").Run(t.Context(), r.env())
	require.ErrorContains(t, err, "let argocd/pause come before this step")
	require.True(t, actions.IsPermanent(err))
	require.Equal(t, before, r.State())

	must(syncTo(t, bad, "").Run(t.Context(), r.env()))(t) // what auto-sync wants, too
}

func TestSyncWaitsForItsPlace(t *testing.T) {
	r := off(t)
	r.standIn.hangs = next
	r.change(func(o map[string]any) {
		o["operation"] = map[string]any{"initiatedBy": map[string]any{"username": "nina"}, "sync": map[string]any{"revision": next}}
	})
	for _, what := range []string{`a sync by "nina" waits for Argo CD's controller`, `a sync by "nina" is under way`} {
		r.standIn.away = what == `a sync by "nina" waits for Argo CD's controller`
		r.settle()
		before := r.State()
		_, err := syncTo(t, good, "").Run(t.Context(), r.env())
		require.ErrorContains(t, err, what)
		require.False(t, actions.IsPermanent(err), "it may end")
		require.Equal(t, before, r.State(), "what another began is not merged into")
	}
}

func TestSyncIsRefusedWhereArgoCDLooksAway(t *testing.T) {
	r := off(t)
	r.change(func(o map[string]any) { set(o, "true", "metadata", "annotations", skipKey) })
	_, err := syncTo(t, good, "").Run(t.Context(), r.env())
	require.ErrorContains(t, err, "takes no operation up")
	require.True(t, actions.IsPermanent(err))
}

// A window that lets no hand through holds the operation, and with it the only place: it is ended and said.
func TestSyncBlockedByAWindow(t *testing.T) {
	r := off(t)
	r.Change("AppProject", "argocd", "shop", func(o map[string]any) {
		set(o, []any{map[string]any{"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": []any{"shop"}}}, "spec", "syncWindows")
	})
	_, err := syncTo(t, good, "").Run(t.Context(), r.env())
	require.ErrorContains(t, err, "a sync window of AppProject shop allows no sync by hand now")
	require.True(t, actions.IsPermanent(err))
	r.settle()
	_, busy := r.app(t).busy()
	require.False(t, busy, "the place is free again")
	require.Empty(t, r.standIn.ran)
}

// A sync under way, whose start this step wrote before it was cut, is taken up and not begun again.
func TestSyncIsTakenUp(t *testing.T) {
	r := off(t)
	r.standIn.hangs = good
	env := r.env()
	_, err := syncTo(t, good, "").Run(cut(t, &env, "waiting for healthy"), env)
	require.ErrorContains(t, err, "has not ended: Running: waiting for healthy state")
	require.ErrorIs(t, syncTo(t, good, "").Verify(t.Context(), r.env()), actions.ErrNotDone)
	began := r.app(t).Status.OperationState.StartedAt
	r.standIn.hangs = ""
	again := r.env()
	again.Attempt = 2
	must(syncTo(t, good, "").Run(t.Context(), again))(t)
	require.Equal(t, began, r.app(t).Status.OperationState.StartedAt)
	require.Equal(t, []string{good + " apply"}, r.standIn.ran)
}

func TestSyncSaysThatNobodyTakesItUp(t *testing.T) {
	r := off(t)
	r.standIn.away = true
	env := r.env()
	reads := 0
	ctx := cut(t, &env, "enough")
	r.Before(func(c clustertest.Call) *clustertest.Fault {
		if reads++; reads > 12 {
			env.Progress("enough")
		}
		return nil
	})
	_, err := syncTo(t, good, "").Run(ctx, env)
	require.ErrorContains(t, err, "does Argo CD's application controller run?")

	require.NoError(t, syncTo(t, good, "").Repair(t.Context(), r.env()), "what was not taken up is taken back")
	_, busy := r.app(t).busy()
	require.False(t, busy)
}

func TestSyncRepairEndsOnlyItsOwn(t *testing.T) {
	r := off(t)
	r.standIn.hangs = good
	env := r.env()
	_, err := syncTo(t, good, "").Run(cut(t, &env, "waiting for healthy"), env)
	require.Error(t, err)
	require.NoError(t, syncTo(t, good, "").Repair(t.Context(), r.as("another")))
	require.Equal(t, phaseRunning, r.app(t).Status.OperationState.Phase)
	require.NoError(t, syncTo(t, good, "").Repair(t.Context(), r.env()))
	r.settle()
	require.Equal(t, "Failed", r.app(t).Status.OperationState.Phase)

	r.standIn.hangs = ""
	must(syncTo(t, good, "").Run(t.Context(), r.env()))(t) // a new attempt is a new operation
}

func TestSyncWaitsForHealth(t *testing.T) {
	r := off(t)
	r.standIn.sick = good
	env := r.env()
	_, err := syncTo(t, good, "").Run(cut(t, &env, "Degraded"), env)
	require.ErrorContains(t, err, "is synced to "+good+", but its health is Degraded")
	require.ErrorContains(t, syncTo(t, good, "").Verify(t.Context(), r.env()), "Degraded")
	r.standIn.sick = ""
	r.change(func(o map[string]any) { set(o, "now", "metadata", "annotations", refreshKey) })
	must(syncTo(t, good, "").Run(t.Context(), r.env()))(t)
	require.Len(t, r.standIn.ran, 1)
}

// Health from before the sync says nothing.
func TestSyncBelievesNoOldHealth(t *testing.T) {
	r := off(t)
	must(syncTo(t, good, "").Run(t.Context(), r.env()))(t)
	r.change(func(o map[string]any) { set(o, "2020-01-01T00:00:00Z", "status", "reconciledAt") })
	require.ErrorContains(t, syncTo(t, good, "").Verify(t.Context(), r.env()), "its health was not looked at since")
}

func TestSyncFindsAnotherInItsPlace(t *testing.T) {
	r := off(t)
	r.standIn.hangs = good
	env := r.env()
	env.Progress = func(string) {
		r.change(func(o map[string]any) {
			set(o, map[string]any{"operation": map[string]any{"initiatedBy": map[string]any{"username": "nina"}, "sync": map[string]any{"revision": bad}}, "phase": "Running", "startedAt": r.standIn.stamp()}, "status", "operationState")
		})
	}
	_, err := syncTo(t, good, "").Run(t.Context(), env)
	require.ErrorContains(t, err, "another operation took its place")
}

// Argo CD answers with what it resolved; a sync that arrived elsewhere has not done what was asked.
func TestSyncArrivesElsewhere(t *testing.T) {
	r := off(t)
	must(syncTo(t, good[:12], "").Run(t.Context(), r.env()))(t)
	r.change(func(o map[string]any) { set(o, next, "status", "operationState", "syncResult", "revision") })
	_, err := syncTo(t, good[:12], "").Run(t.Context(), r.env())
	require.ErrorContains(t, err, "was synced to "+next+", not to 111111111111")
	require.ErrorIs(t, syncTo(t, good[:12], "").Verify(t.Context(), r.env()), actions.ErrNotDone)
}

func TestSyncOfSeveralSourcesGoesBackByHistory(t *testing.T) {
	r := off(t)
	sources := func(tag string) []any {
		return []any{map[string]any{"repoURL": "https://git.example/config", "path": "shop", "targetRevision": "main"},
			map[string]any{"repoURL": "https://charts.example", "chart": "api", "targetRevision": tag}}
	}
	r.change(func(o map[string]any) {
		unstructured.RemoveNestedField(o, "spec", "source")
		set(o, sources("1.5.0"), "spec", "sources")
		set(o, []any{map[string]any{"id": int64(1), "revisions": []any{good, "1.4.0"}, "sources": sources("1.4.0")},
			map[string]any{"id": int64(2), "revisions": []any{bad, "1.5.0"}, "sources": sources("1.5.0")}}, "status", "history")
	})
	_, err := syncTo(t, good, "").Plan(t.Context(), r.env())
	require.ErrorContains(t, err, "has 2 sources")
	_, err = syncTo(t, next, ", history: true").Plan(t.Context(), r.env())
	require.ErrorContains(t, err, "was never at "+next+" as far as its history goes back (2 syncs)")
	require.True(t, actions.IsPermanent(err))
	must(syncTo(t, good, ", history: true").Run(t.Context(), r.env()))(t)
	op := r.app(t).object.Object["status"].(map[string]any)["operationState"].(map[string]any)["operation"].(map[string]any)["sync"].(map[string]any)
	require.Equal(t, []any{good, "1.4.0"}, op["revisions"])
	require.Equal(t, sources("1.4.0"), op["sources"])

	r.change(func(o map[string]any) { set(o, sources("1")[:1], "spec", "sources") })
	one, err := syncTo(t, good, "").goal(r.app(t))
	require.NoError(t, err)
	require.Equal(t, history{Revisions: []string{good}}, one, "Argo CD reads a list for what is written as a list")
}

// A write whose answer is lost leaves doubt, and asking the world ends it.
func TestSyncDoubt(t *testing.T) {
	r := off(t)
	cutOnce := true
	r.Before(func(c clustertest.Call) *clustertest.Fault {
		if c.Verb == "patch" && cutOnce {
			cutOnce = false
			return &clustertest.Fault{CutAfter: true}
		}
		return nil
	})
	_, err := syncTo(t, good, "").Run(t.Context(), r.env())
	require.True(t, actions.IsDoubtful(err), err)
	require.True(t, errors.Is(syncTo(t, good, "").Verify(t.Context(), r.env()), actions.ErrNotDone))
	must(syncTo(t, good, "").Run(t.Context(), r.env()))(t)
	require.Equal(t, []string{good + " apply"}, r.standIn.ran, "one effect")
}
