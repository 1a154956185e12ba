package slacktest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type reply struct {
	OK       bool   `json:"ok"`
	Error    string `json:"error"`
	TS       string `json:"ts"`
	Channel  string `json:"channel"`
	Messages []struct {
		TS       string    `json:"ts"`
		Metadata *Metadata `json:"metadata"`
	} `json:"messages"`
	Metadata struct {
		NextCursor string `json:"next_cursor"`
	} `json:"response_metadata"`
}

func call(t *testing.T, s *Server, method, path, body string, change ...func(*http.Request)) reply {
	t.Helper()
	r := httptest.NewRequest(method, "/api/"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+Token)
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code, "Slack tells its errors with 200")
	var out reply
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
	return out
}

func post(t *testing.T, s *Server, body string) reply {
	t.Helper()
	return call(t, s, "POST", "chat.postMessage", body)
}

func TestTheDoubleRefusesWhatSlackRefuses(t *testing.T) {
	block := func(inner string) string { return `{"channel":"C0INCIDENTS","text":"x","blocks":[` + inner + `]}` }
	long := func(n int) string { return strings.Repeat("x", n) }
	sections := func(n, size int) string {
		return strings.TrimSuffix(strings.Repeat(fmt.Sprintf(`{"type":"section","text":{"type":"mrkdwn","text":"%s"}},`, long(size)), n), ",")
	}
	for body, want := range map[string]string{
		`{"channel":"C0INCIDENTS","text":"x"}`:                               "",
		`{"channel":"#incidents","text":"x"}`:                                "",
		`{"channel":"U0ONCALL","text":"x"}`:                                  "",
		`{"channel":"C0INCIDENTS"}`:                                          "no_text",
		`{"channel":"C0NOWHERE","text":"x"}`:                                 "channel_not_found",
		`{"channel":"U0NOBODY","text":"x"}`:                                  "channel_not_found",
		`{"channel":"C0INCIDENTS","text":"x","colour":"red"}`:                "invalid_arguments",
		`{"channel":"C0INCIDENTS","text":"x","thread_ts":"1.000001"}`:        "thread_not_found",
		`{"channel":"C0INCIDENTS","text":"x","metadata":{"event_type":"x"}}`: "invalid_metadata_format",
		`{"channel":"C0INCIDENTS","text":"` + long(40_001) + `"}`:            "msg_too_long",
		`{"channel":"C0INCIDENTS","text":"x","metadata":{"event_type":"x","event_payload":{"x":"` + long(8000) + `"}}}`: "metadata_too_large",
		block(sections(50, 10)):  "",
		block(sections(51, 10)):  "invalid_blocks",
		block(sections(1, 3000)): "",
		block(sections(1, 3001)): "invalid_blocks",
		block(sections(5, 2700)): "msg_blocks_too_long",
		block(`{"type":"header","text":{"type":"mrkdwn","text":"x"}}`):                     "invalid_blocks",
		block(`{"type":"header","text":{"type":"plain_text","text":"` + long(151) + `"}}`): "invalid_blocks",
		block(`{"type":"section","text":{"type":"mrkdwn","text":""}}`):                     "invalid_blocks",
		block(`{"type":"section"}`):                                                            "invalid_blocks",
		block(`{"type":"context","elements":[]}`):                                              "invalid_blocks",
		block(`{"type":"alert","text":{"type":"plain_text","text":"x"}}`):                      "invalid_blocks",
		block(`{"type":"section","text":{"type":"mrkdwn","text":"x","emoji":true}}`):           "invalid_blocks",
		block(`{"type":"section","texts":{"type":"mrkdwn","text":"x"}}`):                       "invalid_blocks_format",
		block(`{"type":"divider","block_id":"a"},{"type":"divider","block_id":"a"}`):           "invalid_blocks",
		block(`{"type":"section","fields":[{"type":"mrkdwn","text":"` + long(2001) + `"}]}`):   "invalid_blocks",
		block(`{"type":"divider"},{"type":"section","text":{"type":"plain_text","text":"x"}}`): "",
	} {
		got := post(t, New(), body)
		require.Equal(t, want, got.Error, "%.120s", body)
		require.Equal(t, want == "", got.OK)
	}
}

func TestTheDoubleAsksWhoCalls(t *testing.T) {
	for want, change := range map[string]func(*http.Request){
		"not_authed":        func(r *http.Request) { r.Header.Del("Authorization") },
		"invalid_auth":      func(r *http.Request) { r.Header.Set("Authorization", "Bearer other") },
		"invalid_form_data": func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
		"invalid_arguments": func(r *http.Request) { r.Header.Set("Idempotency-Key", "x") },
	} {
		s := New()
		require.Equal(t, want, call(t, s, "POST", "chat.postMessage", `{"channel":"C0INCIDENTS","text":"x"}`, change).Error)
		require.Empty(t, s.Posted(Incident))
		require.Len(t, s.Rejected(), 1)
	}
	require.Equal(t, "unknown_method", call(t, New(), "POST", "chat.delete", `{}`).Error)
}

func TestThreadsAndUpdates(t *testing.T) {
	s := New()
	parent := post(t, s, `{"channel":"C0INCIDENTS","text":"a","metadata":{"event_type":"x","event_payload":{"k":"v"}}}`)
	require.Regexp(t, `^\d+\.\d{6}$`, parent.TS)
	second := post(t, s, `{"channel":"C0INCIDENTS","text":"b"}`)
	require.Greater(t, second.TS, parent.TS)
	reply := post(t, s, `{"channel":"C0INCIDENTS","text":"c","thread_ts":"`+parent.TS+`"}`)
	require.Equal(t, "thread_not_found", post(t, s, `{"channel":"C0INCIDENTS","text":"d","thread_ts":"`+reply.TS+`"}`).Error, "a reply is no parent")

	edit := `{"channel":"C0INCIDENTS","ts":"` + parent.TS + `","text":"edited <!channel> <https://x.example|y>"}`
	require.True(t, call(t, s, "POST", "chat.update", edit).OK)
	require.Equal(t, "channel_not_found", call(t, s, "POST", "chat.update", strings.Replace(edit, Incident, "#incidents", 1)).Error)
	require.Equal(t, "message_not_found", call(t, s, "POST", "chat.update", `{"channel":"C0INCIDENTS","ts":"1.000001","text":"x"}`).Error)
	forged := s.Forge(Incident, "", nil)
	require.Equal(t, "cant_update_message", call(t, s, "POST", "chat.update", `{"channel":"C0INCIDENTS","ts":"`+forged+`","text":"x"}`).Error)
	m := s.Posted(Incident)[0]
	require.Equal(t, []string{"!channel"}, m.Pings)
	require.Equal(t, []string{"https://x.example"}, m.Links)
	require.NotNil(t, m.Metadata, "what an update leaves out stays")
}

func TestReading(t *testing.T) {
	s := New()
	parent := post(t, s, `{"channel":"C0INCIDENTS","text":"a","metadata":{"event_type":"x","event_payload":{"k":"v"}}}`)
	post(t, s, `{"channel":"C0INCIDENTS","text":"b","thread_ts":"`+parent.TS+`"}`)
	post(t, s, `{"channel":"C0INCIDENTS","text":"c","thread_ts":"`+parent.TS+`","reply_broadcast":true}`)
	last := post(t, s, `{"channel":"C0INCIDENTS","text":"d"}`)

	history := "conversations.history?channel=C0INCIDENTS&limit=2"
	page := call(t, s, "GET", history, "")
	require.Len(t, page.Messages, 2)
	require.Equal(t, last.TS, page.Messages[0].TS, "newest first")
	page = call(t, s, "GET", history+"&cursor="+page.Metadata.NextCursor, "")
	require.Len(t, page.Messages, 1, "a reply that was not broadcast is not part of a channel")
	require.Equal(t, parent.TS, page.Messages[0].TS)
	require.Nil(t, page.Messages[0].Metadata)
	page = call(t, s, "GET", "conversations.replies?channel=C0INCIDENTS&limit=9&include_all_metadata=true&ts="+parent.TS, "")
	require.Len(t, page.Messages, 3)
	require.NotNil(t, page.Messages[0].Metadata)
	require.Empty(t, call(t, s, "GET", history+"&oldest="+last.TS, "").Messages)

	require.Equal(t, "channel_not_found", call(t, s, "GET", "conversations.history?channel=%23incidents&limit=2", "").Error, "reading takes an id")
	require.Equal(t, "invalid_limit", call(t, s, "GET", "conversations.history?channel=C0INCIDENTS", "").Error)
	require.Equal(t, "invalid_arguments", call(t, s, "GET", history+"&since=1", "").Error)
	require.Equal(t, "thread_not_found", call(t, s, "GET", "conversations.replies?channel=C0INCIDENTS&limit=2&ts=1.000001", "").Error)
	s.Revoke("channels:history")
	require.Equal(t, "missing_scope", call(t, s, "GET", history, "").Error)
}
