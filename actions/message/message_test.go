package message

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/message/fault"
)

func TestCleanShowsWhatHides(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                "plain",
		"two\nlines\tand\rtab": "two lines and tab",
		"\x1b[31mred":          `\x1b[31mred`,
		"\u202eturned":         `\u202eturned`,
		"a\u200bb":             `a\u200bb`,
		"\U000e0041":           `\U000e0041`,
		"bad\xff":              `bad\xff`,
		"\ufffd":               "\ufffd",
		"größer → 100 %":       "größer → 100 %",
		" \n ":                 "",
	} {
		require.Equal(t, want, Clean(in, 20), "%q", in)
	}
	require.Equal(t, "0123456789", Clean("0123456789", 10))
	require.Equal(t, "012345678…", Clean("0123456789a", 10))
}

func TestClipCutsNoEscapeInTwo(t *testing.T) {
	long := func(r rune) string {
		if r == '<' {
			return "&lt;"
		}
		return string(r)
	}
	for limit := 1; limit < 30; limit++ {
		out := Clip("a<<<<b<<<\x1b", limit, long)
		require.LessOrEqual(t, utf8.RuneCountInString(out), limit)
		require.NotContains(t, strings.ReplaceAll(out, "&lt;", ""), "&")
	}
	require.Equal(t, "&lt;&lt;", Clip("<<", 8, long))
	require.Equal(t, "&lt;…", Clip("<<", 7, long))
}

func TestWhatIsNotKnownIsSaid(t *testing.T) {
	for _, line := range Sheet(actions.Message{}) {
		require.Contains(t, line.Text, "not known yet", line.Label)
	}
	_, any := Needs(actions.Message{Needs: " "})
	require.False(t, any)
	require.Equal(t, "2026-11-22 21:51:54 UTC", Time(time.Date(2026, 11, 22, 22, 51, 54, 0, time.FixedZone("CET", 3600))))
}

func TestLongListsAreCut(t *testing.T) {
	m := actions.Message{}
	for range 50 {
		m.News = append(m.News, "x")
		m.Steps = append(m.Steps, actions.MessageStep{Name: "drain", State: "waiting"})
	}
	require.Equal(t, "and 40 more, in the incident's timeline", News(m)[10])
	require.Len(t, News(m), 11)
	require.Equal(t, "and 30 more", Steps(m)[20])
	require.Len(t, Steps(m), 21)
}

func TestSettledLeavesNothingBroken(t *testing.T) {
	for _, phase := range []string{"cancelled", "superseded", "rejected"} {
		require.True(t, Settled(actions.Message{Phase: phase, Final: true}), phase)
		require.False(t, Settled(actions.Message{Phase: phase}), phase)
	}
	require.True(t, Settled(actions.Message{Phase: "succeeded", Final: true, Good: true}))
	require.False(t, Settled(actions.Message{Phase: "failed", Final: true}))
	require.False(t, Settled(actions.Message{Phase: "in_doubt", Final: true}))
}

func TestAnswersAreJudged(t *testing.T) {
	for status, want := range map[int]string{200: "", 202: "", 204: "", 302: "permanent", 400: "permanent", 404: "permanent", 410: "permanent",
		408: "unknown", 429: "refused", 500: "unknown", 503: "unknown"} {
		err := Judge("tell", client.Answer{Status: status, Header: http.Header{}}, "")
		var temporary *Error
		got := ""
		switch {
		case actions.IsPermanent(err):
			got = "permanent"
		case errors.As(err, &temporary) && temporary.Unknown:
			got = "unknown"
		case err != nil:
			got = "refused"
		}
		require.Equal(t, want, got, status)
	}
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{"30": 30 * time.Second, "": 0, "-5": 0, "soon": 0,
		"Sun, 22 Nov 2026 22:52:00 GMT": time.Minute, "Sun, 22 Nov 2026 22:50:00 GMT": 0} {
		header := http.Header{"Retry-After": {value}, "Date": {"Sun, 22 Nov 2026 22:51:00 GMT"}}
		require.Equal(t, want, RetryAfter(client.Answer{Header: header}), value)
	}
	require.Zero(t, RetryAfter(client.Answer{Header: http.Header{"Retry-After": {"Sun, 22 Nov 2026 22:52:00 GMT"}}}))
}

// An error tells what it knows: that nothing left, that it may have arrived, or that the configuration forbids it.
func TestExchangeSaysWhetherAnythingLeft(t *testing.T) {
	var plan fault.Plan
	server := httptest.NewServer(plan.Wrap(http.NotFoundHandler()))
	defer server.Close()
	exchange := func(allow, url string) error {
		through, err := client.NewHTTP(client.HTTPConfig{}, client.NewDialer([]netip.Prefix{netip.MustParsePrefix(allow)}))
		require.NoError(t, err)
		defer through.Close()
		_, err = Exchange(context.Background(), through, "tell", client.Request{Method: http.MethodPost, URL: url + "/canary"})
		return err
	}
	var failed *Error
	require.ErrorAs(t, exchange("127.0.0.0/8", "http://127.0.0.1:1"), &failed)
	require.False(t, failed.Unknown)
	plan.Add("/canary", fault.DropBefore)
	err := exchange("127.0.0.0/8", server.URL)
	require.ErrorAs(t, err, &failed)
	require.True(t, failed.Unknown)
	require.NotContains(t, err.Error(), "canary")
	err = exchange("10.0.0.0/8", server.URL)
	require.True(t, actions.IsPermanent(err), "the egress rules refuse it again each time")
	require.ErrorContains(t, err, "egress")
}
