package slacktest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"unicode/utf8"
)

const (
	textLimit     = 40_000 // Slack cuts here; the double refuses
	metadataLimit = 8_000
)

type postArguments struct {
	Channel        string          `json:"channel"`
	Text           string          `json:"text"`
	Blocks         json.RawMessage `json:"blocks"`
	ThreadTS       string          `json:"thread_ts"`
	ReplyBroadcast bool            `json:"reply_broadcast"`
	UnfurlLinks    bool            `json:"unfurl_links"`
	UnfurlMedia    bool            `json:"unfurl_media"`
	Parse          string          `json:"parse"`
	LinkNames      bool            `json:"link_names"`
	Metadata       *Metadata       `json:"metadata"`
}

func (s *Server) post(r *http.Request) (answer, error) {
	var args postArguments
	if err := decode(r, &args); err != nil {
		return nil, err
	}
	c, err := s.addressed(args.Channel)
	if err != nil {
		return nil, err
	}
	if args.ThreadTS != "" {
		if parent := c.find(args.ThreadTS); parent == nil || parent.ThreadTS != "" {
			return nil, refuse("thread_not_found", "%s is no parent", args.ThreadTS)
		}
	}
	if err := checkMetadata(args.Metadata); err != nil {
		return nil, err
	}
	m := &Message{ThreadTS: args.ThreadTS, Broadcast: args.ReplyBroadcast, Metadata: args.Metadata, Bot: Bot}
	if err := m.write(args.Text, args.Parse, args.Blocks); err != nil {
		return nil, err
	}
	s.add(c, m)
	return answer{"channel": c.id, "ts": m.TS, "message": m.shown(true)}, nil
}

type updateArguments struct {
	Channel   string          `json:"channel"`
	TS        string          `json:"ts"`
	Text      string          `json:"text"`
	Blocks    json.RawMessage `json:"blocks"`
	Parse     string          `json:"parse"`
	LinkNames bool            `json:"link_names"`
	Metadata  *Metadata       `json:"metadata"`
}

func (s *Server) update(r *http.Request) (answer, error) {
	var args updateArguments
	if err := decode(r, &args); err != nil {
		return nil, err
	}
	c := s.channels[args.Channel]
	if c == nil {
		return nil, refuse("channel_not_found", "%q is no channel's id", args.Channel)
	}
	m := c.find(args.TS)
	if m == nil {
		return nil, refuse("message_not_found", "%s", args.TS)
	}
	if m.Bot != Bot {
		return nil, refuse("cant_update_message", "it is of %s", m.Bot)
	}
	if err := m.write(args.Text, args.Parse, args.Blocks); err != nil {
		return nil, err
	}
	m.Edits++
	return answer{"channel": c.id, "ts": m.TS, "text": m.Text}, nil
}

var userID = regexp.MustCompile(`^[UW][A-Z0-9]{3,}$`)

// addressed finds where a post goes: a channel by id or name, or a person's direct messages.
func (s *Server) addressed(to string) (*room, error) {
	if userID.MatchString(to) {
		return s.direct(to)
	}
	for _, c := range s.channels {
		if c.id != to && "#"+c.name != to && c.name != to {
			continue
		}
		if c.archived {
			return nil, refuse("is_archived", "%s", to)
		}
		if c.stranger {
			return nil, refuse("not_in_channel", "%s", to)
		}
		return c, nil
	}
	return nil, refuse("channel_not_found", "%s", to)
}

func (s *Server) direct(user string) (*room, error) {
	if user != Person {
		return nil, refuse("channel_not_found", "no person %s", user)
	}
	id := "D" + user[1:]
	if s.channels[id] == nil {
		s.channels[id] = &room{id: id}
	}
	return s.channels[id], nil
}

// write gives a message its words, or refuses them and leaves it as it was.
func (m *Message) write(text, parse string, blocks json.RawMessage) error {
	if text == "" {
		return refuse("no_text", "text is what screen readers and notifications read")
	}
	if utf8.RuneCountInString(text) > textLimit {
		return refuse("msg_too_long", "text of %d characters", utf8.RuneCountInString(text))
	}
	texts, err := checkBlocks(blocks)
	if err != nil {
		return err
	}
	m.Text, m.Blocks, m.Pings, m.Links = text, blocks, nil, nil
	for _, t := range append(texts, textObject{Type: "mrkdwn", Text: text, Verbatim: parse == "none"}) {
		pings, links := t.reach()
		m.Pings, m.Links = append(m.Pings, pings...), append(m.Links, links...)
	}
	return nil
}

func checkMetadata(m *Metadata) error {
	if m == nil {
		return nil
	}
	raw, err := json.Marshal(m)
	if err != nil || m.EventType == "" || m.EventPayload == nil {
		return refuse("invalid_metadata_format", "event_type and event_payload are both required")
	}
	if len(raw) > metadataLimit {
		return refuse("metadata_too_large", "%d bytes", len(raw))
	}
	return nil
}
