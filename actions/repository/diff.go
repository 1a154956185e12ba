package repository

import (
	"bytes"
	"context"
	"fmt"
	"strings"
)

// FileChange is what becomes of one file between two trees.
type FileChange struct {
	Path string
	// Old and New are the file's hashes; empty where there is no file.
	Old, New string
	// OldMode and NewMode are git's, such as 100644.
	OldMode, NewMode string
	// Patch holds the changed lines with three around them, each with its sign; positions are left out, so that it is the
	// same wherever in the file it lies. Empty for what is no text.
	Patch []string
	// Added and Removed count lines.
	Added, Removed int
}

const maxChanged = 2000 // files

// Diff tells two trees or commits apart, file by file, renames as a removal and an addition.
func (r *Repository) Diff(ctx context.Context, from, to string) ([]FileChange, error) {
	out, err := r.must(ctx, call{args: []string{"diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", "--no-abbrev", from, to}})
	if err != nil {
		return nil, err
	}
	changes, order := parseRaw(out)
	if len(changes) > maxChanged {
		return nil, fmt.Errorf("%d files would change: %w", len(changes), ErrTooMuch)
	}
	if len(changes) == 0 {
		return nil, nil
	}
	patch, err := r.must(ctx, call{args: []string{"diff-tree", "-r", "-p", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color",
		"--src-prefix=a/", "--dst-prefix=b/", "--diff-algorithm=myers", "--unified=3", from, to}})
	if err != nil {
		return nil, err
	}
	addPatches(changes, order, patch)
	return changes, nil
}

// parseRaw reads ":mode mode hash hash status NUL path NUL". Order says which change each part of the patch belongs to: a
// file that becomes another kind of thing has two.
func parseRaw(out []byte) (all []FileChange, order []int) {
	fields := bytes.Split(out, []byte{0})
	for n := 0; n+1 < len(fields); n += 2 {
		f := strings.Fields(strings.TrimPrefix(string(fields[n]), ":"))
		if len(f) != 5 {
			break
		}
		order = append(order, len(all))
		if f[4] == "T" {
			order = append(order, len(all))
		}
		all = append(all, FileChange{Path: string(fields[n+1]), OldMode: f[0], NewMode: f[1], Old: hashOrNone(f[2]), New: hashOrNone(f[3])})
	}
	return all, order
}

func hashOrNone(hash string) string {
	if strings.Trim(hash, "0") == "" {
		return ""
	}
	return hash
}

// addPatches deals the patch out: its parts come in the order of the raw list, and each begins with a line that no line of
// a file can look like, for those have a sign before them.
func addPatches(changes []FileChange, order []int, patch []byte) {
	part, within := -1, false
	for line := range strings.Lines(string(patch)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "diff --git ") {
			part, within = part+1, false
			continue
		}
		if part < 0 || part >= len(order) {
			return
		}
		at := &changes[order[part]]
		switch {
		case strings.HasPrefix(line, "@@ "):
			within = true
			at.Patch = append(at.Patch, "@@")
		case within && line != "":
			at.add(line)
		}
	}
}

func (f *FileChange) add(line string) {
	switch line[0] {
	case '+':
		f.Added++
	case '-':
		f.Removed++
	}
	f.Patch = append(f.Patch, line)
}

const maxBlobs = 32 << 20

// Contents reads the files of changes as they were and as they will be, by their hashes; submodules have none.
func (r *Repository) Contents(ctx context.Context, changes []FileChange) (map[string][]byte, error) {
	var asked bytes.Buffer
	for _, c := range changes {
		for hash, mode := range map[string]string{c.Old: c.OldMode, c.New: c.NewMode} {
			if hash != "" && mode != "160000" {
				fmt.Fprintln(&asked, hash)
			}
		}
	}
	out, err := r.must(ctx, call{args: []string{"cat-file", "--batch"}, stdin: asked.Bytes(), limit: maxBlobs})
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for len(out) > 0 {
		head, rest, _ := bytes.Cut(out, []byte("\n"))
		var hash string
		var size int
		if _, err := fmt.Sscanf(string(head), "%s blob %d", &hash, &size); err != nil || size < 0 || len(rest) < size+1 {
			return nil, fmt.Errorf("a changed file cannot be read: git said %s", shown(string(head)))
		}
		all[hash], out = rest[:size:size], rest[size+1:]
	}
	return all, nil
}
