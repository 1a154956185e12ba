package storetest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// open writes the first event of an incident with its head.
func (k *kit) openIncident(id, target string, phase incident.Phase, live bool) incident.Head {
	k.t.Helper()
	h := incident.Head{ID: id, Target: target, Environment: "production", Phase: phase, Reason: "because", Rule: "ErrorRateSpike",
		From: "v2", To: "v1", OpenedAt: k.clock.Pass(time.Second), UpdatedAt: k.clock.Now(), Next: "wait", Live: live}
	if phase.Final() {
		h.EndedAt = k.clock.Now()
	}
	_, err := k.Append(k.t.Context(), incident.Append{Stream: "incident/" + id, Head: &h,
		Events: []incident.Event{incident.NewEvent(h.OpenedAt, "astern", "c", incident.Opened{ID: id, Target: target})}})
	require.NoError(k.t, err)
	return h
}

func headList(t *testing.T, k *kit) {
	list := func(f incident.HeadFilter) []incident.Head {
		heads, err := k.Heads(t.Context(), f)
		require.NoError(t, err)
		return heads
	}
	require.Empty(t, list(incident.HeadFilter{}))
	pending := k.openIncident("1", "checkout", incident.Pending, true)
	ended := k.openIncident("2", "checkout", incident.Succeeded, false)
	telling := k.openIncident("3", "search", incident.Failed, true)
	idle := k.openIncident("4", "search", incident.InDoubt, false)
	for _, c := range []struct {
		filter incident.HeadFilter
		want   []incident.Head
	}{
		{incident.HeadFilter{}, []incident.Head{idle, telling, ended, pending}},
		{incident.HeadFilter{Limit: 2}, []incident.Head{idle, telling}},
		{incident.HeadFilter{Target: "checkout"}, []incident.Head{ended, pending}},
		{incident.HeadFilter{Target: "check"}, nil},
		{incident.HeadFilter{Live: true}, []incident.Head{telling, pending}},
		{incident.HeadFilter{Open: true}, []incident.Head{idle, pending}},
		{incident.HeadFilter{Ended: true}, []incident.Head{telling, ended}},
		{incident.HeadFilter{Ended: true, Live: true, Target: "search"}, []incident.Head{telling}},
	} {
		require.Equal(t, c.want, list(c.filter), "%+v", c.filter)
	}

	pending.Phase, pending.Live, pending.EndedAt = incident.Cancelled, false, k.clock.Pass(time.Second)
	_, err := k.Append(t.Context(), incident.Append{Stream: "incident/1", After: 1, Head: &pending, Events: []incident.Event{k.event("end")}})
	require.NoError(t, err)
	require.Equal(t, []incident.Head{idle}, list(incident.HeadFilter{Open: true}), "the head follows its history")
	require.Equal(t, []incident.Head{idle, telling, ended, pending}, list(incident.HeadFilter{}))

	for i := range 120 {
		k.openIncident(fmt.Sprint("many", i), "many", incident.Pending, true)
	}
	require.Len(t, list(incident.HeadFilter{}), 100, "a list without a limit has 100")
	require.Len(t, list(incident.HeadFilter{Limit: 1000}), 124)
}

func delivery(at time.Time, n int) incident.Delivery {
	return incident.Delivery{At: at, Source: "alertmanager-eu", Receiver: "astern", GroupKey: fmt.Sprintf("{}:{n=\"%d\"}", n), Status: "firing",
		Truncated: 3, Alerts: 2, Config: "sha256:c0ffee", Counts: map[string]int{"opened": 1, "unmatched": 1}, Body: []byte("{\"n\": \x00\xff}"),
		Decisions: []incident.Decision{{Alert: "a", Labels: map[string]string{"alertname": "<Spike>&"}, Status: "firing", Kind: "opened",
			Rule: "r", Target: "t", Incident: "i", Reason: "é"}}}
}

func ledger(t *testing.T, k *kit) {
	lines, err := k.Deliveries(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, lines)
	var sent []incident.Delivery
	for n := range 120 {
		d := delivery(k.clock.Pass(time.Second), n)
		require.NoError(t, k.Deliver(t.Context(), d))
		sent = append(sent, d)
	}
	lines, err = k.Deliveries(t.Context(), 3)
	require.NoError(t, err)
	require.Len(t, lines, 3)
	for i, line := range lines {
		want := sent[len(sent)-1-i]
		want.ID = line.ID
		require.Equal(t, want, line, "newest first")
	}
	require.Greater(t, lines[0].ID, lines[1].ID)
	lines, err = k.Deliveries(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, lines, 100)

	big := incident.Delivery{At: k.clock.Now(), Source: "s", Body: bytes.Repeat([]byte("x"), 100<<10)}
	require.NoError(t, k.Deliver(t.Context(), big))
	require.NoError(t, k.Deliver(t.Context(), incident.Delivery{Source: "empty"}))
	lines, err = k.Deliveries(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, incident.Delivery{ID: lines[0].ID, Source: "empty"}, lines[0])
	require.Equal(t, big.Body[:64<<10], lines[1].Body, "of a body 64 KiB are kept, as they came")
	require.Error(t, k.Deliver(t.Context(), incident.Delivery{At: time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)}))
}

func ledgerRows(t *testing.T, k *kit) {
	k.reopen(Settings{LedgerRows: 10})
	for n := range 35 {
		require.NoError(t, k.Deliver(t.Context(), delivery(k.clock.Pass(time.Second), n)))
	}
	lines, err := k.Deliveries(t.Context(), 1000)
	require.NoError(t, err)
	require.Len(t, lines, 10)
	require.Equal(t, delivery(time.Time{}, 34).GroupKey, lines[0].GroupKey, "the newest stay")
	require.Equal(t, delivery(time.Time{}, 25).GroupKey, lines[9].GroupKey)
}

func ledgerAge(t *testing.T, k *kit) {
	k.reopen(Settings{LedgerAge: time.Hour})
	for n := range 10 {
		require.NoError(t, k.Deliver(t.Context(), delivery(k.clock.Pass(10*time.Minute), n)))
	}
	lines, err := k.Deliveries(t.Context(), 1000)
	require.NoError(t, err)
	require.Len(t, lines, 7, "those of the last hour stay")
	require.Equal(t, delivery(time.Time{}, 9).GroupKey, lines[0].GroupKey)
	k.clock.Pass(2 * time.Hour)
	_, err = k.Compact(t.Context(), k.clock.Now())
	require.NoError(t, err)
	lines, err = k.Deliveries(t.Context(), 1000)
	require.NoError(t, err)
	require.Empty(t, lines, "they go without a new delivery, too")
}

func deliveriesBackwards(t *testing.T, k *kit) {
	var at []time.Time
	for n := range 5 {
		at = append(at, k.clock.Pass(time.Minute))
		d := delivery(at[n], n)
		d.Body = fmt.Appendf(nil, "body %d", n)
		require.NoError(t, k.Deliver(t.Context(), d))
	}
	keys := func(until time.Time, before int64, limit int) (found []string, last int64) {
		lines, err := k.DeliveriesBefore(t.Context(), until, before, limit)
		require.NoError(t, err)
		for _, d := range lines {
			require.Empty(t, d.Body)
			found, last = append(found, d.GroupKey), d.ID
		}
		return found, last
	}
	first, last := keys(at[3], 0, 2)
	require.Equal(t, []string{`{}:{n="3"}`, `{}:{n="2"}`}, first)
	rest, _ := keys(at[3], last, 10)
	require.Equal(t, []string{`{}:{n="1"}`, `{}:{n="0"}`}, rest)
	none, _ := keys(at[0].Add(-time.Second), 0, 10)
	require.Empty(t, none)
	body, err := k.DeliveryBody(t.Context(), last)
	require.NoError(t, err)
	require.Equal(t, "body 2", string(body))
	body, err = k.DeliveryBody(t.Context(), 1<<40)
	require.NoError(t, err)
	require.Empty(t, body)
}
