package kubernetes

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"astern.dev/astern/actions"
)

const (
	// untilForm has one length and one zone, so that the policy may compare it as text.
	untilForm    = "2006-01-02T15:04:05Z"
	defaultUntil = 30 * 24 * time.Hour
	longestUntil = 365 * 24 * time.Hour
	maxReason    = 300
)

// entry is one image on the list. Its text has one line for each field; the policy reads the first two.
type entry struct {
	image           string // sha256:… or an image with a tag
	until           time.Time
	by, key, reason string
}

var (
	pinnedForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	taggedForm = regexp.MustCompile(`^[a-z0-9]+([._:/-]+[a-z0-9]+)*:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	unkeyable  = regexp.MustCompile(`[^-._a-zA-Z0-9]+`)
)

// banned reads an image as the list has it.
func banned(text string) (string, error) {
	repository, digest, pinned := strings.Cut(text, "@")
	switch {
	case pinnedForm.MatchString(text):
		return text, nil
	case pinned && pinnedForm.MatchString(digest) && len(repository) <= 255:
		return digest, nil
	case len(text) <= 255 && taggedForm.MatchString(text):
		return text, nil
	case text == "":
		return "", errors.New("is empty: the digest or tag is not known")
	}
	return "", fmt.Errorf("%.100q is neither a digest (sha256:…) nor an image with a tag (registry.example/shop/api:1.5.0)", text)
}

// id is the entry's key in the ConfigMap: a digest is read in it; a tagged image is shortened, so that its own digest tells it apart.
func (e entry) id() string {
	if pinnedForm.MatchString(e.image) {
		return strings.Replace(e.image, ":", "-", 1)
	}
	sum := sha256.Sum256([]byte(e.image))
	name := strings.Trim(unkeyable.ReplaceAllString(e.image, "_"), "_")
	return name[max(0, len(name)-200):] + "-" + hex.EncodeToString(sum[:6])
}

func (e entry) text() string {
	return fmt.Sprintf("until %s\nimage %s\nby %s\nkey %s\nreason %s\n", e.until.Format(untilForm), e.image, e.by, e.key, e.reason)
}

// parseEntry reads what it can: an entry that somebody wrote by hand has no key.
func parseEntry(text string) entry {
	var e entry
	for line := range strings.SplitSeq(text, "\n") {
		name, value, _ := strings.Cut(line, " ")
		switch name {
		case "until":
			e.until, _ = time.Parse(untilForm, value) // unreadable is over: the policy passes it over, too
		case "image":
			e.image = value
		case "by":
			e.by = value
		case "key":
			e.key = value
		case "reason":
			e.reason = value
		}
	}
	return e
}

// parseUntil reads a length of time or a moment, and gives when it ends for a beginning.
func parseUntil(text string) (func(now time.Time) time.Time, error) {
	if text == "" {
		text = defaultUntil.String()
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return func(time.Time) time.Time { return at.UTC().Truncate(time.Second) }, nil
	}
	long, err := actions.ParseDuration(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%.60q is neither a length of time such as 14d nor a moment such as 2026-12-01T00:00:00Z", text)
	case long <= 0 || long > longestUntil:
		return nil, errors.New("must be more than nothing and a year at most")
	}
	return func(now time.Time) time.Time { return now.UTC().Add(long).Truncate(time.Second) }, nil
}

func by(env actions.Env) string {
	text := "incident " + env.Incident
	if env.Installation != "" {
		text += ", installation " + env.Installation
	}
	return ownLine(text)
}

// ownLine keeps a stranger's words to the one line that is theirs.
func ownLine(text string) string {
	clean := strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if runes := []rune(clean); len(runes) > maxReason {
		clean = string(runes[:maxReason]) + "…"
	}
	return clean
}
