package repository

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"astern.dev/astern/actions"
)

const (
	maxFiles   = 20_000
	maxContent = 64 << 20
	maxLog     = 200
)

// Head is the commit a branch of the mirror is at; empty is the connection's branch. Fetch first.
func (r *Repository) Head(ctx context.Context, branch string) (string, error) {
	if branch == "" {
		branch = r.branch
	}
	if err := CheckBranch(branch); err != nil {
		return "", actions.Permanent(err)
	}
	head, err := r.parse(ctx, "refs/heads/"+branch)
	if err != nil || head != "" {
		return head, err
	}
	return "", actions.Permanent(fmt.Errorf("%s has no branch %s", r.url, branch))
}

// Resolve finds the commit that a hash of at least 7 digits, a branch or a tag names in the mirror. What looks like a hash is
// one: no branch of that name can stand in for the commit. Fetch first.
func (r *Repository) Resolve(ctx context.Context, ref string) (string, error) {
	if CheckCommit(ref) == nil {
		return r.byHash(ctx, ref)
	}
	if err := CheckBranch(ref); err != nil {
		return "", actions.Permanent(fmt.Errorf("%s names neither a commit, a branch nor a tag", shown(ref)))
	}
	for _, under := range []string{"refs/heads/", "refs/tags/"} {
		if commit, err := r.parse(ctx, under+ref); err != nil || commit != "" {
			return commit, err
		}
	}
	return "", actions.Permanent(fmt.Errorf("%s has no branch or tag %s", r.url, ref))
}

// byHash finds the one commit whose hash begins so. git itself would take a branch of that name first.
func (r *Repository) byHash(ctx context.Context, hash string) (string, error) {
	if len(hash) == 40 || len(hash) == 64 { // a whole one comes before any branch
		commit, err := r.parse(ctx, hash)
		if err == nil && commit != hash {
			err = actions.Permanent(fmt.Errorf("%s has no commit %s", r.url, hash))
		}
		return commit, err
	}
	objects, err := r.must(ctx, call{args: []string{"rev-parse", "--disambiguate=" + hash}})
	if err != nil {
		return "", err
	}
	kinds, err := r.must(ctx, call{args: []string{"cat-file", "--batch-check=%(objectname) %(objecttype)"}, stdin: objects})
	if err != nil {
		return "", err
	}
	var commits []string
	for line := range strings.Lines(string(kinds)) {
		if name, commit := strings.CutSuffix(strings.TrimSpace(line), " commit"); commit {
			commits = append(commits, name)
		}
	}
	switch len(commits) {
	case 0:
		return "", actions.Permanent(fmt.Errorf("%s has no commit %s", r.url, hash))
	case 1:
		return commits[0], nil
	}
	return "", actions.Permanent(fmt.Errorf("%s has %d commits whose hash begins with %s: give more digits", r.url, len(commits), hash))
}

// parse gives the commit or nothing.
func (r *Repository) parse(ctx context.Context, name string) (string, error) {
	did, err := r.git(ctx, call{args: []string{"rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}"}})
	if err != nil || did.code != 0 {
		return "", err
	}
	return strings.TrimSpace(string(did.out)), nil
}

// Contains says whether a commit is the other or one of its ancestors.
func (r *Repository) Contains(ctx context.Context, head, commit string) (bool, error) {
	c := call{args: []string{"merge-base", "--is-ancestor", commit, head}}
	did, err := r.git(ctx, c)
	if err != nil || did.code <= 1 {
		return did.code == 0, err
	}
	return false, &failure{c.args[0], did.code, did.stderr}
}

// Commit is one commit as a log shows it.
type Commit struct {
	Hash, Author, Subject string
	When                  time.Time
	Parents               []string
	// Key is its trailer Astern-Key; empty when astern did not make it.
	Key string
	// Body is the message without its first line.
	Body string
}

// Short is the beginning of a hash as people write it.
func Short(hash string) string { return hash[:min(len(hash), 10)] }

// Log lists the commits that to has and from has not, newest first, 200 at most; with paths those that touch them. An empty
// from has none.
func (r *Repository) Log(ctx context.Context, from, to string, paths ...string) ([]Commit, error) {
	args := []string{"log", "-z", "--no-show-signature", "--no-color", "--max-count=" + strconv.Itoa(maxLog), "--format=" + logFormat, "--end-of-options", to}
	if from != "" {
		args = append(args, "^"+from)
	}
	out, err := r.must(ctx, call{args: append(append(args, "--"), paths...)})
	if err != nil {
		return nil, err
	}
	return parseLog(out), nil
}

const (
	keyTrailer = "Astern-Key"
	logFormat  = "%H%x1f%P%x1f%ct%x1f%an%x1f%s%x1f%(trailers:key=" + keyTrailer + ",valueonly,unfold)%x1f%b"
)

func parseLog(out []byte) []Commit {
	var all []Commit
	for _, record := range bytes.Split(out, []byte{0}) {
		f := strings.SplitN(string(record), "\x1f", 7)
		if len(f) < 7 {
			continue
		}
		seconds, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			continue
		}
		key, _, _ := strings.Cut(strings.TrimSpace(f[5]), "\n")
		all = append(all, Commit{Hash: f[0], Parents: strings.Fields(f[1]), When: time.Unix(seconds, 0).UTC(), Author: Clean(f[3], 80), Subject: Clean(f[4], 120), Key: key, Body: f[6]})
	}
	return all
}

// Commit reads one commit.
func (r *Repository) Commit(ctx context.Context, hash string) (Commit, error) {
	out, err := r.must(ctx, call{args: []string{"log", "-z", "--no-show-signature", "--no-color", "--max-count=1", "--format=" + logFormat, "--end-of-options", hash, "--"}})
	if err != nil {
		return Commit{}, err
	}
	if all := parseLog(out); len(all) == 1 {
		return all[0], nil
	}
	return Commit{}, actions.Permanent(fmt.Errorf("commit %s cannot be read", Short(hash)))
}

// WithKey finds the commits that to has and from has not and whose trailer Astern-Key is this one, newest first.
func (r *Repository) WithKey(ctx context.Context, from, to, key string) ([]Commit, error) {
	out, err := r.must(ctx, call{args: []string{"log", "-z", "--no-show-signature", "--no-color", "--fixed-strings", "--grep=" + keyTrailer + ": " + key,
		"--max-count=" + strconv.Itoa(maxLog), "--format=" + logFormat, "--end-of-options", to, "^" + from, "--"}})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(parseLog(out), func(c Commit) bool { return c.Key != key }), nil
}

// entry is one line of a tree.
type entry struct {
	mode, hash, path string
	size             int64
}

// entries lists everything below the paths; no path is the whole tree.
func (r *Repository) entries(ctx context.Context, commit string, paths []string) ([]entry, error) {
	args := []string{"ls-tree", "-r", "-z", "--long", "--full-tree", commit, "--"}
	for _, p := range paths {
		if p != "" {
			args = append(args, strings.TrimSuffix(p, "/"))
		}
	}
	out, err := r.must(ctx, call{args: args})
	if err != nil {
		return nil, err
	}
	var all []entry
	for _, line := range bytes.Split(bytes.TrimSuffix(out, []byte{0}), []byte{0}) {
		head, name, _ := strings.Cut(string(line), "\t")
		f := strings.Fields(head)
		if len(f) != 4 {
			continue
		}
		size, _ := strconv.ParseInt(f[3], 10, 64) // "-" for what is no file
		all = append(all, entry{f[0], f[2], name, size})
	}
	return all, nil
}

// Files reads all files below the paths at a commit, by their path in the repository: 20,000 files and 64 MiB at most. An
// empty path is the whole repository. A symbolic link to a file of the repository is that file; one that leads elsewhere,
// or to a directory, and a submodule are refused. Fetch first.
func (r *Repository) Files(ctx context.Context, commit string, paths ...string) (map[string][]byte, error) {
	for _, p := range paths {
		if err := CheckPath(p); err != nil {
			return nil, actions.Permanent(err)
		}
	}
	all, err := r.entries(ctx, commit, paths)
	if err != nil {
		return nil, fmt.Errorf("list %s at %s: %w", strings.Join(paths, ", "), Short(commit), err)
	}
	for _, p := range paths {
		if !below(all, p) {
			return nil, actions.Permanent(fmt.Errorf("there is no %s at commit %s", shown(p), Short(commit)))
		}
	}
	files, err := r.contents(ctx, all)
	if err != nil {
		return nil, fmt.Errorf("read %s at %s: %w", strings.Join(paths, ", "), Short(commit), err)
	}
	return files, r.follow(ctx, commit, all, files)
}

func below(all []entry, p string) bool {
	p = strings.TrimSuffix(p, "/")
	for _, e := range all {
		if p == "" || e.path == p || strings.HasPrefix(e.path, p+"/") {
			return true
		}
	}
	return false
}

// contents reads the files of entries in one run.
func (r *Repository) contents(ctx context.Context, all []entry) (map[string][]byte, error) {
	var asked bytes.Buffer
	var total int64
	var named []entry
	for _, e := range all {
		if e.mode == "160000" {
			return nil, actions.Permanent(fmt.Errorf("%s is a submodule: not followed", shown(e.path)))
		}
		total += e.size
		named = append(named, e)
		fmt.Fprintln(&asked, e.hash)
	}
	if len(named) > maxFiles || total > maxContent {
		return nil, actions.Permanent(fmt.Errorf("%d files, %d bytes: %w; name a smaller path", len(named), total, ErrTooMuch))
	}
	out, err := r.must(ctx, call{args: []string{"cat-file", "--batch"}, stdin: asked.Bytes(), limit: maxContent + 128*(len(named)+1)})
	if err != nil {
		return nil, err
	}
	return cutBatch(named, out)
}

func cutBatch(named []entry, out []byte) (map[string][]byte, error) {
	files := make(map[string][]byte, len(named))
	for _, e := range named {
		head, rest, _ := bytes.Cut(out, []byte("\n"))
		if want := fmt.Sprintf("%s blob %d", e.hash, e.size); string(head) != want || int64(len(rest)) < e.size+1 {
			return nil, fmt.Errorf("%s cannot be read: git said %s", shown(e.path), shown(string(head)))
		}
		files[e.path], out = rest[:e.size:e.size], rest[e.size+1:]
	}
	return files, nil
}

// follow puts the file that a symbolic link means in its place.
func (r *Repository) follow(ctx context.Context, commit string, all []entry, files map[string][]byte) error {
	for _, e := range all {
		if e.mode != "120000" {
			continue
		}
		to := path.Join(path.Dir(e.path), string(files[e.path]))
		if path.IsAbs(string(files[e.path])) || CheckPath(to) != nil {
			return actions.Permanent(fmt.Errorf("%s is a symbolic link out of the repository: not followed", shown(e.path)))
		}
		at, err := r.entries(ctx, commit, []string{to})
		if err != nil {
			return err
		}
		if len(at) != 1 || at[0].path != to || !strings.HasPrefix(at[0].mode, "100") {
			return actions.Permanent(fmt.Errorf("%s is a symbolic link to %s, which is no file of the repository: not followed", shown(e.path), shown(to)))
		}
		read, err := r.contents(ctx, at)
		if err != nil {
			return err
		}
		files[e.path] = read[to]
	}
	return nil
}

// HasBranch says whether the mirror has a branch. Fetch first.
func (r *Repository) HasBranch(ctx context.Context, branch string) (bool, error) {
	if err := CheckBranch(branch); err != nil {
		return false, actions.Permanent(err)
	}
	head, err := r.parse(ctx, "refs/heads/"+branch)
	return head != "", err
}
