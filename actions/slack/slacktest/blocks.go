package slacktest

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The limits of Block Kit, in characters and elements.
const (
	blockLimit   = 50
	headerLimit  = 150
	textMax      = 3000
	fieldLimit   = 10
	fieldTextMax = 2000
	contextLimit = 10
	idLimit      = 255
	allTextLimit = 13_200 // seen, not documented: msg_blocks_too_long
)

type textObject struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Emoji    *bool  `json:"emoji"`
	Verbatim bool   `json:"verbatim"`
}

type block struct {
	Type     string       `json:"type"`
	BlockID  string       `json:"block_id"`
	Text     *textObject  `json:"text"`
	Fields   []textObject `json:"fields"`
	Elements []textObject `json:"elements"`
}

// checkBlocks holds blocks against the grammar and gives their texts.
func checkBlocks(raw json.RawMessage) ([]textObject, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var blocks []block
	if err := strict(bytes.NewReader(raw), &blocks); err != nil {
		return nil, refuse("invalid_blocks_format", "%v", err)
	}
	if len(blocks) == 0 || len(blocks) > blockLimit {
		return nil, refuse("invalid_blocks", "%d blocks", len(blocks))
	}
	var texts []textObject
	ids := map[string]bool{}
	for i, b := range blocks {
		if b.BlockID != "" && (ids[b.BlockID] || len(b.BlockID) > idLimit) {
			return nil, refuse("invalid_blocks", "block %d: block_id %q", i, b.BlockID)
		}
		ids[b.BlockID] = true
		found, err := b.check()
		if err != nil {
			return nil, refuse("invalid_blocks", "block %d: %v", i, err)
		}
		texts = append(texts, found...)
	}
	total := 0
	for _, t := range texts {
		total += utf8.RuneCountInString(t.Text)
	}
	if total > allTextLimit {
		return nil, refuse("msg_blocks_too_long", "%d characters", total)
	}
	return texts, nil
}

func (b block) check() ([]textObject, error) {
	switch b.Type {
	case "divider":
		return nil, b.only(false, false, false)
	case "header":
		if err := b.only(true, false, false); err != nil {
			return nil, err
		}
		return []textObject{*b.Text}, b.Text.check(headerLimit, "plain_text")
	case "section":
		return b.checkSection()
	case "context":
		if err := b.only(false, false, true); err != nil {
			return nil, err
		}
		return b.Elements, checkAll(b.Elements, contextLimit, textMax)
	}
	return nil, refuse("invalid_blocks", "type %q", b.Type)
}

func (b block) checkSection() ([]textObject, error) {
	if b.Elements != nil || (b.Text == nil && b.Fields == nil) {
		return nil, refuse("invalid_blocks", "a section has text or fields")
	}
	var texts []textObject
	if b.Text != nil {
		texts = append(texts, *b.Text)
		if err := b.Text.check(textMax, "plain_text", "mrkdwn"); err != nil {
			return nil, err
		}
	}
	if b.Fields == nil {
		return texts, nil
	}
	return append(texts, b.Fields...), checkAll(b.Fields, fieldLimit, fieldTextMax)
}

func (b block) only(text, fields, elements bool) error {
	if (b.Text != nil) != text || (b.Fields != nil) != fields || (b.Elements != nil) != elements {
		return refuse("invalid_blocks", "a %s has other parts", b.Type)
	}
	return nil
}

func checkAll(texts []textObject, count, limit int) error {
	if len(texts) == 0 || len(texts) > count {
		return refuse("invalid_blocks", "%d texts", len(texts))
	}
	for _, t := range texts {
		if err := t.check(limit, "plain_text", "mrkdwn"); err != nil {
			return err
		}
	}
	return nil
}

func (t textObject) check(limit int, kinds ...string) error {
	known := false
	for _, kind := range kinds {
		known = known || kind == t.Type
	}
	if !known || (t.Emoji != nil && t.Type != "plain_text") || (t.Verbatim && t.Type != "mrkdwn") {
		return refuse("invalid_blocks", "a text of type %q", t.Type)
	}
	if n := utf8.RuneCountInString(t.Text); n < 1 || n > limit {
		return refuse("invalid_blocks", "a text of %d characters", n)
	}
	return nil
}

var (
	marked   = regexp.MustCompile(`<([^<>]+)>`)
	bareLink = regexp.MustCompile(`\b[a-z]+://[^\s<>]+`)
)

// reach says whom a text notifies and what one can press in it, as Slack reads its markup.
func (t textObject) reach() (pings, links []string) {
	if t.Type != "mrkdwn" {
		return nil, nil
	}
	for _, found := range marked.FindAllStringSubmatch(t.Text, -1) {
		inside, _, _ := strings.Cut(found[1], "|")
		switch {
		case strings.HasPrefix(inside, "@"):
			pings = append(pings, inside[1:])
		case strings.HasPrefix(inside, "!subteam^"):
			pings = append(pings, strings.TrimPrefix(inside, "!subteam^"))
		case strings.HasPrefix(inside, "!"):
			pings = append(pings, inside)
		default:
			links = append(links, inside)
		}
	}
	if !t.Verbatim {
		links = append(links, bareLink.FindAllString(marked.ReplaceAllString(t.Text, ""), -1)...)
	}
	return pings, links
}

// strict decodes one JSON value; a field that is not known is refused.
func strict(r io.Reader, into any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return refuse("invalid_arguments", "%v", err)
	}
	return nil
}
