package git

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/repository"
)

const (
	onProtected = "protected"
	always      = "always"
	never       = "never"

	defaultWait = 30 * time.Minute
)

// Revert takes back what one commit did to a branch (commit), or puts paths back as they were at a good commit (restore). It
// makes one new commit on top of the branch and pushes it plainly, never by force. When somebody pushes in the meantime it
// looks again: while the change is the same it goes on, otherwise it stops and a new plan is needed.
//
// Later commits that stand in the way of a revert are a conflict, told file by file; nothing is pushed then. A commit that is
// already taken back is no error: there is nothing to do. A commit of astern's own is never taken back.
//
// Where the branch is protected a pull request is made and waited for: the step has succeeded when it is merged. A pull
// request that is not merged in time, or closed, fails the step with its address. A merge commit is taken back against its
// first parent; its branch can be merged again only after the revert is itself reverted, which the message says.
//
// Database migrations, custom resource definitions, Terraform files and secrets of every kind (Secret, SealedSecret,
// ExternalSecret, SOPS) are not taken back unless allow names them: what they did outside Git does not come back with them,
// and an old secret may be a leaked one. What secrets hold is in no plan.
type Revert struct {
	// Commit is the bad commit: its hash, 7 digits at least. Either commit or restore is needed.
	Commit string `yaml:"commit,omitempty"`
	// Restore puts paths back as they were.
	Restore *Restore `yaml:"restore,omitempty"`
	// Branch is the one to change; the connection's without a word.
	Branch string `yaml:"branch,omitempty"`
	// Mainline says which parent of a merge commit is the branch that stays; 1 without a word.
	Mainline int `yaml:"mainline,omitempty"`
	// PullRequest is protected (where the server declines the push; without a word), always or never. It needs the api of
	// the connection.
	PullRequest string `yaml:"pull_request,omitempty"`
	// Wait is how long a pull request may take to be merged; 30m without a word. The step's timeout must be longer.
	Wait actions.Duration `yaml:"wait,omitempty"`
	// Protect adds patterns of paths that are not taken back, such as "terraform/**".
	Protect []string `yaml:"protect,omitempty"`
	// Allow names paths, or patterns of them, that are taken back although they are protected.
	Allow []string `yaml:"allow,omitempty"`

	planned string        // what the last Plan of this value found
	poll    time.Duration // how often a pull request is looked at
}

// Restore says what to put back and to when.
type Restore struct {
	// To is the good commit: its hash, 7 digits at least.
	To string `yaml:"to"`
	// Paths are files or directories of the repository. What came later below them is undone, whoever made it; the plan
	// names each commit.
	Paths []string `yaml:"paths"`
}

// RevertOutputs is what later steps can read.
type RevertOutputs struct {
	// Commit is the commit of the branch that has it undone.
	Commit string `json:"commit"`
	// PullRequest is the address of the pull request; empty when none was needed.
	PullRequest string `json:"pull_request"`
	// Merged says that the change came by a pull request.
	Merged bool `json:"merged"`
}

// Name is git/revert.
func (r *Revert) Name() string { return "git/revert" }

// Outputs types steps.<name>.commit, pull_request and merged.
func (r *Revert) Outputs() any { return RevertOutputs{} }

// Validate checks hashes, paths and patterns.
func (r *Revert) Validate() error {
	failed := []error{r.checkWhat()}
	if r.Branch != "" {
		if err := repository.CheckBranch(r.Branch); err != nil {
			failed = append(failed, fmt.Errorf("branch: %w", err))
		}
	}
	if r.Mainline < 0 || r.Mainline > 16 || r.Mainline > 0 && r.Restore != nil {
		failed = append(failed, errors.New("mainline: is the number of a merge commit's parent, from 1; it goes with commit alone"))
	}
	switch r.PullRequest {
	case "", onProtected, always, never:
	default:
		failed = append(failed, fmt.Errorf("pull_request: %+q is neither protected, always nor never", r.PullRequest))
	}
	if r.Wait < 0 {
		failed = append(failed, errors.New("wait: must not be negative"))
	}
	return errors.Join(append(failed, checkPatterns("protect", r.Protect), checkPatterns("allow", r.Allow))...)
}

func (r *Revert) checkWhat() error {
	switch {
	case (r.Commit == "") == (r.Restore == nil):
		return errors.New("commit: either commit or restore is needed, and not both")
	case r.Commit != "":
		if err := repository.CheckCommit(r.Commit); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		return nil
	}
	if err := repository.CheckCommit(r.Restore.To); err != nil {
		return fmt.Errorf("restore.to: %w", err)
	}
	if len(r.Restore.Paths) == 0 || len(r.Restore.Paths) > 50 {
		return errors.New("restore.paths: 1 to 50 paths are needed")
	}
	for _, p := range r.Restore.Paths {
		if err := repository.CheckPath(p); err != nil || p == "" {
			return errors.Join(errors.New("restore.paths: each names a file or a directory of the repository"), err)
		}
	}
	return nil
}

// Plan computes the commit without making it known: which files it changes and how, what came later, and whether there is
// anything to undo. What it finds is the change itself, not the head of the branch.
func (r *Revert) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	repo, err := r.begin(env)
	if err != nil {
		return actions.Change{}, err
	}
	u, err := r.look(ctx, repo, env)
	if err != nil {
		return actions.Change{}, err
	}
	r.planned = u.found
	lines, err := r.show(ctx, repo, u)
	if err != nil {
		return actions.Change{}, err
	}
	return actions.Change{Changes: true, Summary: u.summary(), Diff: lines, Found: u.found}, nil
}

// Ready looks whether it could be done now: credentials, the right to push, the commit, conflicts, protected paths.
func (r *Revert) Ready(ctx context.Context, env actions.Env) error {
	repo, err := r.begin(env)
	if err != nil {
		return err
	}
	if err := repo.Ready(ctx, r.branch(repo)); err != nil {
		return err
	}
	_, err = r.look(ctx, repo, env)
	return err
}

func (r *Revert) begin(env actions.Env) (*repository.Repository, error) {
	if err := r.Validate(); err != nil {
		return nil, actions.Permanent(err)
	}
	repo, err := repository.Of(env)
	if err != nil {
		return nil, err
	}
	if r.PullRequest == always && repo.Pulls() == nil {
		return nil, actions.Permanent(errors.New("pull_request: always: the git connection has no api to make one with"))
	}
	return repo, nil
}

func (r *Revert) branch(repo *repository.Repository) string {
	if r.Branch != "" {
		return r.Branch
	}
	return repo.Branch()
}

// base is the hash the user gave: everything that matters came after it.
func (r *Revert) base() string {
	if r.Restore != nil {
		return r.Restore.To
	}
	return r.Commit
}

func (r *Revert) mainline() int { return max(r.Mainline, 1) }

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func joined(lines []string, limit int) string {
	if len(lines) > limit {
		lines = append(lines[:limit:limit], fmt.Sprintf("%d more", len(lines)-limit))
	}
	return strings.Join(lines, ", ")
}
