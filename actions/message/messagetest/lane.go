// Package messagetest drives a channel the way the engine's notice lane does, and holds the texts that channels must
// survive. The tests of the channels use it.
package messagetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"astern.dev/astern/actions"
)

// Lane tells one notice through one channel: it tries again after what is not permanent, and says so to the channel.
type Lane struct {
	Channel actions.Action
	Opened  any
	ID      string

	// Ref and Errors are what came of it so far.
	Ref    string
	Errors []error

	proven  bool
	story   int
	attempt int
	began   time.Time
}

// Tell tries until the telling is proven, refused for good, or 8 attempts have failed.
func (l *Lane) Tell(ctx context.Context, m actions.Message) error {
	var err error
	for range 8 {
		if err = l.Try(ctx, m); err == nil || actions.IsPermanent(err) {
			return err
		}
	}
	return err
}

// Try makes one attempt. An error leaves the telling in doubt for the next attempt of the same revision.
func (l *Lane) Try(ctx context.Context, m actions.Message) error {
	if m.Story != l.story {
		l.story, l.attempt, l.began = m.Story, 0, time.Now()
	}
	l.attempt++
	result, err := l.Channel.Run(ctx, l.env(m))
	if err != nil {
		l.Errors = append(l.Errors, err)
		return err
	}
	l.Ref, l.proven = result.Ref, true
	return nil
}

func (l *Lane) env(m actions.Message) actions.Env {
	delivery := fmt.Sprintf("%s/%d", l.ID, m.Story)
	return actions.Env{
		Key: delivery, Incident: m.Incident, Target: m.Target, Environment: m.Environment, Attempt: l.attempt, Now: time.Now,
		Connect:  func(string, string) (any, error) { return l.Opened, nil },
		Progress: func(string) {},
		Notice: &actions.Notice{ID: l.ID, Delivery: delivery, First: !l.proven, Ref: l.Ref, InDoubt: l.attempt > 1,
			SentAfter: l.began, Message: m},
	}
}

// Message is an incident that has just begun to roll back.
func Message() actions.Message {
	return actions.Message{
		Incident: "checkout-42", Target: "checkout", Environment: "production", Severity: "critical", Phase: "running",
		Title:   "checkout (production): error rate above 1 %, rolling back v42 → v41",
		Status:  "Rolling back, step 2 of 4",
		News:    []string{"Rolling back v42 to v41"},
		Trigger: "ErrorRateSpike: error rate 3 % for 5 min, limit 1 %", From: "v42", To: "v41", Plan: "4f2a9c01d3e7",
		Steps: []actions.MessageStep{{Name: "goal_ready", State: "done", Summary: "2 of 2 checks"}, {Name: "switch_traffic", State: "started"},
			{Name: "drain", State: "waiting"}, {Name: "verify_health", State: "waiting"}},
		StartedAt: time.Now().Add(-time.Minute), UpdatedAt: time.Now(), URL: "https://astern.example/incidents/checkout-42", Story: 1,
	}
}

// Next is the same incident one revision later.
func Next(m actions.Message, status string, change func(*actions.Message)) actions.Message {
	m.Story++
	m.Status, m.News = status, []string{status}
	if change != nil {
		change(&m)
	}
	return m
}

// Hostile are strangers' words: each tries to notify someone, to forge a link, to hide text or to break a message.
func Hostile() []string {
	long := strings.Repeat("A&<>", 16<<10)
	return append(hostile, long, strings.Repeat("\u202e", 16<<10), strings.Repeat("<!channel>", 4<<10), strings.Repeat("\n", 64<<10))
}

var hostile = []string{
	"<!channel>", "<!here>", "<!everyone>", "<@U1>", "<@U0ONCALL>", "<@W1|boss>", "<#C1>", "<#C1|general>", "<!subteam^S1>",
	"<!subteam^S1|@ops>", "<!date^1392734382^{date}^https://evil.example|now>", "@channel", "@here", "@everyone", "#general",
	"<https://evil.example|Approve>", "<http://evil.example>", "https://evil.example/approve", "http://169.254.169.254/", "evil.example",
	"<javascript:alert(1)|Approve>", "javascript:alert(1)", "<mailto:a@evil.example|mail>", "<tel:112>", "<slack://user?team=T&id=U>",
	"[Approve](https://evil.example)", "![x](https://evil.example/p.png)", "*Approved*", "_x_", "~x~", "`x`", "```\n<!channel>\n```", "> quote",
	"&lt;!channel&gt;", "&amp;lt;!channel&amp;gt;", "<<!channel>>", "<!channel", "!channel>", "<>", "<", ">", "&", "<|>", "< @U1>", "<\u200b@U1>",
	"\x1b[31mred\x1b[0m", "\x1b]8;;https://evil.example\x07link\x1b]8;;\x07", "\x1b[2J", "\x00", "\x07", "\x7f", "\x9b31m", "a\rb", "a\nb", "a\tb", "\r\n.\r\n",
	"\u202eevitca si kcabllor\u202c", "\u2066x\u2069", "\u200e\u200f", "\u061c", "\ufeff", "a\u200bb", "\u2028x", "\u2029x", "\u00adx", "\U000e0041\U000e0042",
	"\ud7ff", "\ue000", "\uffff", "\U0010ffff", "\xff\xfe", "\xc0\xaf", "\xed\xa0\x80", "z\u0335\u0336\u0337\u0338", "👩‍👩‍👧", "", " ", "null", "true", "{}", `{"a":1}`,
	`"`, `\`, `\"`, `'`, "${alert.labels.x}", "{{ .Labels }}", "%s%n", "$(id)", "; rm -rf /", "' OR 1=1 --", "</script><script>alert(1)</script>", "../../etc/passwd",
	`"}],"blocks":[]`, `","channel":"C1","x":"`, "\\u003c!channel\\u003e", "＜!channel＞", ":rotating_light:", "<!channel|x>", "<@U1|<@U2>>",
}
