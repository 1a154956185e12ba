package repository

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"astern.dev/astern/actions"
)

// What became of a push that did not land.
var (
	// ErrMoved: somebody else was first. The branch is as they left it.
	ErrMoved = errors.New("the branch moved in the meantime")
	// ErrProtected: a rule of the server or its hook declined the push.
	ErrProtected = errors.New("the server declined the push")
	// ErrUnknown: the exchange broke off; the push may have landed.
	ErrUnknown = errors.New("the push may have landed")
)

// Push puts a commit at a branch of the server, never by force: the server takes it only while the branch is at one of the
// commit's ancestors. Errors wrap ErrMoved, ErrProtected or ErrUnknown; with any other nothing was pushed.
func (r *Repository) Push(ctx context.Context, commit, branch string) error {
	if err := CheckBranch(branch); err != nil {
		return actions.Permanent(err)
	}
	within, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	c := call{far: true, args: []string{"push", "--porcelain", "--no-verify", "--no-signed", "--no-force", "--recurse-submodules=no", r.url, commit + ":refs/heads/" + branch}}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("push to %s: %w", branch, err)
	}
	did, err := r.git(within, c)
	var broken *brokenOff
	switch {
	case errors.As(err, &broken):
		return fmt.Errorf("push to %s: %w: %w", branch, ErrUnknown, err)
	case err != nil:
		return fmt.Errorf("push to %s: %w", branch, err)
	case did.code == 0:
		return nil
	}
	return fmt.Errorf("push to %s: %w", branch, refusal(did))
}

// CanPush asks the server whether these credentials may push at all; its hooks and rules of branches are not asked.
func (r *Repository) CanPush(ctx context.Context, branch string) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	head, err := r.Head(ctx, branch)
	if err != nil {
		return err
	}
	_, err = r.must(ctx, call{far: true, args: []string{"push", "--dry-run", "--porcelain", "--no-verify", "--no-force", r.url, head + ":refs/heads/" + branch}})
	if did := new(failure); errors.As(err, &did) && strings.Contains(did.stderr+did.what, "rejected") {
		return nil // it moved since the last fetch: the server answered
	}
	return judged(err)
}

var (
	racing    = regexp.MustCompile(`non-fast-forward|fetch first|cannot lock ref|failed to update ref|reference already exists|stale info|failed to lock|incorrect old value`)
	declined  = regexp.MustCompile(`\[remote rejected\]|GH00[0-9]|GL-HOOK-ERR|protected branch|hook declined`)
	atTheDoor = regexp.MustCompile(`unable to access|Could not read from remote repository|terminal prompts disabled|[Aa]uthentication failed|not found|does not appear to be a git repository`)
	begun     = regexp.MustCompile(`RPC failed|unexpected disconnect|hung up|early EOF|send-pack`)
)

// refusal sorts a push that git ended with an error.
func refusal(did ran) error {
	said := string(did.out) + did.stderr
	why := &failure{"push", did.code, did.stderr + rejections(string(did.out))}
	switch {
	case racing.MatchString(said):
		return fmt.Errorf("%w: %w", ErrMoved, why)
	case declined.MatchString(said):
		return fmt.Errorf("%w: %w", ErrProtected, why)
	case atTheDoor.MatchString(said) && !begun.MatchString(said):
		return judged(why)
	}
	return fmt.Errorf("%w: %w", ErrUnknown, why)
}

// rejections are the lines of --porcelain that say why.
func rejections(out string) string {
	var lines []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "!") {
			lines = append(lines, strings.TrimSpace(strings.ReplaceAll(line[1:], "\t", " ")))
		}
	}
	return "\n" + strings.Join(lines, "\n")
}

var (
	refusedLogin = regexp.MustCompile(`terminal prompts disabled|[Aa]uthentication failed|error: 40[13]|Permission denied|could not read Username`)
	unknownHost  = regexp.MustCompile(`Host key verification failed|REMOTE HOST IDENTIFICATION`)
	nothingThere = regexp.MustCompile(`error: 404|repository '[^']*' not found|does not appear to be a git repository|does not exist`)
	noTrust      = regexp.MustCompile(`certificate verif|server certificate|SSL certificate problem`)
)

// judged says what to do about what git told of the server, and marks what no further attempt can mend.
func judged(err error) error {
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	hints := []struct {
		sign *regexp.Regexp
		hint string
	}{
		{unknownHost, "the server's key is not the one in ssh.known_hosts_file"},
		{noTrust, "the server's certificate is not trusted: name its authority with https.ca_file"},
		{refusedLogin, "the server refuses the credentials of the connection, or they may not do this"},
		{nothingThere, "there is no such repository, or the credentials may not see it"},
	}
	for _, h := range hints {
		if h.sign.MatchString(f.stderr) {
			return actions.Permanent(fmt.Errorf("%s: %w", h.hint, err))
		}
	}
	return err
}
