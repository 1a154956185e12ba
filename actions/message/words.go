// Package message holds what the channels share: the words of an incident's message, in an order that eyes can learn, and
// the reading of a provider's answer. It knows no provider; it imports actions and is imported by the channels alone.
package message

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"astern.dev/astern/actions"
)

// Bounds of one message in characters, so that every provider's own limits hold with room to spare.
const (
	lineLimit  = 256
	proseLimit = 600
	stepLimit  = 20
	newsLimit  = 10
)

const unknown = "not known yet"

// Line is one labelled fact of a message. Text may still hold markup of a place: the channel escapes it.
type Line struct{ Label, Text string }

// Headline is the one line that names the incident, its severity first.
func Headline(m actions.Message) string {
	title := Clean(m.Title, lineLimit)
	if title == "" {
		title = fmt.Sprintf("%s (%s)", m.Target, m.Environment)
	}
	if m.Severity == "" {
		return Clean(title, lineLimit)
	}
	return Clean(fmt.Sprintf("[%s] %s", m.Severity, title), lineLimit)
}

// Needs says what a person must do and until when, if anything.
func Needs(m actions.Message) (Line, bool) {
	needs := Clean(m.Needs, proseLimit)
	if needs == "" {
		return Line{}, false
	}
	if !m.NeedsUntil.IsZero() {
		needs += ", until " + Time(m.NeedsUntil)
	}
	return Line{"A person is needed", needs}, true
}

// Sheet is the state of the incident: always the same facts in the same order, the unknown ones said to be so.
func Sheet(m actions.Message) []Line {
	return []Line{
		{"Status", clean(m.Status, proseLimit)},
		{"Trigger", clean(m.Trigger, proseLimit)},
		{"Target", clean(m.Target, lineLimit) + " in " + clean(m.Environment, lineLimit)},
		{"Release", release(m)},
		{"Started", Time(m.StartedAt)},
		{"Plan", clean(m.Plan, lineLimit)},
	}
}

// Steps says where the steps of the plan stand, one line each; a long plan ends with how many more there are.
func Steps(m actions.Message) []string {
	var lines []string
	for i, step := range m.Steps {
		if i == stepLimit {
			return append(lines, fmt.Sprintf("and %d more", len(m.Steps)-stepLimit))
		}
		line := fmt.Sprintf("%d. %s: %s", i+1, Clean(step.Name, 64), Clean(step.State, 32))
		if step.Summary != "" {
			line += ", " + Clean(step.Summary, 120)
		}
		lines = append(lines, line)
	}
	return lines
}

// News says what changed since the last telling. When something must be said and nothing was named, it is the status.
func News(m actions.Message) []string {
	var lines []string
	for _, news := range m.News {
		if line := Clean(news, lineLimit); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 && (m.Final || m.Urgent) {
		return []string{clean(m.Status, proseLimit)}
	}
	if more := len(lines) - newsLimit; more > 0 {
		lines = append(lines[:newsLimit], fmt.Sprintf("and %d more, in the incident's timeline", more))
	}
	return lines
}

// Footer says where the message belongs and how fresh it is.
func Footer(m actions.Message) string {
	return fmt.Sprintf("%s, updated %s, revision %d", Clean(m.Incident, lineLimit), Time(m.UpdatedAt), m.Story)
}

// Sentence is the whole message in one paragraph, for those who hear it or see only a notification: what a person must
// do comes first.
func Sentence(m actions.Message) string { return paragraph(m, clean(m.Status, proseLimit)) }

// Latest is the news in one paragraph, as Sentence is the state.
func Latest(m actions.Message) string { return paragraph(m, News(m)...) }

func paragraph(m actions.Message, parts ...string) string {
	sentences := append([]string{Headline(m)}, parts...)
	if needs, any := Needs(m); any {
		sentences = append([]string{needs.Label + ": " + needs.Text}, sentences...)
	}
	for i, sentence := range sentences {
		sentences[i] = strings.TrimRight(sentence, ".")
	}
	return strings.Join(sentences, ". ") + "."
}

// Link is the address of the incident's page; empty when it is none that a person could open.
func Link(m actions.Message) string {
	u, err := url.Parse(m.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return ""
	}
	return u.String()
}

// Time writes an instant as everyone can read it: absolute and with its zone.
func Time(t time.Time) string {
	if t.IsZero() {
		return unknown
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// Settled says that the incident has ended and nothing is left broken by it.
func Settled(m actions.Message) bool {
	switch m.Phase {
	case "cancelled", "superseded", "rejected":
		return m.Final
	}
	return m.Final && m.Good
}

func release(m actions.Message) string {
	if m.From == "" && m.To == "" {
		return unknown
	}
	return clean(m.From, lineLimit) + " → " + clean(m.To, lineLimit)
}

func clean(s string, limit int) string {
	if s = Clean(s, limit); s == "" {
		return unknown
	}
	return s
}
