package slacktest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const pageLimit = 999

// history shows a channel, newest first: replies are not part of it unless they were broadcast.
func (s *Server) history(r *http.Request) (answer, error) {
	c, err := s.readable(r, "cursor", "include_all_metadata", "inclusive", "latest", "limit", "oldest")
	if err != nil {
		return nil, err
	}
	shown := c.seen(func(m *Message) bool { return m.ThreadTS == "" || m.Broadcast }, r)
	slices.Reverse(shown)
	return page(shown, r)
}

// replies shows a thread, oldest first, its parent always among them.
func (s *Server) replies(r *http.Request) (answer, error) {
	c, err := s.readable(r, "cursor", "include_all_metadata", "inclusive", "latest", "limit", "oldest", "ts")
	if err != nil {
		return nil, err
	}
	ts := r.URL.Query().Get("ts")
	parent := c.find(ts)
	if parent == nil {
		return nil, refuse("thread_not_found", "%s", ts)
	}
	found := c.seen(func(m *Message) bool { return m.ThreadTS == ts }, r)
	return page(append([]*Message{parent}, found...), r)
}

func (s *Server) readable(r *http.Request, known ...string) (*room, error) {
	if s.lacks["channels:history"] {
		return nil, refuse("missing_scope", "channels:history")
	}
	for name := range r.URL.Query() {
		if name != "channel" && !slices.Contains(known, name) {
			return nil, refuse("invalid_arguments", "%s is no argument", name)
		}
	}
	c := s.channels[r.URL.Query().Get("channel")]
	if c == nil {
		return nil, refuse("channel_not_found", "%q is no channel's id", r.URL.Query().Get("channel"))
	}
	if c.stranger {
		return nil, refuse("not_in_channel", "%s", c.id)
	}
	return c, nil
}

func (c *room) seen(want func(*Message) bool, r *http.Request) []*Message {
	oldest := r.URL.Query().Get("oldest")
	var out []*Message
	for _, m := range c.messages {
		if !want(m) || m.TS <= oldest {
			continue
		}
		if m.hidden > 0 {
			m.hidden--
			continue
		}
		out = append(out, m)
	}
	return out
}

func page(messages []*Message, r *http.Request) (answer, error) {
	q := r.URL.Query()
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit < 1 || limit > pageLimit {
		return nil, refuse("invalid_limit", "%q", q.Get("limit"))
	}
	from, err := strconv.Atoi("0" + strings.TrimPrefix(q.Get("cursor"), "at-"))
	if err != nil || from > len(messages) {
		return nil, refuse("invalid_cursor", "%q", q.Get("cursor"))
	}
	until, cursor := from+limit, ""
	if until < len(messages) {
		cursor = "at-" + strconv.Itoa(until)
	}
	shown := []answer{}
	for _, m := range messages[from:min(until, len(messages))] {
		shown = append(shown, m.shown(q.Get("include_all_metadata") == "true"))
	}
	return answer{"messages": shown, "has_more": cursor != "", "response_metadata": answer{"next_cursor": cursor}}, nil
}

func (m *Message) shown(metadata bool) answer {
	out := answer{"type": "message", "ts": m.TS, "text": m.Text, "bot_id": m.Bot}
	if m.ThreadTS != "" {
		out["thread_ts"] = m.ThreadTS
	}
	if m.Broadcast {
		out["subtype"] = "thread_broadcast"
	}
	if m.Metadata != nil && metadata {
		out["metadata"] = m.Metadata
	}
	return out
}

// list names the channels the bot can see.
func (s *Server) list(r *http.Request) (answer, error) {
	if s.lacks["channels:read"] {
		return nil, refuse("missing_scope", "channels:read")
	}
	channels := []answer{}
	for _, c := range s.channels {
		if c.name != "" && !c.archived {
			channels = append(channels, answer{"id": c.id, "name": c.name})
		}
	}
	return answer{"channels": channels, "response_metadata": answer{"next_cursor": ""}}, nil
}

// open gives the direct messages with one person, always the same ones.
func (s *Server) open(r *http.Request) (answer, error) {
	var args struct {
		Users string `json:"users"`
	}
	if err := decode(r, &args); err != nil {
		return nil, err
	}
	c, err := s.direct(args.Users)
	if err != nil {
		return nil, refuse("user_not_found", "%s", args.Users)
	}
	return answer{"channel": answer{"id": c.id}}, nil
}
