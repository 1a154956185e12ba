package git

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/repository"
)

var (
	plainKey = regexp.MustCompile(`^[\x21-\x7e]{1,200}$`)
	skipCI   = regexp.MustCompile(`(?i)\s*(\[(skip ci|ci skip|no ci|skip actions|actions skip)\]|\*\*\*NO_CI\*\*\*)`)
	notSlug  = regexp.MustCompile(`[^a-z0-9]+`)
)

// trailerKey is the key as the trailer Astern-Key holds it: one word.
func trailerKey(key string) string {
	if plainKey.MatchString(key) {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// branchOf names the branch of a pull request: the same for every attempt of one step, another for every other step.
func branchOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	slug := strings.Trim(notSlug.ReplaceAllString(strings.ToLower(key), "-"), "-")
	return "astern/" + strings.Trim(slug[:min(len(slug), 60)]+"-"+hex.EncodeToString(sum[:5]), "-")
}

// title is the first line. What would keep the checks of a repository from running is left out of it.
func (r *Revert) title(u *undo) string {
	subject := skipCI.ReplaceAllString(u.base.Subject, "")
	if u.restore {
		return fmt.Sprintf("Restore %s as at %s", joined(r.Restore.Paths, 3), repository.Short(u.base.Hash))
	}
	return fmt.Sprintf("Revert %q", subject)
}

// message is the commit's: what it undoes, for which incident, and the key by which it is known again.
func (r *Revert) message(u *undo, env actions.Env) string {
	return fmt.Sprintf("%s\n\n%s\n\n%s\n\nAstern-Key: %s\nAstern-Incident: %s\n", r.title(u), r.account(u), r.forWhom(env), trailerKey(env.Key), line(env.Incident))
}

func (r *Revert) account(u *undo) string {
	switch {
	case u.restore:
		text := fmt.Sprintf("This restores, as at commit %s:\n", u.base.Hash)
		for _, p := range r.Restore.Paths {
			text += "  " + line(p) + "\n"
		}
		if len(u.later) > 0 {
			text += "It undoes there:\n"
		}
		for _, c := range u.later[:min(len(u.later), 50)] {
			text += fmt.Sprintf("  %s %s\n", repository.Short(c.Hash), skipCI.ReplaceAllString(c.Subject, ""))
		}
		return strings.TrimRight(text, "\n")
	case len(u.base.Parents) > 1:
		return fmt.Sprintf("This reverts commit %s, reversing\nchanges made to %s.\n\nIt was a merge: merging its branch again brings nothing back. To bring the\nchanges back, revert this commit first, then fix on top of that.",
			u.base.Hash, u.base.Parents[r.mainline()-1])
	}
	return fmt.Sprintf("This reverts commit %s.", u.base.Hash)
}

func (r *Revert) forWhom(env actions.Env) string {
	text := "Made by astern for incident " + line(env.Incident)
	if env.Target != "" {
		text += " of " + line(env.Target)
	}
	if env.Environment != "" {
		text += " in " + line(env.Environment)
	}
	return text + "."
}

// line is a text as one line of a message.
func line(text string) string { return repository.Clean(text, 200) }
