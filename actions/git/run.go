package git

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/repository"
)

const maxRaces = 5

// Run makes the commit on top of what the server has and pushes it. A race with another push is run again with the same
// change; a change that became another one is not made.
func (r *Revert) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	repo, err := r.begin(env)
	if err != nil {
		return actions.Result{}, err
	}
	for race := range maxRaces {
		u, err := r.look(ctx, repo, env)
		if err != nil {
			return actions.Result{}, err
		}
		if u.done != nil || u.nothing {
			return u.result(), nil
		}
		if r.planned != "" && r.planned != u.found {
			return actions.Result{}, actions.Permanent(fmt.Errorf("%s moved, and what would be undone is no longer what was planned: plan again", u.branch))
		}
		r.planned = u.found
		did, err := r.land(ctx, repo, env, u)
		if !errors.Is(err, repository.ErrMoved) {
			return did, err
		}
		if err := pause(ctx, time.Duration(race)*100*time.Millisecond+rand.N(100*time.Millisecond)); err != nil {
			return actions.Result{}, fmt.Errorf("revert on %s: %w", u.branch, err)
		}
	}
	return actions.Result{}, fmt.Errorf("%s moved %d times while the revert was being pushed; nothing was changed", r.branch(repo), maxRaces)
}

// land brings the change to the branch, by a push or by a pull request.
func (r *Revert) land(ctx context.Context, repo *repository.Repository, env actions.Env, u *undo) (actions.Result, error) {
	if r.PullRequest == always {
		return r.propose(ctx, repo, env, u)
	}
	commit, err := r.push(ctx, repo, env, u, u.branch)
	switch {
	case err == nil:
		u.done = &repository.Commit{Hash: commit}
		return u.result(), nil
	case errors.Is(err, repository.ErrProtected):
		return r.declined(ctx, repo, env, u, err)
	case errors.Is(err, repository.ErrUnknown):
		return r.settle(ctx, repo, env, err)
	}
	return actions.Result{}, err
}

func (r *Revert) push(ctx context.Context, repo *repository.Repository, env actions.Env, u *undo, branch string) (string, error) {
	if err := u.told(ctx, repo); err != nil {
		return "", err
	}
	commit, err := repo.CommitTree(ctx, repository.CommitRequest{Tree: u.tree, Parent: u.head, Message: r.message(u, env), When: env.Now()})
	if err != nil {
		return "", err
	}
	return commit, repo.Push(ctx, commit, branch)
}

// told finds what the message of a restore tells: the commits that it undoes.
func (u *undo) told(ctx context.Context, repo *repository.Repository) error {
	if !u.restore {
		return nil
	}
	return u.since(ctx, repo)
}

// declined: the server's rules want another way, or none.
func (r *Revert) declined(ctx context.Context, repo *repository.Repository, env actions.Env, u *undo, err error) (actions.Result, error) {
	switch {
	case r.PullRequest == never:
		return actions.Result{}, actions.Permanent(fmt.Errorf("%w; pull_request: never forbids the other way", err))
	case repo.Pulls() == nil:
		return actions.Result{}, actions.Permanent(fmt.Errorf("%w; the git connection has no api to make a pull request with", err))
	}
	return r.propose(ctx, repo, env, u)
}

// settle looks whether a push whose answer got lost has landed. One that has not may still be under way; repeating it is
// harmless, for only one of two can be on top of the same head, but it is the engine that decides.
func (r *Revert) settle(ctx context.Context, repo *repository.Repository, env actions.Env, lost error) (actions.Result, error) {
	if u, err := r.look(ctx, repo, env); err == nil && u.done != nil {
		return u.result(), nil
	}
	return actions.Result{}, actions.Doubtful(lost)
}

func (u *undo) result() actions.Result {
	out := RevertOutputs{Commit: u.head}
	if u.done != nil {
		out.Commit = u.done.Hash
	}
	return actions.Result{Summary: u.outcome(), Outputs: out}
}

func (u *undo) outcome() string {
	what := "reverted " + repository.Short(u.base.Hash)
	if u.restore {
		what = "restored as at " + repository.Short(u.base.Hash)
	}
	if u.done != nil {
		return fmt.Sprintf("%s on %s with %s", what, u.branch, repository.Short(u.done.Hash))
	}
	return fmt.Sprintf("nothing of %s to undo on %s at %s", repository.Short(u.base.Hash), u.branch, repository.Short(u.head))
}

// Verify fetches and looks for the commit with this step's key, else whether the branch has nothing left to undo: a squashed
// merge may have lost the key.
func (r *Revert) Verify(ctx context.Context, env actions.Env) error {
	repo, err := r.begin(env)
	if err != nil {
		return err
	}
	u, err := r.look(ctx, repo, env)
	var conflict *repository.ConflictError
	switch {
	case errors.As(err, &conflict):
		return actions.NotDone("%v", err)
	case err != nil:
		return err
	case u.done != nil || u.nothing:
		return nil
	}
	return r.pending(ctx, repo, env, u)
}

// pause waits, or ends with the context.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
