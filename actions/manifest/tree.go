package manifest

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

const (
	maxFiles = 2000
	maxTree  = 32 << 20
)

// tree is the part of a repository at one commit that was asked for so far: regular files by their path. The rest is read
// when something refers to it, so that a large repository costs what is used of it.
type tree struct {
	read  func(ctx context.Context, path string) (map[string][]byte, error)
	files map[string][]byte
	asked map[string]bool
	size  int
}

func newTree(read func(ctx context.Context, path string) (map[string][]byte, error)) *tree {
	return &tree{read: read, files: map[string][]byte{}, asked: map[string]bool{}}
}

// want reads a file, or a directory with all that lies under it. What is not in the repository leaves no trace.
func (t *tree) want(ctx context.Context, at string) error {
	if t.asked[at] {
		return nil
	}
	found, err := t.read(ctx, at)
	if err != nil {
		return err
	}
	t.asked[at] = true
	for name, content := range found {
		if _, known := t.files[name]; known {
			continue
		}
		t.files[name] = content
		t.size += len(content)
	}
	if len(t.files) > maxFiles || t.size > maxTree {
		return fmt.Errorf("%s: with what it refers to it has more than %d files or %d MiB: name a narrower path", at, maxFiles, maxTree>>20)
	}
	return nil
}

func (t *tree) isFile(at string) bool {
	_, is := t.files[at]
	return is
}

// under lists the files of a directory and of those below it, sorted.
func (t *tree) under(at string) []string {
	var names []string
	for name := range t.files {
		if at == "." || strings.HasPrefix(name, at+"/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (t *tree) isDirectory(at string) bool { return len(t.under(at)) > 0 }

// within resolves a path that a file of a directory refers to, and refuses one that leaves the repository.
func within(directory, reference string) (string, error) {
	if path.IsAbs(reference) || strings.ContainsAny(reference, "\x00\\") {
		return "", fmt.Errorf("%q is no relative path", reference)
	}
	at := path.Join(directory, reference)
	if at == ".." || strings.HasPrefix(at, "../") {
		return "", fmt.Errorf("%q leaves the repository", reference)
	}
	return at, nil
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
