package kubernetes

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/actions/cluster/clustertest"
)

// Somebody deploys at a random moment of a run, in 1,000 runs (fewer under the race detector), while the status moves as it does in a rollout: what was
// deployed is never overwritten, and without a deploy the run reaches its goal.
func TestUndoNeverOverwritesADeploy(t *testing.T) {
	const perServer = 25
	one, two, three := digestAt(t, "1"), digestAt(t, "2-broken"), digestAt(t, "3")
	random := rand.New(rand.NewPCG(1, 2))
	var stopped, reached int
	for n := 0; n < rounds; n += perServer {
		s := still(t)
		race := &race{s: s}
		s.Before(race.before)
		for range perServer {
			race.at = -1
			deploy(s, "2-broken", "")
			u := undo(t, one, ", from: \""+two+"\"")
			if random.IntN(3) > 0 {
				u = undo(t, one)
			}
			// A connection of its own for each round: one is held to the pace that suits a real API server.
			env := envOf(t, s)
			if random.IntN(2) > 0 || u.From == "" {
				_, err := u.Plan(t.Context(), env)
				require.NoError(t, err)
			}
			race.begin(random.IntN(20))
			_, err := u.Run(t.Context(), env)
			r := rollout{obj: s.Get(deployment, "shop", "api")}
			switch {
			case race.deployed:
				require.Equal(t, three, r.digest(), "what was deployed was overwritten, call %d", race.at)
				stopped++
			default:
				require.NoError(t, err)
				require.Equal(t, one, r.digest())
				reached++
			}
			if err != nil {
				require.True(t, actions.IsPermanent(err), "%v", err)
			}
		}
	}
	require.Greater(t, stopped, rounds/4)
	require.Greater(t, reached, rounds/10)
	t.Logf("%d of %d runs met a deploy, %d reached their goal", stopped, rounds, reached)
}

// still is an API server with Deployment shop/api and the revision of version 1, whose controllers only look.
func still(t testing.TB) *clustertest.Server {
	t.Helper()
	s := clustertest.New(t)
	s.Add(apiNeeds)
	s.Add(apiAt("1"))
	of := s.Get(deployment, "shop", "api")
	raw, err := (&unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "ReplicaSet",
		"metadata": map[string]any{"name": "api-1", "namespace": "shop", "labels": map[string]any{"app": "api", hashLabel: "1"}, "annotations": map[string]any{revisionNumber: "1"},
			"ownerReferences": []any{map[string]any{"apiVersion": "apps/v1", "kind": deployment, "name": "api", "uid": string(of.GetUID()), "controller": true}}},
		"spec": map[string]any{"replicas": int64(0), "selector": map[string]any{"matchLabels": map[string]any{"app": "api"}}, "template": templateOf(s)}}}).MarshalJSON()
	require.NoError(t, err)
	s.Add(string(raw))
	observed(s, deployment, "api")
	return s
}

// race deploys another version before a call of the run, and moves the status before each patch.
type race struct {
	s        *clustertest.Server
	at       int
	deployed bool
}

func (r *race) begin(at int) { r.at, r.deployed = at, false }

func (r *race) before(c clustertest.Call) *clustertest.Fault {
	if r.at < 0 {
		return nil
	}
	if c.Verb == "patch" && r.at%2 == 0 {
		r.s.Change(deployment, "shop", "api", func(o map[string]any) {
			moved, _, _ := unstructured.NestedInt64(o, "status", "collisionCount")
			_ = unstructured.SetNestedField(o, moved+1, "status", "collisionCount")
		})
	}
	if r.at == 0 {
		r.deployed = true
		deploy(r.s, "3", "")
	}
	r.at--
	return nil
}

// A second attempt has no plan of its own to compare with: `from` and the record of the halt keep it from overwriting.
func TestUndoLaterAttempts(t *testing.T) {
	s := shop(t)
	halted(t, s)
	deploy(s, "3", "")
	_, err := undo(t, digestAt(t, "1")).Run(t.Context(), envOf(t, s))
	require.ErrorContains(t, err, "another template was set while it was halted")
	require.True(t, actions.IsPermanent(err))

	s = shop(t)
	deploy(s, "3", "")
	_, err = undo(t, digestAt(t, "1"), ", from: \""+digestAt(t, "2-broken")+"\"").Run(t.Context(), envOf(t, s))
	require.ErrorContains(t, err, "somebody deployed meanwhile, so nothing is written")
	require.Equal(t, digestAt(t, "3"), rollout{obj: s.Get(deployment, "shop", "api")}.digest())
}

// A person who pauses between plan and run has it in hand.
func TestUndoAfterAPersonsPause(t *testing.T) {
	s := shop(t)
	u, env := undo(t, digestAt(t, "1"), ", resume: true"), envOf(t, s)
	_, err := u.Plan(t.Context(), env)
	require.NoError(t, err)
	pause(s, true)
	_, err = u.Run(t.Context(), env)
	require.ErrorContains(t, err, "no longer as the plan found it")
	require.True(t, paused(s))
	require.Zero(t, writesTo(s, "deployments"))
}

// An answer that is lost leaves a doubt, which Verify settles either way; a second run has no second effect.
func TestUndoInDoubt(t *testing.T) {
	for _, lost := range []clustertest.Fault{{CutAfter: true}, {Cut: true}} {
		s := shop(t)
		cut := true
		s.Before(func(c clustertest.Call) *clustertest.Fault {
			if c.Verb == "patch" && c.Resource == "deployments" && !c.DryRun && cut {
				cut = false
				return &lost
			}
			return nil
		})
		one, env := digestAt(t, "1"), envOf(t, s)
		_, err := undo(t, one).Run(t.Context(), env)
		require.True(t, actions.IsDoubtful(err), "%v", err)
		err = undo(t, one).Verify(t.Context(), env)
		if lost.Cut {
			require.ErrorIs(t, err, actions.ErrNotDone)
		} else {
			require.NoError(t, err)
		}
		_, err = undo(t, one).Run(t.Context(), env)
		require.NoError(t, err)
		require.NoError(t, undo(t, one).Verify(t.Context(), env))
		require.Equal(t, 1, len(s.Writes()))
	}
}

// Admission that makes another template of the goal's is seen in the plan: the goal would never be there.
func TestUndoUnderAnotherAdmission(t *testing.T) {
	s := shop(t)
	v := undoView{rollout: rollout{undo(t, digestAt(t, "1")).ref(), s.Get(deployment, "shop", "api")}, to: revision{digest: digestAt(t, "1"), number: 2}}
	err := v.stays(v.rollout)
	require.ErrorContains(t, err, "admission changes the template of revision 2 into another")
	require.True(t, actions.IsPermanent(err))
}

// The fence covers the whole object: uid, version, and the template that is left.
func TestUndoFence(t *testing.T) {
	s := shop(t)
	r := rollout{undo(t, digestAt(t, "1")).ref(), s.Get(deployment, "shop", "api")}
	ops := append(cluster.Fence(r.obj), undoOps(envOf(t, s), r, revision{digest: "sha256:0", template: r.template()})...)
	var tests []string
	for _, op := range ops {
		if op.Op == "test" {
			tests = append(tests, op.Path)
		}
	}
	require.Equal(t, "/metadata/uid /metadata/resourceVersion /spec/template", strings.Join(tests, " "))
}
