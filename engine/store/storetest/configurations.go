package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// keep keeps a configuration now; its body is its name.
func (k *kit) keep(digest string) time.Time {
	k.t.Helper()
	at := k.clock.Pass(time.Second)
	require.NoError(k.t, k.KeepConfiguration(k.t.Context(), digest, at, []byte("body of "+digest)))
	return at
}

// kept says which of these configurations are there.
func (k *kit) kept(digests ...string) []string {
	k.t.Helper()
	var there []string
	for _, digest := range digests {
		body, _, err := k.Configuration(k.t.Context(), digest)
		if err != nil {
			require.ErrorIs(k.t, err, incident.ErrNotFound)
			continue
		}
		require.Equal(k.t, "body of "+digest, string(body))
		there = append(there, digest)
	}
	return there
}

func (k *kit) mustCompact(before time.Time) {
	k.t.Helper()
	_, err := k.Compact(k.t.Context(), before)
	require.NoError(k.t, err)
}

func configurations(t *testing.T, k *kit) {
	require.Empty(t, k.kept("a"))
	first := k.keep("a")
	k.clock.Pass(time.Hour)
	require.NoError(t, k.KeepConfiguration(t.Context(), "a", k.clock.Now(), []byte("another")))
	require.NoError(t, k.KeepConfiguration(t.Context(), "empty", time.Time{}, nil))
	k.reopen(Settings{})
	body, at, err := k.Configuration(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "body of a", string(body), "the first body stays")
	require.Equal(t, first, at, "and the first time")
	body, at, err = k.Configuration(t.Context(), "empty")
	require.NoError(t, err)
	require.Empty(t, body)
	require.True(t, at.IsZero())
	require.Error(t, k.KeepConfiguration(t.Context(), "", k.clock.Now(), []byte("nameless")))
	require.Error(t, k.KeepConfiguration(t.Context(), "late", time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC), nil))
}

// forgottenConfigurations: an event of a kept history or a ledger line keeps what it speaks of.
func forgottenConfigurations(t *testing.T, k *kit) {
	k.reopen(Settings{LedgerRows: 1})
	for _, digest := range []string{"idle", "of an incident", "of a line", "of a target", "before", "newest"} {
		k.keep(digest)
	}
	ended := k.clock.Pass(time.Second)
	_, err := k.Append(t.Context(), incident.Append{
		Stream: "incident/1", Head: &incident.Head{ID: "1", Target: "t", Phase: incident.Succeeded, OpenedAt: ended, EndedAt: ended},
		Events: []incident.Event{incident.NewEvent(ended, "astern", "of an incident", incident.Opened{ID: "1"})},
	})
	require.NoError(t, err)
	_, err = k.Append(t.Context(), incident.Append{Stream: "target/t",
		Events: []incident.Event{incident.NewEvent(ended, "ci", "of a target", incident.Requested{})}})
	require.NoError(t, err)
	require.NoError(t, k.Deliver(t.Context(), incident.Delivery{At: ended, Source: "am", Config: "of a line"}))

	all := []string{"idle", "of an incident", "of a line", "of a target", "before", "newest"}
	require.Equal(t, all, k.kept(all...))
	k.mustCompact(ended)
	require.Equal(t, all[1:], k.kept(all...), "nothing spoke of it")
	require.NoError(t, k.Deliver(t.Context(), incident.Delivery{At: ended, Source: "am", Config: "newest"}))
	k.mustCompact(ended)
	require.Equal(t, []string{"of an incident", "of a target", "before", "newest"}, k.kept(all...), "the line is gone")
	k.mustCompact(ended.Add(time.Second))
	require.Equal(t, []string{"of a target", "before", "newest"}, k.kept(all...), "the incident's history is gone")
}

// newestConfiguration: the one that came in force last stays, also when it was in force earlier, and the one before it,
// by which something may still be judged.
func newestConfiguration(t *testing.T, k *kit) {
	for n := range 5 {
		k.keep(fmt.Sprint(n))
	}
	k.keep("1")
	k.keep("1")
	k.mustCompact(k.clock.Now())
	require.Equal(t, []string{"1", "4"}, k.kept("0", "1", "2", "3", "4"))
	k.mustCompact(k.clock.Now())
	require.Equal(t, []string{"1", "4"}, k.kept("0", "1", "2", "3", "4"))
}
