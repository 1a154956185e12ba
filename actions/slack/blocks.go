package slack

import (
	"strings"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/message"
)

// The lengths of the parts, in characters after escaping. Together they stay below 10,000: beyond some 13,000 Slack
// refuses a message although no limit of its blocks is passed.
const (
	headerLimit = 150
	fieldLimit  = 400
	needsLimit  = 700
	stepLimit   = 130
	newsLimit   = 240
	footLimit   = 400
	textLimit   = 3000
)

type block struct {
	Type     string `json:"type"`
	Text     *text  `json:"text,omitempty"`
	Fields   []text `json:"fields,omitempty"`
	Elements []text `json:"elements,omitempty"`
}

type text struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Verbatim bool   `json:"verbatim,omitempty"` // no names or addresses of the text become links
}

// parent is the incident at a glance: what a person must do, the state, the steps, where to look further.
func parent(m actions.Message, mention []string, remark string) []block {
	blocks := []block{{Type: "header", Text: &text{Type: "plain_text", Text: plain(message.Headline(m), headerLimit)}}}
	blocks = append(blocks, needs(m)...)
	var fields []text
	for _, line := range message.Sheet(m) {
		fields = append(fields, *labelled(line, fieldLimit))
	}
	blocks = append(blocks, block{Type: "section", Fields: fields})
	if steps := message.Steps(m); len(steps) > 0 {
		blocks = append(blocks, section("*Steps*\n"+lines(steps, stepLimit)))
	}
	return append(append(blocks, mentions(mention)...), foot(m, remark))
}

// news is one entry of the thread.
func news(m actions.Message, mention []string, remark string) []block {
	blocks := append(needs(m), section(lines(message.News(m), newsLimit)))
	if m.Urgent {
		blocks = append(blocks, mentions(mention)...)
	}
	return append(blocks, foot(m, remark))
}

func needs(m actions.Message) []block {
	line, any := message.Needs(m)
	if !any {
		return nil
	}
	return []block{{Type: "section", Text: labelled(line, needsLimit)}}
}

func mentions(ids []string) []block {
	if len(ids) == 0 {
		return nil
	}
	marks := make([]string, len(ids))
	for i, id := range ids {
		marks[i] = "<@" + id + ">"
		if strings.HasPrefix(id, "S") {
			marks[i] = "<!subteam^" + id + ">"
		}
	}
	return []block{section(strings.Join(marks, " "))}
}

func foot(m actions.Message, remark string) block {
	elements := []text{*mrkdwn(plain(message.Footer(m), footLimit))}
	if link := message.Link(m); link != "" && len(link) < footLimit {
		elements = append(elements, *mrkdwn("<" + address.Replace(link) + "|Open in astern>"))
	}
	if remark != "" {
		elements = append(elements, *mrkdwn(plain(remark, footLimit)))
	}
	return block{Type: "context", Elements: elements}
}

func section(words string) block { return block{Type: "section", Text: mrkdwn(words)} }

func mrkdwn(words string) *text { return &text{Type: "mrkdwn", Text: words, Verbatim: true} }

func labelled(line message.Line, limit int) *text {
	return mrkdwn("*" + line.Label + "*\n" + plain(line.Text, limit))
}

func lines(each []string, limit int) string {
	out := make([]string, len(each))
	for i, line := range each {
		out[i] = plain(line, limit)
	}
	return strings.Join(out, "\n")
}

// plain is a stranger's text in which Slack finds neither a mention nor a link.
func plain(s string, limit int) string { return message.Clip(s, limit, escape) }

func escape(r rune) string {
	switch r {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	}
	return string(r)
}

var address = strings.NewReplacer("&", "&amp;", "<", "%3C", ">", "%3E", "|", "%7C")
