package slack

import (
	"context"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/message"
)

const (
	blindRemark = "An earlier attempt got no answer and the app may not read here: this may be a repeat."
	repeatText  = "This is a repeat of an earlier message about the same incident. That one is kept up to date."
)

// telling is one attempt to tell one revision of a notice.
type telling struct {
	slack  *Workspace
	to     *Slack
	notice *actions.Notice
	// channel is what to post to: an id once one is known.
	channel string
	// doubt says that an earlier attempt may have arrived; blind that Slack does not let us look.
	doubt, blind bool
	// gone are messages that cannot be kept up to date any more.
	gone []string
}

// tell gives the place of the incident's message.
func (t *telling) tell(ctx context.Context) (place, error) {
	if t.notice.Ref == "" {
		return t.begin(ctx)
	}
	at, err := parseRef(t.notice.Ref)
	if err != nil {
		return at, err
	}
	return t.follow(ctx, at)
}

// begin posts the message, or adopts it when an earlier attempt did.
func (t *telling) begin(ctx context.Context) (place, error) {
	if t.doubt {
		found, err := t.parents(ctx)
		if t.blind = actions.IsPermanent(err); err != nil && !t.blind {
			return place{}, err
		}
		if len(found) > 0 {
			return t.adopt(ctx, found)
		}
	}
	m := t.notice.Message
	return t.post(ctx, post{Text: plain(message.Sentence(m), textLimit), Blocks: parent(m, t.to.Mention, t.remark())})
}

// adopt takes the oldest of the messages found; one that shows an earlier revision is brought up to date.
func (t *telling) adopt(ctx context.Context, found []posted) (place, error) {
	at := place{t.channel, found[0].TS}
	for _, repeat := range found[1:] {
		if err := t.edit(ctx, place{t.channel, repeat.TS}, repeatText, []block{section(repeatText)}); err != nil {
			return at, err
		}
	}
	if found[0].Metadata.EventPayload.Delivery == t.notice.Delivery {
		return at, nil
	}
	return t.follow(ctx, at)
}

// follow brings the message up to date and puts the news in its thread. An edit notifies nobody; the reply does.
func (t *telling) follow(ctx context.Context, at place) (place, error) {
	m := t.notice.Message
	err := t.edit(ctx, at, plain(message.Sentence(m), textLimit), parent(m, t.to.Mention, ""))
	switch code(err) {
	case "message_not_found", "cant_update_message": // someone removed it, or the app was installed anew
		t.channel, t.gone = at.channel, append(t.gone, at.ts)
		return t.begin(ctx)
	case "edit_window_closed": // the workspace forbids late edits: the thread tells the rest
		err = nil
	}
	if err != nil || len(message.News(m)) == 0 {
		return at, err
	}
	return at, t.reply(ctx, at)
}

func (t *telling) reply(ctx context.Context, at place) error {
	if t.doubt {
		there, err := t.told(ctx, at)
		if t.blind = actions.IsPermanent(err); err != nil && !t.blind {
			return err
		}
		if there {
			return nil
		}
	}
	m := t.notice.Message
	t.channel = at.channel
	_, err := t.post(ctx, post{Text: plain(message.Latest(m), textLimit), Blocks: news(m, t.to.Mention, t.remark()),
		ThreadTS: at.ts, Broadcast: m.Final || m.Urgent})
	return err
}

func (t *telling) remark() string {
	if t.blind {
		return blindRemark
	}
	return ""
}

// post are the arguments of chat.postMessage. Slack makes no links or mentions of its own from them.
type post struct {
	Channel     string  `json:"channel"`
	Text        string  `json:"text"`
	Blocks      []block `json:"blocks"`
	ThreadTS    string  `json:"thread_ts,omitempty"`
	Broadcast   bool    `json:"reply_broadcast,omitempty"`
	UnfurlLinks bool    `json:"unfurl_links"`
	UnfurlMedia bool    `json:"unfurl_media"`
	Parse       string  `json:"parse"`
	LinkNames   bool    `json:"link_names"`
	Metadata    marker  `json:"metadata"`
}

func (t *telling) post(ctx context.Context, p post) (place, error) {
	const what = "post to Slack"
	n := t.notice
	p.Channel, p.Parse = t.channel, "none"
	p.Metadata = marker{eventType, payload{n.ID, n.Delivery, plain(n.Message.Incident, 128), n.Message.Story}}
	answer, err := t.slack.write(ctx, what, "chat.postMessage", p)
	if err != nil {
		return place{}, err
	}
	at := place{answer.channelID(), answer.TS}
	if !isChannelID(at.channel) || at.ts == "" {
		return at, &message.Error{What: what, Reason: "the answer does not say where the message is", Unknown: true}
	}
	t.slack.ids.Store(t.to.Channel, at.channel)
	return at, nil
}

// edit sends text and blocks both: what is left out would change. The marker stays as it was.
func (t *telling) edit(ctx context.Context, at place, words string, blocks []block) error {
	const what = "update the message in Slack"
	answer, err := t.slack.write(ctx, what, "chat.update", map[string]any{
		"channel": at.channel, "ts": at.ts, "text": words, "blocks": blocks, "parse": "none", "link_names": false})
	if err == nil && answer.TS != at.ts {
		return &message.Error{What: what, Reason: "the answer does not name the message", Unknown: true}
	}
	return err
}
