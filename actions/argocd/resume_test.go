package argocd

import (
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/cluster/clustertest"
)

const watched = ", not: " + bad + ", watch: 1ms"

// reverted is a rig whose Application was paused, synced to the good revision, and whose branch was reverted since.
func reverted(t *testing.T) *rig {
	r := off(t)
	must(syncTo(t, good, "").Run(t.Context(), r.env()))(t)
	r.standIn.head = good
	return r
}

func TestResumeRestoresExactlyWhatWas(t *testing.T) {
	for name, before := range map[string]map[string]any{
		"all":     {"prune": true, "selfHeal": true, "allowEmpty": true},
		"empty":   {},
		"enabled": {"enabled": true, "prune": false},
	} {
		for _, older := range []bool{false, true} {
			r := begin(t)
			r.change(func(o map[string]any) { set(o, before, "spec", "syncPolicy", "automated") })
			must(pause(t, "").Run(t.Context(), r.env()))(t)
			if older { // an Argo CD without the field: the block is gone
				r.change(func(o map[string]any) { delete(o["spec"].(map[string]any)["syncPolicy"].(map[string]any), "automated") })
			}
			r.standIn.head = good
			did, err := resume(t, watched).Run(t.Context(), r.env())
			require.NoError(t, err, name)
			require.Equal(t, ResumeOutputs{Resumed: true}, did.Outputs)
			require.Equal(t, before, r.automated(t), name)
			require.NotContains(t, r.State(), cluster.PausedKey)
			require.NoError(t, resume(t, watched).Verify(t.Context(), r.env()))
		}
	}
}

// While Argo CD wants the bad revision nothing is given back. What it wants is asked anew: it looks at Git every few minutes.
func TestResumeWaitsForGit(t *testing.T) {
	r := off(t)
	before := r.automated(t)
	_, err := resume(t, watched).Run(t.Context(), r.env())
	require.ErrorContains(t, err, "wants "+bad+", not another revision than 222222222222: the bad one is not reverted")
	require.False(t, actions.IsPermanent(err), "it may be merged")
	require.Equal(t, before, r.automated(t))
	require.ErrorIs(t, resume(t, watched).Verify(t.Context(), r.env()), actions.ErrNotDone)

	r.standIn.head = next // upon the bad one
	_, err = resume(t, watched+", revision: "+good).Run(t.Context(), r.env())
	require.ErrorContains(t, err, "wants "+next+", not 111111111111")
	require.Equal(t, before, r.automated(t))

	r.standIn.head = good
	must(resume(t, watched+", revision: "+good).Run(t.Context(), r.env()))(t)
	r.settle()
	require.Equal(t, good, r.app(t).at(), "auto-sync is back and deploys what is good")
	require.True(t, r.app(t).automatic())
}

func TestResumeSaysThatArgoCDDoesNotLook(t *testing.T) {
	r := off(t)
	r.standIn.away = true
	env := r.env()
	ctx := cut(t, &env, "enough")
	reads := 0
	r.Before(func(clustertest.Call) *clustertest.Fault {
		if reads++; reads > 10 {
			env.Progress("enough")
		}
		return nil
	})
	_, err := resume(t, watched).Run(ctx, env)
	require.ErrorContains(t, err, "asked to look at Git again and did not yet")
}

// A person who changed the policy while it was paused is respected.
func TestResumeRespectsAPerson(t *testing.T) {
	r := reverted(t)
	r.change(func(o map[string]any) { set(o, map[string]any{"prune": false}, "spec", "syncPolicy", "automated") })
	did := must(resume(t, watched).Run(t.Context(), r.env()))(t)
	require.Equal(t, "auto-sync of argocd/shop: on, somebody put it back already", did.Summary)
	require.Equal(t, map[string]any{"prune": false}, r.automated(t))
	require.NotContains(t, r.State(), cluster.PausedKey)

	r = reverted(t)
	r.change(func(o map[string]any) {
		set(o, map[string]any{"prune": false, "enabled": false}, "spec", "syncPolicy", "automated")
	})
	_, err := resume(t, watched).Run(t.Context(), r.env())
	require.ErrorContains(t, err, "somebody changed its sync policy while it was paused")
	require.ErrorContains(t, err, "kubectl -n argocd patch")
	require.True(t, actions.IsPermanent(err))
	require.False(t, r.app(t).automatic())
}

// An Application that two incidents paused is given back by the last of them.
func TestResumeLeavesWhatAnotherIncidentNeeds(t *testing.T) {
	r := begin(t)
	must(pause(t, "").Run(t.Context(), r.as("one")))(t)
	must(pause(t, "").Run(t.Context(), r.as("two")))(t)
	r.standIn.head = good
	did := must(resume(t, watched).Run(t.Context(), r.as("one")))(t)
	require.Contains(t, did.Summary, "stays off, two paused it, too; by hand: kubectl")
	require.Equal(t, ResumeOutputs{Resumed: false}, did.Outputs)
	require.False(t, r.app(t).automatic())
	require.NoError(t, resume(t, watched).Verify(t.Context(), r.as("one")))
	require.ErrorIs(t, resume(t, watched).Verify(t.Context(), r.as("two")), actions.ErrNotDone)
	did = must(resume(t, watched).Run(t.Context(), r.as("two")))(t)
	require.Equal(t, ResumeOutputs{Resumed: true}, did.Outputs)
	require.Equal(t, map[string]any{"prune": true, "selfHeal": true}, r.automated(t))
}

// A record that is none of astern's is not guessed at.
func TestResumeRefusesABrokenRecord(t *testing.T) {
	for _, text := range []string{"", "{}", "nonsense", `{"before":{"prune":true},"by":[]}`} {
		r := reverted(t)
		r.change(func(o map[string]any) { set(o, text, "metadata", "annotations", cluster.PausedKey) })
		_, err := resume(t, watched).Run(t.Context(), r.env())
		require.ErrorContains(t, err, "is no record of a pause: put it back by hand and remove the annotation")
		require.False(t, r.app(t).automatic())
	}
}

// The watch after the resume says loudly that the bad version comes back, in each way it can.
func TestResumeSeesTheBadVersionComeBack(t *testing.T) {
	for how, comes := range map[string]func(*rig){
		"wants it again": func(r *rig) {
			r.standIn.head = bad
			r.change(func(o map[string]any) { set(o, bad, "status", "sync", "revision") })
		},
		"is being synced to it": func(r *rig) {
			r.standIn.away = true
			r.change(func(o map[string]any) { o["operation"] = map[string]any{"sync": map[string]any{"revision": bad}} })
		},
		"was synced to it": func(r *rig) {
			r.standIn.away = true
			r.change(func(o map[string]any) {
				set(o, "2030-01-01T00:00:00Z", "status", "operationState", "startedAt")
				set(o, bad, "status", "operationState", "syncResult", "revision")
			})
		},
	} {
		t.Run(how, func(t *testing.T) {
			r := reverted(t)
			env := r.env()
			env.Progress = func(string) { comes(r) }
			_, err := resume(t, ", not: "+bad+", watch: 10s").Run(t.Context(), env)
			require.ErrorContains(t, err, "the bad version is coming back: Application argocd/shop "+how)
			require.ErrorContains(t, err, "pause it again and find who writes 222222222222")
			require.True(t, actions.IsPermanent(err))
		})
	}
}

// What the Application was last synced to before the resume may be the bad version: a fast way back in the cluster leaves it so.
func TestResumeIsNotAlarmedByThePast(t *testing.T) {
	r := off(t)
	r.standIn.head = good
	r.standIn.away = true
	r.change(func(o map[string]any) { set(o, good, "status", "sync", "revision") })
	require.Equal(t, []string{bad}, r.app(t).reached())
	must(resume(t, watched).Run(t.Context(), r.env()))(t)
}

func TestResumePlanSaysWhatComesBack(t *testing.T) {
	r := begin(t)
	plan := func() actions.Change {
		change, err := resume(t, ", not: "+bad+", revision: "+good).Plan(t.Context(), r.env())
		require.NoError(t, err)
		return change
	}
	first := plan()
	require.Equal(t, []string{"= Application argocd/shop auto-sync: on with prune with selfHeal", "= only when Argo CD wants 111111111111; then watched for 1m"}, first.Diff)
	must(pause(t, "").Run(t.Context(), r.env()))(t)
	second := plan()
	require.Equal(t, "~ Application argocd/shop auto-sync: off -> on with prune with selfHeal", second.Diff[0])
	require.Equal(t, first.Found, second.Found, "an earlier step pauses")
	r.change(func(o map[string]any) { set(o, "other", "spec", "source", "path") })
	require.NotEqual(t, first.Found, plan().Found)
}
