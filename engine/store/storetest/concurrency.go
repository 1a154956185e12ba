package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// takeTurns: writers of one history load, append and try again on a conflict; every fact is there once.
func takeTurns(t *testing.T, k *kit) {
	const writers, each = 8, 12
	var all sync.WaitGroup
	failed := make(chan error, writers)
	for w := range writers {
		all.Go(func() {
			for i := range each {
				if err := k.insist(fmt.Sprint(w, "/", i)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(failed)
	require.NoError(t, <-failed)
	told := map[string]int{}
	for _, e := range k.mustLoad("busy") {
		told[e.Fact.(incident.Requested).Reason]++
	}
	require.Len(t, told, writers*each)
}

func (k *kit) insist(reason string) error {
	for {
		events, err := k.Load(k.t.Context(), "busy")
		if err != nil {
			return err
		}
		_, err = k.Append(k.t.Context(), incident.Append{Stream: "busy", After: len(events), Events: []incident.Event{k.event(reason)}})
		if !errors.Is(err, incident.ErrConflict) {
			return err
		}
	}
}

// mixedBatch writes good and refused ones side by side, many at once.
func mixedBatch(t *testing.T, k *kit) {
	k.mustWrite("owner", 0, incident.Claim{Pool: "taken", Limit: 1})
	const rounds, writers = 20, 24
	for round := range rounds {
		var all sync.WaitGroup
		errs := make([]error, writers)
		for w := range writers {
			all.Go(func() {
				after, take := round, []incident.Claim(nil)
				switch w % 4 {
				case 1:
					after = round + 7
				case 2:
					after, take = 0, []incident.Claim{{Pool: fmt.Sprint("free/", w), Limit: 1}, {Pool: "taken", Limit: 1}}
				}
				_, errs[w] = k.write(fmt.Sprint("s", w), after, take...)
			})
		}
		all.Wait()
		for w, err := range errs {
			switch w % 4 {
			case 1:
				require.ErrorIs(t, err, incident.ErrConflict)
			case 2:
				k.refusedClaim(err, "taken")
			default:
				require.NoError(t, err)
			}
		}
	}
	for w := range writers {
		want := rounds
		if w%4 == 1 || w%4 == 2 {
			want = 0
		}
		require.Len(t, k.mustLoad(fmt.Sprint("s", w)), want)
	}
	require.Empty(t, k.held("free/"))
}

// races: two incidents race for one slot, 2,000 times. Never both, never none.
func races(t *testing.T, k *kit) {
	const rounds = 2000
	slot := incident.Claim{Pool: "slot/production", Limit: 1}
	after := map[string]int{}
	for round := range rounds {
		names := [2]string{"incident/a", "incident/b"}
		var errs [2]error
		var both sync.WaitGroup
		start := make(chan struct{})
		for i, name := range names {
			both.Go(func() {
				<-start
				_, errs[i] = k.write(name, after[name], slot)
			})
		}
		close(start)
		both.Wait()
		winner := 0
		if errs[0] != nil {
			winner = 1
		}
		require.NoError(t, errs[winner], "round %d: one has it", round)
		require.Equal(t, names[winner], k.refusedClaim(errs[1-winner], slot.Pool)[0].Holder, "round %d: the other is told by whom", round)
		_, err := k.Append(t.Context(), incident.Append{Stream: names[winner], After: after[names[winner]] + 1, Release: []string{slot.Pool}})
		require.NoError(t, err)
		after[names[winner]]++
	}
	require.Equal(t, rounds, len(k.mustLoad("incident/a"))+len(k.mustLoad("incident/b")))
}

// goneCaller: with a context that ended nothing is stored; with one that ends meanwhile the answer is true.
func goneCaller(t *testing.T, k *kit) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := k.Append(gone, incident.Append{Stream: "a", Events: []incident.Event{k.event("x")}})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, k.Deliver(gone, incident.Delivery{Source: "alertmanager"}), context.Canceled)
	require.Empty(t, k.mustLoad("a"))

	const writers = 100
	var all sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			go cancel()
			_, errs[w] = k.Append(ctx, incident.Append{Stream: fmt.Sprint("s", w), Events: []incident.Event{k.event("x")}})
		})
	}
	all.Wait()
	for w, err := range errs {
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			require.Empty(t, k.mustLoad(fmt.Sprint("s", w)))
		} else {
			require.Len(t, k.mustLoad(fmt.Sprint("s", w)), 1)
		}
	}
}
