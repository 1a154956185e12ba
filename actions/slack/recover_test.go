package slack

import (
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/message"
	"astern.dev/astern/actions/message/fault"
	"astern.dev/astern/actions/message/messagetest"
	"astern.dev/astern/actions/slack/slacktest"
)

// Slack shows a message late: one look is not enough to believe that it is not there.
func TestTheSecondLookFindsALateMessage(t *testing.T) {
	b := newBench(t, "#incidents")
	b.Lag(1)
	b.Fail("chat.postMessage", fault.DropAfter)
	require.NoError(t, b.Tell(t.Context(), messagetest.Message()))
	require.Len(t, b.Posted(slacktest.Incident), 1)

	b.Fail("chat.postMessage", fault.DropAfter)
	require.NoError(t, b.Tell(t.Context(), messagetest.Next(messagetest.Message(), "Verifying", nil)))
	require.Len(t, b.Thread(slacktest.Incident, b.Posted(slacktest.Incident)[0].TS), 1)
}

// The first telling was lost and the incident went on: the message that is there is adopted and brought up to date.
func TestAnEarlierRevisionIsAdopted(t *testing.T) {
	b := newBench(t, "#incidents")
	first := messagetest.Message()
	second := messagetest.Next(first, "Verifying", nil)
	b.Fail("chat.postMessage", fault.DropAfter, fault.DropBefore)
	require.Error(t, b.Try(t.Context(), first))
	b.Ref = ""
	require.Error(t, b.Try(t.Context(), second))
	require.NoError(t, b.Tell(t.Context(), second))
	requireOnce(t, b, "Verifying")
}

func TestTwoMessagesBecomeOneAndAMarkedRepeat(t *testing.T) {
	b := newBench(t, "#incidents")
	first := messagetest.Message()
	b.Lag(2) // the first message comes to light only after two looks
	b.Fail("chat.postMessage", fault.DropAfter, fault.DropAfter)
	require.Error(t, b.Try(t.Context(), first))
	b.Lag(0)
	require.Error(t, b.Try(t.Context(), first))
	require.NoError(t, b.Tell(t.Context(), first))
	posted := b.Posted(slacktest.Incident)
	require.Len(t, posted, 2)
	require.Equal(t, slacktest.Incident+":"+posted[0].TS, b.Ref)
	require.Contains(t, posted[0].Text, "Rolling back")
	require.Equal(t, repeatText, posted[1].Text)
}

// Without the right to read, telling twice is better than not telling; the repeat says so.
func TestARepeatIsMarkedWhenTheAppMayNotLook(t *testing.T) {
	b := newBench(t, "#incidents")
	b.Revoke("channels:history")
	b.Fail("chat.postMessage", fault.DropAfter)
	first := messagetest.Message()
	require.NoError(t, b.Tell(t.Context(), first))
	posted := b.Posted(slacktest.Incident)
	require.Len(t, posted, 2)
	require.NotContains(t, string(posted[0].Blocks), blindRemark)
	require.Contains(t, string(posted[1].Blocks), blindRemark)
	require.Equal(t, slacktest.Incident+":"+posted[1].TS, b.Ref)
}

// Everyone in a workspace can copy a marker; only the bot's own messages count.
func TestAForgedMarkerIsNotAdopted(t *testing.T) {
	b := newBench(t, "#incidents")
	first := messagetest.Message()
	marked := func(delivery string) *slacktest.Metadata {
		return &slacktest.Metadata{EventType: eventType, EventPayload: map[string]any{"notice_id": b.ID, "delivery_id": b.ID + delivery}}
	}
	b.Forge(slacktest.Incident, "", marked("/1"))
	b.Fail("chat.postMessage", fault.DropBefore)
	require.NoError(t, b.Tell(t.Context(), first))
	posted := b.Posted(slacktest.Incident)
	require.Len(t, posted, 2)
	require.Equal(t, slacktest.Incident+":"+posted[1].TS, b.Ref)

	b.Forge(slacktest.Incident, posted[1].TS, marked("/2"))
	b.Fail("chat.postMessage", fault.DropBefore)
	require.NoError(t, b.Tell(t.Context(), messagetest.Next(first, "Verifying", nil)))
	require.Len(t, b.Thread(slacktest.Incident, posted[1].TS), 2)
}

func TestAMessageThatWasRemovedIsPostedAnew(t *testing.T) {
	for name, f := range map[string]fault.Fault{"at once": nil, "after a lost answer": fault.DropAfter} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "#incidents")
			first := messagetest.Message()
			require.NoError(t, b.Tell(t.Context(), first))
			old := b.Ref
			b.Delete(slacktest.Incident, b.Posted(slacktest.Incident)[0].TS)
			b.Fail("chat.postMessage", f)
			second := messagetest.Next(first, "Verifying", nil)
			require.NoError(t, b.Tell(t.Context(), second))
			require.NotEqual(t, old, b.Ref)
			require.NoError(t, b.Tell(t.Context(), messagetest.Next(second, "Recovered", nil)))
			requireOnce(t, b, "Recovered")
		})
	}
}

func TestAClosedEditWindowLeavesTheThread(t *testing.T) {
	b := newBench(t, "#incidents")
	first := messagetest.Message()
	require.NoError(t, b.Tell(t.Context(), first))
	b.Fail("chat.update", fault.Say(200, `{"ok":false,"error":"edit_window_closed"}`))
	require.NoError(t, b.Try(t.Context(), messagetest.Next(first, "Verifying", nil)))
	require.Len(t, b.Thread(slacktest.Incident, b.Posted(slacktest.Incident)[0].TS), 1)
}

// A message that Slack no longer lets us edit is not taken for a fresh one when its successor is looked for.
func TestAMessageOfNoUseIsNotAdopted(t *testing.T) {
	b := newBench(t, "#incidents")
	first := messagetest.Message()
	require.NoError(t, b.Tell(t.Context(), first))
	old := b.Ref
	closed := fault.Say(200, `{"ok":false,"error":"cant_update_message"}`)
	b.Fail("chat.update", closed, closed)
	b.Fail("chat.postMessage", fault.DropBefore)
	require.NoError(t, b.Tell(t.Context(), messagetest.Next(first, "Verifying", nil)))
	require.Len(t, b.Posted(slacktest.Incident), 2)
	require.NotEqual(t, old, b.Ref)
}

// A reply that was shown in the channel is no parent.
func TestABroadcastReplyIsNotAdopted(t *testing.T) {
	b := newBench(t, "#incidents")
	first := messagetest.Message()
	second := messagetest.Next(first, "Held", func(m *actions.Message) { m.Urgent = true })
	require.NoError(t, b.Tell(t.Context(), first))
	require.NoError(t, b.Tell(t.Context(), second))
	b.Delete(slacktest.Incident, b.Posted(slacktest.Incident)[0].TS)
	b.Fail("chat.postMessage", fault.DropBefore)
	require.NoError(t, b.Tell(t.Context(), messagetest.Next(second, "Recovered", nil)))
	require.Len(t, b.Posted(slacktest.Incident), 1)
	require.Equal(t, slacktest.Incident+":"+b.Posted(slacktest.Incident)[0].TS, b.Ref)
}

func TestHowFarBackToLook(t *testing.T) {
	n := &actions.Notice{SentAfter: time.Unix(10_000, 0)}
	tell := &telling{notice: n}
	require.Equal(t, "9700.000000", tell.oldest(), "clocks differ")
	n.Message.StartedAt = time.Unix(5_000, 0)
	require.Equal(t, "4700.000000", tell.oldest(), "an earlier revision may have been attempted")
	n.Ref = "C0INCIDENTS:1.000001"
	require.Equal(t, "9700.000000", tell.oldest())
	require.Equal(t, "0", (&telling{notice: &actions.Notice{}}).oldest())
}

func TestDirectMessagesAreFoundAgain(t *testing.T) {
	b := newBench(t, slacktest.Person)
	b.Fail("chat.postMessage", fault.DropAfter)
	first := messagetest.Message()
	require.NoError(t, b.Tell(t.Context(), first))
	require.NoError(t, b.Tell(t.Context(), messagetest.Next(first, "Verifying", nil)))
	require.Len(t, b.Posted("D0ONCALL"), 1)
	require.Len(t, b.Thread("D0ONCALL", b.Posted("D0ONCALL")[0].TS), 1)
}

func TestRefusalsThatWouldComeAgainAreNotTriedAgain(t *testing.T) {
	permanently := []Code{"restricted_action_read_only_channel"}
	for refusal := range permanent {
		permanently = append(permanently, refusal)
	}
	for _, refusal := range permanently {
		b := newBench(t, slacktest.Incident)
		b.Fail("chat.postMessage", fault.Say(200, `{"ok":false,"error":"`+string(refusal)+`"}`))
		err := b.Tell(t.Context(), messagetest.Message())
		require.True(t, actions.IsPermanent(err), refusal)
		require.ErrorContains(t, err, string(refusal))
		require.Empty(t, b.Calls(), "one call, taken by the fault")
	}
	for refusal := range undecided {
		b := newBench(t, slacktest.Incident)
		b.Fail("chat.postMessage", fault.Say(200, `{"ok":false,"error":"`+string(refusal)+`"}`))
		err := b.Try(t.Context(), messagetest.Message())
		require.False(t, actions.IsPermanent(err), refusal)
		require.ErrorContains(t, err, "it may have arrived")
	}
}

func TestSomeoneElsesAnswerLeavesADoubt(t *testing.T) {
	for _, f := range []fault.Fault{fault.HTMLPage, fault.Say(200, `{}`), fault.Say(200, `[]`), fault.Say(200, `{"ok":true}`), fault.Say(200, ``)} {
		b := newBench(t, slacktest.Incident)
		b.Fail("chat.postMessage", f)
		require.ErrorContains(t, b.Try(t.Context(), messagetest.Message()), "it may have arrived")
	}
}

func TestStatesOfTheWorkspaceThatNobodyMendsByTrying(t *testing.T) {
	for name, arrange := range map[string]func(*bench){
		"is_archived":    func(b *bench) { b.Archive(slacktest.Incident) },
		"not_in_channel": func(b *bench) { b.Leave(slacktest.Incident) },
		"channel_not_found": func(b *bench) {
			b.Channel.(*Slack).Channel = "#nowhere"
		},
		"invalid_auth": func(b *bench) { b.Opened = openAt(t, b.Opened.(*Workspace).url, "xoxb-another") },
	} {
		b := newBench(t, "#incidents")
		arrange(b)
		err := b.Tell(t.Context(), messagetest.Message())
		require.True(t, actions.IsPermanent(err), name)
		require.ErrorContains(t, err, name)
		require.Empty(t, b.Posted(slacktest.Incident))
	}
}

func TestAnErrorCarriesHowLongToWait(t *testing.T) {
	said := func(spelling string) fault.Fault {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			w.Header().Set("Retry-After", "30")
			fault.Say(200, `{"ok":false,"error":"`+spelling+`"}`)(w, r, next)
		}
	}
	for name, f := range map[string]fault.Fault{"429": fault.Busy(30 * time.Second), "429 unsaid": fault.Busy(0),
		"ratelimited": said("ratelimited"), "rate_limited": said("rate_limited")} {
		b := newBench(t, slacktest.Incident)
		b.Fail("chat.postMessage", f)
		err := b.Try(t.Context(), messagetest.Message())
		var later interface{ RetryAfter() time.Duration }
		require.True(t, errors.As(err, &later), name)
		require.Equal(t, name != "429 unsaid", later.RetryAfter() == 30*time.Second, name)
		require.NotContains(t, err.Error(), "may have arrived", "a refusal for being busy was not applied")
		require.Empty(t, b.Calls(), "nothing is repeated inside the channel")
	}
}

func TestNoErrorHoldsTheToken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := "http://" + listener.Addr().String() + "/api"
	require.NoError(t, listener.Close())
	faults := []fault.Fault{fault.DropBefore, fault.DropAfter, fault.ErrorAfter, fault.HTMLPage, fault.TruncatedAfter, fault.Busy(0),
		fault.Say(400, slacktest.Token), fault.Say(200, `{"ok":false,"error":"x"}`)}
	for _, f := range faults {
		b := newBench(t, slacktest.Incident)
		b.Fail("chat.postMessage", f)
		err := b.Try(t.Context(), messagetest.Message())
		require.Error(t, err)
		require.NotContains(t, err.Error(), slacktest.Token)
	}
	b := newBench(t, slacktest.Incident)
	b.Opened = openAt(t, closed, slacktest.Token)
	err = b.Try(t.Context(), messagetest.Message())
	require.ErrorContains(t, err, "refused")
	require.NotContains(t, err.Error(), slacktest.Token)
	var failed *message.Error
	require.ErrorAs(t, err, &failed)
	require.False(t, failed.Unknown, "nothing can have left")
}
