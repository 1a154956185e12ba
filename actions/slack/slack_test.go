package slack

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/message"
	"astern.dev/astern/actions/message/fault"
	"astern.dev/astern/actions/message/messagetest"
	"astern.dev/astern/actions/slack/slacktest"
)

type bench struct {
	*slacktest.Server
	*messagetest.Lane
}

func newBench(t *testing.T, channel string) *bench {
	t.Helper()
	double := slacktest.New()
	server := httptest.NewServer(double)
	t.Cleanup(server.Close)
	opened := openAt(t, server.URL+"/api", slacktest.Token)
	return &bench{double, &messagetest.Lane{Channel: &Slack{Channel: channel}, Opened: opened, ID: "checkout-42/engineering"}}
}

func openAt(t *testing.T, url, token string) any {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(token+"\n"), 0o600))
	connection := &Connection{Server: message.Server{URL: url}, TokenFile: file, Recheck: actions.Duration(time.Millisecond)}
	require.NoError(t, connection.Validate())
	opened, err := connection.Open(client.NewDialer([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}))
	require.NoError(t, err)
	t.Cleanup(opened.(*Workspace).http.Close)
	return opened
}

func TestFirstTellingPostsOneMessage(t *testing.T) {
	b := newBench(t, "#incidents")
	b.Channel.(*Slack).Mention = []string{"U0ONCALL", "S0OPS"}
	m := messagetest.Message()
	m.Needs, m.NeedsUntil = "approve or reject the plan", time.Date(2026, 11, 22, 23, 6, 54, 0, time.UTC)
	require.NoError(t, b.Tell(t.Context(), m))

	posted := b.Posted(slacktest.Incident)
	require.Len(t, posted, 1)
	require.Equal(t, slacktest.Incident+":"+posted[0].TS, b.Ref)
	require.Equal(t, []string{"U0ONCALL", "S0OPS"}, posted[0].Pings)
	require.Equal(t, []string{"https://astern.example/incidents/checkout-42"}, posted[0].Links)
	require.Equal(t, "A person is needed: approve or reject the plan, until 2026-11-22 23:06:54 UTC. "+
		"[critical] checkout (production): error rate above 1 %, rolling back v42 → v41. Rolling back, step 2 of 4.", posted[0].Text)
	require.Equal(t, map[string]any{"notice_id": "checkout-42/engineering", "delivery_id": "checkout-42/engineering/1",
		"incident": "checkout-42", "rev": 1.0}, posted[0].Metadata.EventPayload)
	require.Regexp(t, `"header".*A person is needed.*\*Status\*.*\*Trigger\*.*\*Release\*.*\*Started\*.*1\. goal_ready: done, 2 of 2 checks`, string(posted[0].Blocks))
	require.Empty(t, b.Rejected())
}

func TestLaterTellingsEditTheMessageAndReply(t *testing.T) {
	b := newBench(t, slacktest.Incident)
	first := messagetest.Message()
	second := messagetest.Next(first, "Verifying", nil)
	last := messagetest.Next(second, "Recovered", func(m *actions.Message) { m.Final, m.Good = true, true })
	for _, m := range []actions.Message{first, second, last} {
		require.NoError(t, b.Tell(t.Context(), m))
	}
	posted := b.Posted(slacktest.Incident)
	require.Len(t, posted, 1)
	require.Equal(t, 2, posted[0].Edits)
	require.Contains(t, posted[0].Text, "Recovered")
	thread := b.Thread(slacktest.Incident, posted[0].TS)
	require.Len(t, thread, 2)
	require.Contains(t, thread[0].Text, "Verifying")
	require.False(t, thread[0].Broadcast)
	require.True(t, thread[1].Broadcast, "the end is shown in the channel")
	require.Empty(t, b.Rejected())
}

func TestUrgentNewsNotifiesAndIsShownInTheChannel(t *testing.T) {
	b := newBench(t, slacktest.Incident)
	b.Channel.(*Slack).Mention = []string{"U0ONCALL"}
	first := messagetest.Message()
	require.NoError(t, b.Tell(t.Context(), first))
	require.NoError(t, b.Tell(t.Context(), messagetest.Next(first, "Failed", func(m *actions.Message) {
		m.Urgent, m.News, m.Needs = true, nil, "take over"
	})))
	thread := b.Thread(slacktest.Incident, b.Posted(slacktest.Incident)[0].TS)
	require.Len(t, thread, 1)
	require.True(t, thread[0].Broadcast)
	require.Equal(t, []string{"U0ONCALL"}, thread[0].Pings)
	require.Contains(t, thread[0].Text, "A person is needed: take over")
}

func TestNoNewsIsNoReply(t *testing.T) {
	b := newBench(t, slacktest.Incident)
	first := messagetest.Message()
	require.NoError(t, b.Tell(t.Context(), first))
	require.NoError(t, b.Tell(t.Context(), messagetest.Next(first, "Rolling back, step 3 of 4", func(m *actions.Message) { m.News = nil })))
	posted := b.Posted(slacktest.Incident)
	require.Equal(t, 1, posted[0].Edits)
	require.Empty(t, b.Thread(slacktest.Incident, posted[0].TS))
}

// Whatever goes wrong once, each telling is seen exactly once in the end.
func TestEveryFaultLeavesEachTellingVisibleOnce(t *testing.T) {
	faults := map[string]fault.Fault{
		"drop before": fault.DropBefore, "drop after": fault.DropAfter, "500 before": fault.ErrorBefore, "500 after": fault.ErrorAfter,
		"429": fault.Busy(time.Second), "429 without a time": fault.Busy(0), "html": fault.HTMLPage, "truncated": fault.TruncatedAfter,
		"ratelimited": fault.Say(200, `{"ok":false,"error":"ratelimited"}`), "rate_limited": fault.Say(200, `{"ok":false,"error":"rate_limited"}`),
		"fatal_error": fault.Say(200, `{"ok":false,"error":"fatal_error"}`), "unheard of": fault.Say(200, `{"ok":false,"error":"moon_phase"}`),
		"ok without a place": fault.Say(200, `{"ok":true}`), "503": fault.Say(503, `{}`),
	}
	for name, f := range faults {
		for _, when := range []string{"first", "edit", "reply"} {
			t.Run(name+"/"+when, func(t *testing.T) {
				b := newBench(t, "#incidents")
				first := messagetest.Message()
				if when == "first" {
					b.Fail("chat.postMessage", f)
				}
				require.NoError(t, b.Tell(t.Context(), first))
				switch when {
				case "edit":
					b.Fail("chat.update", f)
				case "reply":
					b.Fail("chat.postMessage", f)
				}
				require.NoError(t, b.Tell(t.Context(), messagetest.Next(first, "Verifying", nil)))
				requireOnce(t, b, "Verifying")
			})
		}
	}
}

func requireOnce(t *testing.T, b *bench, news string) {
	t.Helper()
	posted := b.Posted(slacktest.Incident)
	require.Len(t, posted, 1)
	require.Contains(t, posted[0].Text, news)
	thread := b.Thread(slacktest.Incident, posted[0].TS)
	require.Len(t, thread, 1)
	require.Contains(t, thread[0].Text, news)
}

// A call that the channel's own deadline ends may have been applied.
func TestNoAnswerInTime(t *testing.T) {
	b := newBench(t, "#incidents")
	b.Fail("chat.postMessage", fault.SlowAfter)
	first := messagetest.Message()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // give up once Slack has applied the post
		defer cancel()
		for {
			changed := b.Changed()
			if len(b.Posted(slacktest.Incident)) > 0 {
				return
			}
			<-changed
		}
	}()
	require.ErrorContains(t, b.Try(ctx, first), "it may have arrived")
	require.NoError(t, b.Tell(t.Context(), first))
	require.Len(t, b.Posted(slacktest.Incident), 1)
}
