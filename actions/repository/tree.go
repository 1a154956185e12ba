package repository

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"astern.dev/astern/actions"
)

// ConflictError names the files in which a change and what came later cannot both be.
type ConflictError struct{ Files []string }

func (c *ConflictError) Error() string {
	shown := make([]string, 0, len(c.Files))
	for _, file := range c.Files[:min(len(c.Files), 20)] {
		shown = append(shown, Clean(file, 200))
	}
	if more := len(c.Files) - len(shown); more > 0 {
		shown = append(shown, fmt.Sprintf("%d more", more))
	}
	return "conflict in " + strings.Join(shown, ", ")
}

// Tree is the tree of a commit.
func (r *Repository) Tree(ctx context.Context, commit string) (string, error) {
	return r.word(ctx, call{args: []string{"rev-parse", "--verify", "--quiet", "--end-of-options", commit + "^{tree}"}})
}

// word runs git for one word.
func (r *Repository) word(ctx context.Context, c call) (string, error) {
	out, err := r.must(ctx, c)
	return strings.TrimSpace(string(out)), err
}

// Inverse is the tree that head has without what a commit did to its parent (the one with the number mainline, from 1): a
// merge of head with a commit that takes it back. The answer is a *ConflictError when later commits stand in the way.
func (r *Repository) Inverse(ctx context.Context, head, commit string, mainline int) (string, error) {
	before, err := r.Tree(ctx, fmt.Sprintf("%s^%d", commit, mainline))
	if err != nil {
		return "", err
	}
	back, err := r.CommitTree(ctx, CommitRequest{Tree: before, Parent: commit, Message: "take back", When: time.Unix(0, 0).UTC()})
	if err != nil {
		return "", err
	}
	return r.mergeTree(ctx, head, back)
}

func (r *Repository) mergeTree(ctx context.Context, ours, theirs string) (string, error) {
	c := call{args: []string{"merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs}}
	did, err := r.git(ctx, c)
	if err != nil {
		return "", err
	}
	fields := strings.Split(strings.TrimRight(string(did.out), "\x00"), "\x00")
	switch did.code {
	case 0:
		return strings.TrimSpace(fields[0]), nil
	case 1:
		return "", actions.Permanent(&ConflictError{fields[1:]})
	}
	return "", &failure{c.args[0], did.code, did.stderr}
}

// Restored is the tree that head has with the paths as they were at good: what came later there is gone, files that good
// does not have, too.
func (r *Repository) Restored(ctx context.Context, head, good string, paths []string) (string, error) {
	now, err := r.entries(ctx, head, paths)
	if err != nil {
		return "", err
	}
	then, err := r.entries(ctx, good, paths)
	if err != nil {
		return "", err
	}
	for _, p := range paths {
		if !below(then, p) {
			return "", actions.Permanent(fmt.Errorf("there is no %s at commit %s", shown(p), Short(good)))
		}
	}
	dir, err := os.MkdirTemp(r.place(), "index-")
	if err != nil {
		return "", fmt.Errorf("make an index: %w", err)
	}
	defer os.RemoveAll(dir)
	return r.indexed(ctx, filepath.Join(dir, "index"), head, indexLines(now, then))
}

// indexLines take away everything first: a file may have become a directory.
func indexLines(now, then []entry) []byte {
	var lines bytes.Buffer
	for _, e := range now {
		fmt.Fprintf(&lines, "0 %s\t%s\x00", strings.Repeat("0", len(e.hash)), e.path)
	}
	for _, e := range then {
		fmt.Fprintf(&lines, "%s %s\t%s\x00", e.mode, e.hash, e.path)
	}
	return lines.Bytes()
}

func (r *Repository) indexed(ctx context.Context, index, head string, lines []byte) (string, error) {
	env := []string{"GIT_INDEX_FILE=" + index}
	if _, err := r.must(ctx, call{args: []string{"read-tree", head}, env: env}); err != nil {
		return "", err
	}
	if _, err := r.must(ctx, call{args: []string{"update-index", "-z", "--index-info"}, stdin: lines, env: env}); err != nil {
		return "", err
	}
	return r.word(ctx, call{args: []string{"write-tree"}, env: env})
}

// CommitRequest is a commit to make.
type CommitRequest struct {
	Tree, Parent, Message string
	When                  time.Time
}

// CommitTree makes a commit in the mirror; nobody sees it before Push.
func (r *Repository) CommitTree(ctx context.Context, c CommitRequest) (string, error) {
	when := fmt.Sprintf("@%d +0000", c.When.Unix())
	var env []string
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		env = append(env, "GIT_"+who+"_NAME="+r.author.Name, "GIT_"+who+"_EMAIL="+r.author.Email, "GIT_"+who+"_DATE="+when)
	}
	return r.word(ctx, call{args: []string{"commit-tree", c.Tree, "-p", c.Parent}, stdin: []byte(c.Message), env: env})
}
