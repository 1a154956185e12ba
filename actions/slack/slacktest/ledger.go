package slacktest

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Message is one message as people see it.
type Message struct {
	Channel, TS, ThreadTS string // ThreadTS is the parent's TS in a reply
	Text                  string
	Blocks                json.RawMessage
	Metadata              *Metadata
	Bot                   string
	Broadcast             bool
	Edits                 int
	// Pings are those it notified ("U…", "S…", "!channel"), Links the addresses one can press.
	Pings, Links []string

	hidden int
}

// Metadata is what the sender marked a message with.
type Metadata struct {
	EventType    string         `json:"event_type"`
	EventPayload map[string]any `json:"event_payload"`
}

// Posted are the messages of a channel that stand for themselves, oldest first.
func (s *Server) Posted(channel string) []Message {
	return s.pick(channel, func(m *Message) bool { return m.ThreadTS == "" })
}

// Thread are the replies to a message, oldest first.
func (s *Server) Thread(channel, ts string) []Message {
	return s.pick(channel, func(m *Message) bool { return m.ThreadTS == ts })
}

func (s *Server) pick(id string, want func(*Message) bool) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Message
	if c := s.channels[id]; c != nil {
		for _, m := range c.messages {
			if want(m) {
				out = append(out, *m)
			}
		}
	}
	return out
}

// Calls are all calls so far; Rejected those that were answered with ok:false.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Rejected are the calls that were answered with ok:false.
func (s *Server) Rejected() []Call {
	return slices.DeleteFunc(s.Calls(), func(c Call) bool { return c.Error == "" })
}

// Changed is closed after the next call: take it, look, and wait for it when what was looked for is not there yet.
func (s *Server) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Delete is a person who removes a message.
func (s *Server) Delete(channel, ts string) {
	s.alter(channel, func(c *room) {
		c.messages = slices.DeleteFunc(c.messages, func(m *Message) bool { return m.TS == ts })
	})
}

// Forge is another app of the workspace that copies a marker; thread is the parent's TS, empty for a message of its own.
func (s *Server) Forge(channel, thread string, marker *Metadata) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(s.channels[channel], &Message{Text: "forged", ThreadTS: thread, Metadata: marker, Bot: "B0OTHER"}).TS
}

// add gives a message its time stamp, which is unique and rising in its channel.
func (s *Server) add(c *room, m *Message) *Message {
	at := max(s.now().UnixMicro(), c.last+1)
	c.last = at
	m.Channel, m.TS, m.hidden = c.id, fmt.Sprintf("%d.%06d", at/1e6, at%1e6), s.lag
	c.messages = append(c.messages, m)
	return m
}

func (c *room) find(ts string) *Message {
	for _, m := range c.messages {
		if m.TS == ts {
			return m
		}
	}
	return nil
}
