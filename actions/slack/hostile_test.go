package slack

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/message"
	"astern.dev/astern/actions/message/messagetest"
	"astern.dev/astern/actions/slack/slacktest"
)

// A stranger's words in every place of a message notify nobody, forge no link and break no limit.
func TestHostileWordsAreInert(t *testing.T) {
	for _, words := range messagetest.Hostile() {
		b := newBench(t, slacktest.Incident)
		first := filled(words)
		require.NoError(t, b.Tell(t.Context(), first), "%.40q", words)
		require.NoError(t, b.Tell(t.Context(), messagetest.Next(first, words, func(m *actions.Message) { m.Urgent = true })), "%.40q", words)
		posted := b.Posted(slacktest.Incident)
		require.Len(t, posted, 1)
		thread := b.Thread(slacktest.Incident, posted[0].TS)
		require.Len(t, thread, 1)
		for _, m := range append(posted, thread...) {
			require.Empty(t, m.Pings, "%.40q", words)
			require.Equal(t, []string{"https://astern.example/incidents/checkout-42"}, m.Links, "%.40q", words)
			requireReadable(t, m.Text)
		}
		require.Empty(t, b.Rejected(), "%.40q", words)
	}
}

func TestEscapes(t *testing.T) {
	require.Equal(t, "&lt;!channel&gt; &amp;lt; a&amp;b", plain("<!channel> &lt; a&b", 100))
}

func filled(words string) actions.Message {
	m := messagetest.Message()
	m.Incident, m.Target, m.Environment, m.Severity, m.Title, m.Status, m.Trigger = words, words, words, words, words, words, words
	m.From, m.To, m.Plan, m.Needs, m.News = words, words, words, words, nil
	for range 40 {
		m.News = append(m.News, words)
		m.Steps = append(m.Steps, actions.MessageStep{Name: words, State: words, Summary: words})
	}
	return m
}

func requireReadable(t *testing.T, text string) {
	t.Helper()
	require.True(t, utf8.ValidString(text))
	for _, r := range text {
		require.False(t, unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp), "%q in %q", r, text)
	}
}

// The longest message there can be stays within the budget that Slack does not document.
func TestTheLongestMessageKeepsTheBudget(t *testing.T) {
	m := filled(strings.Repeat("&", 64<<10))
	m.URL = "https://astern.example/" + strings.Repeat("&", 300)
	mention := make([]string, mentionLimit)
	for i := range mention {
		mention[i] = "S0123456789ABCDEF"
	}
	for _, blocks := range [][]block{parent(m, mention, blindRemark), news(m, mention, blindRemark)} {
		total := 0
		for _, b := range blocks {
			for _, part := range append(append([]text{}, b.Fields...), b.Elements...) {
				total += utf8.RuneCountInString(part.Text)
			}
			if b.Text != nil {
				total += utf8.RuneCountInString(b.Text.Text)
			}
		}
		require.LessOrEqual(t, total, 10_000)
	}
}

func TestAForgedAddressOfTheConsoleIsNoLink(t *testing.T) {
	for _, url := range []string{"javascript:alert(1)", "//evil.example", "evil.example", "", "slack://x", "https://"} {
		m := messagetest.Message()
		m.URL = url
		raw, err := json.Marshal(parent(m, nil, ""))
		require.NoError(t, err)
		require.NotContains(t, string(raw), "Open in astern")
	}
	m := messagetest.Message()
	m.URL = "https://astern.example/a|b>c?x=1&y=<!channel>"
	require.Equal(t, "<https://astern.example/a%7Cb%3Ec?x=1&amp;y=%3C!channel%3E|Open in astern>", foot(m, "").Elements[1].Text)
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	require.ErrorContains(t, new(Slack).Validate(), "channel is missing")
	for _, channel := range []string{"#incidents", "#störung", "C0123ABCD", "D0123ABCD", "U0123ABCD", "W0123ABCD", "G0123ABCD"} {
		require.NoError(t, (&Slack{Channel: channel}).Validate(), channel)
	}
	for _, channel := range []string{"incidents", "#", "#a b", "@person", "c0123", "#<!channel>", "https://x", "#" + strings.Repeat("a", 81)} {
		require.Error(t, (&Slack{Channel: channel}).Validate(), channel)
	}
	for _, mention := range []string{"", "@here", "!channel", "C0123ABCD", "U1>", "person"} {
		require.Error(t, (&Slack{Channel: "#incidents", Mention: []string{mention}}).Validate(), mention)
	}
	require.Error(t, (&Slack{Channel: "#incidents", Mention: make([]string, mentionLimit+1)}).Validate())
}

func TestANoticeIsNeeded(t *testing.T) {
	_, err := (&Slack{Channel: "#incidents"}).Run(t.Context(), actions.Env{})
	require.True(t, actions.IsPermanent(err))
	require.ErrorContains(t, err, "cannot be a step")
	change, err := (&Slack{Channel: "#incidents"}).Plan(t.Context(), actions.Env{})
	require.NoError(t, err)
	require.Equal(t, "tell #incidents in slack", change.Summary)
}

func TestConnectionsSayWhatIsWrong(t *testing.T) {
	require.ErrorContains(t, new(Connection).Validate(), "token_file: is missing")
	require.NoError(t, (&Connection{TokenFile: "token"}).Validate())
	for _, url := range []string{"slack.com/api", "ftp://slack.com", "https://", ":"} {
		require.ErrorContains(t, (&Connection{Server: message.Server{URL: url}, TokenFile: "token"}).Validate(), "url", url)
	}
	require.ErrorContains(t, (&Connection{TokenFile: "token", Recheck: -1}).Validate(), "recheck")
	withCredentials := &Connection{TokenFile: "token"}
	withCredentials.HTTPConfig.BearerToken = "canary"
	require.ErrorContains(t, withCredentials.Validate(), "token_file")
	relative := &Connection{TokenFile: "token"}
	relative.SetDirectory("/etc/astern")
	require.Equal(t, "/etc/astern/token", relative.TokenFile)
}
