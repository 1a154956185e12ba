package storetest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

func unknownStream(t *testing.T, k *kit) {
	require.Empty(t, k.mustLoad("nobody"))
	version, hash, err := k.Tip(t.Context(), "nobody")
	require.NoError(t, err)
	require.Zero(t, version)
	require.Empty(t, hash)
}

// numberedAndChained chains what was stored anew, with nothing but what Load returns.
func numberedAndChained(t *testing.T, k *kit) {
	first := k.mustWrite("a", 0)
	k.mustWrite("b", 0) // another history between changes nothing
	second, err := k.Append(t.Context(), incident.Append{Stream: "a", After: 1, Events: []incident.Event{k.event("two"), k.event("three")}})
	require.NoError(t, err)
	events := k.mustLoad("a")
	require.Equal(t, append(first.Events, second.Events...), events)
	prev := ""
	for i, e := range events {
		require.Equal(t, i+1, e.Version)
		raw, err := incident.EncodeFact(e.Fact)
		require.NoError(t, err)
		require.Equal(t, incident.Chain(prev, "a", e, raw), e.Hash)
		prev = e.Hash
	}
	version, hash, err := k.Tip(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 3, version)
	require.Equal(t, prev, hash)
	require.NotEqual(t, events[0].Hash, k.mustLoad("b")[0].Hash, "the history's name is part of the chain")
}

func oddNames(t *testing.T, k *kit) {
	berlin := time.FixedZone("", 3600)
	for _, name := range []string{"target/checkout", `'; DROP TABLE events; --`, "a\x00b", "é🜁\u2028", "%_*?", " ", strings.Repeat("long", 1000), "\xff\xfe"} {
		for _, at := range []time.Time{{}, time.Unix(0, 0), time.Unix(0, 1), time.Unix(0, -1), k.clock.Now().In(berlin), time.Date(2261, 1, 1, 0, 0, 0, 999999999, time.UTC)} {
			after := len(k.mustLoad(name))
			done, err := k.Append(t.Context(), incident.Append{Stream: name, After: after,
				Events: []incident.Event{incident.NewEvent(at, name, name, incident.Requested{Reason: strings.ToValidUTF8(name, "?")})}})
			require.NoError(t, err)
			events := k.mustLoad(name)
			require.Equal(t, done.Events, events[after:])
			require.True(t, events[after].At.Equal(at))
			require.Equal(t, at.IsZero(), events[after].At.IsZero())
			require.Equal(t, name, events[after].By)
		}
	}
}

// refusedForms: what would not come back equal, or means nothing, is an error and stores nothing.
func refusedForms(t *testing.T, k *kit) {
	late := time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)
	good := []incident.Event{k.event("good")}
	for name, a := range map[string]incident.Append{
		"no stream":                  {Events: good},
		"no fact":                    {Stream: "a", Events: []incident.Event{{Type: "Opened", Schema: 1}}},
		"another fact's name":        {Stream: "a", Events: []incident.Event{{Type: "Opened", Schema: 1, Fact: incident.Marked{}}}},
		"another schema":             {Stream: "a", Events: []incident.Event{{Type: "Marked", Schema: 2, Fact: incident.Marked{}}}},
		"a time nobody can store":    {Stream: "a", Events: []incident.Event{incident.NewEvent(late, "", "", incident.Marked{})}},
		"a claim's time":             {Stream: "a", Events: good, Take: []incident.Claim{{Pool: "p", Limit: 1, Until: late}}},
		"a head's time":              {Stream: "a", Events: good, Head: &incident.Head{ID: "a", OpenedAt: late}},
		"a fact that cannot be JSON": {Stream: "a", Events: []incident.Event{incident.NewEvent(k.clock.Now(), "", "", incident.StepBegan{With: json.RawMessage("{")})}},
		"a version before the first": {Stream: "a", After: -1, Events: good},
	} {
		_, err := k.Append(t.Context(), a)
		require.Error(t, err, name)
		require.Empty(t, k.mustLoad("a"), name)
	}
}

func conflicts(t *testing.T, k *kit) {
	k.mustWrite("a", 0)
	k.mustWrite("a", 1)
	for _, after := range []int{0, 1, 3, 7} {
		_, err := k.write("a", after)
		require.ErrorIs(t, err, incident.ErrConflict, "after %d", after)
		_, err = k.Append(t.Context(), incident.Append{Stream: "a", After: after, Take: []incident.Claim{{Pool: "p", Limit: 1}}})
		require.ErrorIs(t, err, incident.ErrConflict, "without events, after %d", after)
	}
	_, err := k.write("nobody", 1)
	require.ErrorIs(t, err, incident.ErrConflict)
	require.Len(t, k.mustLoad("a"), 2)
	require.Empty(t, k.held(""))
	k.mustWrite("a", 2)
}

// refusalLeavesNothing: neither events nor head nor claims, and the next write goes on where the last good one ended.
func refusalLeavesNothing(t *testing.T, k *kit) {
	k.mustWrite("rival", 0, incident.Claim{Pool: "taken", Limit: 1})
	k.mustWrite("a", 0, incident.Claim{Pool: "mine", Limit: 1})
	refused := incident.Append{
		Stream: "a", After: 1, Events: []incident.Event{k.event("one"), k.event("two")},
		Head:    &incident.Head{ID: "a", Phase: incident.Running},
		Take:    []incident.Claim{{Pool: "free", Limit: 1}, {Pool: "taken", Limit: 1}},
		Release: []string{"mine"},
	}
	_, err := k.Append(t.Context(), refused)
	by := k.refusedClaim(err, "taken")
	require.Len(t, by, 1)
	require.Equal(t, "rival", by[0].Holder)
	require.Len(t, k.mustLoad("a"), 1)
	require.Equal(t, []string{"a"}, k.held("mine"))
	require.Empty(t, k.held("free"))
	heads, err := k.Heads(t.Context(), incident.HeadFilter{})
	require.NoError(t, err)
	require.Empty(t, heads)
	require.Equal(t, 2, k.mustWrite("a", 1).Events[0].Version)
}
