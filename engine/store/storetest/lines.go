package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// ledgerLines: what the ledger says of a notification is stored with what follows from it, or not at all.
func ledgerLines(t *testing.T, k *kit) {
	said := func() (keys []string) {
		lines, err := k.Deliveries(t.Context(), 10)
		require.NoError(t, err)
		for _, l := range lines {
			keys = append(keys, l.GroupKey)
		}
		return keys
	}
	line := func(key string) []incident.Delivery {
		return []incident.Delivery{{At: k.clock.Now(), Source: "am", GroupKey: key, Body: []byte(key)}}
	}
	write := func(after int, a incident.Append) error {
		a.Stream, a.After = "incident/1", after
		_, err := k.Append(t.Context(), a)
		return err
	}
	one := []incident.Event{k.event("one")}
	head := &incident.Head{ID: "1", Target: "t", Phase: incident.Pending, OpenedAt: k.clock.Now(), Live: true}
	require.NoError(t, write(0, incident.Append{Events: one, Head: head, Lines: append(line("first"), line("second")...)}))
	require.Equal(t, []string{"second", "first"}, said())
	require.NoError(t, write(1, incident.Append{Lines: line("alone")}))
	require.Equal(t, []string{"alone", "second", "first"}, said())
	require.Len(t, k.mustLoad("incident/1"), 1)
	heads, err := k.Heads(t.Context(), incident.HeadFilter{Live: true})
	require.NoError(t, err)
	require.Len(t, heads, 1, "a line alone leaves the head as it is")

	k.mustWrite("rival", 0, incident.Claim{Pool: "open/t", Limit: 1})
	before := said()
	require.ErrorIs(t, write(0, incident.Append{Events: one, Lines: line("late")}), incident.ErrConflict)
	require.ErrorIs(t, write(0, incident.Append{Lines: line("late, alone")}), incident.ErrConflict, "it was decided by what is no longer so")
	k.refusedClaim(write(1, incident.Append{Events: one, Take: []incident.Claim{{Pool: "open/t", Limit: 1}}, Lines: line("claimed")}), "open/t")
	beyond := []incident.Delivery{{At: time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)}}
	require.Error(t, write(1, incident.Append{Events: one, Lines: beyond}))
	require.Equal(t, before, said())
	require.Len(t, k.mustLoad("incident/1"), 1)

	k.reopen(Settings{LedgerRows: 2})
	require.NoError(t, write(1, incident.Append{Events: one, Lines: line("third")}))
	require.Equal(t, []string{"third", "alone"}, said(), "it is bounded by such lines, too")
}
