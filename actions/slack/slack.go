// Package slack tells incidents in Slack: one message that is kept up to date, and a thread with the news.
// It imports actions, actions/client and actions/message.
package slack

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/message"
)

const kind = "slack"

const mentionLimit = 20

// Slack tells an incident in a channel of Slack. The first telling posts a message; each later one brings it up to date
// and puts the news in its thread, shown in the channel, too, when the incident has ended or a person must come.
type Slack struct {
	// Channel is "#name", a channel's id (C…), or a person's id (U…) for direct messages.
	Channel string `yaml:"channel"`
	// Mention lists the ids of people (U…) and groups (S…) who are notified by the first message and by urgent news.
	Mention []string `yaml:"mention,omitempty"`
}

// Family is what this package registers.
func Family() actions.Family {
	return actions.Family{
		Actions: []actions.Entry{{
			New:     func() actions.Action { return new(Slack) },
			Channel: true, Updates: true,
			Example: "to: engineering\nvia: slack\nchannel: \"#incidents\"\nwithin: 0s\n",
		}},
		Kind:          kind,
		NewConnection: func() actions.Connection { return new(Connection) },
	}
}

// Name is "slack".
func (*Slack) Name() string { return kind }

// Outputs is nil: a notice has none.
func (*Slack) Outputs() any { return nil }

var (
	channelName = regexp.MustCompile(`^#[^\s#<>&,]{1,80}$`)
	channelID   = regexp.MustCompile(`^[CGD][A-Z0-9]{2,}$`)
	personID    = regexp.MustCompile(`^[UW][A-Z0-9]{2,}$`)
	mentionID   = regexp.MustCompile(`^[UWS][A-Z0-9]{2,}$`)
)

func isChannelID(s string) bool { return channelID.MatchString(s) }
func isPerson(s string) bool    { return personID.MatchString(s) }

// Validate says what is missing or wrong.
func (a *Slack) Validate() error {
	if a.Channel == "" {
		return errors.New(`channel is missing: "#name", a channel's id, or a person's id`)
	}
	if !channelName.MatchString(a.Channel) && !isChannelID(a.Channel) && !isPerson(a.Channel) {
		return fmt.Errorf(`channel %q is neither "#name" nor an id such as C0123ABCD or U0123ABCD`, a.Channel)
	}
	if len(a.Mention) > mentionLimit {
		return fmt.Errorf("mention lists %d ids: more than %d", len(a.Mention), mentionLimit)
	}
	for _, id := range a.Mention {
		if !mentionID.MatchString(id) {
			return fmt.Errorf("mention %q is no id of a person (U…) or a group (S…)", id)
		}
	}
	return nil
}

// Plan asks nothing of Slack.
func (a *Slack) Plan(context.Context, actions.Env) (actions.Change, error) {
	if err := a.Validate(); err != nil {
		return actions.Change{}, actions.Permanent(err)
	}
	return actions.Change{Changes: true, Summary: "tell " + a.Channel + " in slack"}, nil
}

// Run tells the notice. With Notice.InDoubt it looks first whether the telling is there.
func (a *Slack) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	if err := a.Validate(); err != nil {
		return actions.Result{}, actions.Permanent(err)
	}
	workspace, notice, err := message.Telling[*Workspace](env, kind)
	if err != nil {
		return actions.Result{}, err
	}
	t := &telling{slack: workspace, to: a, notice: notice, channel: a.Channel}
	t.doubt = notice.InDoubt || env.Attempt > 1 || (!notice.First && notice.Ref == "")
	at, err := t.tell(ctx)
	if err != nil {
		return actions.Result{}, err
	}
	return actions.Result{Summary: fmt.Sprintf("told %s in slack", a.Channel), Ref: at.ref()}, nil
}

// place is where a message is. Its ref is the proof of delivery.
type place struct{ channel, ts string }

func (p place) ref() string { return p.channel + ":" + p.ts }

func parseRef(ref string) (place, error) {
	channel, ts, found := strings.Cut(ref, ":")
	if !found || !isChannelID(channel) || ts == "" {
		return place{}, actions.Permanent(fmt.Errorf("%q does not name a message in Slack", ref))
	}
	return place{channel, ts}, nil
}
