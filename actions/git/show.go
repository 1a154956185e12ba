package git

import (
	"context"
	"fmt"
	"regexp"

	"astern.dev/astern/actions/repository"
)

const (
	maxLines  = 200
	maxColumn = 200
)

func (u *undo) summary() string {
	what := fmt.Sprintf("revert %s %q by %s on %s", repository.Short(u.base.Hash), u.base.Subject, u.base.Author, u.branch)
	if u.restore {
		what = fmt.Sprintf("restore as at %s %q on %s", repository.Short(u.base.Hash), u.base.Subject, u.branch)
	}
	switch {
	case u.done != nil:
		return fmt.Sprintf("%s: done already by %s", what, repository.Short(u.done.Hash))
	case u.nothing:
		return what + ": nothing to undo, the branch has nothing of it any more"
	}
	added, removed := 0, 0
	for _, c := range u.changes {
		added, removed = added+c.Added, removed+c.Removed
	}
	return fmt.Sprintf("%s: %s, +%d -%d", what, plural(len(u.changes), "file", "files"), added, removed)
}

// show tells the change file by file, then what a person should know beside it.
func (r *Revert) show(ctx context.Context, repo *repository.Repository, u *undo) ([]string, error) {
	if err := u.since(ctx, repo); err != nil {
		return nil, err
	}
	contents, err := repo.Contents(ctx, u.changes)
	if err != nil {
		return nil, err
	}
	var lines []string
	left := maxLines
	for _, c := range u.changes {
		part := showFile(c, contents)
		if len(part) > left {
			part = append(part[:max(left, 1):max(left, 1)], fmt.Sprintf("= … %d more lines of %s", len(part)-max(left, 1), repository.Clean(c.Path, maxColumn)))
		}
		lines, left = append(lines, part...), left-len(part)
	}
	return append(lines, r.notes(u)...), nil
}

func showFile(c repository.FileChange, contents map[string][]byte) []string {
	sign := "~"
	switch {
	case c.Old == "":
		sign = "+"
	case c.New == "":
		sign = "-"
	}
	head := fmt.Sprintf("%s %s (+%d -%d)", sign, repository.Clean(c.Path, maxColumn), c.Added, c.Removed)
	switch {
	case hidden(c.Path, contents[c.Old], contents[c.New]):
		return []string{head + ": what it holds is not shown"}
	case len(c.Patch) == 0:
		return []string{head + showMode(c)}
	}
	lines := []string{head + showMode(c)}
	for _, line := range c.Patch {
		lines = append(lines, showLine(line))
	}
	return lines
}

func showMode(c repository.FileChange) string {
	if c.Old != "" && c.New != "" && c.OldMode != c.NewMode {
		return fmt.Sprintf(" mode %s -> %s", c.OldMode, c.NewMode)
	}
	return ""
}

var secretValue = regexp.MustCompile(`(?i)((?:password|passwd|secret|token|credentials?|api[_-]?key|private[_-]?key)["']?\s*[:=]\s*)(\S.*)$`)

// showLine keeps to the signs of a plan; what surrounds a change is marked as unchanged.
func showLine(line string) string {
	sign, text := line[:1], line[1:]
	switch sign {
	case "+", "-":
	case "@":
		return "= …"
	default:
		sign = "="
	}
	return sign + "   " + secretValue.ReplaceAllString(repository.Clean(text, maxColumn), "${1}<hidden>")
}

func (r *Revert) notes(u *undo) []string {
	var lines []string
	word := "= kept, though it touches the same files: "
	if u.restore {
		word = "- undone: "
	}
	for n, c := range u.later {
		if n == 20 {
			lines = append(lines, fmt.Sprintf("= … %d more commits that touch the same files", len(u.later)-n))
			break
		}
		lines = append(lines, fmt.Sprintf("%s%s %q by %s", word, repository.Short(c.Hash), c.Subject, c.Author))
	}
	if !u.restore && len(u.base.Parents) > 1 {
		lines = append(lines, "= it is a merge: to bring its branch back, revert the revert first; merging it again brings nothing")
	}
	switch {
	case u.done != nil || u.nothing:
	case r.PullRequest == always:
		lines = append(lines, fmt.Sprintf("= by pull request, which must be merged within %s", r.wait()))
	case r.PullRequest == never:
		lines = append(lines, "= pushed to "+u.branch)
	default:
		lines = append(lines, fmt.Sprintf("= pushed to %s; where that is protected, by pull request", u.branch))
	}
	return lines
}
