package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

func restart(t *testing.T, k *kit) {
	token := k.mustWrite("a", 0, incident.Claim{Pool: "lock", Limit: 1}).Tokens["lock"]
	head := k.openIncident("1", "checkout", incident.Pending, true)
	require.NoError(t, k.Deliver(t.Context(), delivery(k.clock.Now(), 1)))
	before := k.mustLoad("a")
	_, err := k.Append(t.Context(), incident.Append{Stream: "b", Take: []incident.Claim{{Pool: "slot", Limit: 1}}})
	require.NoError(t, err)
	_, err = k.Append(t.Context(), incident.Append{Stream: "b", Release: []string{"slot"}})
	require.NoError(t, err)

	k.reopen(Settings{})
	require.Equal(t, before, k.mustLoad("a"))
	require.Equal(t, []string{"a"}, k.held("lock"))
	heads, err := k.Heads(t.Context(), incident.HeadFilter{Live: true})
	require.NoError(t, err)
	require.Equal(t, []incident.Head{head}, heads)
	lines, err := k.Deliveries(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, lines, 1)

	_, err = k.write("a", 0)
	require.ErrorIs(t, err, incident.ErrConflict)
	require.Equal(t, token, k.mustWrite("a", 1, incident.Claim{Pool: "lock", Limit: 1}).Tokens["lock"])
	require.Greater(t, k.mustWrite("c", 0, incident.Claim{Pool: "slot", Limit: 1}).Tokens["slot"], token+1, "released tokens are not given again")
	require.Len(t, k.mustLoad("a"), 2)
}

func compaction(t *testing.T, k *kit) {
	token := k.mustWrite("target/checkout", 0, incident.Claim{Pool: "lock", Limit: 1}).Tokens["lock"]
	_, err := k.Append(t.Context(), incident.Append{Stream: "target/checkout", After: 1, Release: []string{"lock"}})
	require.NoError(t, err)
	old := k.openIncident("old", "checkout", incident.Succeeded, false)
	owing := k.openIncident("owing", "checkout", incident.Failed, true)
	open := k.openIncident("open", "checkout", incident.Held, false)
	young := k.openIncident("young", "checkout", incident.Rejected, false)
	last := k.mustLoad("incident/old")

	removed, err := k.Compact(t.Context(), young.EndedAt)
	require.NoError(t, err)
	require.Equal(t, 1, removed, "only what ended before, and has nothing left to do")
	for _, h := range []incident.Head{owing, open, young} {
		require.Len(t, k.mustLoad("incident/"+h.ID), 1)
	}
	require.Len(t, k.mustLoad("target/checkout"), 1, "a target's history is no incident's")

	heads, err := k.Heads(t.Context(), incident.HeadFilter{})
	require.NoError(t, err)
	require.Equal(t, []incident.Head{young, open, owing, old}, heads, "the heads stay")
	k.reopen(Settings{})
	version, hash, err := k.Tip(t.Context(), "incident/old")
	require.NoError(t, err)
	require.Equal(t, 1, version)
	require.Equal(t, last[0].Hash, hash, "the tip stays provable")
	_, err = k.Load(t.Context(), "incident/old")
	require.ErrorIs(t, err, incident.ErrCompacted)
	for _, after := range []int{0, 1} {
		_, err = k.write("incident/old", after)
		require.ErrorIs(t, err, incident.ErrCompacted, "a removed history is not begun anew, after %d", after)
	}
	removed, err = k.Compact(t.Context(), young.EndedAt)
	require.NoError(t, err)
	require.Zero(t, removed, "what is gone is not counted again")
	require.Greater(t, k.mustWrite("s", 0, incident.Claim{Pool: "lock", Limit: 1}).Tokens["lock"], token, "tokens outlive compaction")
}

func compactMany(t *testing.T, k *kit) {
	const many = 300
	for i := range many {
		k.openIncident(fmt.Sprint(i), "checkout", incident.Cancelled, false)
	}
	removed, err := k.Compact(t.Context(), time.Time{})
	require.NoError(t, err)
	require.Zero(t, removed)
	removed, err = k.Compact(t.Context(), k.clock.Pass(time.Second))
	require.NoError(t, err)
	require.Equal(t, many, removed)
}

func healthy(t *testing.T, k *kit) {
	for range 3 {
		require.NoError(t, k.Healthy(t.Context()))
	}
}

func closed(t *testing.T, k *kit) {
	k.mustWrite("a", 0)
	require.NoError(t, k.Close())
	require.NoError(t, k.Close(), "closing twice is closing")
	_, err := k.write("a", 1)
	require.ErrorIs(t, err, incident.ErrUnavailable)
	require.ErrorIs(t, k.Deliver(t.Context(), incident.Delivery{Source: "s"}), incident.ErrUnavailable)
	require.ErrorIs(t, k.Healthy(t.Context()), incident.ErrUnavailable)
	_, err = k.Compact(t.Context(), k.clock.Now())
	require.ErrorIs(t, err, incident.ErrUnavailable)
	_, err = k.Load(t.Context(), "a")
	require.Error(t, err)
}
