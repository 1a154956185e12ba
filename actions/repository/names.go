package repository

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"
)

var (
	branchForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+@=/-]{0,199}$`)
	commitForm = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
)

// CheckBranch says why a text is no name of a branch or a tag that astern takes.
func CheckBranch(name string) error {
	switch {
	case !branchForm.MatchString(name), strings.Contains(name, ".."), strings.Contains(name, "//"), strings.Contains(name, "/."),
		strings.Contains(name, "@{"), strings.HasSuffix(name, "/"), strings.HasSuffix(name, "."), strings.HasSuffix(name, ".lock"), strings.Contains(name, ".lock/"):
		return fmt.Errorf("%s is no name of a branch", shown(name))
	}
	return nil
}

// CheckCommit says why a text does not name a commit by its hash: at least 7 lower-case hexadecimal digits.
func CheckCommit(hash string) error {
	if !commitForm.MatchString(hash) {
		return fmt.Errorf("%s is no hash of a commit: 7 to 64 hexadecimal digits, lower case", shown(hash))
	}
	return nil
}

// CheckPath says why a text is no path in a repository: relative, clean, without "..". An empty one is the whole repository.
func CheckPath(name string) error {
	switch {
	case name == "":
		return nil
	case !utf8.ValidString(name), len(name) > 1024, strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%s is no path in a repository", shown(name))
	case path.IsAbs(name), path.Clean(name) != strings.TrimSuffix(name, "/"), name == ".", strings.HasPrefix(name, ".."), strings.Contains(name, `\`):
		return fmt.Errorf(`%s is no path in a repository: relative to its root, without "." and ".."`, shown(name))
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.EqualFold(part, ".git") {
			return errors.New(".git is no path in a repository")
		}
	}
	return nil
}

// shown is a stranger's text in an error.
func shown(text string) string {
	if len(text) > 80 {
		text = text[:80] + "…"
	}
	return fmt.Sprintf("%+q", text)
}
