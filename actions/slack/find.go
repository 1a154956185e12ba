package slack

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/message"
)

const (
	eventType = "astern_delivery"
	pageSize  = 200
	pageCount = 20
	// clockSlack is how far our clock and Slack's may be apart.
	clockSlack = 5 * time.Minute
)

// marker lets a message be found again. Everyone in the workspace can read it.
type marker struct {
	EventType    string  `json:"event_type"`
	EventPayload payload `json:"event_payload"`
}

type payload struct {
	Notice   string `json:"notice_id"`
	Delivery string `json:"delivery_id"`
	Incident string `json:"incident"`
	Revision int    `json:"rev"`
}

// posted is a message as Slack shows it.
type posted struct {
	TS       string `json:"ts"`
	ThreadTS string `json:"thread_ts"`
	BotID    string `json:"bot_id"`
	Metadata marker `json:"metadata"`
}

func (p posted) reply() bool { return p.ThreadTS != "" && p.ThreadTS != p.TS }

// parents looks for messages of this notice that stand in the channel, oldest first.
func (t *telling) parents(ctx context.Context) ([]posted, error) {
	return t.twice(ctx, func(bot string) ([]posted, error) {
		id, err := t.slack.channelID(ctx, t.to.Channel)
		if err != nil {
			return nil, err
		}
		t.channel = id
		args := url.Values{"channel": {id}, "oldest": {t.oldest()}}
		return t.slack.pages(ctx, "conversations.history", args, func(p posted) bool {
			return !p.reply() && !slices.Contains(t.gone, p.TS) && p.BotID == bot && p.Metadata.EventPayload.Notice == t.notice.ID
		})
	})
}

// told looks for this very telling in the thread of its parent.
func (t *telling) told(ctx context.Context, parent place) (bool, error) {
	found, err := t.twice(ctx, func(bot string) ([]posted, error) {
		args := url.Values{"channel": {parent.channel}, "ts": {parent.ts}, "oldest": {t.oldest()}}
		return t.slack.pages(ctx, "conversations.replies", args, func(p posted) bool {
			return p.reply() && p.BotID == bot && p.Metadata.EventPayload.Delivery == t.notice.Delivery
		})
	})
	return len(found) > 0, err
}

// twice looks a second time after a while before it believes that nothing is there: Slack shows a message late.
func (t *telling) twice(ctx context.Context, look func(bot string) ([]posted, error)) ([]posted, error) {
	self, err := t.slack.write(ctx, "ask Slack who we are", "auth.test", struct{}{})
	if err != nil {
		return nil, err
	}
	if found, err := look(self.BotID); err != nil || len(found) > 0 {
		return found, err
	}
	again := time.NewTimer(t.slack.recheck)
	defer again.Stop()
	select {
	case <-again.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return look(self.BotID)
}

// oldest is a time before the first attempt. While no telling was proven an earlier revision may have been attempted, as
// far back as the incident goes.
func (t *telling) oldest() string {
	from := t.notice.SentAfter
	if started := t.notice.Message.StartedAt; t.notice.Ref == "" && !started.IsZero() && (from.IsZero() || started.Before(from)) {
		from = started
	}
	if from.IsZero() {
		return "0"
	}
	return strconv.FormatInt(from.Add(-clockSlack).Unix(), 10) + ".000000"
}

// pages reads all messages that match, oldest first.
func (w *Workspace) pages(ctx context.Context, method string, args url.Values, match func(posted) bool) ([]posted, error) {
	const what = "look whether the message arrived in Slack"
	args.Set("include_all_metadata", "true")
	args.Set("limit", strconv.Itoa(pageSize))
	var found []posted
	for range pageCount {
		answer, err := w.read(ctx, what, method, args)
		if err != nil {
			return nil, err
		}
		for _, p := range answer.Messages {
			if p.Metadata.EventType == eventType && match(p) {
				found = append(found, p)
			}
		}
		if answer.Metadata.NextCursor == "" {
			slices.SortFunc(found, func(a, b posted) int { return cmp.Compare(a.TS, b.TS) })
			return found, nil
		}
		args.Set("cursor", answer.Metadata.NextCursor)
	}
	return nil, &message.Error{What: what, Reason: fmt.Sprintf("there are more than %d messages since", pageCount*pageSize)}
}

// channelID turns what the configuration calls a place into its id, which reading needs.
func (w *Workspace) channelID(ctx context.Context, called string) (string, error) {
	if isChannelID(called) {
		return called, nil
	}
	if id, known := w.ids.Load(called); known {
		return id.(string), nil
	}
	if isPerson(called) {
		answer, err := w.write(ctx, "open direct messages in Slack", "conversations.open", map[string]string{"users": called})
		return answer.channelID(), err
	}
	return w.named(ctx, called[1:])
}

func (w *Workspace) named(ctx context.Context, name string) (string, error) {
	const what = "find the channel in Slack"
	args := url.Values{"types": {"public_channel,private_channel"}, "exclude_archived": {"true"}, "limit": {"999"}}
	for range pageCount {
		answer, err := w.read(ctx, what, "conversations.list", args)
		if err != nil {
			return "", err
		}
		for _, c := range answer.Channels {
			if c.Name == name {
				w.ids.Store("#"+name, c.ID)
				return c.ID, nil
			}
		}
		if answer.Metadata.NextCursor == "" {
			break
		}
		args.Set("cursor", answer.Metadata.NextCursor)
	}
	return "", actions.Permanent(fmt.Errorf("cannot %s: there is no #%s that the app can see", what, name))
}
