package flux

import (
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const watched = ", not: " + bad + ", watch: 1ms"

// off is a rig whose Kustomization is suspended at the bad revision.
func off(t *testing.T, manifests ...string) *rig {
	r := begin(t, manifests...)
	must(suspend(t, "").Run(t.Context(), r.env()))(t)
	return r
}

// While the source has the bad revision nothing is given back.
func TestResumeWaitsForTheSource(t *testing.T) {
	r := off(t)
	env := r.env()
	_, err := resume(t, watched).Run(cut(t, &env, "yet"), env)
	require.ErrorContains(t, err, "would go to main@sha1:"+bad+", not to another revision than 222222222222: the bad one is not reverted")
	require.ErrorContains(t, err, "it stays suspended")
	require.False(t, actions.IsPermanent(err))
	require.True(t, r.the(t, theShop).suspended())
	require.ErrorIs(t, resume(t, watched).Verify(t.Context(), r.env()), actions.ErrNotDone)

	r.standIn.head = next // upon the bad one
	must(fetch(t, next).Run(t.Context(), r.env()))(t)
	env = r.env()
	_, err = resume(t, watched+", revision: "+good).Run(cut(t, &env, "yet"), env)
	require.ErrorContains(t, err, "would go to main@sha1:"+next+", not to 111111111111")
	require.True(t, r.the(t, theShop).suspended())

	r.standIn.head = good
	must(fetch(t, good).Run(t.Context(), r.as("again")))(t)
	did := must(resume(t, watched+", revision: "+good).Run(t.Context(), r.env()))(t)
	require.Equal(t, ResumeOutputs{Resumed: true}, did.Outputs)
	require.Equal(t, "main@sha1:"+good, r.the(t, theShop).reached())
	require.NoError(t, resume(t, watched).Verify(t.Context(), r.env()))
}

func TestResumeWantsItsSourceResumedFirst(t *testing.T) {
	r := off(t)
	r.change(theSource, func(o map[string]any) { set(o, true, "spec", "suspend") })
	_, err := resume(t, watched).Run(t.Context(), r.env())
	require.ErrorContains(t, err, "GitRepository flux-system/config is suspended")
	require.True(t, r.the(t, theShop).suspended())
}

func TestResumeRespectsAPerson(t *testing.T) {
	r := off(t)
	r.change(theShop, func(o map[string]any) { set(o, false, "spec", "suspend") })
	did := must(resume(t, ", not: "+good+", watch: 1ms").Run(t.Context(), r.env()))(t)
	require.Equal(t, "Kustomization flux-system/shop: somebody resumed it already", did.Summary)
	require.NotContains(t, r.State(), cluster.PausedKey)
	did = must(resume(t, ", not: "+good+", watch: 1ms").Run(t.Context(), r.env()))(t)
	require.Contains(t, did.Summary, "not suspended by astern: left as it is")
}

func TestResumeLeavesWhatAnotherIncidentNeeds(t *testing.T) {
	r := begin(t)
	must(suspend(t, "").Run(t.Context(), r.as("one")))(t)
	must(suspend(t, "").Run(t.Context(), r.as("two")))(t)
	did := must(resume(t, ", not: "+good+", watch: 1ms").Run(t.Context(), r.as("one")))(t)
	require.Contains(t, did.Summary, "stays suspended, two needs it, too; by hand: flux resume kustomization shop -n flux-system")
	require.True(t, r.the(t, theShop).suspended())
	require.NoError(t, resume(t, ", watch: 0s").Verify(t.Context(), r.as("one")))
	require.ErrorIs(t, resume(t, ", watch: 0s").Verify(t.Context(), r.as("two")), actions.ErrNotDone)
	must(resume(t, ", not: "+good+", watch: 1ms").Run(t.Context(), r.as("two")))(t)
	require.False(t, r.the(t, theShop).suspended())
}

func TestResumeRefusesABrokenRecord(t *testing.T) {
	r := off(t)
	r.change(theShop, func(o map[string]any) { set(o, "{}", "metadata", "annotations", cluster.PausedKey) })
	_, err := resume(t, ", watch: 0s").Run(t.Context(), r.env())
	require.ErrorContains(t, err, "is no record of a pause")
	require.True(t, r.the(t, theShop).suspended())
}

// The watch after the resume says loudly that the bad version comes back, in each way it can.
func TestResumeSeesTheBadVersionComeBack(t *testing.T) {
	for how, comes := range map[string]func(*rig){
		"its source has it again": func(r *rig) {
			r.standIn.deaf = true
			r.change(theSource, func(o map[string]any) { set(o, "main@sha1:"+bad, "status", "artifact", "revision") })
		},
		"it is at it again": func(r *rig) {
			r.standIn.deaf = true
			r.change(theShop, func(o map[string]any) { set(o, "main@sha1:"+bad, "status", "lastAppliedRevision") })
		},
	} {
		t.Run(how, func(t *testing.T) {
			r := off(t)
			r.standIn.head = good
			must(fetch(t, good).Run(t.Context(), r.as("again")))(t)
			env := r.env()
			env.Progress = func(line string) {
				if env.Attempt == 1 && len(line) > 0 && r.the(t, theShop).reached() == "main@sha1:"+good {
					comes(r)
				}
			}
			_, err := resume(t, ", not: "+bad+", watch: 10s").Run(t.Context(), env)
			require.ErrorContains(t, err, "the bad version is coming back: Kustomization flux-system/shop was resumed, and "+how)
			require.True(t, actions.IsPermanent(err))
		})
	}
}

func TestResumeSaysThatItIsNotReady(t *testing.T) {
	r := off(t)
	r.standIn.head, r.standIn.broken = good, good
	must(fetch(t, good).Run(t.Context(), r.as("again")))(t)
	env := r.env()
	_, err := resume(t, watched).Run(cut(t, &env, "BuildFailed"), env)
	require.ErrorContains(t, err, "is resumed, but not ready: BuildFailed: kustomize build failed")
	r.standIn.broken = ""
	r.change(theShop, func(o map[string]any) { set(o, "by hand", "metadata", "annotations", requestedKey) })
	must(resume(t, watched).Run(t.Context(), r.env()))(t) // a further attempt waits again
}

// A HelmRelease is to ask for another version of its chart before it is given back.
func TestResumeAHelmRelease(t *testing.T) {
	r := begin(t, chart)
	it := "{kind: HelmRelease, namespace: flux-system, name: api, not: 1.4.0, watch: 1ms}"
	must(decode(t, &Suspend{}, "{kind: HelmRelease, namespace: flux-system, name: api}").Run(t.Context(), r.env()))(t)
	env := r.env()
	_, err := decode(t, &Resume{}, it).Run(cut(t, &env, "yet"), env)
	require.ErrorContains(t, err, "would go to 1.4.0, not to another revision than 1.4.0")
	r.change(theChart, func(o map[string]any) { set(o, "1.3.9", "spec", "chart", "spec", "version") })
	must(decode(t, &Resume{}, it).Run(t.Context(), r.env()))(t)
	require.Equal(t, "1.3.9", r.the(t, theChart).reached())
}

func TestResumePlanSaysWhatComesBack(t *testing.T) {
	r := begin(t)
	plan := func() actions.Change {
		change, err := resume(t, ", not: "+bad+", revision: "+good).Plan(t.Context(), r.env())
		require.NoError(t, err)
		return change
	}
	first := plan()
	require.Equal(t, []string{"= Kustomization flux-system/shop spec.suspend: false", "= only when its source has 111111111111; then watched for 1m0s"}, first.Diff)
	must(suspend(t, "").Run(t.Context(), r.env()))(t)
	second := plan()
	require.Equal(t, "~ Kustomization flux-system/shop spec.suspend: true -> false", second.Diff[0])
	require.Equal(t, first.Found, second.Found, "an earlier step suspends")
	r.change(theShop, func(o map[string]any) { set(o, "other", "spec", "path") })
	require.NotEqual(t, first.Found, plan().Found)
}
