package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

func poolPlaces(t *testing.T, k *kit) {
	pool := incident.Claim{Pool: "p", Limit: 3}
	last := int64(0)
	for _, name := range []string{"a", "b", "c"} {
		token := k.mustWrite(name, 0, pool).Tokens["p"]
		require.Greater(t, token, last, "tokens only grow")
		last = token
	}
	require.Equal(t, []string{"a", "b", "c"}, k.held("p"))
	_, err := k.write("d", 0, pool)
	by := k.refusedClaim(err, "p")
	require.Len(t, by, 3, "a refusal names all holders")
	require.Equal(t, k.clock.Now(), by[0].Since)

	_, err = k.write("d", 0, incident.Claim{Pool: "p", Limit: 2})
	k.refusedClaim(err, "p")
	_, err = k.write("d", 0, incident.Claim{Pool: "other", Limit: 0})
	require.Empty(t, k.refusedClaim(err, "other"), "a pool without places has none free")

	_, err = k.Append(t.Context(), incident.Append{Stream: "b", After: 1, Release: []string{"p"}})
	require.NoError(t, err)
	_, err = k.write("d", 0, incident.Claim{Pool: "p", Limit: 2})
	k.refusedClaim(err, "p")
	require.Greater(t, k.mustWrite("d", 0, pool).Tokens["p"], last, "a place given again gets a new token")
	require.Equal(t, []string{"a", "d", "c"}, k.held("p"), "the lowest free place is given")
}

func keptPlace(t *testing.T, k *kit) {
	begun := k.clock.Now()
	lease := func() incident.Claim {
		return incident.Claim{Pool: "lock", Limit: 1, Until: k.clock.Now().Add(time.Minute)}
	}
	token := k.mustWrite("a", 0, lease()).Tokens["lock"]
	k.clock.Pass(59 * time.Second)
	require.Equal(t, token, k.mustWrite("a", 1, lease()).Tokens["lock"], "taking what is held keeps the token")
	until := k.clock.Now().Add(time.Minute)
	k.clock.Pass(2 * time.Second)
	_, err := k.write("b", 0, lease())
	require.Equal(t, []incident.Place{{Pool: "lock", Holder: "a", Token: token, Since: begun, Until: until}}, k.refusedClaim(err, "lock"), "it was prolonged")

	k.clock.Pass(58 * time.Second) // exactly at its end
	require.Empty(t, k.held("lock"), "an expired place is no claim")
	again := k.mustWrite("a", 2, lease()).Tokens["lock"]
	require.Greater(t, again, token, "who comes back after the end holds a new place")
	k.clock.Pass(time.Hour)
	require.Greater(t, k.mustWrite("b", 0, lease()).Tokens["lock"], again, "an expired place is free")
	require.Equal(t, []string{"b"}, k.held("lock"))

	k.mustWrite("b", 1, incident.Claim{Pool: "lock", Limit: 1})
	k.clock.Pass(1000 * time.Hour)
	require.Equal(t, []string{"b"}, k.held("lock"), "without an end it stays until released")
}

func allOrNone(t *testing.T, k *kit) {
	k.mustWrite("rival", 0, incident.Claim{Pool: "b", Limit: 1})
	want := []incident.Claim{{Pool: "a", Limit: 1}, {Pool: "b", Limit: 1}, {Pool: "c", Limit: 1}}
	_, err := k.write("s", 0, want...)
	k.refusedClaim(err, "b")
	require.Equal(t, []string{"rival"}, k.held(""))
	_, err = k.Append(t.Context(), incident.Append{Stream: "rival", After: 1, Release: []string{"b"}})
	require.NoError(t, err)
	tokens := k.mustWrite("s", 0, want...).Tokens
	require.Len(t, tokens, 3)
	require.Less(t, tokens["a"], tokens["b"])
	require.Less(t, tokens["b"], tokens["c"])
}

func release(t *testing.T, k *kit) {
	pool := incident.Claim{Pool: "p", Limit: 1}
	token := k.mustWrite("a", 0, pool).Tokens["p"]
	_, err := k.Append(t.Context(), incident.Append{Stream: "b", Release: []string{"p", "never held"}})
	require.NoError(t, err, "a pool that is not held is no error")
	require.Equal(t, []string{"a"}, k.held("p"), "nobody releases what another holds")

	done, err := k.Append(t.Context(), incident.Append{Stream: "a", After: 1, Release: []string{"p"}, Take: []incident.Claim{pool}})
	require.NoError(t, err)
	require.Greater(t, done.Tokens["p"], token, "released and taken in one write is a new place")
	_, err = k.Append(t.Context(), incident.Append{Stream: "a", After: 1, Release: []string{"p"}, Events: []incident.Event{k.event("done")}})
	require.NoError(t, err)
	require.Empty(t, k.held("p"))
}

// fence: an outcome is stored only under the token it was reached with, while the place is still held (S3).
func fence(t *testing.T, k *kit) {
	lock := incident.Claim{Pool: "lock", Limit: 1, Until: k.clock.Now().Add(time.Minute)}
	token := k.mustWrite("a", 0, lock).Tokens["lock"]
	k.mustWrite("b", 0, incident.Claim{Pool: "other", Limit: 1})
	under := func(stream string, after int, pool string, token int64) error {
		_, err := k.Append(t.Context(), incident.Append{Stream: stream, After: after,
			Events: []incident.Event{k.event("outcome")}, Fence: &incident.Fence{Pool: pool, Token: token}})
		return err
	}
	require.NoError(t, under("a", 1, "lock", token))
	require.Equal(t, "a", k.refusedClaim(under("a", 2, "lock", token+1), "lock")[0].Holder, "another token")
	k.refusedClaim(under("b", 1, "lock", token), "lock")
	require.Empty(t, k.refusedClaim(under("a", 2, "never", token), "never"))
	require.Len(t, k.mustLoad("a"), 2)
	require.Len(t, k.mustLoad("b"), 1)

	k.clock.Pass(time.Minute)
	require.Empty(t, k.refusedClaim(under("a", 2, "lock", token), "lock"), "expired, even if nobody took it")
	lock.Until = k.clock.Now().Add(time.Minute)
	k.mustWrite("b", 1, lock)
	require.Equal(t, "b", k.refusedClaim(under("a", 2, "lock", token), "lock")[0].Holder, "the old holder is told who holds it now")
	require.Len(t, k.mustLoad("a"), 2)
}

func claimList(t *testing.T, k *kit) {
	k.mustWrite("a", 0, incident.Claim{Pool: "slot/eu", Limit: 1}, incident.Claim{Pool: "slot/us", Limit: 2}, incident.Claim{Pool: "slots", Limit: 1},
		incident.Claim{Pool: "lock/x", Limit: 1}, incident.Claim{Pool: "slot/ab", Limit: 1, Until: k.clock.Now().Add(1)}, incident.Claim{Pool: "slot/%", Limit: 1})
	k.mustWrite("b", 0, incident.Claim{Pool: "slot/us", Limit: 2})
	list := func(prefix string) (found []string) {
		places, err := k.Claims(t.Context(), prefix, k.clock.Now())
		require.NoError(t, err)
		for _, p := range places {
			found = append(found, p.Pool+" "+p.Holder)
		}
		return found
	}
	require.Equal(t, []string{"slot/% a", "slot/ab a", "slot/eu a", "slot/us a", "slot/us b"}, list("slot/"))
	require.Equal(t, []string{"slot/% a"}, list("slot/%"))
	require.Len(t, list(""), 7)
	require.Empty(t, list("slot/z"))
	k.clock.Pass(1)
	require.NotContains(t, list("slot/"), "slot/ab a")
}
